"""Work on a Ray cluster: the same results as on this machine, and a killed worker costs nothing."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import dreamgym  # noqa: F401 - registers the ids
from dreamgym.actors import Actors
from dreamgym.data import collect
from dreamgym.data.workers import episode_rng
from dreamgym.envs.ray_simulators import RaySimulators
from dreamgym.envs.simulators import Simulators
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing import point_mass_checkpoint
from dreamgym.testing.point_mass import SIMULATOR

ray = pytest.importorskip("ray")
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One that this machine starts, for the whole module: starting takes seconds."""
    Actors(2)
    yield
    ray.shutdown()


class Counting:
    """Episodes of numbers; made once a worker."""

    def __init__(self, seed: int, doomed: str | None = None) -> None:
        self.seed, self.doomed = seed, doomed

    def episode(self, index: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        if self.doomed is not None and index == 2 and not Path(self.doomed).exists():
            Path(self.doomed).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        rows = episode_rng(self.seed, index).random((5 + index % 3, 2)).astype(np.float32)
        return {"state": rows, "action": rows[:, :1].copy()}, {"task": "count"}


class Factory:
    def __init__(self, doomed: str | None = None) -> None:
        self.doomed = doomed

    def __call__(self, worker_seed: int) -> Counting:
        return Counting(worker_seed, self.doomed)


def contents(store) -> dict[int, tuple[dict, dict]]:
    return {m["episode_index"]: (store.episode(i), m) for i, m in enumerate(store.metas)}


def same(a, b) -> bool:
    one, other = contents(a), contents(b)
    return one.keys() == other.keys() and all(
        one[i][1] == other[i][1] and all(np.array_equal(v, other[i][0][k]) for k, v in one[i][0].items()) for i in one
    )


def test_a_collection_is_that_of_this_machine_and_goes_on(tmp_path):
    here = collect(Factory(), tmp_path / "here", num_episodes=6, progress=False).store
    begun = collect(Factory(), tmp_path / "there", num_episodes=3, num_workers=2, progress=False, engine="ray")
    assert begun.new_episodes == 3
    done = collect(Factory(), tmp_path / "there", num_episodes=6, num_workers=2, progress=False, engine="ray")
    assert done.new_episodes == 3
    assert same(done.store, here)


def test_a_killed_worker_costs_its_episode_one_try(tmp_path, caplog):
    doomed = str(tmp_path / "killed")
    done = collect(Factory(doomed), tmp_path / "store", num_episodes=5, num_workers=2, progress=False, engine="ray")
    assert len(done.store) == 5
    assert "its worker died" in caplog.text
    assert contents(done.store)[2][1]["seed"] != contents(done.store)[1][1]["seed"]  # the second try's


def test_simulators_of_a_cluster_do_what_those_here_do_and_survive_a_kill():
    there, here = RaySimulators(SIMULATOR, 2), Simulators(SIMULATOR, 2)
    try:
        assert there.cameras == here.cameras
        options = [{"seed": 3, "task": "reach_right"}, {"seed": 4, "task": "reach_top"}]
        pairs = [sims.reset([0, 1], [dict(o) for o in options]) for sims in (there, here)]
        rng = np.random.default_rng(0)
        for number in range(6):
            if number == 3:
                ray.kill(there.actors[1])
            action = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
            pairs = [sims.step([1, 0], action) for sims in (there, here)]
            for (one, done), (other, done_too) in zip(*pairs, strict=True):
                assert done == done_too
                assert all(np.array_equal(one[key], other[key]) for key in other)
        assert there.advance([1], action[:1]) == here.advance([1], action[:1])
        states = here.snapshot()
        there_too = there.snapshot()
        assert all(np.array_equal(a, b) and a.flags.writeable for a, b in zip(there_too, states, strict=True))
        back = there.restore(states)
        assert all(
            np.array_equal(one[k], other[k]) for one, other in zip(back, here.restore(states), strict=True) for k in one
        )
        with pytest.raises(RuntimeError, match="a worker failed in step"):
            there.step([0], np.zeros((1, 5), np.float32))
    finally:
        there.close()


def test_an_evaluation_is_that_of_this_machine(tmp_path):
    world = str(point_mass_checkpoint(tmp_path / "point"))
    config = EvaluationConfig(episodes=4, simulators=2, split=None, horizon=8)
    here, there = (evaluate("random", world, config=config, engine=engine) for engine in ("local", "ray"))
    assert here.twin.to_dict() == there.twin.to_dict()
    assert config.asks_no_more_than(there.config)


def test_a_simulator_that_cannot_be_made_says_why(tmp_path):
    world = str(point_mass_checkpoint(tmp_path / "point"))
    with pytest.raises(ValueError, match="unexpected keyword argument 'colour'"):
        gym.make_vec("Real-v0", world_model=world, engine="ray", simulator_kwargs={"colour": "red"})


def test_too_few_cpus_and_no_cluster_are_told():
    with pytest.raises(ValueError, match=r"has \d+ CPUs and 5000 workers were asked for: ask for fewer"):
        Actors(5000)
    with pytest.raises(ValueError, match=r"engine must be one of \('local', 'ray'\)"):
        EvaluationConfig(engine="slurm")
    with pytest.raises(ValueError, match="address='auto' is of a Ray cluster: give engine='ray'"):
        collect(Factory(), "nowhere", num_episodes=1, address="auto")


def test_where_no_cluster_is_the_mend_is_told(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**given: object) -> None:
        raise ConnectionError(f"Could not find any running Ray instance at {given['address']}.")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ValueError, match="no Ray cluster at 'auto' .*ray start --head"):
        Actors(1, "auto")
    monkeypatch.setattr(ray, "init", lambda **given: pytest.fail("Ray tries an address for minutes"))
    with socket.socket() as free:  # bound and not listening: nobody answers there
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ValueError, match=r"no Ray cluster at '127.0.0.1:\d+' .*refused"):
            Actors(1, f"127.0.0.1:{free.getsockname()[1]}")


def test_a_twin_on_mujoco_is_that_of_this_machine():
    """Its snapshots are set in place: what Ray hands out is read-only."""
    pytest.importorskip("metaworld")
    config = EvaluationConfig(episodes=2, simulators=2, horizon=3)
    here, there = (evaluate("random", "metaworld", "reach", config, engine=engine) for engine in ("local", "ray"))
    assert here.twin.to_dict() == there.twin.to_dict()
