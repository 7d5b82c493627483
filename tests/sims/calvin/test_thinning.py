"""Thinner meshes: fewer triangles, the same surface, the same frames."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import CalvinEnv
from dreamgym.sims.calvin.decimation import decimate, face_normals
from dreamgym.sims.calvin.thinning import Mesh, mesh_text, read_mesh, thin


def make_grid(count: int, height=lambda x, y: 0 * x) -> tuple[np.ndarray, np.ndarray]:
    """A square sheet over [0, 1]^2 as vertices (V, 3) and faces (F, 3)."""
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(0, 1, count)] * 2, indexing="ij"))
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + count, corner + 1], 1),
            np.stack([corner + 1, corner + count, corner + count + 1], 1),
        ]
    )
    return np.stack([x, y, height(x, y)], axis=1), faces


def test_a_flat_sheet_keeps_its_outline_with_few_triangles():
    vertices, faces = make_grid(20)
    moved, merged, kept = decimate(vertices, faces, np.zeros(len(faces), int), 1e-3)
    triangles = moved[merged[faces[kept]]]
    assert len(kept) < 60
    np.testing.assert_allclose(triangles.reshape(-1, 3).min(0), [0, 0, 0], atol=0.01)
    np.testing.assert_allclose(triangles.reshape(-1, 3).max(0), [1, 1, 0], atol=0.01)
    assert face_normals(triangles)[1].sum() == pytest.approx(1.0, abs=0.02)


def test_faces_keep_their_side():
    vertices, faces = make_grid(15, lambda x, y: 0.1 * np.sin(3 * x))
    moved, merged, kept = decimate(vertices, faces, np.zeros(len(faces), int), 5e-3)
    assert (face_normals(moved[merged[faces[kept]]])[0][:, 2] > 0).all()


def test_a_smaller_tolerance_keeps_more_triangles():
    vertices, faces = make_grid(25, lambda x, y: 0.1 * np.sin(6 * x) * np.cos(5 * y))
    counts = [len(decimate(vertices, faces, np.zeros(len(faces), int), size)[2]) for size in (1e-2, 1e-3, 1e-5)]
    assert counts[0] < counts[1] < counts[2]


def test_colour_borders_stay():
    vertices, faces = make_grid(21)
    colors = (vertices[faces].mean(axis=1)[:, 0] > 0.5).astype(int)
    moved, merged, kept = decimate(vertices, faces, colors, 1e-3)
    areas = face_normals(moved[merged[faces[kept]]])[1]
    assert len(kept) < 100
    assert areas[colors[kept] == 1].sum() == pytest.approx(0.5, abs=0.02)


def test_a_written_mesh_is_read_back(tmp_path):
    vertices, faces = make_grid(4, lambda x, y: x * y)
    corners = vertices[faces]
    mesh = Mesh(
        corners, np.repeat(face_normals(corners)[0][:, None], 3, 1), corners[..., :2], np.zeros(len(faces), int)
    )
    path = tmp_path / "sheet.obj"
    path.write_bytes(mesh_text(mesh, "sheet"))
    found = read_mesh(path)
    np.testing.assert_allclose(found.vertices, mesh.vertices, atol=1e-5)
    np.testing.assert_allclose(found.normals, mesh.normals, atol=1e-5)
    np.testing.assert_allclose(found.uvs, mesh.uvs, atol=1e-5)


def test_thinning_keeps_material_labels_of_surviving_faces():
    vertices, faces = make_grid(12)
    corners = vertices[faces]
    labels = (corners.mean(axis=1)[:, 1] > 0.5).astype(int)
    normals = np.repeat(face_normals(corners)[0][:, None], 3, 1)
    mesh = thin(Mesh(corners, normals, corners[..., :2], labels), 1e-3)
    assert set(mesh.materials) == {0, 1}
    assert len(mesh.vertices) == len(mesh.normals) == len(mesh.uvs) < len(faces)


def test_meshes_are_thinned_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMGYM_CACHE", str(tmp_path))
    CalvinEnv(cameras=()).close()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert any("link6-thin" in path.name for path in files)
    monkeypatch.setattr("dreamgym.sims.calvin.thinning.thin", None)  # would fail if it were called again
    CalvinEnv(cameras=()).close()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files


@pytest.mark.slow
def test_thin_frames_match_stock_ones():
    ratios = []
    thin_env, stock_env = CalvinEnv(visuals="thin"), CalvinEnv(visuals="stock")
    for seed in range(4):
        thin_env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        goal = rng.uniform([-0.2, -0.25, 0.5], [0.35, 0.0, 0.66])
        for _ in range(25):
            move = np.clip((goal - thin_env.simulation.robot.target[:3]) / 0.02, -1, 1)
            thin_env.step(np.array([*move, 0, 0, 0, 1]))
        snapshot = thin_env.snapshot()
        stock_env.restore(snapshot)
        frames = [env.observe() for env in (thin_env, stock_env)]
        for camera in ("rgb_static", "rgb_gripper"):
            gap = frames[0][camera].astype(float) - frames[1][camera]
            ratios.append(10 * np.log10(255**2 / max((gap**2).mean(), 1e-3)))
    assert np.mean(ratios[::2]) >= 35
    assert np.mean(ratios[1::2]) >= 35
    thin_env.close()
    stock_env.close()
