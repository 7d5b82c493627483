"""`PreTrainedConfig`: config.json with a "type", read by ``from_pretrained``."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from lerobot.configs.types import FeatureType, PolicyFeature

KNOWN: dict[str, type] = {}


@dataclass
class PreTrainedConfig:
    n_obs_steps: int = 1
    input_features: dict[str, PolicyFeature] | None = field(default_factory=dict)
    output_features: dict[str, PolicyFeature] | None = field(default_factory=dict)
    device: str | None = None
    use_amp: bool = False
    use_peft: bool = False
    pretrained_path: Path | None = None
    pretrained_revision: str | None = None

    @classmethod
    def register_subclass(cls, name):
        def register(found):
            KNOWN[name] = found
            return found

        return register

    @property
    def type(self) -> str:
        return next(name for name, found in KNOWN.items() if found is type(self))

    def save(self, folder):
        data = {"type": self.type, **dataclasses.asdict(self)}
        Path(folder, "config.json").write_text(json.dumps(data, default=str))

    @classmethod
    def from_pretrained(
        cls, pretrained_name_or_path, *, force_download=False, resume_download=None, proxies=None, token=None,
        cache_dir=None, local_files_only=False, revision=None, **policy_kwargs,
    ):  # fmt: skip
        config = json.loads((Path(pretrained_name_or_path) / "config.json").read_text())
        kind = config.pop("type", None)
        if kind not in KNOWN:
            raise ValueError(f"Policy type '{kind}' is not registered. Available policy types: {list(KNOWN)}")
        for name in ("input_features", "output_features"):
            config[name] = {
                key: PolicyFeature(FeatureType(value["type"]), tuple(value["shape"]))
                for key, value in (config[name] or {}).items()
            }
        return KNOWN[kind](**config)
