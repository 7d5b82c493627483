import json
import sys
import types
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

from dreamgym.nn.layout import lay_out_by_input
from dreamgym.rewards.decoded import DecodedStateReward
from dreamgym.training import checkpoint
from dreamgym.training.checkpoint import CheckpointError, load, save
from dreamgym.training.packing import round_weights
from dreamgym.world_models.families.rssm import RSSM, RSSMConfig
from dreamgym.world_models.families.rssm.config import SCENE_OBS
from dreamgym.world_models.probe import StateProbe

SMALL = {"deter": 16, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "vector_units": 16, "ensemble_units": 4}


def model(seed: int = 0, **changes: object) -> RSSM:
    torch.manual_seed(seed)
    return RSSM(RSSMConfig.tiny(variant="state", **{**SMALL, **changes})).eval()


def starts() -> dict[str, torch.Tensor]:
    return {
        "state/latent": torch.rand(5, 32).half(),
        "task": torch.arange(5) % 2,
        "split": torch.zeros(5, dtype=torch.int64),
        "snapshot": torch.rand(5, 3, dtype=torch.float64),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    m = model()
    m.spec = m.spec.with_uncertainty_limit(0.25)
    return save(
        tmp_path / "dream",
        m,
        rewards={"decoded": DecodedStateReward("calvin", ("open_drawer", "turn_on_led"))},
        starts=starts(),
        probe=StateProbe(32, {"scene_obs": SCENE_OBS}, units=8),
        simulator={"id": "Real-PlayTable-v0", "kwargs": {"image_size": 64}},
        metrics={"psnr": 30.5},
        card="# A dream\n",
        starts_meta={"tasks": ["open_drawer", "turn_on_led"]},
    )


def edit(folder: Path, **changes: object) -> None:
    """Changes config.json as a program that knows the format would: with a digest that fits."""
    config = json.loads((folder / "config.json").read_text()) | changes
    config["digest"] = checkpoint._digest({k: v for k, v in config.items() if k != "digest"})
    (folder / "config.json").write_text(json.dumps(config))


def test_everything_comes_back(folder: Path) -> None:
    loaded = load(folder)
    for name, value in model().state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    assert loaded.spec.uncertainty_limit == 0.25
    assert loaded.model.spec == loaded.spec
    assert loaded.rewards["decoded"].tasks == ("open_drawer", "turn_on_led")
    assert loaded.starts_meta == {"tasks": ["open_drawer", "turn_on_led"]}
    assert loaded.starts is not None
    assert {k: v.dtype for k, v in loaded.starts.items()} == {k: v.dtype for k, v in starts().items()}
    assert loaded.probe is not None
    assert loaded.probe.keys == ("scene_obs",)
    assert loaded.simulator == {"id": "Real-PlayTable-v0", "kwargs": {"image_size": 64}}
    assert loaded.metrics == {"psnr": 30.5}
    assert (folder / "README.md").read_text() == "# A dream\n"


def test_loaded_model_dreams_the_same(folder: Path) -> None:
    draws = torch.Generator().manual_seed(1)
    action, state = torch.rand(3, 7, generator=draws), {"latent": torch.rand(3, 32, generator=draws)}
    # Frozen and laid out as loaded weights are: else the products take another path, and their last bit may differ.
    both = lay_out_by_input(model().requires_grad_(False)), load(folder).model
    a, b = (m.imagine(state, action, torch.Generator().manual_seed(0))["latent"] for m in both)
    assert torch.equal(a, b)


def test_loaded_modules_are_frozen_and_in_eval_mode(folder: Path) -> None:
    loaded = load(folder)
    assert loaded.probe is not None
    for module in (loaded.model, loaded.probe, *loaded.rewards.values()):
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def test_bare_model_is_a_checkpoint(tmp_path: Path) -> None:
    loaded = load(save(tmp_path / "bare", model()))
    assert (loaded.rewards, loaded.starts, loaded.probe, loaded.simulator) == ({}, None, None, None)


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    whole, half = save(tmp_path / "whole", model()), save(tmp_path / "half", model(), dtype=torch.float16)
    sizes = [(p / "model.safetensors").stat().st_size for p in (whole, half)]
    assert sizes[1] < 0.7 * sizes[0]
    loaded = load(half).model
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for name, value in model().state_dict().items():
        assert torch.allclose(loaded.state_dict()[name], value, atol=1e-3), name


def test_int8_quarters_the_model_and_loads_what_was_rounded(tmp_path: Path) -> None:
    rounded = model(units=128)
    round_weights(rounded, torch.int8)
    whole, small = save(tmp_path / "whole", rounded), save(tmp_path / "small", rounded, dtype=torch.int8)
    sizes = [(p / "model.safetensors").stat().st_size for p in (whole, small)]
    assert sizes[1] < 0.5 * sizes[0]
    for name, value in load(small).model.state_dict().items():
        assert torch.allclose(rounded.state_dict()[name], value, rtol=1e-5, atol=1e-7), name


def test_a_folder_of_the_first_format_is_read(folder: Path) -> None:
    edit(folder, format=1)
    assert load(folder).probe is not None


def test_a_checkpoint_knows_its_type_and_what_is_attached(tmp_path: Path) -> None:
    sequences = {"action": torch.rand(2, 3, 7)}
    loaded = load(save(tmp_path / "dream", model(), attachments={"demo": sequences}, dtype=torch.float16))
    assert loaded.dtype == torch.float16
    assert torch.equal(loaded.attachments()["demo"]["action"], sequences["action"])


def test_there_is_no_pickle(folder: Path) -> None:
    assert {p.suffix for p in folder.iterdir()} == {".json", ".safetensors", ".md"}


def test_saving_again_replaces_the_whole_folder(folder: Path) -> None:
    save(folder, model(seed=5))
    assert load(folder).rewards == {}
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_failed_save_leaves_the_old_folder(folder: Path) -> None:
    with pytest.raises(TypeError):
        save(folder, model(), metrics={"bad": object()})
    assert load(folder).metrics == {"psnr": 30.5}
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="no checkpoint folder"):
        save(tmp_path, model())
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("name", ["model", "rewards", "probe", "starts"])
def test_flipped_byte_is_found(folder: Path, name: str) -> None:
    file = folder / f"{name}.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{name}\.safetensors is damaged"):
        load(folder)


