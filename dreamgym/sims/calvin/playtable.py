"""The built-in play table: CALVIN's furniture rebuilt from boxes, with pybullet_data's Panda.

Joint names, axes, ranges and the places of handles, button and switch follow CALVIN's table D, so that the same
scripted skills work on both; shapes and colours are our own. All numbers are metres in the frame of their link.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from math import pi
from pathlib import Path

from dreamgym.sims.calvin.assets import write_once
from dreamgym.sims.calvin.scenes import Scene, SceneFiles

Vector = tuple[float, float, float]

MAPLE = (0.90, 0.76, 0.55)
OAK = (0.72, 0.52, 0.33)
WALNUT = (0.42, 0.29, 0.20)
TEAL = (0.16, 0.56, 0.56)
ORANGE = (0.93, 0.55, 0.20)
GRAPHITE = (0.20, 0.21, 0.24)
IVORY = (0.95, 0.95, 0.93)
SLATE = (0.47, 0.54, 0.60)
BLOCK_COLORS = {"red": (0.86, 0.10, 0.12), "blue": (0.10, 0.22, 0.86), "pink": (1.0, 0.35, 0.78)}
BLOCK_FRICTION = {"lateral_friction": 0.7, "spinning_friction": 0.001}

SLOPE = pi / 6  # the cabinet's front leans back by this much from the vertical


@dataclass(frozen=True)
class Part:
    """A shape of a link: a box by its corners, a cylinder along z or a sphere by centre, or a prism.

    Attributes:
        low, high: corners of the box, or of the box around a cylinder or sphere.
        color: red, green, blue in [0, 1].
        shape: "box", "cylinder", "sphere", or "prism", whose section in y and z is ``outline``.
        collides: whether others bump into it.
        tilt: rotation about x, radians, around the link's origin.
        outline: (y, z) corners of a convex prism, counter-clockwise seen from +x.
    """

    low: Vector
    high: Vector
    color: Vector
    shape: str = "box"
    collides: bool = True
    tilt: float = 0.0
    outline: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Link:
    """A link and the joint that carries it; ``reach`` 0 makes the joint fixed."""

    name: str
    parts: tuple[Part, ...]
    joint: str = ""
    origin: Vector = (0.0, 0.0, 0.0)
    roll: float = 0.0
    axis: Vector = (0.0, 0.0, 1.0)
    reach: float = 0.0
    mass: float = 0.0


def _cabinet(x_low: float, x_high: float) -> Part:
    """A piece of the cabinet with the sloped front, right of, left of the shelf."""
    outline = ((0.02, 0.44), (0.18, 0.44), (0.18, 0.648), (0.14, 0.648))
    return Part((x_low, 0.02, 0.44), (x_high, 0.18, 0.648), OAK, "prism", outline=outline)


def _rail(x: float) -> Part:
    """A dark strip on the cabinet's front along which the switch slides."""
    return Part((x - 0.008, 0.045, 0.499), (x + 0.008, 0.11, 0.595), WALNUT, "prism", collides=False, outline=(
        (0.053, 0.502), (0.058, 0.499), (0.111, 0.592), (0.106, 0.595)
    ))  # fmt: skip


