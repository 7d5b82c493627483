"""The picture of LIBERO's workspaces in the docs: the first frames of a task in each, through both cameras.

    python benchmarks/libero_sheet.py            # writes docs/_static/libero.jpg

Drawn as LIBERO draws them (``visuals="stock"``), with what assets are there (``DREAMGYM_LIBERO_ASSETS``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from dreamgym.sims.libero.env import LiberoEnv

OUT = Path(__file__).parents[1] / "docs" / "_static" / "libero.jpg"
TASKS = (  # table, floor, kitchen, living room, study
    "libero_goal/put_the_bowl_on_the_plate",
    "libero_object/pick_up_the_alphabet_soup_and_place_it_in_the_basket",
    "libero_90/KITCHEN_SCENE9_put_the_frying_pan_on_top_of_the_cabinet",
    "libero_90/LIVING_ROOM_SCENE2_pick_up_the_milk_and_put_it_in_the_basket",
    "libero_90/STUDY_SCENE1_pick_up_the_book_and_place_it_in_the_left_compartment_of_the_caddy",
)
MARGIN = 4  # white pixels around each frame


def sheet(size: int, visuals: str) -> np.ndarray:
    """A column of two frames (agent view, eye in hand) for each task, uint8 [H, W, 3]."""
    env = LiberoEnv(cameras=("static", "gripper"), image_size=size, visuals=visuals)
    columns = []
    for task in TASKS:
        obs, _ = env.reset(options={"task": task, "init_state": 0})
        frames = [np.pad(obs[f"rgb_{c}"], [(0, MARGIN), (0, MARGIN), (0, 0)], constant_values=255) for c in env.cameras]
        columns.append(np.concatenate(frames))
    env.close()
    return np.concatenate(columns, 1)[:-MARGIN, :-MARGIN]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=192, help="pixels of a frame")
    parser.add_argument("--visuals", default="stock", choices=["stock", "thin"])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    Image.fromarray(sheet(args.size, args.visuals)).save(args.out, quality=85)


if __name__ == "__main__":
    main()
