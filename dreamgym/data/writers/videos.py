"""Cameras as H.264: the episodes of a camera one after the other, in files of a bounded size."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np


class VideoWriter:
    """Writes the episodes of one camera; frame k of a file is shown at k / fps seconds.

    Every second frame is a key frame, as lerobot encodes it, so that any frame is found quickly; there are no frames
    that depend on later ones.

    Args:
        file: (number of the file) -> its path.
        fps: frames a second, Hz.
        crf: constant rate factor of x264, 0 (no loss but that of the colours' own coding) to 51.
        limit: bytes from which on the next episode begins a new file.
    """

    def __init__(self, file: Callable[[int], Path], fps: float, crf: int, limit: int) -> None:
        self._file, self._crf, self._limit = file, crf, limit
        self._rate = Fraction(fps).limit_denominator(10_000)
        self._number, self._frames, self._bytes = 0, 0, 0
        self._container: Any = None
        self._stream: Any = None

    def write(self, pictures: np.ndarray) -> dict[str, Any]:
        """Adds an episode, uint8 [T, H, W, 3].

        Returns:
            Where it lies: "file_index", "from_timestamp" and "to_timestamp" (seconds).
        """
        import av

        if self._container is not None and self._bytes > self._limit:
            self.close()
            self._number += 1
        if self._container is None:
            self._open(*pictures.shape[1:3])
        first = self._frames
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self._frames, 1 / self._rate
            if self._frames == first:
                frame.pict_type = av.video.frame.PictureType.I
            self._mux(frame)
            self._frames += 1
        span = {"from_timestamp": float(first / self._rate), "to_timestamp": float(self._frames / self._rate)}
        return {"file_index": self._number, **span}

    def _open(self, height: int, width: int) -> None:
        import av

        file = self._file(self._number)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(file), "w")
        options = {"crf": str(self._crf), "g": "2", "bf": "0"}
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = pixel_format(height, width)
        self._stream.time_base = self._stream.codec_context.time_base = 1 / self._rate
        self._frames = self._bytes = 0

    def _mux(self, frame: Any) -> None:
        packets = self._stream.encode(frame)
        self._bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)

    def close(self) -> None:
        """Finishes the file under way."""
        if self._container is not None:
            self._mux(None)
            self._container.close()
            self._container = None


def pixel_format(height: int, width: int) -> str:
    """Colours at half the resolution where the size is even, as usual; x264 cannot halve odd sizes."""
    return "yuv444p" if height % 2 or width % 2 else "yuv420p"