BASE = Link(
    "base_link",
    (
        *(
            Part((x - 0.02, y - 0.016, 0.0), (x + 0.02, y + 0.016, 0.40), WALNUT)
            for x in (-0.42, 0.42)
            for y in (-0.164, 0.164)
        ),
        Part((-0.44, -0.18, 0.40), (0.44, 0.02, 0.44), MAPLE),
        Part((-0.44, 0.02, 0.40), (0.44, 0.18, 0.42), MAPLE),
        Part((-0.44, 0.02, 0.42), (-0.36, 0.18, 0.44), MAPLE),
        Part((0.16, 0.02, 0.42), (0.44, 0.18, 0.44), MAPLE),
        Part((-0.36, 0.16, 0.42), (0.16, 0.18, 0.63), WALNUT),
        Part((-0.36, 0.14, 0.63), (0.16, 0.18, 0.648), OAK),
        Part((-0.40, -0.16, 0.30), (-0.045, 0.16, 0.40), OAK),
        Part((-0.045, 0.145, 0.30), (0.405, 0.16, 0.40), OAK),
        _cabinet(-0.44, -0.36),
        _cabinet(0.16, 0.44),
        _rail(0.25),
        _rail(0.35),
        Part((-0.162, -0.162, 0.44), (-0.078, -0.078, 0.455), WALNUT, "cylinder"),
    ),
)
BUTTON = Link(
    "button_link",
    (Part((-0.031, -0.031, -0.004), (0.031, 0.031, 0.024), GRAPHITE, "cylinder"),),
    joint="base__button",
    origin=(-0.12, -0.12, 0.46),
    axis=(0.0, 0.0, -1.0),
    reach=0.02,
    mass=0.15,
)
SWITCH = Link(
    "switch_link",
    (
        Part((-0.06, 0.0, -0.024), (-0.04, 0.044, 0.008), GRAPHITE),
        Part((0.04, 0.0, -0.024), (0.06, 0.044, 0.008), GRAPHITE),
        Part((-0.06, 0.044, -0.024), (0.06, 0.064, 0.008), TEAL),
    ),
    joint="base__switch",
    origin=(0.30, 0.0609, 0.4949),
    roll=5 * SLOPE,
    axis=(0.0, 0.0, -1.0),
    reach=0.088,
    mass=0.24,
)
SLIDE = Link(
    "slide_link",
    (
        Part((0.0, -0.11, 0.0), (0.28, 0.11, 0.02), ORANGE),
        Part((0.12, -0.08, 0.02), (0.16, -0.055, 0.08), GRAPHITE),
        Part((0.12, 0.055, 0.02), (0.16, 0.08, 0.08), GRAPHITE),
        Part((0.12, -0.055, 0.055), (0.16, 0.055, 0.08), GRAPHITE),
    ),
    joint="base__slide",
    origin=(-0.10, 0.075, 0.5353),
    roll=2 * SLOPE,
    axis=(-1.0, 0.0, 0.0),
    reach=0.28,
    mass=1.5,
)
DRAWER = Link(
    "drawer_link",
    (
        Part((-0.20, -0.02, -0.06), (0.20, -0.005, 0.16), OAK),
        Part((-0.20, -0.005, -0.06), (-0.185, 0.06, 0.16), OAK),
        Part((0.185, -0.005, -0.06), (0.20, 0.06, 0.16), OAK),
        Part((-0.185, -0.005, -0.06), (0.185, 0.06, -0.045), OAK),
        Part((-0.22, -0.02, 0.16), (0.22, 0.079, 0.18), TEAL),
        Part((-0.12, 0.02, 0.18), (-0.095, 0.06, 0.235), GRAPHITE),
        Part((0.095, 0.02, 0.18), (0.12, 0.06, 0.235), GRAPHITE),
        Part((-0.12, 0.02, 0.235), (0.12, 0.06, 0.26), GRAPHITE),
    ),
    joint="base__drawer",
    origin=(0.18, 0.0, 0.32),
    roll=pi / 2,
    axis=(0.0, 0.0, 1.0),
    reach=0.22,
    mass=4.2,
)
LED = Link("led_link", (Part((-0.08, -0.022, 0.0), (0.08, 0.022, 0.018), IVORY),), "base__led", (-0.12, 0.16, 0.648))
BULB = Link(
    "light_link", (Part((-0.03, -0.03, 0.0), (0.03, 0.03, 0.06), IVORY, "sphere"),), "base__light", (0.30, 0.16, 0.648)
)
PLANK = Link("plank_link", (Part((-0.26, -0.07, 0.0), (0.26, 0.07, 0.02), MAPLE),), "base__plank", (-0.10, 0.09, 0.42))
TABLE = (BASE, BUTTON, SWITCH, SLIDE, DRAWER, LED, BULB, PLANK)

FINGER = (
    Part((-0.010, 0.004, 0.0), (0.010, 0.024, 0.040), IVORY),
    Part((-0.009, 0.004, 0.040), (0.009, 0.014, 0.096), IVORY),
    Part((-0.009, 0.001, 0.066), (0.009, 0.004, 0.096), GRAPHITE),
)


