from dataclasses import fields
from typing import get_type_hints

from dreamgym.envs.core.options import CoreKwargs, CoreOptions


def test_keyword_arguments_are_the_options():
    """All but the two that the functions which make envs name otherwise."""
    options = {f.name for f in fields(CoreOptions)} - {"reward_mode", "autoreset"}
    assert set(get_type_hints(CoreKwargs)) == options
