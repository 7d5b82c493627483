import re

import pytest
from trajectories import made_up

pytest.importorskip("matplotlib")
pillow = pytest.importorskip("PIL.Image")

from dreamgym.evaluation.pages.page import write_page  # noqa: E402
from dreamgym.evaluation.pages.pictures import clip_frame, filmstrip, plot_drift, save_figure, write_gif  # noqa: E402
from dreamgym.evaluation.statistics.comparison import compare as compare_by  # noqa: E402
from dreamgym.suites import suite  # noqa: E402

FACTS = {
    "dream_id": "Dream-PlayTable-v0", "task": "open_drawer", "real_id": "Real-PlayTable-v0", "checkpoint": "playtable",
    "version": "0",
    "seed": 0, "machine": "<two> cores", "speed": {"dream_1": 900.0, "dream_many": 21000.0, "many": 64, "real": 80.0},
}  # fmt: skip


def compare(*played):
    return compare_by(*played, suite("calvin").measures)


def clip(path):
    real, dream, _ = made_up()
    frames = [
        clip_frame([(real.frames["rgb_static"][0, t], dream.frames["rgb_static"][0, t])], ["open"], f"{t}", 64)
        for t in range(21)
    ]
    write_gif(path, frames, 15)
    return frames


def test_a_clip_has_every_frame_and_loops(tmp_path):
    frames = clip(tmp_path / "clip.gif")
    with pillow.open(tmp_path / "clip.gif") as gif:
        assert gif.n_frames == len(frames)
        assert gif.size == frames[0].size
        assert gif.info["loop"] == 0


def test_the_page_holds_everything_itself(tmp_path):
    clip(tmp_path / "clip.gif")
    real, dream, sequences = made_up()
    page = write_page(
        (tmp_path / "clip.gif").read_bytes(), real, dream, sequences, compare(real, dream, sequences), [1, 10], FACTS
    )
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 1 + 4
    assert all(s.startswith("data:image/") for s in sources)
    assert not re.search(r'(href|src)="https?:', page)
    assert "&lt;two&gt; cores" in page
    assert "2.0 cm" in page  # the drawer after ten steps


def test_a_page_without_cameras_still_shows_the_state(tmp_path):
    clip(tmp_path / "clip.gif")
    real, dream, sequences = made_up()
    dream.frames.clear()
    page = write_page(b"", real, dream, sequences, compare(real, dream, sequences), [20], FACTS)
    assert "drawer" in page
    assert page.count("<img") == 1


def test_a_drift_plot_is_written(tmp_path):
    save_figure(plot_drift(compare(*made_up()).curves, title="drift"), tmp_path / "drift.png")
    with pillow.open(tmp_path / "drift.png") as picture:
        assert picture.width > 1000


def test_a_filmstrip_shows_reality_above_the_dream():
    real, dream, _ = made_up()
    strip = filmstrip(real.frames["rgb_static"][0], dream.frames["rgb_static"][0], [0, 10, 20], size=16)
    assert strip.size == (3 * 16 + 2 * 3, 2 * 16 + 3)
    assert strip.getpixel((40, 1)) == tuple(real.frames["rgb_static"][0, 20, 1, 1])
    assert strip.getpixel((40, 21)) == tuple(dream.frames["rgb_static"][0, 20, 1, 1])
