"""Pictures on a machine without a screen."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("mujoco")

SCRIPT = """
import logging

logging.basicConfig(level=logging.INFO)
import mujoco  # before dreamgym: MuJoCo chooses GLFW
from dreamgym.sims.offscreen import Picture

model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><camera name='eye' pos='0 0 2'/>"
    "<geom size='.3' rgba='1 0 0 1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
picture = Picture(model, 32, "eye")
red = picture.draw(data)[16, 16].astype(int)
assert red[0] > 2 * red[1], red
print("drawn")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="EGL is Linux's")
def test_pictures_need_no_screen_whoever_imported_mujoco_first():
    """Nor does a renderer that nobody closed end in a traceback, nor OpenGL tell of its optional parts."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM")}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=120)
    assert "drawn" in ran.stdout, ran.stderr
    assert ran.stderr == ""
