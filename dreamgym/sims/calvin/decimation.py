"""Mesh decimation by edge collapse under quadric error (Garland and Heckbert, 1997), many edges at a time.

Each round ranks all edges and collapses those that are the cheapest around, so that a round is a few array operations
instead of one step of a priority queue.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

MAX_ROUNDS = 400
SEAM_WEIGHT = 10.0  # planes that keep borders and texture seams in place, against the surface's own
PULL = 1e-3  # towards the edge's middle, where the planes leave freedom
MIN_TURN_COSINE = 0.2  # a face may not turn further than this in one collapse


def face_normals(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit normals (F, 3) and areas (F,) of triangles ``corners`` (F, 3, 3)."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(cross, axis=-1)
    return cross / np.maximum(lengths, 1e-15)[:, None], lengths / 2


def decimate(
    vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Collapse edges until each further one would move the surface by more than ``tolerance``.

    Args:
        vertices: (V, 3), each position once.
        faces: (F, 3) indices.
        colors: (F,) a label of each face; edges between labels, and borders, are kept in place.
        tolerance: root mean square distance to the planes a vertex stands for, in the unit of ``vertices``.

    Returns:
        Moved vertices (V, 3); the index each vertex was merged into (V,); the places in ``faces`` of surviving faces.
    """
    vertices = vertices.astype(np.float64).copy()
    merged = np.arange(len(vertices))
    alive = np.flatnonzero((faces != np.roll(faces, 1, axis=1)).all(axis=1))
    faces = faces.copy()
    quadrics, masses = _quadrics(vertices, faces[alive], colors[alive])
    blocked: set[tuple[int, int]] = set()
    for _ in range(MAX_ROUNDS):
        edges = _edges(faces[alive])
        points, costs = _collapse_targets(vertices, quadrics, masses, edges)
        costs[[tuple(edge) in blocked for edge in edges.tolist()]] = np.inf
        chosen = _independent(edges, costs, len(vertices)) & (costs <= tolerance**2)
        if not chosen.any():
            break
        edges, points = edges[chosen], points[chosen]
        flips = _flips(vertices, faces[alive], edges, points)
        blocked.update(map(tuple, edges[flips].tolist()))
        edges, points = edges[~flips], points[~flips]
        if not len(edges):
            continue
        kept, gone = edges.T
        vertices[kept] = points
        quadrics[kept] += quadrics[gone]
        masses[kept] += masses[gone]
        target = np.arange(len(vertices))
        target[gone] = kept
        merged = target[merged]
        faces = target[faces]
        alive = alive[_distinct(faces[alive])]
    return vertices, merged, alive


def _edges(faces: np.ndarray) -> np.ndarray:
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    codes = np.unique(pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1])
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)


def _distinct(faces: np.ndarray) -> np.ndarray:
    """Return which faces have three corners and are the first with these corners."""
    proper = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    unique = np.zeros(len(faces), dtype=bool)
    unique[first] = True
    return proper & unique


