"""Sentences about frames of CALVIN's table say what the observations hold."""

import numpy as np

from dreamgym.suites.calvin.descriptions import describe


def test_sentences_follow_the_state() -> None:
    robot, scene = np.zeros((2, 15), np.float32), np.zeros((2, 24), np.float32)
    scene[1, 0], scene[1, 1], scene[1, 4], scene[1, 5] = 0.28, 0.12, 1, 1
    robot[1, 0] = -0.2
    before, after = ({str(text[i]) for text in describe({"robot_obs": robot, "scene_obs": scene})} for i in range(2))
    assert {"the drawer is closed", "the slider is right", "the lightbulb is off", "the led is off"} <= before
    assert {"the drawer is half open", "the drawer is open 12 centimetres", "the slider is left"} <= after
    assert {"the lightbulb is on", "the led is on", "the hand is sideways at minus 20 centimetres"} <= after
    assert not {"the lightbulb is off", "the drawer is closed"} & after
