"""The action expert: what it sees, learns and does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dreamgym_agents.action_expert import (
    ActionExpert,
    ClipExecutor,
    ExpertConfig,
    Instructor,
    load,
    load_expert,
    save,
    train,
    train_jointly,
)
from dreamgym_agents.action_expert.config import TrainConfig
from dreamgym_agents.action_expert.expert import seen, shifted
from dreamgym_agents.action_expert.training import Clips, JointRun
from small_video import ACTION, TASKS, small_cascade

from dreamgym.data import EpisodeStore
from dreamgym.training.checkpoint import CheckpointError
from dreamgym.types import ActionSpec

SENTENCES = {"go_right": "go right", "go_down": "go down"}


def config(**changes: Any) -> ExpertConfig:
    sizes = {"depth": 4, "embed": 16, "hidden": (64, 64), "diffusion_steps": 10, "sampling_steps": 5, "offsets": (0, 1)}
    return ExpertConfig(**{"camera": "rgb", "image": (3, 16, 16), "action": ACTION, "chunk": 2, **sizes, **changes})


def expert(**changes: Any) -> ActionExpert:
    torch.manual_seed(0)
    return ActionExpert(config(**changes))


def moving_dot(number: int) -> dict[str, np.ndarray]:
    """Nine rows in which a dot goes right (task 0) or down (1), by the action (1, 0) or (0, 1)."""
    task, image = number % 2, np.zeros((9, 16, 16, 3), np.uint8)
    row, column = 2 + number % 5, 2 + (3 * number) % 5
    for t in range(9):
        y, x = (row, column + t) if task == 0 else (row + t, column)
        image[t, y : y + 2, x : x + 2] = 255
    action = np.tile(np.array([[1.0, 0.0], [0.0, 1.0]][task], np.float32), (9, 1))
    return {"rgb": image, "action": action, "task": np.full(9, task), "clip": np.full(9, number)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    keys = {"rgb": ((16, 16, 3), "uint8"), "action": ((2,), "float32"), "task": ((), "int64"), "clip": ((), "int64")}
    info = {"action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}, "tasks": list(TASKS), "frame_rate": 10.0}
    store = EpisodeStore.create(tmp_path_factory.mktemp("clips") / "store", keys, info)
    store.append([(moving_dot(i), {"task": list(TASKS)[i % 2]}) for i in range(16)])
    return store


def test_it_learns_where_the_future_frames_lead(clips: EpisodeStore, tmp_path: Path) -> None:
    trained = train(expert(), clips, tmp_path, TrainConfig(updates=400, batch_size=32, lr=3e-3, ema=0.9))
    held, told = Clips(clips, trained), []
    for now in (0, 2):
        clip = held.frames.float() / 255
        told.append(trained.decide(seen(clip[:, now], clip, now, (0, 1)), torch.Generator().manual_seed(0)))
    error = (torch.stack(told) - held.actions[:, [0, 2]].movedim(1, 0)).abs().mean()
    assert error < 0.25  # a guess blind to the future is 0.5 off


def test_it_sees_the_real_present_and_the_clip_ahead() -> None:
    clip = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(1, 5, 3, 2, 2)
    present = torch.full((1, 3, 2, 2), 9.0)
    assert seen(present, clip, 1, (0, 1, 2, 4))[0, :, 0, 0, 0].tolist() == [9, 2, 3, 4]
    assert seen(present, clip, 4, (0, 2))[0, :, 0, 0, 0].tolist() == [9, 4]


def test_frames_of_one_moment_are_shifted_alike() -> None:
    frames = torch.rand(6, 1, 3, 16, 16).expand(-1, 3, -1, -1, -1)
    moved = shifted(frames, torch.Generator().manual_seed(0))
    assert torch.equal(moved[:, 0], moved[:, 2])
    assert not torch.equal(moved, frames)


def test_decisions_lie_within_the_bounds_and_repeat_under_a_seed() -> None:
    wide = ActionSpec((-2.0, 0.0), (3.0, 0.5))
    made, frames = expert(action=wide), torch.rand(4, 2, 3, 16, 16)
    one, two = (made.decide(frames, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (4, 2, 2)
    assert torch.equal(one, two)
    assert bool(((one >= made.low) & (one <= made.high)).all())


def test_a_killed_run_goes_on_along_its_curve(clips: EpisodeStore, tmp_path: Path) -> None:
    whole = train(expert(), clips, tmp_path / "whole", TrainConfig(updates=6, batch_size=4))
    from dreamgym_agents.action_expert.training import ExpertRun

    run = ExpertRun(made := expert(), Clips(clips, made), TrainConfig(updates=6, batch_size=4))
    run.resume(tmp_path / "parts")
    for _ in range(3):
        run.step()
        run.count += 1
    run.save(tmp_path / "parts")
    parts = train(expert(), clips, tmp_path / "parts", TrainConfig(updates=6, batch_size=4))
    assert all(torch.equal(v, parts.state_dict()[k]) for k, v in whole.state_dict().items())


def test_another_setting_clip_or_model_does_not_take_over_a_run(clips: EpisodeStore, tmp_path: Path) -> None:
    settings = TrainConfig(updates=2, joint_updates=1, batch_size=4, joint_batch_size=2, moments=2)
    train(expert(), clips, tmp_path / "alone", settings)
    with pytest.raises(ValueError, match="other settings: training.lr 0.001, not 0.01"):
        train(expert(), clips, tmp_path / "alone", replace(settings, lr=1e-2))
    with pytest.raises(ValueError, match="other settings: clips "):
        train(expert(), clips.first(len(clips) - 1), tmp_path / "alone", settings)
    made = expert()
    before = {k: v.clone() for k, v in made.state_dict().items()}
    train_jointly(made, small_cascade(), clips, SENTENCES, tmp_path / "joint", settings)
    made.load_state_dict(before)
    other = small_cascade()
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    with pytest.raises(ValueError, match="other settings: model "):
        train_jointly(made, other, clips, SENTENCES, tmp_path / "joint", settings)


def test_the_actions_loss_reaches_the_refiner_and_nothing_else_of_the_world_model(clips: EpisodeStore) -> None:
    """Equation 6."""
    model, made = small_cascade(), expert()
    run = JointRun(made, model, Clips(clips, made), torch.tensor([0, 2]), TrainConfig(joint_updates=2))
    run.loss(torch.Generator().manual_seed(0)).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved and all(name.startswith("refiner.") for name in moved)
    assert sum(n.startswith("refiner.transformer.transformer_blocks.0.attn1") for n in moved) >= 6


def test_joint_training_moves_both_and_samples_each_preview_once(
    clips: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, made, asked = small_cascade(), expert(), []
    own = model.preview
    monkeypatch.setattr(model, "preview", lambda *a, **k: asked.append(1) or own(*a, **k))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    settings = TrainConfig(joint_updates=12, joint_batch_size=4, moments=2, refiner_lr=1e-3)
    train_jointly(made, model, clips, SENTENCES, tmp_path, settings)
    changed = {k.partition(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"refiner"}
    assert len(asked) <= len(clips)


def test_only_models_with_refinable_clips_are_trained_jointly(clips: EpisodeStore, tmp_path: Path) -> None:
    from dreamgym.testing.instructed_point import InstructedPointModel

    with pytest.raises(ValueError, match="ClipRefiner.*'instructed_point' offers none"):
        train_jointly(expert(), InstructedPointModel(), clips, SENTENCES, tmp_path, TrainConfig())
    with pytest.raises(ValueError, match=r"never told \['jump'\]"):
        train_jointly(expert(), small_cascade(), clips, {**SENTENCES, "go_down": "jump"}, tmp_path, TrainConfig())


def test_a_saved_expert_acts_as_before(tmp_path: Path) -> None:
    made = expert().eval()
    folder = save(tmp_path / "expert", made)
    frames = torch.rand(2, 2, 3, 16, 16)
    wanted = made.decide(frames, torch.Generator().manual_seed(0))
    assert torch.equal(load_expert(folder).decide(frames, torch.Generator().manual_seed(0)), wanted)
    executor = load(folder)
    picture = {"rgb": torch.zeros(2, 16, 16, 3, dtype=torch.uint8)}
    fresh = torch.zeros(2, dtype=torch.bool)
    carry = executor.follow(executor.start(2), fresh, [picture] * 4)
    assert executor.act(picture, carry, fresh)[0].shape == (2, 2, 2)
    with pytest.raises(ValueError, match="sees 'rgb', and is shown"):
        executor.act({"other": picture["rgb"]}, carry, fresh)
    (folder / "expert.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        load_expert(folder)


def test_an_executor_without_a_clip_says_so() -> None:
    executor = ClipExecutor(expert())
    with pytest.raises(ValueError, match="follows clips"):
        executor.act({}, executor.start(1), torch.ones(1, dtype=torch.bool))


def test_an_expert_that_is_told_its_task_follows_no_clip(clips: EpisodeStore, tmp_path: Path) -> None:
    """The paper's diffusion policy without a world model: the same picture, told to go right or down."""
    made = expert(offsets=(0,), tasks=tuple(TASKS))
    settings = TrainConfig(updates=200, batch_size=32, lr=3e-3, ema=0.9)
    policy = load(save(tmp_path / "alone", train(made, clips, tmp_path / "run", settings)))
    picture = {"rgb": Clips(clips, made).frames[:1, 0].movedim(1, -1).expand(2, -1, -1, -1)}
    fresh = torch.ones(2, dtype=torch.bool)
    carry = policy.begin(policy.start(2), fresh, ["go_down", "go_right"])
    acts, _ = policy.act(picture, carry, fresh, torch.Generator().manual_seed(0))
    torch.testing.assert_close(acts.mean(1), torch.tensor([[0.0, 1.0], [1.0, 0.0]]), atol=0.25, rtol=0)
    with pytest.raises(ValueError, match=r"never told \['fly'\]"):
        policy.begin(policy.start(1), fresh[:1], ["fly"])
    with pytest.raises(ValueError, match="told its task"):
        policy.act(picture, policy.start(2), fresh)
    with pytest.raises(ValueError, match="follows no clip"):
        train_jointly(made, small_cascade(), clips, SENTENCES, tmp_path / "joint", settings)


