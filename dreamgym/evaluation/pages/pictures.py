"""Pictures of dreams beside reality: clips, filmstrips, drift plots. Needs the report extra."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamgym.evaluation.making.measures import Curve

if TYPE_CHECKING:
    from PIL.Image import Image

INK, DREAM, GREY, PALE = "#1d2733", "#e4572e", "#7b8794", "#c3ccd5"
PLOT_STYLE = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
    "font.family": "sans-serif", "axes.edgecolor": PALE, "xtick.color": GREY, "ytick.color": GREY,
}  # fmt: skip


def _pillow() -> Any:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise ImportError('pictures need Pillow: pip install "dreamgym[report]"') from error
    return Image, ImageDraw, ImageFont


def pyplot() -> Any:
    """matplotlib.pyplot, drawing to memory.

    Raises:
        ImportError: matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "dreamgym[report]"') from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def enlarge(image: np.ndarray, size: int) -> Image:
    """uint8 [H, W, 3] as a picture whose longer side has ``size`` pixels, smoothed."""
    pillow = _pillow()[0]
    picture = pillow.fromarray(np.ascontiguousarray(image))
    scale = size / max(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), pillow.Resampling.BICUBIC)


def _font(size: int) -> Any:
    return _pillow()[2].load_default(size)


def clip_frame(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], captions: Sequence[str], footer: str, size: int
) -> Image:
    """One frame of a clip: the simulator above, the dream below, a column for each camera of each episode."""
    pillow, draw_module, _ = _pillow()
    gap, top, left, bottom = 6, 26, 86, 26
    width = left + len(pairs) * (size + gap)
    canvas = pillow.new("RGB", (width, top + 2 * (size + gap) + bottom), "white")
    draw = draw_module.Draw(canvas)
    for row, (word, color) in enumerate((("simulator", INK), ("dream", DREAM))):
        draw.text((left - 10, top + row * (size + gap) + size // 2), word, fill=color, font=_font(14), anchor="rm")
    for column, (pair, caption) in enumerate(zip(pairs, captions, strict=True)):
        x = left + column * (size + gap)
        draw.text((x + size // 2, top // 2), caption, fill=GREY, font=_font(13), anchor="mm")
        for row, image in enumerate(pair):
            canvas.paste(enlarge(image, size), (x, top + row * (size + gap)))
    draw.text((left, canvas.height - bottom // 2 - 2), footer, fill=GREY, font=_font(13), anchor="lm")
    return canvas


def write_gif(path: Path, frames: Sequence[Image], frame_rate: float) -> None:
    """Writes an endlessly looping GIF of one palette, with pure white in it; the last frame stays for a second."""
    pillow = _pillow()[0]
    sample = [frames[i] for i in np.linspace(0, len(frames) - 1, 4).round().astype(int)]
    mosaic = pillow.new("RGB", (frames[0].width, frames[0].height * len(sample)))
    for i, frame in enumerate(sample):
        mosaic.paste(frame, (0, i * frame.height))
    colors = mosaic.quantize(191, method=pillow.Quantize.MEDIANCUT).getpalette()[: 191 * 3]
    # Near-whites would win against pure white, because Pillow compares colours coarsely.
    paper = [i for i in range(0, len(colors), 3) if min(colors[i : i + 3]) > 235]
    for i in paper:
        colors[i : i + 3] = [255, 255, 255]
    palette = pillow.new("P", (1, 1))
    palette.putpalette([*colors, 255, 255, 255])
    small = [f.quantize(palette=palette, dither=pillow.Dither.NONE) for f in frames]
    durations = [round(1000 / frame_rate)] * (len(small) - 1) + [1000]
    small[0].save(path, save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=True)


def filmstrip(real: np.ndarray, dream: np.ndarray, steps: Sequence[int], size: int = 96) -> Image:
    """Frames [T + 1, H, W, 3] of the simulator above those of the dream, at the given steps."""
    pillow = _pillow()[0]
    gap = 3
    canvas = pillow.new("RGB", (len(steps) * (size + gap) - gap, 2 * size + gap), "white")
    for column, step in enumerate(steps):
        for row, frames in enumerate((real, dream)):
            canvas.paste(enlarge(frames[step], size), (column * (size + gap), row * (size + gap)))
    return canvas


def data_uri(picture: Image | bytes, kind: str = "png") -> str:
    """An image as text that a page can hold."""
    if not isinstance(picture, bytes):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        picture = buffer.getvalue()
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def plot_drift(curves: Mapping[str, Curve], columns: int = 4, title: str = "") -> Any:
    """One small plot a measure: model, repeated last frame, mean; metres are shown in centimetres.

    Returns:
        A matplotlib figure; `save_figure` writes it.
    """
    plt = pyplot()
    names = list(curves)
    # One cell more than there are measures: the legend's.
    rows = -(-(len(names) + 1) // columns)
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(2.9 * columns, 2.3 * rows), squeeze=False)
        for axis in axes.flat[len(names) :]:
            axis.axis("off")
        for axis, name in zip(axes.flat, names, strict=False):
            _plot_curve(axis, name, curves[name])
        handles, labels = axes.flat[0].get_legend_handles_labels()
        axes.flat[len(names)].legend(handles[::-1], labels[::-1], loc="center left", frameon=False, labelcolor=INK)
        if title:
            figure.suptitle(title, color=INK)
        figure.tight_layout(h_pad=1.6, w_pad=1.6)
    return figure


def _plot_curve(axis: Any, name: str, curve: Curve) -> None:
    scale, unit = (
        (100.0, "cm") if curve.unit == "m" else (100.0, "% right") if "share" in curve.unit else (1.0, curve.unit)
    )
    steps = np.asarray(curve.steps)
    lines = (("repeat the start", curve.repeat, GREY, "--", 1.3), ("mean of training", curve.mean, PALE, "-.", 1.3))
    for label, values, color, style, width in (*lines, ("dream", curve.model, DREAM, "-", 2.0)):
        if not values:
            continue
        axis.plot(steps, scale * np.asarray(values), style, color=color, linewidth=width, label=label)
    if unit == "cm":
        axis.set_ylim(0, max(1.0, axis.get_ylim()[1]))
    elif "%" in unit:
        axis.set_ylim(min(80.0, axis.get_ylim()[0]), 101)
    axis.set_title(f"{curve.label or name}, {unit}", loc="left", fontsize=10.5, color=INK)
    axis.set_xlabel("imagined steps", color=GREY, fontsize=9)
    quiet(axis)


def quiet(axis: Any, grid: str = "y") -> None:
    """A light grid behind the lines, and no ticks."""
    axis.grid(axis=grid, color="#eceff2", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)


def save_figure(figure: Any, path: Path) -> None:
    """Writes a figure in the format of the path's ending, and closes it."""
    figure.savefig(path, dpi=150)
    pyplot().close(figure)


def figure_svg(figure: Any) -> str:
    """A figure as an <svg> element for a page; closes it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    pyplot().close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
