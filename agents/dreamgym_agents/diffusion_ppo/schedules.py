"""How to clone (DiWA Table S.3) and how to fine-tune (Table S.5)."""

from __future__ import annotations

from dataclasses import dataclass

from dreamgym.fields import check_numbers

BOOTSTRAPS = ("auto", "horizon", "never")


@dataclass(frozen=True)
class CloneConfig:
    """How to clone demonstrations (Table S.3).

    Attributes:
        demonstrations: how many, taken in the order of the store.
        epochs: passes over all their chunks.
        batch_size: chunks an update.
        lr, final_lr: learning rate, along a cosine.
        weight_decay: decoupled.
        ema, ema_start, ema_every: decay of the weights' average, warmed up over its first updates (see `EMA`); the
            epoch at which it begins; updates between its updates (the table says 10 without a unit).
        passes: times each demonstration is filtered; each draws the stochastic latents anew.
        seed: of everything random.
        checkpoint_every_s: seconds between saves of progress.
    """

    demonstrations: int = 50
    epochs: int = 5000
    batch_size: int = 256
    lr: float = 1e-4
    final_lr: float = 1e-5
    weight_decay: float = 1e-6
    ema: float = 0.995
    ema_start: int = 20
    ema_every: int = 10
    passes: int = 1
    seed: int = 0
    checkpoint_every_s: float = 120.0

    def __post_init__(self) -> None:
        check_numbers(self)
        for name in ("demonstrations", "epochs", "batch_size", "ema_every", "passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @classmethod
    def paper(cls) -> CloneConfig:
        """Table S.3."""
        return cls()

    @classmethod
    def tiny(cls) -> CloneConfig:
        """A tenth of the epochs at three times the rate: minutes on two cores."""
        return cls(epochs=400, lr=3e-4, final_lr=3e-5)


@dataclass(frozen=True)
class TuneConfig:
    """How to fine-tune (Table S.5; what the table leaves out is marked as ours).

    Attributes:
        total_steps: env steps of all iterations together (DiWA: 5 M imagined ones).
        tuned_steps: K', denoising steps that are tuned.
        decisions: (ours) decisions (chunks) of each env an iteration; None: one whole horizon.
        num_updates: (ours) passes over the samples of an iteration.
        batch_size: samples an update, each one denoising step of one decision.
        actor_lr, critic_lr: of Adam.
        critic_hidden: widths of the critic's MLP.
        discount: gamma, a decision (0.999); a decision is ``chunk`` env steps, whose rewards are summed.
        denoising_discount: gamma_DP, a denoising step.
        gae_lambda: of generalised advantage estimation.
        bc_weight: alpha_BC. DiWA: 0.05, but 0.1 for open_drawer, 0.025 for close_drawer and turn_on_led.
        bc_share: (ours) cloning samples for each PPO sample.
        clip: (ours) epsilon of PPO, on the exact likelihood ratio of a denoising step (all D entries of the chunk).
        target_kl: (ours) no further pass over the samples once the policy has moved this far, in nats a denoising step.
        max_grad_norm: (ours) of the actor, and of the critic.
        critic_warmup: (ours) iterations at the beginning that train the critic only.
        bootstrap: (ours) whether the value of the state at the horizon counts: "horizon", "never" (Eq. 17 ends its sum
            at T), or "auto": "horizon" where success ends an episode, "never" where rewards are paid until the horizon.
            Values after a truncation for uncertainty or a model failure never count.
        reward_scale: (ours) factor on rewards inside the learner; None: returns lie in [0, 1] (1 / horizon where
            rewards are paid until the horizon).
        eval_every: (ours) iterations between evaluations of the policy as it will act, in its env, and saves of it.
        eval_episodes: (ours) episodes of an evaluation, at least.
        seed: of everything random.
        checkpoint_every_s: (ours) seconds between saves of progress.
    """

    total_steps: int = 5_000_000
    tuned_steps: int = 10
    decisions: int | None = None
    num_updates: int = 5
    batch_size: int = 7500
    actor_lr: float = 1e-5
    critic_lr: float = 1e-3
    critic_hidden: tuple[int, ...] = (256, 256, 256)
    discount: float = 0.999
    denoising_discount: float = 0.99
    gae_lambda: float = 0.95
    bc_weight: float = 0.05
    bc_share: float = 0.25
    clip: float = 0.1
    target_kl: float = 0.1
    max_grad_norm: float = 1.0
    critic_warmup: int = 2
    bootstrap: str = "auto"
    reward_scale: float | None = None
    eval_every: int = 10
    eval_episodes: int = 256
    seed: int = 0
    checkpoint_every_s: float = 120.0

    def __post_init__(self) -> None:
        check_numbers(self)
        object.__setattr__(self, "critic_hidden", tuple(self.critic_hidden))
        if self.bootstrap not in BOOTSTRAPS:
            raise ValueError(f"bootstrap must be one of {BOOTSTRAPS}, got {self.bootstrap!r}")
        for name in ("total_steps", "tuned_steps", "num_updates", "batch_size", "eval_every", "eval_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("actor_lr", "critic_lr", "clip", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name)}")
        for name in ("bc_weight", "target_kl", "critic_warmup"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.decisions is not None and self.decisions < 1:
            raise ValueError(f"decisions must be at least 1, or None for a whole horizon, got {self.decisions}")
        for name in ("discount", "denoising_discount", "gae_lambda", "bc_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    @classmethod
    def paper(cls) -> TuneConfig:
        """Table S.5."""
        return cls()

    @classmethod
    def tiny(cls) -> TuneConfig:
        """A fifth of the steps at three times the actor's rate."""
        return cls(total_steps=1_000_000, actor_lr=3e-5)
