"""Agents on an accelerator: imagining and deciding never waits for it; a policy with a plan under way looks once."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from dreamgym_agents.action_expert import ActionExpert, ExpertConfig
from dreamgym_agents.action_selection import ActionSelection
from dreamgym_agents.diffusion_ppo.ppo import Learner, minibatch_loss, prepare
from dreamgym_agents.diffusion_ppo.rollout import Rollout
from dreamgym_agents.planning import Planner
from dreamgym_agents.refinement import refine
from dreamgym_agents.warpd import WARPD, DiffusionBaseline, LatentDiffusionPolicy, MLPPolicy, PlanningPolicy
from no_sync import NoSync, on_host
from point_policies import TINY_TUNE, make_policy
from warpd_points import make_config, make_demonstrations

from dreamgym.envs.faces.vector import DreamVectorEnv
from dreamgym.envs.make import make_core
from dreamgym.testing import point_mass_checkpoint
from dreamgym.types import ActionSpec

B = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def core(world, **options):
    """Envs as an accelerator has them: `fast` looks at values, and is off there."""
    made = {"num_envs": B, "task": "reach_right", "fast": False, "autoreset_mode": "disabled", **options}
    opened = make_core(world, **made)
    opened.reset(seed=0)
    return opened


class Steady:
    """A chunk of the same actions, whatever it sees."""

    chunk = 4

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        return 0.5 * torch.ones(len(fresh), self.chunk, 3), carry


SMALL = {"candidates": 8, "frames": 4, "rounds": 2, "elites": 2, "execute": 2}
IMAGINING = {
    **{f"planning, {m}": lambda spec, m=m: Planner(spec, method=m, **SMALL) for m in ("shooting", "cem", "mppi")},
    **{
        f"action_selection, {m}": lambda spec, m=m: ActionSelection(
            spec, Steady(), method=m, candidates=4, frames=4, keep=2
        )
        for m in ("rank", "mean", "random")
    },
    "refinement": lambda spec: refine(Steady(), times=1),
}
ACTING = {
    "diffusion_ppo": make_policy,
    "gaussian_ppo": lambda: make_policy("gaussian"),
    **{
        f"warpd, {kind.__name__}": lambda kind=kind: PlanningPolicy(
            kind.for_demonstrations(make_config(), make_demonstrations()), "left"
        )
        for kind in (WARPD, DiffusionBaseline, LatentDiffusionPolicy, MLPPolicy)
    },
}


@pytest.mark.parametrize("name", IMAGINING)
def test_what_looks_ahead_does_not_wait(name, world):
    spec = make_core(world).spec
    policy = IMAGINING[name](spec)
    env, ahead = core(world, chunk=getattr(policy, "chunk", None)), core(world)
    policy.bind(ahead)
    generator = torch.Generator().manual_seed(0)
    carry, fresh = policy.start(B, generator), torch.ones(B, dtype=torch.bool)
    if hasattr(policy, "begin"):
        carry = policy.begin(carry, fresh, ["reach_right"] * B)
    obs = env.reader(env.state, env.counters["task"])
    for _ in range(4):
        ahead.place(env.state, env.counters["task"])
        # Refinement asks whether any env decides now: imagining for nobody costs more than a look.
        with torch.no_grad(), NoSync(allowed=int(name == "refinement")):
            action, carry = policy.act(obs, carry, fresh, generator)
            obs, fresh = env.step(action).obs, torch.zeros_like(fresh)


@pytest.mark.parametrize("name", ACTING)
def test_a_policy_with_a_plan_under_way_looks_once_a_decision(name, monkeypatch):
    on_host(monkeypatch, DDPMScheduler)
    policy, generator = ACTING[name](), torch.Generator().manual_seed(0)
    carry, fresh = policy.start(B, generator), torch.ones(B, dtype=torch.bool)
    obs = torch.zeros(B, 2 if "warpd" in name else 3)
    for _ in range(7):  # past the end of a plan
        with NoSync(allowed=1):
            _, carry = policy.act(obs, carry, fresh, generator)
        fresh = torch.zeros_like(fresh)


def test_diffusion_ppo_imagines_and_learns_without_waiting(world):
    policy = make_policy().for_tuning(TINY_TUNE.tuned_steps)
    learner, generator = Learner(policy, TINY_TUNE), torch.Generator().manual_seed(0)
    envs = DreamVectorEnv(core(world, chunk=4, reward="probability", autoreset_mode="same_step"), "torch")
    rollout = Rollout.empty(policy, 5, B, True, torch.device("cpu"))
    obs, _ = envs.reset(seed=0)
    with torch.no_grad(), NoSync():
        for s in range(5):
            rollout.features[s] = obs
            noise = policy.draw_noise(B, generator, explore=True)
            policy.sample_chain(obs, noise, rollout.chain[:, s], rollout.log_prob[:, s])
            obs, rollout.reward[s], _, rollout.done[s], _ = envs.step(policy.to_actions(rollout.chain[-1, s]))
        rollout.next_features.copy_(obs)
        samples = prepare(learner, rollout, TINY_TUNE, 1.0, generator)
    with NoSync():
        loss, _ = minibatch_loss(learner, samples, torch.arange(len(samples.features)), TINY_TUNE, generator, True)
        loss.backward()


def test_an_action_expert_decides_without_waiting(monkeypatch):
    on_host(monkeypatch, DDIMScheduler)
    action = ActionSpec((-1.0,) * 2, (1.0,) * 2)
    config = ExpertConfig(
        camera="rgb", image=(3, 16, 16), action=action, chunk=2, depth=4, embed=16, hidden=(64, 64), diffusion_steps=10,
        sampling_steps=5, offsets=(0, 1),
    )  # fmt: skip
    expert, generator = ActionExpert(config), torch.Generator().manual_seed(0)
    frames = torch.rand(B, 2, 3, 16, 16)
    with NoSync():
        assert expert.decide(frames, generator).shape == (B, 2, 2)
