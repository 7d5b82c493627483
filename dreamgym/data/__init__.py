"""Episodes on disk: how they are stored, sampled, collected and imported.

The room, in the order in which data pass through it::

    collect.py          runs a generator of episodes in several processes, resumable: `collect`
    workers.py          those processes, and the factory protocol they run: `EpisodeFactory`, `episode_rng`
    readers/            foreign datasets (CALVIN's folders, Minari, LeRobot v3): `read_calvin`, `import_dataset`, ...
    writers/            stores as data sets of others (LeRobot v3): `export_lerobot`
    store.py            the set of episodes, read without loading it: `EpisodeStore`
    join.py             several stores as one: `join`
    clips.py            episodes of one length, each a whole task: `cut_clips`
    shards.py           what a store is on disk: append-only .npy shards, published by one rename
    sampler.py          windows of T steps as torch batches, a function of (seed, step): `SequenceSampler`

An episode is a dict of arrays with T rows per key: `action` float32 [T, A], images uint8 [T, H, W, 3] (`rgb_static`,
`rgb_gripper`), vectors float32 (`robot_obs` [T, 15], `scene_obs` [T, 24]), optionally `success` bool [T]; of imported
episodes also what was recorded of rewards and ends (`reward`, `done`, `terminated`, `truncated`), which no training
reads. Alignment: action[t] is applied at obs[t] and leads to obs[t + 1]; the action of the last row has no successor; a
reward or an end of row t follows from action[t].
Beside it stands its meta, a small JSON dict: `task`, `seed`, `split` ("train", "val" or "test"), `skills`,
`episode_index`, ...
"""

from __future__ import annotations

from dreamgym.data.clips import cut_clips
from dreamgym.data.collect import collect
from dreamgym.data.join import join
from dreamgym.data.sampler import SequenceSampler
from dreamgym.data.shards import Meta
from dreamgym.data.store import Episode, EpisodeStore, EpisodeView
from dreamgym.data.workers import episode_rng, split_of

__all__ = [
    "Episode",
    "EpisodeStore",
    "EpisodeView",
    "Meta",
    "SequenceSampler",
    "collect",
    "cut_clips",
    "episode_rng",
    "join",
    "split_of",
]
