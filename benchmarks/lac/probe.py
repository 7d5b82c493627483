"""LAC-WM, section 5: do robots share one action space? A probe that tells robots apart, and actions played on another.

    python benchmarks/lac/probe.py --work WORK --stores STORES                      # of pretrained models
    python benchmarks/lac/probe.py --work WORK --stores STORES --picture lac.png    # and Fig. 2, by PCA

Embeddings, of frames of each robot's held-out episodes: "IDM" (latent actions of the inverse dynamics model), "IDM
without motion decoder", "explicit encoders" (of EAC-WM).

- Fig. 2: rows {embedding, seed, robot_accuracy, chance, pairs}. A logistic regression learns from one half of the
  episodes of each robot to tell whose an action is, and is scored on the other. Chance is 1 / robots.
- Fig. 3: rows {embedding, seed, agreement, still, pairs}. Actions of one robot are played from a frame of another, for
  ``--frames`` frames. A ridge regression, learned on real frames of all robots, reads where the hand is off a frame's
  tokens; ``agreement`` is the mean cosine between the hand's imagined displacement and that of the robot whose actions
  they are, over pairs of different robots whose own hand moved by at least 3 cm; ``still`` is the share of imagined
  displacements below 1 cm. ``own`` is the same figure with each robot's own actions: what reading and model allow.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import ROBOTS, VARIANTS, Models, add_options, told
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.world_models.families.latent_action import LatentActionModel

EMBEDDINGS = {"IDM": "LAC", "IDM without motion decoder": "LAC-MD", "explicit encoders": "EAC"}
"""Embeddings, and the variant whose pretraining gives them."""
MOVED, STILL = 0.03, 0.01  # m
RIDGE = 10.0
CAMERA = "rgb_static"


@dataclass(frozen=True)
class Clips:
    """Windows of F frames of several robots.

    Attributes:
        frames: [N, F + 1, 3, H, W] uint8.
        actions: [N, F, a, A], padded with zeros.
        hand: [N, F + 1, 3], m.
        robot: int64 [N].
        episode: int64 [N], counted over all robots.
    """

    frames: Tensor
    actions: Tensor
    hand: Tensor
    robot: Tensor
    episode: Tensor


def clips(models: Models, number: int, frames: int, per_frame: int, seed: int = 0) -> Clips:
    """``number`` windows of the held-out episodes of each robot."""
    rng, rows = np.random.default_rng(seed), []
    views = [EpisodeStore.open(models.store(robot)).select(split="val") for robot in ROBOTS]
    width = max(view.keys["action"][0][0] for view in views)
    length, count = frames * per_frame + 1, 0
    for r, view in enumerate(views):
        long = [i for i, n in enumerate(view.lengths) if n >= length]
        for i in rng.choice(long, number):
            start = int(rng.integers(int(view.lengths[i]) - length + 1))
            data = view.episode(int(i), [CAMERA, "state", "action"], start, start + length)
            actions = np.zeros((length - 1, width), np.float32)
            actions[:, : data["action"].shape[1]] = data["action"][:-1]
            rows.append((data[CAMERA][::per_frame], actions, data["state"][::per_frame, :3], r, count + int(i)))
        count += len(view)
    image, actions, hand, robot, episode = (np.stack(column) for column in zip(*rows, strict=True))
    acted = torch.from_numpy(actions).unflatten(1, (frames, per_frame))
    shown = torch.from_numpy(image).movedim(-1, 2)
    return Clips(shown, acted, torch.from_numpy(hand), torch.from_numpy(robot), torch.from_numpy(episode))


@torch.no_grad()
def embedded(model: LatentActionModel, data: Clips) -> Tensor:
    """Latent actions [N, F, Z], by the inverse model, or by each robot's own encoder where there is none."""
    if model.idm is not None:
        tokens = [model.encode(part) for part in data.frames.split(32)]
        return torch.cat([model.infer(t[:, :-1], t[:, 1:]) for t in tokens])
    out = torch.zeros(*data.actions.shape[:2], model.config.latent_dim)
    for r, robot in enumerate(ROBOTS):
        mine = data.robot == r
        out[mine] = model.project(data.actions[mine][..., : model.config.robots[robot].dim], robot)
    return out


def robot_accuracy(latent: Tensor, data: Clips) -> float:
    """Of a linear probe on other episodes than those it learned from."""
    x, y, learned = latent[:, 0].numpy(), data.robot.numpy(), data.episode.numpy() % 2 == 0
    scale = StandardScaler().fit(x[learned])
    probe = LogisticRegression(max_iter=1000).fit(scale.transform(x[learned]), y[learned])
    return float(probe.score(scale.transform(x[~learned]), y[~learned]))


