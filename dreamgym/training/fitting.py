"""Whether a model reads what a store holds: asked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dreamgym.data import EpisodeView
from dreamgym.suites.facts import StoreFacts
from dreamgym.types import ObservationSpec, WorldModelSpec


def check_fits(spec: WorldModelSpec, keys: Sequence[str], store: EpisodeView, facts: StoreFacts) -> None:
    """Compares a model with a store.

    Args:
        spec: of the model.
        keys: of a batch, as the family's recipe names them.
        store: what it is to be trained on.
        facts: of that store.

    Raises:
        ValueError: a sensor that the store lacks or has in another shape, or actions of another size; the message names
            what the model reads and what the store has.
    """
    lacking = [key for key in keys if key not in store.keys]
    differ = [k for k, sensor in spec.observations.items() if k in facts.sensors and facts.sensors[k] != sensor]
    sizes = {spec.control.dim, *(action.dim for action in spec.embodiments.values())}
    if lacking or differ or facts.action.dim not in sizes:
        held = {k: s for k, s in facts.sensors.items() if k in keys or lacking}
        raise ValueError(
            f"family {spec.family!r} with this config reads {_told(spec.observations)} and actions of "
            f"{' or '.join(map(str, sorted(sizes)))}; {store.path} has {_told(held)} and actions of "
            f"{facts.action.dim}: change the config (--set FIELD=JSON), or name a family that suits it (--family)"
        )


def _told(sensors: Mapping[str, ObservationSpec]) -> str:
    return ", ".join(f"{name} {list(sensor.shape)}" for name, sensor in sensors.items()) or "no sensor"
