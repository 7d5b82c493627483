"""The description files of a scene's bodies: CALVIN's own, or generated ones."""

from __future__ import annotations

from pathlib import Path

from dreamgym.sims.calvin.assets import find_assets
from dreamgym.sims.calvin.playtable import playtable_files
from dreamgym.sims.calvin.scenes import Scene, SceneFiles
from dreamgym.sims.calvin.thinning import thin_visuals

VISUALS = ("thin", "stock")


def scene_files(scene: Scene, assets: str | Path | None = None, visuals: str = "thin") -> SceneFiles:
    """Return the files to load for a scene.

    Args:
        scene: which scene.
        assets: CALVIN's data folder; None reads ``DREAMGYM_CALVIN_ASSETS``. Unused by the built-in scene.
        visuals: "stock" meshes, or "thin" ones with fewer triangles, which render alike and much faster.

    Raises:
        ValueError: ``visuals`` is neither.
        FileNotFoundError: the scene needs assets that are not there.
    """
    if visuals not in VISUALS:
        raise ValueError(f"visuals: expected one of {VISUALS}, got {visuals!r}")
    if scene.table is None:
        files = playtable_files(scene)
    else:
        folder = find_assets(assets)
        if not (folder / scene.table).is_file():
            raise FileNotFoundError(f"{folder / scene.table} is missing: the assets do not hold scene {scene.name!r}")
        files = SceneFiles(
            robot=folder / "franka_panda" / "panda_longer_finger.urdf",
            table=folder / scene.table,
            plane=folder / "plane" / "plane.urdf",
            blocks={color: folder / str(path) for color, path in scene.blocks.items()},
        )
    if visuals == "stock":
        return files
    return SceneFiles(
        robot=thin_visuals(files.robot),
        table=thin_visuals(files.table),
        plane=files.plane,
        blocks=files.blocks,
    )
