"""Readers of foreign datasets, and what turns them into a store.

Each reader gives a `Source`: (episode, meta) in the dataset's own key names and sizes, one episode at a time, and what
the data set says of itself (frame rate, bounds of the action, held-out episodes)::

    read.py          `read("kind:path")`, one name for all
    calvin.py        `read_calvin`    CALVIN's folders of one .npz per time step, with its language annotations
    minari.py        `read_minari`    Minari datasets; needs `pip install "dreamgym[minari]"`
    libero.py        `read_libero`    LIBERO's own HDF5 demonstrations; needs `pip install "dreamgym[libero]"`
    robomimic.py     `read_robomimic` robomimic's HDF5 files; needs `pip install "dreamgym[robomimic]"`
    lerobot.py       `read_lerobot`   LeRobotDataset v3 and, with lerobot_v2.py, v2.1; needs the extra "lerobot"
    importing.py     `import_dataset` renames, resizes, marks success, holds out and appends to a store, resumable
    marks.py         which rows are success
    resize.py        pictures made smaller
    plain_pickle.py  pickled .npy files, read without running anything

>>> import_dataset(read("calvin:task_D_D"), "play", ImportConfig(CALVIN_KEYS))
"""

from __future__ import annotations

from dreamgym.data.readers.calvin import CALVIN_KEYS, read_calvin
from dreamgym.data.readers.importing import ImportConfig, import_dataset
from dreamgym.data.readers.lerobot import read_lerobot
from dreamgym.data.readers.libero import read_libero
from dreamgym.data.readers.marks import SuccessRule, success_rule
from dreamgym.data.readers.minari import read_minari
from dreamgym.data.readers.read import read
from dreamgym.data.readers.resize import resize_area
from dreamgym.data.readers.robomimic import read_robomimic
from dreamgym.data.readers.source import Source

__all__ = [
    "CALVIN_KEYS",
    "ImportConfig",
    "Source",
    "SuccessRule",
    "import_dataset",
    "read",
    "read_calvin",
    "read_lerobot",
    "read_libero",
    "read_minari",
    "read_robomimic",
    "resize_area",
    "success_rule",
]
