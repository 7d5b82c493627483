"""What a card says of a model and of the data that it was made from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from dreamgym.data.store import EpisodeView
from dreamgym.suites.facts import store_facts
from dreamgym.world_models.base import WorldModel


def describe_model(model: WorldModel) -> dict[str, Any]:
    """Family, variant, number of parameters, features, sizes (whole numbers of its config) and unit of uncertainty."""
    config = model.config.to_dict()
    return {
        "family": model.spec.family,
        "variant": config.get("variant", ""),
        "parameters": sum(p.numel() for p in model.parameters()),
        "features": int(np.prod(model.spec.feature_shape)),
        "sizes": {k: list(v) if isinstance(v, list | tuple) else v for k, v in config.items() if _is_size(v)},
        "uncertainty_unit": model.spec.uncertainty_unit,
    }


def _is_size(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_is_size(v) and not isinstance(v, list | tuple) for v in value)
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def describe_data(view: EpisodeView) -> dict[str, Any]:
    """Episodes, steps, how many are held out for each purpose, suite, simulator and who acted, as far as recorded."""
    metas, suite = view.metas, store_facts(view).suite
    splits = Counter(meta.get("split", "train") for meta in metas)
    operators = Counter(meta["operator"] for meta in metas if "operator" in meta)
    held_out = splits["val"] + splits["test"]
    out: dict[str, Any] = {"episodes": len(view), "steps": int(view.num_steps), "held_out": held_out}
    if suite is not None:
        out["suite"] = suite.name
        if suite.simulator_kwargs is not None and metas:
            out["simulator"] = suite.simulator_kwargs(view.info, metas[0]) or {}
    return out | ({"operators": dict(operators)} if operators else {})
