"""Readers of foreign datasets, and what turns them into a store.

Each reader yields (episode, meta) in the dataset's own key names and sizes, one episode at a time::

    calvin.py       `read_calvin`    CALVIN's folders of one .npz per time step, with its language annotations
    minari.py       `read_minari`    Minari datasets; needs `pip install "dreamgym[minari]"`
    lerobot.py      `read_lerobot`   LeRobotDataset v3 (parquet and video); needs `pip install "dreamgym[lerobot]"`
    importing.py    `import_dataset` renames, resizes and appends to an `EpisodeStore`, resumable

>>> import_dataset(read_calvin("task_D_D"), "play", CALVIN_KEYS)
"""

from __future__ import annotations

from dreamgym.data.readers.calvin import CALVIN_KEYS, read_calvin
from dreamgym.data.readers.importing import import_dataset, resize_area
from dreamgym.data.readers.lerobot import read_lerobot
from dreamgym.data.readers.minari import read_minari

__all__ = ["CALVIN_KEYS", "import_dataset", "read_calvin", "read_lerobot", "read_minari", "resize_area"]
