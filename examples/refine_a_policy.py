"""LaDi-WM, small, on PlayTable: play, a latent diffusion, a policy from ten demonstrations, and what refinement adds.

Run it: ``python examples/refine_a_policy.py`` (under ten minutes on two cores; extras: calvin, agents, report). It
writes ``imagined.png``: what the world model imagines along a held-out demonstration, above what was recorded.

The tokens are the images' own patches, so that no encoder has to be trained first; ``docs/ladi_wm.md`` has the real
ones. So small a model shows how the parts fit together, and no gain that could be trusted.
"""

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from dreamgym_agents.refinement import load
from dreamgym_agents.refinement.commands import TrainOptions
from dreamgym_agents.refinement.commands import train as train_policy
from PIL import Image
from torch import Tensor

from dreamgym.data import EpisodeStore, SequenceSampler
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.rewards.fit import SuccessFitConfig, fit_success
from dreamgym.rewards.success import SuccessConfig
from dreamgym.suites import suite
from dreamgym.suites.collection import collect_suite
from dreamgym.training import checkpoint
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.train import load_run, train
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import filter_to

TASK = "open_drawer"
CAMERA = "rgb_static"


def collect(root: Path, episodes: int, steps: int, size: int, demonstrations: int) -> tuple[EpisodeStore, EpisodeStore]:
    """Play, which the world model learns from, and demonstrations of one task, some of them held out."""
    play, demos = root / "play", root / "demonstrations"
    collect_suite("calvin", play, "play", num_episodes=episodes, image_size=size, episode_steps=steps, num_workers=1)
    counts = {"num_train": demonstrations, "num_val": max(1, demonstrations // 2)}
    collect_suite("calvin", demos, "demonstrations", image_size=size, tasks=(TASK,), num_workers=1, **counts)
    return EpisodeStore.open(play), EpisodeStore.open(demos)


def make_dream(root: Path, play: EpisodeStore, demos: EpisodeStore, updates: int, epochs: int) -> Path:
    """A checkpoint: the world model, a success classifier, starts with their simulator's snapshots."""
    train(play.path, root / "run", "latent_diffusion", "tiny", steps=updates, threads=1)
    model = load_run(root / "run")
    sizes = SuccessConfig.tiny((TASK,), math.prod(model.spec.feature_shape))
    reward, _ = fit_success(model, demos, None, sizes, replace(SuccessFitConfig.tiny(), epochs=epochs))
    starts, about = build_starts(model, [demos], (TASK,), BankConfig(num_train=20, num_val=20, num_test=0))
    simulator = suite("calvin").recorded_in(demos.info, demos.metas[0])
    return checkpoint.save(root / "dream", model, reward, starts, starts_meta=about, simulator=simulator)


@torch.no_grad()
def imagine(model: WorldModel, demos: EpisodeStore, frames: int = 6) -> tuple[Tensor, Tensor]:
    """Pictures of ``frames`` imagined frames along a held-out demonstration's actions, and of the recorded ones."""
    spec, held_out = model.spec, demos.select(split="val")
    before, a = (spec.history - 1) * spec.actions_per_frame, spec.actions_per_frame
    batch = SequenceSampler(held_out, before + frames * a + 1, 1, [*spec.observations, "action"], seed=0).batch(0)
    generator = torch.Generator().manual_seed(0)
    state = filter_to(model, batch, spec.history, generator)
    ahead = spec.prepare(batch["action"][:, before : before + frames * a])
    drawn = [model.decode(s, [CAMERA])[CAMERA][0] for s in model.unroll(state, ahead, generator)]
    return torch.stack(drawn), batch[CAMERA][0, before + a :: a].float() / 255


def save_picture(path: Path, imagined: Tensor, recorded: Tensor) -> None:
    """Imagined frames [F, C, H, W] above the recorded ones."""
    picture = torch.cat([torch.cat(list(frames), 2) for frames in (imagined, recorded)], 1)
    pixels = picture.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).resize((2 * pixels.shape[1], 2 * pixels.shape[0]), Image.Resampling.NEAREST).save(path)


def main(
    episodes: int = 12,
    steps: int = 1000,
    size: int = 64,
    demonstrations: int = 10,
    updates: int = 600,
    policy_updates: int = 300,
    tries: int = 10,
    epochs: int = 20,
    folder: Path | None = None,
) -> dict[int, float]:
    """Everything; returns success in the simulator by number of refinements."""
    with tempfile.TemporaryDirectory() as scratch:
        root = folder or Path(scratch)
        play, demos = collect(root, episodes, steps, size, demonstrations)
        dream = make_dream(root, play, demos, updates, epochs)
        picture = root / "imagined.png" if folder else Path("imagined.png")
        save_picture(picture, *imagine(checkpoint.load(dream).model, demos))
        print(f"wrote {picture}: imagined above, recorded below")
        policy = root / "policy"
        train_policy(TrainOptions(demos.path, str(dream), policy, steps=policy_updates, tokens=4, threads=1))
        found: dict[int, float] = {}
        for times in (0, 1, 2):
            refined = load(policy, times=times)
            done = evaluate(lambda spec: refined, str(dream), TASK, episodes=tries, dream=False)  # noqa: B023
            found[times] = done.twin.rate
            print(f"{times} refinements: {found[times]:.0%} of {tries} episodes of {TASK} in the simulator")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {
        "episodes": 12,
        "demonstrations": 10,
        "updates": 600,
        "policy-updates": 300,
        "tries": 10,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, default=None, help="keep data and runs here; go on where they stopped")
    main(**vars(parser.parse_args()))
