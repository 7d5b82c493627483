from dataclasses import fields
from typing import get_type_hints

import gymnasium as gym
import pytest

import dreamgym
from dreamgym.envs.core.options import CoreKwargs
from dreamgym.envs.twin_options import TwinKwargs, TwinOptions


def test_keyword_arguments_are_the_options_of_twin_and_core():
    own = {f.name for f in fields(TwinOptions)}
    assert set(get_type_hints(TwinKwargs)) == own | set(get_type_hints(CoreKwargs))


def test_a_twins_own_options_are_told_from_the_cores():
    own, rest = TwinOptions.split({"num_workers": 2, "horizon": 5, "starts": "simulator"})
    assert own == TwinOptions(num_workers=2, starts="simulator")
    assert rest == {"horizon": 5}


def test_an_option_of_neither_is_named_with_the_place_for_it():
    with pytest.raises(
        ValueError, match=r"\['image_size'\] are no options of a twin.*simulator_kwargs={'image_size': 8}"
    ):
        TwinOptions.split({"image_size": 8})


@pytest.mark.parametrize("number", [-1, 1.5, "2"])
def test_worker_processes_are_counted(number):
    with pytest.raises(ValueError, match="num_workers must be a whole number"):
        TwinOptions(num_workers=number)


def test_starts_are_the_banks_or_the_simulators():
    with pytest.raises(ValueError, match="'bank' or 'simulator', got 'mine'"):
        TwinOptions(starts="mine")


@pytest.mark.parametrize("horizon", [float("nan"), float("inf"), 2.5, 0, "7"])
@pytest.mark.parametrize(("env_id", "package"), [("Real-PushT-v0", "gym_pusht"), ("Real-PlayTable-v0", "pybullet")])
def test_a_simulators_horizon_is_a_whole_number(horizon, env_id, package):
    """NaN would never truncate."""
    pytest.importorskip(package)
    for make in (gym.make, gym.make_vec):
        with pytest.raises(ValueError, match=f"horizon: expected a whole number .*, got {horizon!r}"):
            make(env_id, horizon=horizon)


def test_a_suite_of_a_gymnasium_env_has_a_whole_number_too():
    with pytest.raises(ValueError, match="horizon: expected a whole number .*, got nan"):
        dreamgym.gym_suite("Pendulum-v1", lambda obs, reward, info: False, horizon=float("nan"))
