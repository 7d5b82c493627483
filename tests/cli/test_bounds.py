"""Numbers out of bounds: one line that names the option, in every command."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from dreamgym import cli
from dreamgym.cli.bounds import Bounds, Count, Positive, Share, Whole, bounds_of, check_bounds
from dreamgym.cli.installed import installed_commands, load_command


def commands() -> dict[str, Callable[..., Any]]:
    """Every command, those of the agents too."""
    found = dict(cli.COMMANDS)
    for name, entry in installed_commands().items():
        theirs = load_command(entry)
        found |= {f"{name} {sub}": call for sub, call in theirs.items()} if isinstance(theirs, dict) else {name: theirs}
    return found


def options(call: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a command's options, by name."""
    hints, found = get_type_hints(call, include_extras=True), {}
    for name in signature(call).parameters:
        kind = getattr(hints[name], "__origin__", hints[name])  # the class under what tyro is told
        if is_dataclass(kind):
            of_class = get_type_hints(kind, include_extras=True)
            found |= {field.name: of_class[field.name] for field in fields(kind)}
        else:
            found[name] = hints[name]
    return found


def is_number(kind: Any) -> bool:
    return kind in (int, float) or any(
        is_number(inner) for inner in get_args(kind) if isinstance(inner, type) or get_args(inner)
    )


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_number_has_bounds(name: str) -> None:
    free = [
        option for option, kind in options(commands()[name]).items() if is_number(kind) and not list(bounds_of(kind))
    ]
    assert not free


SEED = f"at least 0 and at most {2**63 - 1}"
MISTAKES = {
    "collect --store {tmp}/s --seed -1": f"--seed must be {SEED}, got -1",
    "collect --store {tmp}/s --episodes 0": "--episodes must be at least 1, got 0",
    "collect --store {tmp}/s --num-workers 0": "--num-workers must be at least 1, got 0",
    "import lerobot:{tmp} --store {tmp}/s --val-share 2": "--val-share must be at least 0 and at most 1, got 2.0",
    "fit --store {tmp} --run {tmp}/r --lr 0": "--lr must be above 0, got 0.0",
    "fit --store {tmp} --run {tmp}/r --lr nan": "--lr must be above 0, got nan",
    "fit --store {tmp} --run {tmp}/r --threads 0": "--threads must be at least 1 and at most 1024, got 0",
    "adapt --checkpoint a --store {tmp} --run {tmp}/r --steps 0": "--steps must be at least 1, got 0",
    "encoder --store {tmp} --run {tmp}/r --kind siglip --batch-size 0": "--batch-size must be at least 1, got 0",
    "starts --checkpoint a --stores {tmp} --offsets 0 -4": "--offsets must be at least 0, got -4",
    "fidelity --checkpoint a --store {tmp} --windows 0": "--windows must be at least 1, got 0",
    "compare a b --store {tmp} --tolerance -1": "--tolerance must be at least 0, got -1.0",
    "evaluate random --episodes 0": "--episodes must be at least 1, got 0",
    "evaluate random --horizon -5": "--horizon must be at least 1, got -5",
    "play Dream-PlayTable-v0 --port 70000": "--port must be at least 0 and at most 65535, got 70000",
    "export {tmp} --out {tmp}/e --crf 52": "--crf must be at least 0 and at most 51, got 52",
    "demo --seed -1": f"--seed must be {SEED}, got -1",
    "diffusion-ppo tune --policy {tmp} --run {tmp}/r --num-envs 0": "--num-envs must be at least 1, got 0",
    "diffusion-ppo ship --policy a --store a --out {tmp}/o --episodes 0": "--episodes must be at least 1, got 0",
    "warpd train --store {tmp} --out {tmp}/o --horizon -1": "--horizon must be at least 1, got -1",
    "refinement train --store {tmp} --checkpoint a --out {tmp}/o --seed -1": f"--seed must be {SEED}, got -1",
    "action-expert train --store {tmp} --out {tmp}/o --steps 0": "--steps must be at least 1, got 0",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_number_out_of_bounds_is_one_line(words: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words.format(tmp=tmp_path).split())
    assert str(stop.value) == f"dreamgym: {MISTAKES[words]}"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Count, (1, 7), (0, -1)),
        (Whole, (0, 7), (-1,)),
        (Positive, (1e-9,), (0.0, float("inf"), float("nan"))),
        (Share, (0.0, 1.0), (-0.1, 1.1)),
        (Count | None, (None, 1), (0,)),
        (tuple[Whole, ...], ((), (0, 3)), ((2, -1),)),
    ],
)
def test_bounds(kind: Any, good: Any, bad: Any) -> None:
    def command(many: Any) -> None: ...

    command.__annotations__["many"] = kind
    for value in good:
        check_bounds(command, {"many": value})
    for value in bad:
        with pytest.raises(ValueError, match="--many must be"):
            check_bounds(command, {"many": value})


def test_bounds_are_told_in_words() -> None:
    assert [str(b) for b in (Bounds(1), Bounds(0, 1), Bounds(0, inside=True), Bounds(high=3))] == [
        "at least 1", "at least 0 and at most 1", "above 0", "at most 3",
    ]  # fmt: skip
