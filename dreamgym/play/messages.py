"""What browser and server say to each other: checked words in, frames out."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from dreamgym.play.session import Frame

LONGEST = 4096  # bytes of a message of the player's; an action of 40 numbers takes a tenth of that

FIELDS: dict[str, dict[str, type]] = {
    "action": {"value": list},
    "reset": {"task": str},
    "pause": {"on": bool},
    "speed": {"value": float},
    "mark": {},
    "return": {},
    "keep": {},
    "shown": {"frame": int},
}
"""Kinds of a player's messages, with their fields."""


class MessageError(ValueError):
    """A message that is none of the kinds, or lacks what it should hold."""


def read(text: str | bytes) -> dict[str, Any]:
    """A player's message, checked.

    Returns:
        ``{"kind": ..., fields...}``.

    Raises:
        MessageError: it is none; says what was expected.
    """
    if len(text) > LONGEST:
        raise MessageError(f"a message has at most {LONGEST} bytes, got {len(text)}")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"a message is JSON ({error})") from error
    kind = message.get("kind") if isinstance(message, dict) else None
    if not isinstance(kind, str) or kind not in FIELDS:
        raise MessageError(f"a message is an object whose kind is one of {list(FIELDS)}")
    for name, wanted in FIELDS[kind].items():
        value = message.get(name)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise MessageError(f"{kind} needs {name!r}, a {wanted.__name__}; got {type(value).__name__}")
        message[name] = value
    if kind == "action":
        numbers = message["value"]
        if not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in numbers):
            raise MessageError("an action is a list of finite numbers")
    if kind == "speed" and not 0.05 <= message["value"] <= 4:
        raise MessageError(f"speed lies in 0.05 to 4 times real time, got {message['value']}")
    return message


def packed(frame: Frame, number: int) -> bytes:
    """A frame for the browser: uint32 length of the head (big endian), the head in JSON, pixels of dream and twin.

    Pixels are RGB, row by row; the head's "shape" of each side says how many.
    """
    head: dict[str, Any] = {"frame": number}
    pixels = b""
    for name in ("dream", "twin"):
        side = getattr(frame, name)
        if side is None:
            head[name] = None
            continue
        picture = np.ascontiguousarray(side.picture, np.uint8)
        head[name] = {k: v for k, v in asdict(side).items() if k != "picture"} | {"shape": list(picture.shape[:2])}
        # JSON has no infinity and no NaN.
        for key, value in head[name].items():
            if isinstance(value, float) and not math.isfinite(value):
                head[name][key] = None
        pixels += picture.tobytes()
    for key in ("task", "start", "elapsed", "marked", "recorded"):
        head[key] = getattr(frame, key)
    text = json.dumps(head).encode()
    return len(text).to_bytes(4, "big") + text + pixels
