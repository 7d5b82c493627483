"""Thinner visual meshes: vertex clustering that keeps 64x64 frames alike at a fraction of the triangles.

TinyRenderer's time goes with the number of triangles, and the stock Panda has 140,000 of them for a few hundred pixels.
Vertices that share a cell of a grid become one, placed where the squared distance to the planes of the cell's triangles
is least (Lindstrom, "Out-of-core simplification of large polygonal models", 2000). Only what is drawn changes; collision
shapes stay.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamgym.sims.calvin.assets import write_once

logger = logging.getLogger(__name__)

VERSION = 1  # part of the cached files' names; raise it when the result changes
MIN_TRIANGLES = 300  # smaller meshes stay as they are
CELLS = {"hand": 0.004, "longer_finger_v2": 0.003, "finger": 0.003, "digit_gel_only": 0.006}  # metres, seen close by
DEFAULT_CELL = 0.012
CENTER_PULL = 0.05  # weight of a cell's mean vertex against its planes: decides where planes leave freedom
@dataclass(frozen=True)
class Mesh:
    """Triangles: ``vertices`` (F, 3, 3), ``normals`` (F, 3, 3), ``uvs`` (F, 3, 2) by corner, and the texture's file."""

    vertices: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    texture: Path | None = None


def thin_visuals(urdf: Path) -> Path:
    """Return a copy of ``urdf`` in the cache whose larger visual meshes are thinned; paths in it are absolute."""
    robot = ElementTree.parse(urdf).getroot()
    for link in robot.iter("link"):
        for kind in ("visual", "collision"):
            for element in link.findall(kind):
                for mesh in element.iter("mesh"):
                    source = _resolve(urdf, mesh.get("filename", ""))
                    mesh.set("filename", str(_thin_file(source) if kind == "visual" else source))
    return write_once(urdf.stem, ".urdf", ElementTree.tostring(robot))


def _resolve(urdf: Path, filename: str) -> Path:
    return (urdf.parent / filename.removeprefix("package://")).resolve()


def _thin_file(source: Path) -> Path:
    mesh = read_mesh(source)
    if mesh is None or len(mesh.vertices) < MIN_TRIANGLES:
        return source
    thin = cluster(mesh, CELLS.get(source.stem, DEFAULT_CELL))
    return write_mesh(thin, source.stem)


def read_mesh(path: Path) -> Mesh | None:
    """Read a Wavefront or binary STL file; None if it is neither."""
    if path.suffix.lower() == ".stl":
        return _read_stl(path)
    return _read_obj(path) if path.suffix.lower() == ".obj" else None


def _read_stl(path: Path) -> Mesh:
    content = path.read_bytes()
    record = np.dtype([("normal", "<f4", 3), ("vertices", "<f4", (3, 3)), ("attribute", "<u2")])
    rows = np.frombuffer(content, record, count=int(np.frombuffer(content, "<u4", 1, 80)[0]), offset=84)
    vertices = rows["vertices"].astype(np.float64)
    normals = np.repeat(_face_normals(vertices)[0][:, None], 3, axis=1)
    return Mesh(vertices, normals, np.zeros((len(rows), 3, 2)))


def _read_obj(path: Path) -> Mesh:
    values: dict[str, list] = {"v": [], "vt": [], "vn": []}
    corners, texture = [], None
    for line in path.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word in values:
            values[word].append([float(number) for number in rest])
        elif word == "f":
            face = [[int(index or 0) for index in corner.split("/")] + [0, 0] for corner in rest]
            corners += [(face[0][:3], face[k][:3], face[k + 1][:3]) for k in range(1, len(face) - 1)]
        elif word == "mtllib":
            texture = _find_texture(path.parent / " ".join(rest))
    indices = np.array(corners)
    vertices = np.array(values["v"])[indices[..., 0] - 1][..., :3]
    uvs = np.array(values["vt"] or [[0.0, 0.0]])[indices[..., 1] - 1][..., :2]
    if values["vn"] and (indices[..., 2] > 0).all():
        normals = np.array(values["vn"])[indices[..., 2] - 1]
    else:
        normals = np.repeat(_face_normals(vertices)[0][:, None], 3, axis=1)
    return Mesh(vertices, normals, uvs, texture)


def _find_texture(library: Path) -> Path | None:
    """Return the first diffuse texture a material library names, if it is there."""
    if not library.is_file():
        return None
    for line in library.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word == "map_Kd" and (library.parent / rest[-1]).is_file():
            return library.parent / rest[-1]
    return None


