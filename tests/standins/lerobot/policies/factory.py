"""`get_policy_class` and `make_pre_post_processors`: pipelines of steps from JSON, with overrides that must be used."""

import importlib
import json
from pathlib import Path

from safetensors.torch import load_file


def get_policy_class(name):
    if name != "chunked":
        raise ValueError(f"Policy type '{name}' is not available.")
    return importlib.import_module("lerobot.policies.chunked").ChunkedPolicy


def _rename(config, state):
    return lambda batch: {config["rename_map"].get(key, key): value for key, value in batch.items()}


def _device(config, state):
    return lambda x: (
        {k: v.to(config["device"]) if hasattr(v, "to") else v for k, v in x.items()}
        if isinstance(x, dict)
        else x.to(config["device"])
    )


def _normalize(config, state):
    key = "observation.state"
    return lambda batch: {**batch, key: (batch[key] - state[f"{key}.mean"]) / state[f"{key}.std"]}


def _unnormalize(config, state):
    return lambda action: action * state["action.std"] + state["action.mean"]


REGISTRY = {
    "rename_observations_processor": _rename,
    "device_processor": _device,
    "normalizer_processor": _normalize,
    "unnormalizer_processor": _unnormalize,
}


class Pipeline:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, data):
        for step in self.steps:
            data = step(data)
        return data

    @classmethod
    def from_pretrained(cls, folder, config_filename, *, overrides=None):
        overrides, steps = dict(overrides or {}), []
        for entry in json.loads((Path(folder) / config_filename).read_text())["steps"]:
            if "registry_name" in entry:
                make, key = REGISTRY[entry["registry_name"]], entry["registry_name"]
            else:
                module, _, key = entry["class"].rpartition(".")
                make = getattr(importlib.import_module(module), key)
            state = load_file(Path(folder) / entry["state_file"]) if "state_file" in entry else {}
            steps.append(make({**entry.get("config", {}), **overrides.pop(key, {})}, state))
        if overrides:
            raise KeyError(f"Override keys {list(overrides)} do not match any step in the saved configuration.")
        return cls(steps)


def make_pre_post_processors(policy_cfg, pretrained_path=None, pretrained_revision=None, **kwargs):
    return (
        Pipeline.from_pretrained(
            pretrained_path, "policy_preprocessor.json", overrides=kwargs.get("preprocessor_overrides", {})
        ),
        Pipeline.from_pretrained(
            pretrained_path, "policy_postprocessor.json", overrides=kwargs.get("postprocessor_overrides", {})
        ),
    )
