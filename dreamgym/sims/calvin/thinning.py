"""Thinner visual meshes, which keep 64x64 frames alike at a fraction of the triangles.

TinyRenderer's time goes with the number of triangles, and the stock Panda has 110,000 of them for a few hundred pixels.
Only what is drawn changes; collision shapes stay. Results are kept in the cache.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamgym.sims.calvin.assets import cache_folder, write_once, write_whole
from dreamgym.sims.calvin.decimation import decimate, face_normals

VERSION = 1  # of the method: raise it when its results change, so that old ones are not reused
MIN_TRIANGLES = 700  # smaller meshes stay as they are
# Metres in the mesh's own scale. A pixel of the static camera is about a centimetre, but the two wrist links carry dark
# rims and buttons in the middle of its view, and the gripper camera sees hand and finger tips from ten centimetres.
DEFAULT_TOLERANCE = 0.001
TOLERANCES = {
    "link1": 0.002,
    "link2": 0.002,
    "link3": 0.0012,
    "link5": 0.0002,
    "link6": 0.0003,
    "hand": 0.0003,
    "digit_gel_only": 0.0005,
}


@dataclass(frozen=True)
class Mesh:
    """Triangles by corner: positions and normals (F, 3, 3), texture coordinates (F, 3, 2); each one's material (F,)."""

    vertices: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    materials: np.ndarray
    texture: Path | None = None


def thin_visuals(urdf: Path) -> Path:
    """Return a copy of ``urdf`` in the cache whose larger visual meshes are thinned; paths in it are absolute."""
    # CALVIN's assets, which the user put in place; a checkpoint cannot name others.
    robot = ElementTree.parse(urdf).getroot()  # noqa: S314
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
    """Return the thinned mesh's file, made on first use; small meshes stay as they are."""
    tolerance = TOLERANCES.get(source.stem, DEFAULT_TOLERANCE)
    key = hashlib.sha256(source.read_bytes() + f"{VERSION} {tolerance} {MIN_TRIANGLES}".encode()).hexdigest()[:16]
    found = cache_folder() / f"{source.stem}-thin-{key}.obj"
    keep = found.with_suffix(".keep")  # stands for "small enough as it is"
    if found.exists():
        return found
    if keep.exists():
        return source
    mesh = read_mesh(source)
    if mesh is None or len(mesh.vertices) < MIN_TRIANGLES:
        keep.touch()
        return source
    write_whole(found, mesh_text(thin(mesh, tolerance), source.stem))
    return found


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
    normals = np.repeat(face_normals(vertices)[0][:, None], 3, axis=1)
    return Mesh(vertices, normals, np.zeros((len(rows), 3, 2)), np.zeros(len(rows), dtype=np.int64))


def _read_obj(path: Path) -> Mesh:
    values: dict[str, list] = {"v": [], "vt": [], "vn": []}
    corners, materials, names, texture = [], [], [""], None
    for line in path.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word in values:
            values[word].append([float(number) for number in rest])
        elif word == "f":
            face = [[int(index or 0) for index in corner.split("/")] + [0, 0] for corner in rest]
            corners += [(face[0][:3], face[k][:3], face[k + 1][:3]) for k in range(1, len(face) - 1)]
            materials += [len(names) - 1] * (len(face) - 2)
        elif word == "usemtl":
            names.append(" ".join(rest))
        elif word == "mtllib":
            texture = _find_texture(path.parent / " ".join(rest))
    indices = np.array(corners)
    vertices = np.array(values["v"])[indices[..., 0] - 1][..., :3]
    uvs = np.array(values["vt"] or [[0.0, 0.0]])[indices[..., 1] - 1][..., :2]
    if values["vn"] and (indices[..., 2] > 0).all():
        normals = np.array(values["vn"])[indices[..., 2] - 1]
    else:
        normals = np.repeat(face_normals(vertices)[0][:, None], 3, axis=1)
    labels = np.array([names.index(name) for name in names])
    return Mesh(vertices, normals, uvs, labels[materials], texture)


def _find_texture(library: Path) -> Path | None:
    """Return the first diffuse texture a material library names, if it is there."""
    if not library.is_file():
        return None
    for line in library.read_text().splitlines():
        word, *rest = line.split() or [""]
        if word == "map_Kd" and (library.parent / rest[-1]).is_file():
            return library.parent / rest[-1]
    return None


def thin(mesh: Mesh, tolerance: float) -> Mesh:
    """Return the mesh with as few triangles as keep its surface within about ``tolerance`` metres."""
    corners = np.round(mesh.vertices.reshape(-1, 3), 6)
    points, owner = np.unique(corners, axis=0, return_inverse=True)
    faces = owner.reshape(-1, 3)
    points, merged, kept = decimate(points, faces, mesh.materials, tolerance)
    normals = _average_normals(mesh, merged[faces].reshape(-1))
    return Mesh(points[merged[faces[kept]]], normals[kept], mesh.uvs[kept], mesh.materials[kept], mesh.texture)


def _average_normals(mesh: Mesh, owner: np.ndarray) -> np.ndarray:
    """Return corner normals (F, 3, 3), averaged over merged corners that face the same way along the main axes."""
    flat = mesh.normals.reshape(-1, 3)
    main = np.abs(flat).argmax(axis=1)
    facing = 2 * main + (flat[np.arange(len(flat)), main] < 0)
    _, group = np.unique(owner * 6 + facing, return_inverse=True)
    weights = np.repeat(face_normals(mesh.vertices)[1], 3) + 1e-12
    mean = np.stack([np.bincount(group, flat[:, k] * weights) for k in range(3)], axis=-1)
    mean = mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    return mean[group].reshape(mesh.normals.shape)


def mesh_text(mesh: Mesh, name: str) -> bytes:
    """Return the Wavefront file of a mesh; the texture it names is put into the cache."""
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
        "f " + " ".join(f"{v}/{t}/{n}" for v, t, n in zip(*(index[row] for index in indices), strict=True))
        for row in range(len(mesh.vertices))
    ]
    return "\n".join([*header, *blocks, *faces, ""]).encode()