def _quadrics(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each vertex's summed plane quadric (V, 4, 4) and its weight (V,)."""
    normals, areas = face_normals(vertices[faces])
    quadrics, masses = np.zeros((len(vertices), 4, 4)), np.zeros(len(vertices))
    _add_planes(quadrics, normals, vertices[faces[:, 0]], areas, faces.T)
    for corner in range(3):
        np.add.at(masses, faces[:, corner], areas)
    # An edge with one face, or between two colours, gets planes through it, upright on its faces.
    starts, ends = faces.T.reshape(-1), np.roll(faces, -1, axis=1).T.reshape(-1)
    owner = np.tile(np.arange(len(faces)), 3)
    codes = np.minimum(starts, ends).astype(np.int64) << 32 | np.maximum(starts, ends)
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    lowest, highest = np.full(len(counts), np.iinfo(np.int64).max), np.full(len(counts), -1)
    np.minimum.at(lowest, inverse, colors[owner])
    np.maximum.at(highest, inverse, colors[owner])
    seam = ((counts == 1) | (lowest != highest))[inverse]
    starts, ends, owner = starts[seam], ends[seam], owner[seam]
    along = vertices[ends] - vertices[starts]
    upright = np.cross(along, normals[owner])
    lengths = np.linalg.norm(upright, axis=-1, keepdims=True)
    upright /= np.maximum(lengths, 1e-15)
    _add_planes(quadrics, upright, vertices[starts], SEAM_WEIGHT * lengths[:, 0] ** 2, (starts, ends))
    return quadrics, np.maximum(masses, 1e-15)


def _add_planes(
    quadrics: np.ndarray, normals: np.ndarray, points: np.ndarray, weights: np.ndarray, owners: Iterable[np.ndarray]
) -> None:
    planes = np.concatenate([normals, -(normals * points).sum(-1, keepdims=True)], axis=1)
    outer = weights[:, None, None] * planes[:, :, None] * planes[:, None, :]
    for owner in owners:
        np.add.at(quadrics, owner, outer)


def _collapse_targets(
    vertices: np.ndarray, quadrics: np.ndarray, masses: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each edge the best point (E, 3) and its mean squared distance (E,) to the planes."""
    total = quadrics[edges[:, 0]] + quadrics[edges[:, 1]]
    middle = vertices[edges].mean(axis=1)
    surface = total[:, :3, :3]
    pull = PULL * np.trace(surface, axis1=1, axis2=2)[:, None] + 1e-18
    right = -(total[:, :3, 3]) + pull * middle
    points = np.linalg.solve(surface + pull[..., None] * np.eye(3), right[..., None])[..., 0]
    # A point far from its edge answers to nearly parallel planes; the middle is safer.
    length = np.linalg.norm(vertices[edges[:, 1]] - vertices[edges[:, 0]], axis=-1)
    far = np.linalg.norm(points - middle, axis=-1) > 2 * length
    points[far] = middle[far]
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    costs = np.einsum("ei,eij,ej->e", homogeneous, total, homogeneous) / masses[edges].sum(axis=1)
    # Among equals, as on a plane, short edges go first.
    return points, np.maximum(costs, 0) + 1e-6 * length**2


def _independent(edges: np.ndarray, costs: np.ndarray, count: int) -> np.ndarray:
    """Return which edges (E,) are the cheapest in reach of one edge, so that collapses share no face."""
    rank = np.empty(len(edges), dtype=np.int64)
    rank[np.argsort(costs, kind="stable")] = np.arange(len(edges))
    best = np.full(count, len(edges))
    np.minimum.at(best, edges[:, 0], rank)
    np.minimum.at(best, edges[:, 1], rank)
    around = best.copy()
    np.minimum.at(around, edges[:, 0], best[edges[:, 1]])
    np.minimum.at(around, edges[:, 1], best[edges[:, 0]])
    return (around[edges[:, 0]] == rank) & (around[edges[:, 1]] == rank)


def _flips(vertices: np.ndarray, faces: np.ndarray, edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return which collapses (E,) would turn a face over."""
    moved, owner = vertices.copy(), np.full(len(vertices), -1)
    for side in (0, 1):
        moved[edges[:, side]] = points
        owner[edges[:, side]] = np.arange(len(edges))
    owners = owner[faces]
    stays = ~((owners[:, 0] >= 0) & (owners[:, 0] == owners[:, 1])) & ~(
        (owners[:, 1] >= 0) & (owners[:, 1] == owners[:, 2])
    ) & ~((owners[:, 2] >= 0) & (owners[:, 2] == owners[:, 0]))  # fmt: skip
    before, _ = face_normals(vertices[faces[stays]])
    after, areas = face_normals(moved[faces[stays]])
    turned = ((before * after).sum(-1) < MIN_TURN_COSINE) | (areas < 1e-14)
    guilty = owners[stays][turned].reshape(-1)
    flips = np.zeros(len(edges), dtype=bool)
    flips[guilty[guilty >= 0]] = True
    return flips
