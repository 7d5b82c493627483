from dataclasses import fields
from typing import get_type_hints

import pytest

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
