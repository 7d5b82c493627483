"""Checkpoints: a folder of JSON and safetensors that becomes an environment. Never a pickle.

The layout stands in ``docs/architecture.md``. A folder is written under a temporary name and renamed into place; the
sha256 of every file but the card is in ``config.json``, and `load` answers anything wrong with one `CheckpointError`.

folders.py     files that are checked, folders that are replaced as a whole
names.py       built-in names, local folders, hf://
hub.py         the Hugging Face Hub: what is fetched and put there, its refusals in one line
config.py      config.json: its fields, ranges and digest
saving.py      `save`
loading.py     `load`, `Checkpoint`
"""

from dreamgym.training.checkpoint.config import read_config
from dreamgym.training.checkpoint.folders import CheckpointError, file_sha256, replace_folder, verify_file
from dreamgym.training.checkpoint.loading import Checkpoint, load
from dreamgym.training.checkpoint.names import BUILT_IN, built_in_names, resolve
from dreamgym.training.checkpoint.saving import check_target, save

__all__ = [
    "BUILT_IN",
    "Checkpoint",
    "CheckpointError",
    "built_in_names",
    "check_target",
    "file_sha256",
    "load",
    "read_config",
    "replace_folder",
    "resolve",
    "save",
    "verify_file",
]
