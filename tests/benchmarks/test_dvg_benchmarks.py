"""The programs that measure DVG-WM's clips: metrics that can tell, rows of the right name, time that adds up."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_video import small_cascade

from dreamgym.world_models.families.video_cascade import BackboneSize

pytest.importorskip("torchmetrics")
ROOM = Path(__file__).parents[2] / "benchmarks" / "dvg"


@pytest.fixture(scope="module")
def dvg():
    """Imports a module of benchmarks/dvg/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOM)
        yield importlib.import_module
    for name in ("metrics", "quality", "speed", "expert"):
        sys.modules.pop(name, None)


def clips(dvg, number: int = 8):
    """Clips in which a bright square moves right ("open_drawer") or stays and a lamp goes on ("turn_on_led")."""
    frames, scene = torch.full((number, 5, 3, 16, 16), 0.2), torch.zeros(number, 5, 2)
    for i in range(number):
        for t in range(5):
            column = t if i % 2 == 0 else 0
            frames[i, t, :, 9:13, 2 + 2 * column : 5 + 2 * column] = 0.9
            scene[i, t, 0] = column / 4
            if i % 2 and t > 1:
                frames[i, t, 1, :4, 12:], scene[i, t, 1] = 1.0, 1.0
    frames += 0.02 * torch.rand(frames.shape, generator=torch.Generator().manual_seed(0))
    return dvg("metrics").Clips(frames.clamp(0, 1), scene, ("open_drawer", "turn_on_led") * (number // 2))


def test_likeness_of_equal_and_of_shifted_frames(dvg) -> None:
    metrics, frames = dvg("metrics"), clips(dvg).frames[:, 0]
    assert metrics.psnr(frames, frames).tolist() == [60.0] * 8
    torch.testing.assert_close(
        metrics.psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.1)), torch.tensor([20.0])
    )
    assert metrics.ssim(frames, frames).min() > 0.999 > metrics.ssim(frames, frames.roll(4, -1)).max()


def test_the_distance_grows_with_the_difference_and_sees_motion(dvg) -> None:
    metrics, model, real = dvg("metrics"), small_cascade(), clips(dvg, 64).frames
    still = real[:, :1].expand_as(real)
    same, half, none = (metrics.frechet(model, made, real) for made in (real, 0.5 * (real + still), still))
    assert abs(same) < 0.01 * half < half < none


def test_the_probe_reads_what_moved_and_that_nothing_did(dvg) -> None:
    metrics, recorded = dvg("metrics"), clips(dvg)
    probe = metrics.ObjectProbe(small_cascade(), recorded, {"drawer": (0, 1.0), "led": (1, 1.0)})
    found = probe(recorded.frames[:, 0], recorded.frames[:, -1])
    assert found[:2] == [("drawer", 1), ("led", 1)]
    assert metrics.right(found, recorded.tasks) == (1.0, 1.0)
    assert metrics.right(found, ("close_drawer", "turn_off_led") * 4) == (1.0, 0.0)
    assert metrics.right(found, ("turn_on_led", "open_drawer") * 4) == (0.0, 0.0)
    assert probe(recorded.frames[:, 0], recorded.frames[:, 0]) == [(None, 0)] * 8


def test_every_way_of_making_clips_is_measured(dvg, tmp_path: Path) -> None:
    quality, recorded = dvg("quality"), clips(dvg)
    model = small_cascade(tasks={"open_drawer": ("open it",), "turn_on_led": ("on", "light")})
    made = [*quality.controls(model, recorded, recorded), *quality.cascade(model, recorded, 0, [1, 2], 3)]
    made.append(quality.monolithic(model, recorded, 0, 3))
    assert [(m.method, m.steps) for m in made] == [
        ("recorded", 0), ("reconstructed", 0), ("first_frame", 0), ("mean_clip", 0), ("nearest_clip", 0),
        ("preview", 0), ("refined", 1), ("refined", 2), ("refine_only", 2), ("monolithic", 0),
    ]  # fmt: skip
    by_name = {(m.method, m.steps): m for m in made}
    assert all(m.frames.shape == (8, 4, 3, 16, 16) for m in made)
    assert torch.equal(by_name["nearest_clip", 0].frames, recorded.frames[:, 1:])  # each is its own nearest
    assert all(by_name[key].seconds > by_name["preview", 0].seconds * 0.3 for key in (("refined", 1), ("refined", 2)))
    probe = dvg("metrics").ObjectProbe(model, recorded, {"drawer": (0, 1.0), "led": (1, 1.0)})
    rows = [dvg("metrics").measured(m.frames, recorded, model, probe) for m in made]
    assert rows[0]["psnr"] == 60 and rows[0]["object_accuracy"] == 1 and rows[2]["object_accuracy"] == 0
    quality.sheet(tmp_path / "sheet.png", recorded, made)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_a_view_refines_as_the_model_does(dvg) -> None:
    """Clips of `quality.cascade`, which shares previews, are those of `VideoCascade.clip`."""
    quality, recorded = dvg("quality"), clips(dvg, 2)
    model = small_cascade(tasks={"open_drawer": ("open it",), "turn_on_led": ("on",)}, inference_degradation=0.0)
    with torch.no_grad():
        whole = model.clip(recorded.frames[:, 0], torch.tensor([0, 1]), torch.Generator().manual_seed(0)).frames
    shared = {m.method: m.frames for m in quality.cascade(model, recorded, 0, [2], 2)}
    torch.testing.assert_close(shared["refined"], whole)


