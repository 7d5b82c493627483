"""Pictures from any thread."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("mujoco")

import numpy as np

from dreamgym.sims.mujoco_state import mujoco
from dreamgym.sims.offscreen import Offscreen, Picture

BALL = """<mujoco><worldbody><light pos='0 0 3'/><camera name='eye' pos='0 0 2'/>
<geom size='.3' rgba='1 0 0 1'/></worldbody></mujoco>"""


@pytest.fixture
def scene():
    model = mujoco.MjModel.from_xml_string(BALL)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="EGL is Linux's")
def test_a_picture_may_be_asked_for_from_another_thread(scene):
    model, data = scene
    picture = Picture(model, 32, "eye")
    here = picture.draw(data)
    with ThreadPoolExecutor(1) as other:
        there = other.submit(picture.draw, data).result()
        other.submit(picture.close).result()
    assert np.array_equal(here, there)


def test_depth_grows_towards_the_camera_and_is_0_where_nothing_is(scene):
    model, data = scene
    offscreen = Offscreen(model, 32)
    offscreen.update(data, "eye")
    image, depth = offscreen.draw_with_depth()
    assert np.array_equal(image, offscreen.draw())
    assert depth[16, 16] > depth[16, 12] > depth[0, 0] == 0
    offscreen.close()


def test_after_close_there_are_no_pictures(scene):
    model, data = scene
    picture = Picture(model, 32, "eye")
    picture.close()
    picture.close()
    with pytest.raises(ValueError, match="closed"):
        picture.draw(data)