def _face_normals(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit normals (F, 3) and twice the areas (F,)."""
    cross = np.cross(vertices[:, 1] - vertices[:, 0], vertices[:, 2] - vertices[:, 0])
    lengths = np.linalg.norm(cross, axis=-1)
    return cross / np.maximum(lengths, 1e-12)[:, None], lengths


def cluster(mesh: Mesh, cell: float) -> Mesh:
    """Merge the vertices in each cube of edge ``cell`` metres and drop the triangles that vanish."""
    flat = mesh.vertices.reshape(-1, 3)
    keys = np.floor(flat / cell).astype(np.int64)
    cells, owner = np.unique(keys, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    points = _place(mesh, owner, cells, cell)
    faces = owner.reshape(-1, 3)
    kept = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    # Of triangles that became the same one, whichever way they turn, the first is kept for each facing.
    rotated = np.stack([np.roll(faces, -shift, axis=1) for shift in range(3)], axis=1)
    canonical = rotated[np.arange(len(faces)), faces.argmin(axis=1)]
    _, first = np.unique(canonical[kept], axis=0, return_index=True)
    chosen = np.flatnonzero(kept)[np.sort(first)]
    normals = _average_normals(mesh, owner)[chosen]
    return Mesh(points[faces[chosen]], normals, mesh.uvs[chosen], mesh.texture)


def _place(mesh: Mesh, owner: np.ndarray, cells: np.ndarray, cell: float) -> np.ndarray:
    """Return a point for each cell that fits the planes of its triangles."""
    normals, areas = _face_normals(mesh.vertices)
    count = len(cells)
    flat = mesh.vertices.reshape(-1, 3)
    corner_normals, weights = np.repeat(normals, 3, axis=0), np.repeat(areas, 3)
    mass = np.maximum(np.bincount(owner, minlength=count), 1)
    center = np.stack([np.bincount(owner, flat[:, k], count) for k in range(3)], axis=-1) / mass[:, None]
    quadric, offset = np.zeros((count, 3, 3)), np.zeros((count, 3))
    outer = weights[:, None, None] * corner_normals[:, :, None] * corner_normals[:, None, :]
    distance = ((flat - center[owner]) * corner_normals).sum(-1) * weights
    np.add.at(quadric, owner, outer)
    np.add.at(offset, owner, distance[:, None] * corner_normals)
    pull = CENTER_PULL * np.maximum(np.trace(quadric, axis1=1, axis2=2), 1e-15)
    shift = np.linalg.solve(quadric + pull[:, None, None] * np.eye(3), offset[..., None])[..., 0]
    return np.clip(center + shift, cells * cell, (cells + 1) * cell)


def _average_normals(mesh: Mesh, owner: np.ndarray) -> np.ndarray:
    """Return corner normals (F, 3, 3), averaged over corners of a cell that face the same way along the main axes."""
    flat = mesh.normals.reshape(-1, 3)
    main = np.abs(flat).argmax(axis=1)
    facing = 2 * main + (flat[np.arange(len(flat)), main] < 0)
    _, group = np.unique(owner * 6 + facing, return_inverse=True)
    weights = np.repeat(_face_normals(mesh.vertices)[1], 3) + 1e-12
    mean = np.stack([np.bincount(group, flat[:, k] * weights) for k in range(3)], axis=-1)
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    return mean[group].reshape(mesh.normals.shape)


def write_mesh(mesh: Mesh, name: str) -> Path:
    """Write a Wavefront file, with its texture beside it, to the cache and return its path."""
    header = []
    if mesh.texture is not None:
        texture = write_once(mesh.texture.stem, mesh.texture.suffix, mesh.texture.read_bytes())
        material = f"newmtl surface\nKd 1 1 1\nmap_Kd {texture.name}\n"
        header = [f"mtllib {write_once(name, '.mtl', material.encode()).name}", "usemtl surface"]
    blocks, indices = [], []
    for word, values in (("v", mesh.vertices), ("vt", mesh.uvs), ("vn", mesh.normals)):
        unique, inverse = np.unique(np.round(values.reshape(-1, values.shape[-1]), 6), axis=0, return_inverse=True)
        blocks += [word + " " + " ".join(f"{number:g}" for number in row) for row in unique]
        indices.append(inverse.reshape(-1, 3) + 1)
    faces = [
        "f " + " ".join(f"{v}/{t}/{n}" for v, t, n in zip(*(index[row] for index in indices)))
        for row in range(len(mesh.vertices))
    ]
    return write_once(name, ".obj", "\n".join([*header, *blocks, *faces, ""]).encode())
