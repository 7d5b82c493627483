"""What a run is asked for: fields given as words, and kept beside it, for going on otherwise would bend its curve."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from dreamgym_agents.diffusion_ppo.config import CloneConfig, TuneConfig

Config = TypeVar("Config", CloneConfig, TuneConfig)


def with_fields(config: Config, words: Sequence[str]) -> Config:
    """A config with the fields of ``words`` changed, as ["gae_lambda=0.9"]; the values are JSON.

    Raises:
        ValueError: a word without a JSON value, or that names no field, or a value that the config refuses.
    """
    known = [f.name for f in fields(config)]
    changes: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known:
            raise ValueError(f"{type(config).__name__} has no field {name!r}; it has {known}")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            raise ValueError(f"expected FIELD=JSON, as {known[0]}=50 or bc_weight=0.1; got {word!r}") from None
    try:
        return replace(config, **changes)
    except TypeError as error:
        raise ValueError(f"{' '.join(words)}: a value of the wrong type ({error})") from error


def keep_settings(file: Path, asked: Mapping[str, Any], free: Collection[str] = ()) -> None:
    """Writes ``asked`` (JSON-ready) into ``file``, or refuses to go on with a run that was begun with something else.

    Args:
        file: in the run's folder.
        asked: what the run is asked for now.
        free: what may change in mid-run.

    Raises:
        ValueError: the run was begun with other settings; the message names each, then and now. What an older version
            did not write down counts as unchanged.
    """
    now = json.loads(json.dumps(asked))
    begun = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    other = {k: (begun[k], v) for k, v in now.items() if k in begun and k not in free and begun[k] != v}
    if other:
        raise ValueError(
            f"{file.parent} was begun with other settings {other} (then, now): use a new run directory, or delete this "
            "one to begin anew"
        )
    file.write_text(json.dumps({**begun, **now}, indent=1), encoding="utf-8")
