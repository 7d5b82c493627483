"""Thin pictures: what stands still is drawn once."""

import pytest

pytest.importorskip("mujoco")

import numpy as np

from dreamgym.sims.libero.rendering import Renderer
from dreamgym.sims.mujoco_state import mujoco

ROOM = """<mujoco><asset><texture type='skybox' builtin='gradient' rgb1='.3 .5 .7' rgb2='0 0 0' width='32' height='32'/>
</asset><worldbody><light pos='0 -1 3'/><camera name='eye' pos='0 -2 .5' xyaxes='1 0 0 0 0 1'/>
<body name='post'><geom name='post' type='box' pos='.2 0 .4' size='.1 .1 .4' rgba='.2 .8 .2 1' group='1'/></body>
<geom type='plane' size='1 1 .1' rgba='.6 .6 .5 1' group='1'/>
<body pos='0 0 .4'><joint name='side' type='slide' axis='1 0 0'/><joint name='back' type='slide' axis='0 1 0'/>
<camera name='hand' pos='0 -1 .2' xyaxes='1 0 0 0 0 1'/>
<geom name='ball' size='.2' rgba='.9 .1 .1 1' group='1'/></body></worldbody></mujoco>"""


@pytest.fixture
def room():
    model = mujoco.MjModel.from_xml_string(ROOM)
    data = mujoco.MjData(model)
    renderer = Renderer(model, 64)
    yield model, data, renderer
    renderer.close()


def drawn(room, camera="eye"):
    """The picture, which must be the one that is drawn whole."""
    model, data, renderer = room
    mujoco.mj_forward(model, data)
    image = renderer.draw(data, camera)
    assert np.array_equal(image, renderer.draw_whole(data, camera))
    return image.astype(int)


def red(image):
    return int((image[..., 0] > 2 * image[..., 1]).sum())


def test_a_thing_is_seen_before_and_hidden_behind_what_stands_still(room):
    data = room[1]
    counts = []
    for place in (-0.5, 0.5):
        data.joint("side").qpos[0], data.joint("back").qpos[0] = 0.2, place
        counts.append(red(drawn(room)))
    assert counts[0] > 2 * counts[1] > 0


def test_what_stood_still_may_be_moved_and_coloured(room):
    model = room[0]
    before = drawn(room)
    model.body("post").pos[0] -= 0.5
    moved = drawn(room)
    model.geom("post").rgba[:3] = 0.2, 0.2, 0.9
    assert (before != moved).any() and (moved != drawn(room)).any()


def test_glass_lets_through_what_moves_behind_it(room):
    model, data, _ = room
    data.joint("back").qpos[0] = 0.5
    changed = []
    for alpha in (1.0, 0.2):
        model.geom("post").rgba[3] = alpha
        seen = []
        for side in (0.2, 5.0):  # behind the post, and out of sight
            data.joint("side").qpos[0] = side
            seen.append(drawn(room))
        changed.append(int((seen[0] != seen[1]).any(-1).sum()))
    assert changed[1] > changed[0] > 0


def test_a_camera_that_moves_is_drawn_whole(room):
    data = room[1]
    first = drawn(room, "hand")
    data.joint("side").qpos[0] = 0.3
    assert (first != drawn(room, "hand")).any()