def test_a_doubt_that_grows_with_time_alone_knows_nothing(dvg) -> None:
    metrics, real = dvg("metrics"), clips(dvg).frames[:, 1:]
    noise = torch.linspace(0.01, 0.2, 8).view(8, 1, 1, 1, 1) * torch.arange(1, 5.0).view(1, 4, 1, 1, 1)
    told = noise[:, :, 0, 0, 0]
    assert metrics.doubt_correlation(told, real + noise, real) == pytest.approx(1)
    assert metrics.doubt_correlation(-told, real + noise, real) == pytest.approx(-1)
    later = torch.arange(4.0).expand(8, -1) + 1e-3 * torch.rand(8, 4, generator=torch.Generator().manual_seed(0))
    assert abs(metrics.doubt_correlation(later, real + noise, real)) < 0.6


def test_a_row_is_replaced_by_its_successor(dvg, tmp_path: Path) -> None:
    quality, file = dvg("quality"), tmp_path / "rows.json"
    for value in (1.0, 2.0):
        quality.put(file, {"method": "preview", "refinement_steps": 0, "seed": 0, "split": "test", "psnr": value})
    quality.put(file, {"method": "preview", "refinement_steps": 0, "seed": 1, "split": "test", "psnr": 3.0})
    assert [r["psnr"] for r in json.loads(file.read_text())["rows"]] == [2.0, 3.0]


@pytest.mark.parametrize("changes", [{"merged": True}, {"cache": 1.0}, {"precision": "bf16"}, {"steps": 2}])
def test_a_faster_setting_is_measured_and_leaves_the_model_as_it_was(dvg, changes: dict) -> None:
    speed, recorded = dvg("speed"), clips(dvg, 2)
    size = BackboneSize(heads=2, head_dim=16, layers=2, time_dim=16, latent_scale=1.0)
    model = small_cascade(tasks={"open_drawer": ("open it",), "turn_on_led": ("on",)}, backbone=size, steps=4)
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(0, 0.1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plain = speed.measured(model, speed.Setting("preview", 4), recorded, 2)
    row = speed.measured(model, speed.Setting("preview", **{"steps": 4, **changes}), recorded, 2)
    assert row["seconds_per_clip"] > 0 and row["flops_per_clip"] <= plain["flops_per_clip"]
    assert row["psnr"] == pytest.approx(plain["psnr"], abs=0.5 if "merged" not in changes else 1e-3)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_the_expert_is_scored_where_the_clips_begin(dvg) -> None:
    expert, store = dvg("expert"), _Store()
    recorded = dvg("metrics").Clips(
        torch.zeros(2, 5, 3, 4, 4), torch.tensor([[[2.0]] * 5, [[1.0]] * 5]), ("open_drawer", "turn_on_led")
    )
    assert [s.tolist() for s in expert.snapshots(store, "test", recorded)] == [[20.0], [10.0]]


class _Store:
    """Two clips of other order than those that are asked for."""

    metas = ({"task": "turn_on_led"}, {"task": "open_drawer"})

    def select(self, split: str) -> "_Store":
        assert split == "test"
        return self

    def __len__(self) -> int:
        return 2

    def episode(self, i: int, keys: list[str]) -> dict[str, np.ndarray]:
        value = np.full((9, 1), i + 1, np.float32)
        return {"scene_obs": value, "snapshot": 10.0 * value}
