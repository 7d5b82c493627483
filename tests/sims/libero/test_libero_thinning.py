import pytest

pytest.importorskip("mujoco")

import numpy as np

from dreamgym.sims.libero.thinning import thinned
from dreamgym.sims.mujoco_state import mujoco


def ball(rings=120, around=180):
    """Vertices and faces of a fine sphere of 5 cm."""
    theta, phi = np.meshgrid(np.linspace(0.01, np.pi - 0.01, rings), np.linspace(0, 2 * np.pi, around, endpoint=False))
    points = 0.05 * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    index = np.arange(rings * around).reshape(around, rings)
    a, b, c, d = (
        np.roll(index, -k, 0)[:, r].ravel()
        for k, r in ((0, slice(-1)), (1, slice(-1)), (1, slice(1, None)), (0, slice(1, None)))
    )
    return points.reshape(-1, 3), np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])


@pytest.fixture(scope="module")
def model():
    points, faces = ball()
    mesh = f'vertex="{" ".join(map(str, points.ravel()))}" face="{" ".join(map(str, faces.ravel()))}"'
    return mujoco.MjModel.from_xml_string(
        f"""<mujoco><asset><mesh name="seen" {mesh}/><mesh name="solid" {mesh}/></asset><worldbody>
        <geom type="mesh" mesh="seen" contype="0" conaffinity="0" group="1"/><geom type="mesh" mesh="solid"/>
        </worldbody></mujoco>"""
    )


def test_visual_meshes_lose_triangles_but_not_their_shape(model):
    before, faces = model.mesh_facenum.copy(), model.mesh_face.copy()
    with thinned(model):
        seen, solid = model.mesh_facenum
        assert seen < before[0] / 2
        assert solid == before[1]
        corners = model.mesh_vert[model.mesh_face[:seen]]
        assert np.allclose(np.linalg.norm(corners, axis=-1), 0.05, atol=0.002)
        a, b, c = corners.transpose(1, 0, 2)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2
        assert (area > 0).all()
        assert abs(area.sum() / (4 * np.pi * 0.05**2) - 1) < 0.05
    assert np.array_equal(model.mesh_facenum, before)
    assert np.array_equal(model.mesh_face, faces)