def test_an_instructor_says_the_sentence_of_each_task() -> None:
    spec = small_cascade().spec
    says = Instructor(spec, {"a": ("to the right",), "b": ("go down", "unheard of")})
    carry = says.begin(says.start(3), torch.ones(3, dtype=torch.bool), ["b", "a", "go_right"])
    assert says.act(None, carry, torch.ones(3, dtype=torch.bool))[0].tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="no sentence that says 'fly'"):
        says.begin(says.start(1), torch.ones(1, dtype=torch.bool), ["fly"])
    with pytest.raises(ValueError, match="needs bind"):
        Instructor(spec, {"a": ("go right",)}, imagine=2).act(None, ["a"], torch.ones(1, dtype=torch.bool))


def test_clips_that_do_not_fit_are_told(clips: EpisodeStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the expert sees C H W"):
        Clips(clips, expert(image=(3, 32, 32)))
    with pytest.raises(ValueError, match="3 k"):
        Clips(clips, expert(chunk=3))
    bare = EpisodeStore.create(tmp_path / "bare", {"action": ((2,), "float32")})
    with pytest.raises(ValueError, match="no clip store"):
        Clips(bare, expert())


def test_a_sizeless_expert_is_refused() -> None:
    for changes, message in (({"offsets": ()}, "offsets"), ({"chunk": 0}, "chunk"), ({"sampling_steps": 99}, "above")):
        with pytest.raises(ValueError, match=message):
            config(**changes)
