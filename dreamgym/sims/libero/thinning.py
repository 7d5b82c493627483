"""Coarser visual meshes: in software a picture costs its triangles, and LIBERO's scenes have 200,000 and more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dreamgym.sims.mujoco_state import mujoco

CELLS = 30  # cells of the grid along a mesh's radius
FINEST, COARSEST = 0.004, 0.008  # m, of a cell
SMALL = 300  # meshes of fewer triangles stay


@contextmanager
def thinned(model: Any) -> Iterator[None]:
    """Inside, visual meshes have fewer triangles: a renderer that is made there draws those.

    Vertices of one cell of a grid become one, and what then is no triangle falls away. Meshes that collide stay.
    """
    names = ("mesh_facenum", "mesh_face", "mesh_facenormal", "mesh_facetexcoord")
    kept = {name: getattr(model, name).copy() for name in names}
    try:
        for mesh in _visual_meshes(model):
            _thin(model, mesh)
        yield
    finally:
        for name, values in kept.items():
            getattr(model, name)[:] = values


def _visual_meshes(model: Any) -> list[int]:
    shapes = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    colliding = set(model.geom_dataid[shapes & solid].tolist())
    seen = set(model.geom_dataid[shapes & ~solid].tolist())
    return [mesh for mesh in sorted(seen - colliding) if model.mesh_facenum[mesh] >= SMALL]


def _thin(model: Any, mesh: int) -> None:
    vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
    first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    part = slice(first, first + count)
    faces = _merged(vertices)[model.mesh_face[part]]
    a, b, c = faces.T
    whole = (a != b) & (b != c) & (c != a)
    # The same three corners in the same order of turning, whichever comes first: one is enough.
    turned = faces[np.arange(len(faces))[:, None], (faces.argmin(1)[:, None] + np.arange(3)) % 3]
    unique = np.zeros(len(faces), bool)
    unique[np.unique(turned, axis=0, return_index=True)[1]] = True
    keep = np.flatnonzero(whole & unique)
    stop = first + len(keep)
    model.mesh_face[first:stop] = faces[keep]
    for name in ("mesh_facenormal", "mesh_facetexcoord"):
        values = getattr(model, name)
        if len(values) > first:
            values[first:stop] = values[part][keep]
    model.mesh_facenum[mesh] = len(keep)


def _merged(vertices: np.ndarray) -> np.ndarray:
    """For each of [V, 3] vertices the one that stands for its cell: that nearest to the middle of those in it."""
    radius = float(np.linalg.norm(vertices, axis=1).max())
    cell = min(max(radius / CELLS, FINEST), COARSEST)
    _, owner = np.unique(np.floor(vertices / cell).astype(np.int64), axis=0, return_inverse=True)
    owner = owner.ravel()
    sums = np.stack([np.bincount(owner, axis) for axis in vertices.T], axis=1)
    middle = sums / np.bincount(owner)[:, None]
    distance = np.linalg.norm(vertices - middle[owner], axis=1)
    order = np.lexsort((distance, owner))
    firsts = np.concatenate([[True], owner[order][1:] != owner[order][:-1]])
    found: np.ndarray = order[firsts][owner]
    return found