class HandReader:
    """Reads the hand's place off tokens: ridge regression.

    Args:
        model: whose encoder.
        data: real frames of all robots.
    """

    def __init__(self, model: LatentActionModel, data: Clips) -> None:
        x = self._inputs(torch.cat([model.encode(part[:, ::4].flatten(0, 1)) for part in data.frames.split(32)]))
        y = data.hand[:, ::4].flatten(0, 1).double()
        self.mean = y.mean(0)
        self.weights = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]).double(), x.T @ (y - self.mean))

    @staticmethod
    def _inputs(tokens: Tensor) -> Tensor:
        """[R, K] of tokens [R, N, D]: of each place the means of eight parts of its numbers, and one."""
        few = torch.nn.functional.adaptive_avg_pool1d(tokens, 8).flatten(1).double()
        return torch.cat([few, torch.ones(len(few), 1).double()], 1)

    def __call__(self, tokens: Tensor) -> Tensor:
        """[R, 3] m of tokens [R, N, D]."""
        return (self._inputs(tokens) @ self.weights + self.mean).float()


@torch.no_grad()
def transfer(model: LatentActionModel, latent: Tensor, data: Clips) -> dict[str, float]:
    """How far the hand goes the same way on another robot as on its own."""
    reader, acting = HandReader(model, data), model.embody("latent")
    moved = data.hand[:, -1] - data.hand[:, 0]
    generator = torch.Generator().manual_seed(0)
    other = torch.randperm(len(latent), generator=generator)
    out: dict[str, float] = {}
    for name, scene in (("agreement", other), ("own", torch.arange(len(latent)))):
        gone = torch.cat(
            [
                _gone(acting, reader, data.frames[s, 0], z)
                for s, z in zip(scene.split(32), latent.split(32), strict=True)
            ]
        )
        counts = moved.norm(dim=1) >= MOVED
        if name == "agreement":
            counts &= data.robot[scene] != data.robot
            out["still"] = float((gone[counts].norm(dim=1) < STILL).float().mean())
            out["pairs"] = int(counts.sum())
        out[name] = float(torch.nn.functional.cosine_similarity(gone[counts], moved[counts], dim=1).mean())
    return out


def _gone(model: Any, reader: HandReader, image: Tensor, latent: Tensor) -> Tensor:
    """Displacement of the hand [R, 3], m, as imagined from images [R, 3, H, W] by latent actions [R, F, Z]."""
    state = model.start({CAMERA: image[:, None]})
    first = reader(state["tokens"][:, -1])
    actions = latent.repeat_interleave(model.config.actions_per_frame, 1)
    *_, last = model.unroll(state, actions)
    return reader(last["tokens"][:, -1]) - first


def picture(found: dict[str, Tensor], data: Clips, file: Path) -> None:
    """Fig. 2: embeddings on their two principal components, a panel an embedding, a colour a robot."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.6), squeeze=False)
    for axis, (name, latent) in zip(axes[0], found.items(), strict=True):
        flat = PCA(2).fit_transform(latent[:, 0].numpy())
        for r, robot in enumerate(ROBOTS):
            axis.scatter(*flat[data.robot.numpy() == r].T, s=3, alpha=0.5, label=robot)
        axis.set_title(name)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0][0].legend(markerscale=3, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--windows", type=int, default=700, help="of each robot")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--picture", type=Path, help="where Fig. 2 of the first seed goes")
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    models = Models(options)
    per_frame = models.opened(EMBEDDINGS["IDM"], options.seeds[0], pretrained=True).config.actions_per_frame
    data = clips(models, options.windows, options.frames, per_frame)
    chance = 1 / len(ROBOTS)
    for seed in options.seeds:
        drawn: dict[str, Tensor] = {}
        for name, variant in EMBEDDINGS.items():
            model = models.opened(variant, seed, pretrained=True)
            assert VARIANTS[variant].robots == len(ROBOTS)
            drawn[name] = latent = embedded(model, data)

            def probed(latent: Tensor = latent, model: LatentActionModel = model) -> dict[str, Any]:
                accuracy = robot_accuracy(latent, data)
                return {"robot_accuracy": accuracy, "chance": chance, "pairs": len(latent), **told(model)}

            def played(latent: Tensor = latent, model: LatentActionModel = model) -> dict[str, Any]:
                return {**transfer(model, latent, data), **told(model)}

            models.row("probe", probed, embedding=name, seed=seed)
            models.row("transfer", played, embedding=name, seed=seed)
        if options.picture is not None and seed == options.seeds[0]:
            picture(drawn, data, options.picture)


if __name__ == "__main__":
    main()