def test_file_cut_short_is_found(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged \(1000 bytes.*download"):
        load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "starts.safetensors", "README.md"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load(folder)


def test_config_cut_short_is_found(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        load(folder)


def test_altered_config_is_found(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"uncertainty_limit": 0.25', '"uncertainty_limit": 0.75'))
    with pytest.raises(CheckpointError, match="altered"):
        load(folder)


def test_binary_config_is_found(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)


def test_newer_format_says_upgrade(folder: Path) -> None:
    edit(folder, format=99, library_version="9.9")
    with pytest.raises(CheckpointError, match=r"format 99, written by dreamgym 9\.9.*pip install -U dreamgym"):
        load(folder)


def test_unknown_family_names_the_known(folder: Path) -> None:
    edit(folder, family="telepathy")
    with pytest.raises(CheckpointError, match="unknown world-model family 'telepathy'.*rssm"):
        load(folder)


def test_unknown_reward_is_named(folder: Path) -> None:
    edit(folder, rewards={"decoded": {"kind": "applause", "config": {}}})
    with pytest.raises(CheckpointError, match="applause"):
        load(folder)


def test_weights_of_another_model_are_found(folder: Path, tmp_path: Path) -> None:
    other = save(tmp_path / "other", model(deter=24))
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    files = json.loads((folder / "config.json").read_text())["files"]
    digest = json.loads((other / "config.json").read_text())["files"]["model.safetensors"]
    edit(folder, files={**files, "model.safetensors": digest})
    with pytest.raises(CheckpointError, match=r"model\.safetensors holds the weights of another model"):
        load(folder)


def test_folder_without_config_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load(tmp_path)


def test_config_of_another_program_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="not a dreamgym checkpoint"):
        load(tmp_path)


def test_unknown_name_lists_the_built_in_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save(tmp_path / "table", model())
    monkeypatch.setattr(checkpoint, "BUILT_IN", tmp_path)
    with pytest.raises(CheckpointError, match=r"built-in names are \['table'\]"):
        load("tabel")


def test_built_in_name_is_found_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save(tmp_path / "table", model())
    monkeypatch.setattr(checkpoint, "BUILT_IN", tmp_path)
    assert load("table").path == tmp_path / "table"


def test_hub_name_is_downloaded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    asked = {}

    def snapshot_download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert load("hf://someone/dream@v2").path == folder
    assert (asked["repository"], asked["revision"]) == ("someone/dream", "v2")
    wanted = [p.name for p in folder.iterdir()]
    assert all(any(fnmatch(name, pattern) for pattern in asked["patterns"]) for name in wanted)
    assert not any(fnmatch("weights.bin", pattern) for pattern in asked["patterns"])


def test_offline_hub_says_what_can_be_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what the environment variable sets at import
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE"):
        load("hf://nobody/nothing-of-this-name")


def test_malformed_hub_name_is_refused() -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(CheckpointError, match="hf://organisation/name"):
        load("hf://nothing")


def test_missing_hub_extra_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"dreamgym\[hub\]"):
        load("hf://a/b")


def test_attachments_stand_under_the_same_checksums(tmp_path: Path) -> None:
    folder = save(tmp_path / "with", model(), attachments={"demo": {"row": torch.arange(3)}})
    load(folder)
    data = bytearray((folder / "demo.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "demo.safetensors").write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"demo\.safetensors"):
        load(folder)


def test_attachments_may_not_shadow_the_checkpoints_own_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose other names"):
        save(tmp_path / "with", model(), attachments={"model": {"row": torch.arange(3)}})
    assert not (tmp_path / "with").exists()
