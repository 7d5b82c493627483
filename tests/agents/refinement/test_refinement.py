"""Policies that look ahead: refinement of any chunk policy, and the guided policy's training, saving and acting."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dreamgym_agents.refinement import GuidedConfig, GuidedPolicy, GuidedTraining, load, refine, save, train
from dreamgym_agents.refinement.commands import TrainOptions
from dreamgym_agents.refinement.commands import train as command
from dreamgym_agents.refinement.training import decisions

from dreamgym.data import EpisodeStore
from dreamgym.envs.make import make_core
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing.instructed_point import instructed_point_checkpoint
from dreamgym.testing.joint_point import joint_point_checkpoint
from dreamgym.testing.points import SIZE
from dreamgym.testing.two_robots import two_robots_checkpoint
from dreamgym.training import checkpoint

OPTIONS = {"episodes": 6, "horizon": 20, "simulators": 3}
TRAINING = GuidedTraining(updates=4, batch_size=8)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(joint_point_checkpoint(tmp_path_factory.mktemp("world") / "point"))


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """The point is driven to the right, as the toy moves, from places near the middle."""
    keys = {
        "action": ((3,), "float32"), "robot_obs": ((3,), "float32"), "rgb_static": ((SIZE, SIZE, 3), "uint8"),
    }  # fmt: skip
    store = EpisodeStore.create(tmp_path_factory.mktemp("demos") / "store", keys, {"suite": "joint_point"})
    rng = np.random.default_rng(0)
    for i in range(8):
        place, rows = rng.uniform(-0.4, 0.4, 2), []
        for _ in range(16):
            action = np.array([1.0, rng.uniform(-0.2, 0.2), -1.0])
            rows.append((action, [*place, 0.0]))
            place = np.clip(place + 0.1 * action[:2], -1, 1)
        episode = {
            "action": np.array([r[0] for r in rows], np.float32),
            "robot_obs": np.array([r[1] for r in rows], np.float32),
            "rgb_static": np.zeros((16, SIZE, SIZE, 3), np.uint8),
        }
        store.append([(episode, {"split": "train", "task": "reach_right", "episode_index": i})])
    return store


def config(world: str, **changes: Any) -> GuidedConfig:
    spec = checkpoint.load(world).model.spec
    given = {"feature_dim": 3, "action": spec.control, "tasks": ("reach_right",), "chunk": 3, "history": 2}
    sizes = {"instruction_dim": 1, "width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    return GuidedConfig(**{**given, **sizes, **changes})


class Steady:
    """Answers with one chunk a call, in turn."""

    def __init__(self, *chunks: torch.Tensor) -> None:
        self.chunks, self.calls, self.chunk = chunks, 0, chunks[0].shape[0]

    def start(self, num_envs: int, generator: Any) -> int:
        return num_envs

    def act(self, obs: Any, carry: int, fresh: torch.Tensor, generator: Any) -> tuple[torch.Tensor, int]:
        self.calls += 1
        return self.chunks[(self.calls - 1) % len(self.chunks)].expand(carry, -1, -1), carry


LEFT, RIGHT = (torch.tensor([[x, 0.0, -1.0]]).repeat(4, 1) for x in (-1.0, 1.0))


def standing(world: str, num_envs: int = 3) -> Any:
    core = make_core(world, num_envs=num_envs, autoreset_mode="disabled", task="reach_right")
    core.reset(seed=0)
    return core


def test_of_two_chunks_the_dream_keeps_the_better(world: str) -> None:
    core, fresh = standing(world), torch.ones(3, dtype=torch.bool)
    before = {k: v.clone() for k, v in core.state.items()}
    for chunks in ((LEFT, RIGHT), (RIGHT, LEFT)):
        action, _ = refine(Steady(*chunks), core, times=1).act(None, 3, fresh, torch.Generator())
        assert torch.equal(action, RIGHT.expand(3, -1, -1))
    assert all(torch.equal(v, core.state[k]) for k, v in before.items())  # imagining moves nothing


def test_no_refinement_leaves_the_policy_as_it_is(world: str) -> None:
    policy = Steady(LEFT, RIGHT)
    action, _ = refine(policy, times=0).act(None, 3, torch.ones(3, dtype=torch.bool), torch.Generator())
    assert torch.equal(action, LEFT.expand(3, -1, -1)) and policy.calls == 1


def test_any_chunk_policy_is_refined_in_dream_and_twin(world: str) -> None:
    plain = evaluate(lambda spec: Steady(LEFT, LEFT), world, "reach_right", **OPTIONS)
    refined = evaluate(lambda spec: refine(Steady(LEFT, RIGHT), times=1), world, "reach_right", **OPTIONS)
    assert plain.dream.rate == plain.twin.rate == 0
    assert refined.dream.rate == refined.twin.rate == 1


class Looking(Steady):
    """Turns round where what it is shown goes left."""

    shown: list[torch.Tensor]

    def improve(self, obs: Any, carry: int, fresh: Any, imagined: torch.Tensor, generator: Any) -> tuple[Any, int]:
        self.shown.append(imagined)
        left = imagined[:, -1, 0] < imagined[:, 0, 0]
        return torch.where(left.view(-1, 1, 1), RIGHT, LEFT), carry


def test_a_policy_that_can_look_is_shown_the_frames_ahead(world: str) -> None:
    core, policy = standing(world), Looking(LEFT)
    policy.shown = []
    action, _ = refine(policy, core, times=1).act(None, 3, torch.ones(3, dtype=torch.bool), torch.Generator())
    assert torch.equal(action, RIGHT.expand(3, -1, -1)) and policy.calls == 1
    ahead = core.model.unroll(core.state, core.spec.prepare(LEFT.expand(3, -1, -1)), torch.Generator())
    assert torch.allclose(policy.shown[0], torch.stack([core.model.features(s) for s in ahead], 1))


@pytest.mark.parametrize("times", [-1])
def test_bad_arguments_are_refused(world: str, times: int, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        refine(Steady(LEFT), times=times)
    with pytest.raises(ValueError, match="expected a DreamCore"):
        refine(Steady(LEFT), "playtable")
    with pytest.raises(ValueError, match="give refine"):
        refine(Steady(LEFT)).act(None, 3, torch.ones(3, dtype=torch.bool), torch.Generator())
    with pytest.raises(ValueError, match="instructions do"):
        refine(Steady(LEFT), make_core(str(instructed_point_checkpoint(tmp_path / "w")), num_envs=2))


# -- the guided policy --


@pytest.mark.parametrize("imagined", ["own", "recorded", "future"])
def test_training_resumes_along_its_curve(world: str, demos: EpisodeStore, tmp_path: Any, imagined: Any) -> None:
    model, training = checkpoint.load(world).model, replace(TRAINING, imagined=imagined)

    def fresh() -> GuidedPolicy:
        torch.manual_seed(0)
        return GuidedPolicy(config(world))

    whole = train(fresh(), model, demos, training, tmp_path / "whole", show=False)
    again = train(fresh(), model, demos, training, tmp_path / "whole", show=False)  # done already: only restored
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in whole.state_dict().items())
    with pytest.raises(ValueError, match="other settings"):
        train(fresh(), model, demos, replace(training, lr=1e-2), tmp_path / "whole", show=False)


def test_what_follows_demonstrated_actions_is_imagined_once(world: str, demos: EpisodeStore, tmp_path: Any) -> None:
    model, asked = checkpoint.load(world).model, []
    unroll = model.unroll
    model.unroll = lambda state, actions, generator: asked.append(len(actions)) or unroll(state, actions, generator)
    torch.manual_seed(0)
    training = replace(TRAINING, imagined="recorded")
    train(GuidedPolicy(config(world)), model, demos, training, tmp_path / "run", show=False)
    decided = 8 * (16 - 3)
    assert sum(asked) == 4 * decided  # as often as there are draws, whatever the number of updates


def test_a_run_goes_on_with_its_own_world_model_and_data_alone(world: str, demos: EpisodeStore, tmp_path: Any) -> None:
    torch.manual_seed(0)
    fresh, model = GuidedPolicy(config(world)), checkpoint.load(world).model
    train(fresh, model, demos, TRAINING, tmp_path / "run", show=False)
    with pytest.raises(ValueError, match="other settings: demonstrations "):
        train(fresh, model, demos.first(4), TRAINING, tmp_path / "run", show=False)
    other = checkpoint.load(world).model
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    with pytest.raises(ValueError, match="other settings: world_model "):
        train(fresh, other, demos, TRAINING, tmp_path / "run", show=False)


def test_a_call_that_fails_before_its_first_save_pins_nothing(world: str, demos: EpisodeStore, tmp_path: Any) -> None:
    options = TrainOptions(demos.path, world, tmp_path / "policy", steps=2, batch_size=8, chunk=40)
    with pytest.raises(ValueError, match="more than the 40 steps of a chunk"):
        command(options)
    command(replace(options, chunk=4))
    assert load(tmp_path / "policy").times == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"times": -1}, "times must be at least 0"),
        ({"episodes": 0}, "at least 1 demonstration is needed"),
        ({"episodes": -1}, "at least 1 demonstration is needed"),
        ({"seed": 10**30}, "seed must be at least 0 and below"),
        ({"lr": 1e300}, "lr must be a finite number"),
    ],
)
def test_what_cannot_be_is_told_before_the_work(
    world: str, demos: EpisodeStore, tmp_path: Any, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        command(TrainOptions(demos.path, world, tmp_path / "policy", **{"steps": 2, "chunk": 4, **changes}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("times", ["x", -1, None, True, 10**9])
def test_a_saved_number_of_refinements_is_one(world: str, tmp_path: Any, times: Any) -> None:
    save(tmp_path / "policy", GuidedPolicy(config(world)))
    file = tmp_path / "policy" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "times": times}))
    with pytest.raises(checkpoint.CheckpointError, match="times must be at least 0 and at most 1000"):
        load(tmp_path / "policy")


def test_decisions_align_history_actions_and_future(world: str, demos: EpisodeStore) -> None:
    model, policy = checkpoint.load(world).model, GuidedPolicy(config(world))
    found = decisions(model, demos, policy)
    assert len(found) == 8 * (16 - 3)
    step = 0.1 * found.action[:, :, :2]
    assert torch.allclose(found.future[:, 0, :2], (found.history[:, -1, :2] + step[:, 0]).clamp(-1, 1), atol=1e-5)
    ahead = list(model.unroll(found.state, found.action, torch.Generator()))
    assert torch.allclose(model.features(ahead[-1]), found.future[:, -1], atol=1e-5)


def test_what_is_imagined_reaches_the_decision_only_where_it_is_shown(world: str) -> None:
    torch.manual_seed(0)
    policy = GuidedPolicy(config(world)).eval()
    history, task = torch.randn(2, 2, 3), torch.zeros(2, dtype=torch.long)

    def decide(imagined: torch.Tensor | None) -> torch.Tensor:
        return policy.decide(history, task, imagined, torch.Generator().manual_seed(0))

    assert torch.equal(decide(None), decide(None))
    assert not torch.equal(decide(torch.zeros(2, 3, 3)), decide(torch.ones(2, 3, 3)))
    noisy, n, told = torch.randn(2, 3, 3), torch.rand(2), policy.instructions[task]
    hidden = torch.zeros(2, dtype=torch.bool)
    plain = policy.network(noisy, n, history, told, None, hidden)[0]
    masked = policy.network(noisy, n, history, told, torch.randn(2, 3, 3), hidden)[0]
    assert torch.allclose(plain, masked, atol=1e-5)


def test_proprioception_is_read_in_training_dream_and_twin(world: str, demos: EpisodeStore, tmp_path: Any) -> None:
    options = TrainOptions(
        demos.path, world, tmp_path / "policy", steps=4, batch_size=8, chunk=3, proprioception_entries=(0, 1), threads=1
    )
    command(options)
    policy = load(tmp_path / "policy").policy
    assert policy.obs == "dict" and policy.config.seen_dim == 5
    found = decisions(checkpoint.load(world).model, demos, policy)
    assert torch.allclose(found.history[..., 3:], found.history[..., :2], atol=1e-5)  # both are the place
    assert policy.mean[3:].abs().sum() > 0
    done = evaluate(lambda spec: load(tmp_path / "policy"), world, "reach_right", **OPTIONS)
    assert done.dream is not None and done.twin is not None
    fresh, carry = torch.ones(2, dtype=torch.bool), policy.start(2)
    body = torch.zeros(2, 3)
    one, other = (
        policy.act({"features": torch.zeros(2, 3), "proprioception": b}, carry, fresh, torch.Generator().manual_seed(0))
        for b in (body, body + 1)
    )
    assert not torch.equal(one[0], other[0])
    with pytest.raises(ValueError, match=r"reads the entries \[0, 1\] of the proprioception, got none"):
        policy.act(torch.zeros(2, 3), carry, fresh)
    with pytest.raises(ValueError, match=r"no proprioception with the entries \[9\]"):
        command(replace(options, out=tmp_path / "other", proprioception_entries=(9,)))
    with pytest.raises(ValueError, match="each once"):
        config(world, proprioception=(1, 1))


def test_bad_features_and_unknown_tasks_are_refused(world: str) -> None:
    policy, fresh = GuidedPolicy(config(world)), torch.ones(2, dtype=torch.bool)
    carry = policy.start(2)
    with pytest.raises(ValueError, match=r"features \[B, 3\], got \[2, 4\]"):
        policy.act(torch.zeros(2, 4), carry, fresh)
    with pytest.raises(ValueError, match="a chunk leads through 3 frames"):
        policy.improve(torch.zeros(2, 3), carry, fresh, torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match="never saw the task 'fly'"):
        policy.begin(carry, fresh, ["fly", "fly"])
    with pytest.raises(ValueError, match="whole frames"):
        config(world, actions_per_frame=2)


def test_the_command_trains_a_policy_that_evaluate_takes(world: str, demos: EpisodeStore, tmp_path: Any) -> None:
    options = TrainOptions(
        demos.path, world, tmp_path / "policy", steps=300, batch_size=32, lr=2e-3, chunk=4, threads=1
    )
    command(options)
    made = load(tmp_path / "policy")
    assert made.times == 2 and load(tmp_path / "policy", times=0).times == 0
    done = evaluate(lambda spec: made, world, "reach_right", **OPTIONS)
    assert done.dream.rate == done.twin.rate == 1


def test_it_acts_in_frames_of_several_actions(tmp_path: Any) -> None:
    folder = str(two_robots_checkpoint(tmp_path / "world"))
    model = checkpoint.load(folder).model.embody("cart")
    a = model.spec.actions_per_frame
    sizes = {
        "feature_dim": int(np.prod(model.spec.feature_shape)),
        "action": model.spec.control,
        "tasks": ("reach_top",),
    }
    policy = GuidedPolicy(config(folder, **sizes, actions_per_frame=a, chunk=3 * a, execute=2 * a)).eval()
    path = save(tmp_path / "policy", policy, times=1)
    done = evaluate(lambda spec: load(path), folder, "reach_top", embodiment="cart", episodes=2, horizon=4 * a)
    assert done.dream.rate >= 0
