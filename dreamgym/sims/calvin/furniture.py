"""The play table: sliding door, drawer, button, switch, and the two lights they drive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

JOINTS = ("base__slide", "base__drawer", "base__button", "base__switch")
LIGHT_LINKS = ("light_link", "led_link")
LIGHT_COLORS = ((1.0, 1.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0))
LIGHT_OFF = (1.0, 1.0, 1.0, 1.0)
JOINT_FORCE = 4.0
BUTTON, SWITCH = 2, 3
BULB, LED = 0, 1


class Furniture:
    """The table and the logic of its lights.

    The switch holds the bulb on while it stands beyond the middle of its range; the button toggles the LED each time it
    passes the middle on its way in.

    Args:
        bullet: the pybullet module.
        client: the physics client.
        urdf: description with the four joints and the two light links.
        scaling: global scaling of the description.
    """

    def __init__(self, bullet: Any, client: int, urdf: Path, scaling: float) -> None:
        self._bullet, self._client = bullet, client
        self.body = bullet.loadURDF(str(urdf), [0, 0, 0], [0, 0, 0, 1], globalScaling=scaling, physicsClientId=client)
        info = [
            bullet.getJointInfo(self.body, index, physicsClientId=client)
            for index in range(bullet.getNumJoints(self.body, physicsClientId=client))
        ]
        by_name = {row[1].decode(): row for row in info}
        self.links = {row[12].decode(): row[0] for row in info} | {"base_link": -1}
        self.joints = [by_name[name][0] for name in JOINTS]
        self.lower = np.array([by_name[name][8] for name in JOINTS])
        self.upper = np.array([by_name[name][9] for name in JOINTS])
        self.middle = (self.lower + self.upper) / 2
        self.lights = [0, 0]  # bulb, LED
        self.button_pressed = False
        self.switch_on = False
        self._set_motors()
        for light in (BULB, LED):
            self._paint(light)

    def _set_motors(self) -> None:
        """Give door, drawer and switch friction, and the button a spring back to its rest."""
        for name, index in zip(JOINTS, self.joints, strict=True):
            spring = name == JOINTS[BUTTON]
            self._bullet.setJointMotorControl2(
                self.body,
                index,
                self._bullet.POSITION_CONTROL if spring else self._bullet.VELOCITY_CONTROL,
                force=JOINT_FORCE,
                physicsClientId=self._client,
            )

    def _paint(self, light: int) -> None:
        color = LIGHT_COLORS[light] if self.lights[light] else LIGHT_OFF
        link = self.links[LIGHT_LINKS[light]]
        self._bullet.changeVisualShape(self.body, link, rgbaColor=color, physicsClientId=self._client)

    def set_light(self, light: int, on: bool) -> None:
        """Switch a light and repaint it if it changed."""
        if self.lights[light] != int(on):
            self.lights[light] = int(on)
            self._paint(light)

    def reset(self, joints: ArrayLike, lights: Sequence[bool] | np.ndarray) -> None:
        """Set the four joints at rest and both lights (bulb, LED)."""
        self.write_joints(np.concatenate([joints, np.zeros(4)]))
        for light in (BULB, LED):
            self.set_light(light, bool(lights[light]))
        self.button_pressed = self._is_beyond(BUTTON)
        # The switch counts as off until the first step, so that a bulb given as dark lights up there, as in CALVIN.
        self.switch_on = False

    def _is_beyond(self, joint: int) -> bool:
        return self.positions()[joint] > self.middle[joint]

    def update_lights(self) -> None:
        """Let button and switch act on the lights; call once a control step."""
        pressed, on = self._is_beyond(BUTTON), self._is_beyond(SWITCH)
        if pressed and not self.button_pressed:
            self.set_light(LED, not self.lights[LED])
        if on != self.switch_on:
            self.set_light(BULB, on)
        self.button_pressed, self.switch_on = pressed, on

    def positions(self) -> np.ndarray:
        """Return slider, drawer, button and switch positions (4,), metres."""
        states = self._bullet.getJointStates(self.body, self.joints, physicsClientId=self._client)
        return np.array([state[0] for state in states])

    def read_joints(self) -> np.ndarray:
        """Return positions then velocities (8,)."""
        states = self._bullet.getJointStates(self.body, self.joints, physicsClientId=self._client)
        return np.array([state[0] for state in states] + [state[1] for state in states])

    def write_joints(self, values: np.ndarray) -> None:
        """Set what :meth:`read_joints` returned."""
        for index, position, velocity in zip(self.joints, values[:4], values[4:], strict=True):
            self._bullet.resetJointState(self.body, index, position, velocity, physicsClientId=self._client)
