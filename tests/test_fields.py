from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from dreamgym.fields import from_json, parse_fields
from dreamgym.types import ActionSpec


@dataclass(frozen=True)
class Settings:
    size: int = 3
    rate: float = 0.5
    name: str = "a"
    kind: Literal["x", "y"] = "x"
    wide: bool = False
    limit: float | None = None
    hidden: tuple[int, ...] = (1,)
    pair: tuple[str, int] = ("a", 1)
    weights: dict[str, float] = field(default_factory=dict)
    action: ActionSpec = ActionSpec((-1.0,), (1.0,))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("size=5", 5),
        ("rate=1", 1.0),
        ("name=hybrid", "hybrid"),
        ('name="hybrid"', "hybrid"),
        ("name=12", "12"),
        ("kind=y", "y"),
        ("wide=true", True),
        ("limit=null", None),
        ("limit=2", 2.0),
        ("hidden=[8,8]", (8, 8)),
        ('pair=["b",2]', ("b", 2)),
        ('weights={"cam":2}', {"cam": 2.0}),
    ],
)
def test_words_become_values_of_the_fields_type(word, value):
    (found,) = parse_fields([word], Settings).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("size", "expected FIELD=JSON, as size=...; got 'size'"),
        ("width=3", "Settings has no field 'width'; it has"),
        ("size=1.5", "size is int, got 1.5"),
        ("size=true", "size is int, got True"),
        ("size=many", "size is int, got 'many'"),
        ("rate=NaN", "rate is float"),
        ("kind=z", r"kind is one of \['x', 'y'\], got 'z'"),
        ("wide=yes", "wide is bool"),
        ("limit=[]", "limit is float or null"),
        ("hidden=[1,true]", r"hidden\[1\] is int, got True"),
        ('pair=["b"]', "pair is tuple"),
        ('weights={"cam":"x"}', r"weights\['cam'\] is float, got 'x'"),
    ],
)
def test_what_does_not_fit_is_named(word, told):
    with pytest.raises(ValueError, match=told):
        parse_fields([word], Settings)


def test_a_config_comes_back_from_its_json_form():
    config = Settings(size=7, hidden=(2, 3), action=ActionSpec((0.0, 0.0), (1.0, 2.0), binary=(1,)))
    assert from_json(Settings, asdict(config)) == config


@pytest.mark.parametrize("data", [{"depht": 1}, {"action": {"low": [0]}}, {"action": 3}, {"size": [10]}, 3])
def test_json_of_another_form_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"no field|missing|read from|is int"):
        from_json(Settings, data)
