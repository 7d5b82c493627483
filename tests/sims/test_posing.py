import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
from dreamgym.sims.posing import rotation_of, solve_pose  # noqa: E402

ARM = """<mujoco><compiler angle="radian"/><worldbody>
<body><joint name="a" type="hinge" axis="0 0 1"/><geom type="capsule" fromto="0 0 0 1 0 0" size=".01"/>
<body pos="1 0 0"><joint name="b" type="hinge" axis="0 0 1" limited="true" range="-1 1"/>
<geom type="capsule" fromto="0 0 0 1 0 0" size=".01"/><site name="tip" pos="1 0 0"/></body></body>
</worldbody></mujoco>"""


def arm():
    model = mujoco.MjModel.from_xml_string(ARM)
    data = mujoco.MjData(model)
    return model, data, lambda: data.site("tip").xpos[:2]


def test_joints_are_found_from_where_the_tip_is():
    model, data, tip = arm()
    data.qpos[:] = 0.3, 0.2
    left = solve_pose(model, data, [0, 1], tip, np.array([np.cos(0.5) + np.cos(1.2), np.sin(0.5) + np.sin(1.2)]))
    assert left < 1e-4
    np.testing.assert_allclose(data.qpos, [0.5, 0.7], atol=1e-3)


def test_limits_hold_and_what_remains_is_told():
    model, data, tip = arm()
    data.qpos[:] = 0.0, 0.5
    left = solve_pose(model, data, [1], tip, np.array([1.0, -5.0]))
    assert left > 3
    assert abs(data.qpos[1]) <= 1.0
    assert data.qpos[0] == 0.0


def test_a_rotation_is_made_of_columns_that_are_not_quite_one():
    rotation = rotation_of(np.array([2.0, 0.0, 0.0, 0.5, 3.0, 0.0]))
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-12)