def playtable_files(scene: Scene) -> SceneFiles:
    """Write the built-in scene's descriptions to the cache, once, and return where they are."""
    table = _robot_element("playtable", TABLE)
    plane = _robot_element("floor", (Link("base_link", (Part((-4.0, -4.0, -0.02), (4.0, 4.0, 0.0), SLATE),)),))
    blocks = {}
    for color, size in scene.blocks.items():
        x, y, z = (float(edge) / 2 for edge in size)
        part = Part((-x, -y, -z), (x, y, z), BLOCK_COLORS[color])
        block = _robot_element(f"block_{color}", (Link("base_link", (part,), mass=1.0),))
        contact = ElementTree.SubElement(_child(block, "link"), "contact")
        for name, value in BLOCK_FRICTION.items():
            ElementTree.SubElement(contact, name, value=str(value))
        blocks[color] = _save(f"block_{color}", block)
    return SceneFiles(_save("panda", _panda()), _save("playtable", table), _save("floor", plane), blocks)


def _save(name: str, robot: ElementTree.Element) -> Path:
    ElementTree.indent(robot)
    return write_once(name, ".urdf", ElementTree.tostring(robot))


def _child(element: ElementTree.Element, path: str) -> ElementTree.Element:
    """The element at ``path``, which is known to be there."""
    found = element.find(path)
    assert found is not None, f"no {path} in {element.tag}"
    return found


