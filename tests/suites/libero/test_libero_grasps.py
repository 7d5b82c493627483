import json

import numpy as np
import pytest

from dreamgym.suites.libero.grasps import Grasp, read_grasps, rotation_matrix, rotation_vector

WAY = {"point": [0, 0, 0.1], "approach": [0, 0, -1], "closing": [0, 2, 0]}


def written(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_readers_file_adds_kinds_and_replaces_shipped_ones(tmp_path):
    path = written(tmp_path, {"things": {"teapot": [WAY], "butter": [WAY]}, "pulls": {"safe": {"door": [WAY]}}})
    found, shipped = read_grasps(path), read_grasps()
    assert found.things["teapot"] == (Grasp((0, 0, 0.1), (0, 0, -1), (0, 1, 0)),)
    assert found.things["butter"] == found.things["teapot"] != shipped.things["butter"]
    assert found.things["milk"] == shipped.things["milk"]
    assert ("safe", "door") in found.pulls and ("safe", "door") not in shipped.pulls


def test_poses_are_right_handed_and_go_round():
    poses = list(Grasp((0.1, 0, 0), (0, 0, -1), (1, 0, 0), turns=4).poses())
    assert len(poses) == 8  # four places, either way round
    for point, rotation in poses:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert np.linalg.norm(point) == pytest.approx(0.1)
        assert abs(rotation[:, 0] @ point) == pytest.approx(0.1)  # the fingers close towards the axis
        np.testing.assert_allclose(rotation[:, 2], [0, 0, -1], atol=1e-9)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "damaged file of grasps"),
        ({"holds": {}}, "holds"),
        ({"things": {"teapot": []}}, "teapot: expected a list"),
        ({"things": {"teapot": [{**WAY, "closing": [0, 0, 1]}]}}, "right angles"),
        ({"things": {"teapot": [{**WAY, "approach": [0, 0]}]}}, "three numbers"),
        ({"things": {"teapot": [{**WAY, "turns": 0}]}}, "whole number"),
        ({"things": {"teapot": [{"point": [0, 0, 0]}]}}, "approach"),
        ({"pulls": {"safe": [WAY]}}, "damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, what):
    with pytest.raises(ValueError, match=what) as caught:
        read_grasps(written(tmp_path, content))
    assert "mine.json" in str(caught.value)


def test_rotation_vectors_and_matrices_agree():
    for vector in ([0.3, -0.2, 0.9], [0, 0, 0], [0, 3.0, 0]):
        np.testing.assert_allclose(rotation_vector(rotation_matrix(np.array(vector))), vector, atol=1e-9)