def _vector(values: Iterable[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def _robot_element(name: str, links: tuple[Link, ...]) -> ElementTree.Element:
    robot = ElementTree.Element("robot", name=name)
    for link in links:
        element = ElementTree.SubElement(robot, "link", name=link.name)
        inertial = ElementTree.SubElement(element, "inertial")
        ElementTree.SubElement(inertial, "origin", xyz="0 0 0", rpy="0 0 0")
        ElementTree.SubElement(inertial, "mass", value=str(link.mass))
        # Bullet computes inertia from the collision shapes; the format wants numbers nevertheless.
        ElementTree.SubElement(inertial, "inertia", ixx="0", ixy="0", ixz="0", iyy="0", iyz="0", izz="0")
        for index, part in enumerate(link.parts):
            _add_part(element, part, f"{name}_{link.name}_{index}")
        if link.joint:
            _add_joint(robot, link)
    return robot


def _add_joint(robot: ElementTree.Element, link: Link) -> None:
    joint = ElementTree.SubElement(robot, "joint", name=link.joint, type="prismatic" if link.reach else "fixed")
    ElementTree.SubElement(joint, "origin", xyz=_vector(link.origin), rpy=_vector((link.roll, 0.0, 0.0)))
    ElementTree.SubElement(joint, "parent", link="base_link")
    ElementTree.SubElement(joint, "child", link=link.name)
    ElementTree.SubElement(joint, "axis", xyz=_vector(link.axis))
    ElementTree.SubElement(joint, "limit", lower="0", upper=str(link.reach), effort="0", velocity="0")


def _add_part(link: ElementTree.Element, part: Part, name: str, turn: float = 0.0) -> None:
    """Add a part's visual and, if it collides, its collision shape; ``turn`` rotates it about z, radians."""
    for kind in ("visual", "collision") if part.collides else ("visual",):
        element = ElementTree.SubElement(link, kind)
        center = [(low + high) / 2 for low, high in zip(part.low, part.high, strict=True)]
        if part.shape == "prism":
            center = [0.0, 0.0, 0.0]
        if turn:
            center = [-center[0], -center[1], center[2]]
        ElementTree.SubElement(element, "origin", xyz=_vector(center), rpy=_vector((part.tilt, 0.0, turn)))
        _add_shape(ElementTree.SubElement(element, "geometry"), part, name)
        if kind == "visual":
            # Bullet identifies materials by name: the name must change with the colour.
            label = "rgb" + "_".join(f"{channel:.3f}" for channel in part.color)
            material = ElementTree.SubElement(element, "material", name=label)
            ElementTree.SubElement(material, "color", rgba=_vector((*part.color, 1.0)))


def _add_shape(geometry: ElementTree.Element, part: Part, name: str) -> None:
    size = [high - low for low, high in zip(part.low, part.high, strict=True)]
    if part.shape == "box":
        ElementTree.SubElement(geometry, "box", size=_vector(size))
    elif part.shape == "cylinder":
        ElementTree.SubElement(geometry, "cylinder", radius=f"{size[0] / 2:.9g}", length=f"{size[2]:.9g}")
    elif part.shape == "sphere":
        ElementTree.SubElement(geometry, "sphere", radius=f"{size[0] / 2:.9g}")
    else:
        ElementTree.SubElement(geometry, "mesh", filename=str(_write_prism(part, name)))


def _write_prism(part: Part, name: str) -> Path:
    """Write a prism along x as a Wavefront mesh, one normal a face, and return its path."""
    count = len(part.outline)
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x in (part.low[0], part.high[0]) for y, z in part.outline]
    lines += ["vn -1 0 0", "vn 1 0 0"]
    for (y, z), (next_y, next_z) in zip(part.outline, (*part.outline[1:], part.outline[0]), strict=True):
        length = ((next_y - y) ** 2 + (next_z - z) ** 2) ** 0.5
        lines.append(f"vn 0 {(next_z - z) / length:.9g} {-(next_y - y) / length:.9g}")
    for index in range(1, count - 1):
        lines.append(f"f 1//1 {index + 2}//1 {index + 1}//1")
        lines.append(f"f {count + 1}//2 {count + index + 1}//2 {count + index + 2}//2")
    for index in range(count):
        one, other = index + 1, (index + 1) % count + 1
        normal = index + 3
        lines.append(f"f {one}//{normal} {other}//{normal} {count + other}//{normal}")
        lines.append(f"f {one}//{normal} {count + other}//{normal} {count + one}//{normal}")
    return write_once(name, ".obj", ("\n".join(lines) + "\n").encode())


def _panda() -> ElementTree.Element:
    """Return pybullet_data's Panda with CALVIN's longer fingers, tool centre point and camera mount."""
    import pybullet_data

    folder = Path(pybullet_data.getDataPath()) / "franka_panda"
    # Files of pybullet's own package or of this one; a checkpoint cannot name others.
    robot = ElementTree.parse(folder / "panda.urdf").getroot()  # noqa: S314
    for mesh in robot.iter("mesh"):
        mesh.set("filename", str(folder / mesh.get("filename", "").removeprefix("package://")))
    for name, turn in (("panda_leftfinger", 0.0), ("panda_rightfinger", pi)):
        link = next(element for element in robot.iter("link") if element.get("name") == name)
        for element in link.findall("visual") + link.findall("collision"):
            link.remove(element)
        for index, part in enumerate(FINGER):
            _add_part(link, part, f"finger_{index}", turn)
    mount = Part((-0.04, -0.0125, -0.005), (0.04, 0.0125, 0.005), GRAPHITE, collides=False)
    _attach(robot, "gripper_cam", "camera_joint", (-0.1, 0.0, 0.0), (1.3, 0.0, -1.57), 0.2, (mount,))
    _attach(robot, "tcp", "tcp_joint", (0.0, 0.0, 0.14), (0.0, 0.0, 0.0), 0.00001, ())
    return robot


def _attach(
    robot: ElementTree.Element, name: str, joint: str, xyz: Vector, rpy: Vector, mass: float, parts: tuple[Part, ...]
) -> None:
    """Fix a new link to the hand."""
    link = _child(_robot_element(name, (Link(name, parts, mass=mass),)), "link")
    _child(link, "inertial/inertia").attrib.update(ixx="0.1", iyy="0.1", izz="0.1")
    robot.append(link)
    element = ElementTree.SubElement(robot, "joint", name=joint, type="fixed")
    ElementTree.SubElement(element, "parent", link="panda_hand")
    ElementTree.SubElement(element, "child", link=name)
    ElementTree.SubElement(element, "origin", xyz=_vector(xyz), rpy=_vector(rpy))
