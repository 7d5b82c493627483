import json
import sys
import types
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import calvin_rssm
import pytest
import torch
from torch import Tensor, nn

from dreamgym.envs.core.starts import StartBank
from dreamgym.nn.layout import lay_out_by_input
from dreamgym.nn.pretrained import loading_pretrained
from dreamgym.rewards import DecodedStateReward, SuccessClassifier, SuccessConfig
from dreamgym.training.checkpoint import CheckpointError, check_target, folders, load, names, save
from dreamgym.training.checkpoint.bounded import TooLargeError, no_larger_than, no_tensor_above
from dreamgym.training.checkpoint.config import digest
from dreamgym.training.packing import round_weights
from dreamgym.world_models.families.rssm import RSSM
from dreamgym.world_models.probe import StateProbe

SMALL = {"deter": 16, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "vector_units": 16, "ensemble_units": 4}


def model(seed: int = 0, **changes: object) -> RSSM:
    torch.manual_seed(seed)
    return RSSM(calvin_rssm.tiny(variant="state", **{**SMALL, **changes})).eval()


def starts() -> dict[str, torch.Tensor]:
    return {
        "state/latent": torch.rand(5, 32, generator=torch.Generator().manual_seed(2)).half(),
        "task": torch.arange(5) % 2,
        "split": torch.zeros(5, dtype=torch.int64),
        "snapshot": torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)),
    }


def classifier() -> SuccessClassifier:
    torch.manual_seed(4)
    made = SuccessClassifier(SuccessConfig(("open_drawer", "turn_on_led"), 32, (8,), (8,)))
    made.thresholds.copy_(torch.tensor([0.25, 0.75]))
    return made


def probe() -> StateProbe:
    torch.manual_seed(5)
    return StateProbe(32, {"scene_obs": calvin_rssm.SCENE_OBS}, units=8)


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    """Whether weights and buffers are the same, but for the half precision of what stands beside a model."""
    ours, theirs = one.state_dict(), two.state_dict()
    return ours.keys() == theirs.keys() and all(torch.allclose(ours[k], theirs[k], atol=1e-3) for k in ours)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    m = model()
    m.spec = m.spec.with_uncertainty_limit(0.25)
    return save(
        tmp_path / "dream",
        m,
        rewards={
            "decoded": DecodedStateReward("calvin", ("open_drawer", "turn_on_led")),
            "success": classifier(),
        },
        starts=starts(),
        probe=probe(),
        simulator={"id": "Real-PlayTable-v0", "kwargs": {"image_size": 64}},
        metrics={"psnr": 30.5},
        card="# A dream\n",
        starts_meta={"tasks": ["open_drawer", "turn_on_led"]},
    )


def edit(folder: Path, **changes: object) -> None:
    """Changes config.json as a program that knows the format would: with a digest that fits."""
    config = json.loads((folder / "config.json").read_text()) | changes
    config["digest"] = digest({k: v for k, v in config.items() if k != "digest"})
    (folder / "config.json").write_text(json.dumps(config))


def test_everything_comes_back(folder: Path) -> None:
    loaded = load(folder)
    for name, value in model().state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    assert loaded.spec.uncertainty_limit == 0.25
    assert loaded.model.spec == loaded.spec
    assert loaded.rewards["decoded"].tasks == ("open_drawer", "turn_on_led")
    assert loaded.starts_meta["tasks"] == ["open_drawer", "turn_on_led"]
    assert loaded.starts_meta["counts"] == {"open_drawer": {"train": 3}, "turn_on_led": {"train": 2}}
    assert loaded.starts is not None
    assert {k: v.dtype for k, v in loaded.starts.items()} == {k: v.dtype for k, v in starts().items()}
    assert all(torch.equal(loaded.starts[k], v) for k, v in starts().items())
    success = loaded.rewards["success"]
    assert success.thresholds.tolist() == [0.25, 0.75]
    assert same(success, classifier()) and not same(classifier(), type(success)(success.config))
    assert loaded.probe is not None
    assert loaded.probe.keys == ("scene_obs",)
    assert same(loaded.probe, probe())
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
    before = load(folder)
    edit(folder, format=1)
    after = load(folder)
    assert after.probe is not None and before.probe is not None
    for one, two in ((after.model, before.model), (after.probe, before.probe)):
        assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())


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


@pytest.mark.parametrize("name", ["model.safetensors", "starts.safetensors"])
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
    kept = json.loads((folder / "config.json").read_text())["rewards"]
    edit(folder, rewards={**kept, "decoded": {"kind": "applause", "config": {}}})
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
    monkeypatch.setattr(names, "BUILT_IN", tmp_path)
    with pytest.raises(CheckpointError, match=r"built-in names are \['table'\]"):
        load("tabel")


def test_built_in_name_is_found_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save(tmp_path / "table", model())
    monkeypatch.setattr(names, "BUILT_IN", tmp_path)
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


# -- what save takes --


def test_a_bare_reward_is_called_success(tmp_path: Path) -> None:
    folder = save(tmp_path / "dream", model(), DecodedStateReward("calvin", ("open_drawer",)))
    assert load(folder).rewards["success"].tasks == ("open_drawer",)


def test_a_start_bank_brings_its_tasks(tmp_path: Path) -> None:
    bank = StartBank({"latent": torch.rand(4, 32)}, ("open_drawer", "turn_on_led"), torch.tensor([0, 1, 0, 1]))
    loaded = load(save(tmp_path / "dream", model(), starts=bank))
    assert loaded.starts_meta["tasks"] == ["open_drawer", "turn_on_led"]
    again = StartBank.from_tensors(loaded.starts or {}, loaded.starts_meta["tasks"])
    assert torch.equal(again.state(torch.arange(4))["latent"], bank.states["latent"].half().float())


NAMED = {"tasks": ["open_drawer"]}


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({"starts": 3}, TypeError, "starts: expected a StartBank or its tensors by name, got int"),
        ({"starts": {"state/latent": [1]}}, TypeError, r"starts\['state/latent'\]: expected a tensor"),
        ({"starts": {"state/latent": torch.rand(3, 32)}, "starts_meta": NAMED}, ValueError, "'task' and 'split'"),
        ({"starts": starts()}, ValueError, "their tasks are not named"),
        ({"starts": starts() | {"task": torch.zeros(2)}, "starts_meta": NAMED}, ValueError, "one row a start"),
        ({"rewards": [1]}, TypeError, "rewards: expected a RewardModel or a mapping"),
        ({"rewards": {"success": torch.nn.Linear(1, 1)}}, TypeError, r"rewards\['success'\]: expected .* got Linear"),
        ({"rewards": {"a/b": DecodedStateReward("calvin", ("open_drawer",))}}, ValueError, "names without '/'"),
    ],
)
def test_what_save_cannot_use_is_refused_at_once(
    tmp_path: Path, arguments: dict[str, object], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        save(tmp_path / "dream", model(), **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_what_is_no_world_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="expected a WorldModel .*got Linear"):
        save(tmp_path / "dream", torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    broken = model()
    torch.nn.init.constant_(broken.dynamics.gates.weight, float("nan"))
    with pytest.raises(ValueError, match=r"'dynamics\.gates\.weight' is not finite"):
        save(tmp_path / "dream", broken)
    reward = classifier()
    torch.nn.init.constant_(next(reward.parameters()), float("inf"))
    with pytest.raises(ValueError, match=r"rewards\['success'\]: parameter .* is not finite"):
        save(tmp_path / "dream", model(), reward)


def test_a_target_that_cannot_be_is_known_before_the_work(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for path in (tmp_path / "notes", tmp_path / "notes" / "dream", tmp_path):
        with pytest.raises(ValueError, match="choose another path"):
            check_target(path)
    for name in ("n" * 245, "a/" * 2100, "n" * 300 + "/dream"):
        with pytest.raises(ValueError, match="choose another"):
            check_target(tmp_path / name)
        with pytest.raises(ValueError, match="choose another"):
            save(tmp_path / name, model())
    assert check_target(folder) == folder
    assert check_target(tmp_path / "new" / "dream") == tmp_path / "new" / "dream"


# -- a folder that is replaced --


@pytest.mark.parametrize("then", ["load", "save"])
def test_a_kill_between_the_renames_loses_no_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    class Killed(BaseException):
        pass

    rename, done = folders.os.rename, []

    def killed(source: object, target: object) -> None:
        if done:
            raise Killed
        done.append(rename(source, target))  # type: ignore[func-returns-value, arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(folders.os, "rename", killed)
        with pytest.raises(Killed):
            save(folder, model(seed=5))
    assert not folder.exists()
    if then == "save":
        save(folder, model(seed=6))
        assert load(folder).rewards == {}
    else:
        assert load(folder).metrics == {"psnr": 30.5}
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_folder_left_aside_is_that_of_its_own_name_alone(tmp_path: Path) -> None:
    names = ("dream", "dream-two", "dr[ea]m")
    for name in names:
        save(tmp_path / name, model(), metrics={"name": name})
        (tmp_path / name).rename(tmp_path / f".old-{name}-0123abcd")  # as a kill between the two renames leaves it
    save(tmp_path / "dream", model(seed=2), metrics={"name": "anew"})
    assert load(tmp_path / "dream").metrics == {"name": "anew"}
    for name in names[1:]:
        assert load(tmp_path / name).metrics == {"name": name}


def test_a_link_is_replaced_and_what_it_leads_to_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    save(tmp_path / "latest", model(), metrics={"name": "anew"})
    assert load(tmp_path / "latest").metrics == {"name": "anew"}
    assert load(folder).metrics == {"psnr": 30.5}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dream", "latest"]


# -- the card --


def test_the_card_may_be_edited_turned_to_crlf_or_lost(folder: Path) -> None:
    card = folder / "README.md"
    card.write_bytes(b"# Mine\r\n\r\nEdited.\r\n")
    load(folder)
    card.unlink()
    assert load(folder).metrics == {"psnr": 30.5}


def test_the_card_of_an_older_checkpoint_may_be_edited_too(folder: Path) -> None:
    """They listed it among the files, with its sha256."""
    files = json.loads((folder / "config.json").read_text())["files"]
    edit(folder, files={**files, "README.md": "0" * 64})
    load(folder)


def test_a_config_with_crlf_is_read(folder: Path) -> None:
    file = folder / "config.json"
    file.write_bytes(file.read_text().replace("\n", "\r\n").encode())
    load(folder)


# -- configs that were made by hand, with a digest that fits --


def changed(config: dict[str, object], where: str, value: object) -> dict[str, object]:
    """A copy with one entry set, or left out where ``value`` is ...; ``where`` as "spec.action.low"."""
    out = json.loads(json.dumps(config))
    *parents, last = where.split(".")
    at = out
    for name in parents:
        at = at[int(name) if isinstance(at, list) else name]
    key = int(last) if isinstance(at, list) else last
    if value is ...:
        del at[key]
    else:
        at[key] = value
    return out


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("config", [], "'config' is dict, got"),
        ("metrics", ..., "'metrics' is dict, got 'nothing'"),
        ("starts", {}, "'starts.tasks' is a list of names"),
        ("starts.tasks", "abc", "'starts.tasks' is a list of names"),
        ("simulator", {"kwargs": {}}, "'simulator' is"),
        ("rewards.decoded", {"kind": "decoded"}, "'rewards.decoded' is"),
        ("rewards.decoded.config", {"tasks": 3}, "'rewards.decoded' does not fit"),
        ("probe.vectors.scene_obs.1.1", 10**12, r"'probe\.vectors\.scene_obs\[1\]\[1\]' is 1e\+12"),
        ("probe.units", "many", "'probe' does not fit"),
        ("config.deter", 10**9, "'config.deter' is 1e\\+09"),
        ("config.deter", -4, "'config' does not fit|holds the weights of another model|spec belongs"),
        ("config.vectors", 3, "'config' does not fit"),
        ("config.frame_rate", float("nan"), "'config.frame_rate' is nan"),
        ("spec.action.low.0", -2.0, "the spec belongs to another model"),
        ("spec.uncertainty_limit", "high", "'spec.uncertainty_limit' is null or at least 0, got 'high'"),
        ("spec.uncertainty_limit", -1, "'spec.uncertainty_limit' is null or at least 0, got -1"),
        ("dtype", 3, "'dtype' is one of .*, got 3"),
        ("spec.history", 3, "the spec belongs to another model"),
        ("spec.observations", 5, "'spec' does not fit"),
        ("files", {"../other": "0"}, "'files' names '../other'"),
        ("frozen", {"encoder": {"name": "x", "sha256": "0"}}, "'frozen' does not fit .*frozen part 'encoder'"),
    ],
)
def test_a_field_that_does_not_fit_is_named(folder: Path, where: str, value: object, told: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(folder, **changed(config, where, value))
    if value is ...:
        (folder / "config.json").write_text(json.dumps(seal(changed(config, where, value))))
    with pytest.raises(CheckpointError, match=told):
        load(folder)


def seal(config: dict[str, object]) -> dict[str, object]:
    return config | {"digest": digest({k: v for k, v in config.items() if k != "digest"})}


def test_a_huge_model_is_refused_before_its_memory_is_asked_for(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    edit(folder, config={**config, "units": 10**6})
    with pytest.raises(CheckpointError, match="a model of over 4[0-9]* entries, where its file holds"):
        load(folder)


def test_frozen_parts_in_no_file_are_no_leave_to_build_more(folder: Path) -> None:
    """A config that tells of pretrained parts has its own parts counted as any other's."""
    config = json.loads((folder / "config.json").read_text())["config"]
    edit(folder, config={**config, "units": 10**6}, frozen={"encoder": {"name": "x", "sha256": "0"}})
    with pytest.raises(CheckpointError, match="a model of over 4[0-9]* entries, where its file holds"):
        load(folder)


def test_pretrained_parts_are_as_large_as_their_own_files() -> None:
    with no_larger_than(entries=10, tensors=1):
        with loading_pretrained():
            nn.Linear(3000, 3000)
        with pytest.raises(TooLargeError, match="a model of over"):
            nn.Linear(3000, 3000)


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.zeros(3, 1).repeat(10**9, 1),
        lambda: torch.zeros(20_000, 1) + torch.zeros(1, 20_000),
        lambda: torch.zeros(20_000, 1) @ torch.zeros(1, 20_000),
        lambda: nn.functional.pad(torch.zeros(1), (0, 2**28)),
    ],
    ids=["repeat", "an outer sum", "an outer product", "pad"],
)
def test_no_blank_frame_makes_a_tensor_of_gigabytes(work: Callable[[], Tensor]) -> None:
    with no_tensor_above(1000), pytest.raises(TooLargeError, match="it makes a tensor of"):
        work()


def test_deeply_nested_json_is_damaged(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["dynamics.gates.weight"][0, 0] = float("nan")
    save_file(tensors, file)
    files = json.loads((folder / "config.json").read_text())["files"]
    edit(folder, files={**files, file.name: folders.file_sha256(file)})
    with pytest.raises(CheckpointError, match=r"'dynamics\.gates\.weight' is not finite"):
        load(folder)


@pytest.mark.parametrize("lost", ["split", "task", "state/latent"])
def test_starts_that_lack_a_tensor_are_refused(folder: Path, lost: str) -> None:
    """Without their splits training starts would be dreamed from where held-out ones are asked for."""
    from safetensors.torch import load_file, save_file

    file = folder / "starts.safetensors"
    save_file({k: v for k, v in load_file(file).items() if k.split("::")[0] != lost}, file)
    files = json.loads((folder / "config.json").read_text())["files"]
    edit(folder, files={**files, file.name: folders.file_sha256(file)})
    with pytest.raises(CheckpointError, match=r"starts.safetensors.* expected 'state/<key>', 'task' and 'split', got"):
        load(folder)


@pytest.mark.parametrize("name", ["a" * 300, "zero\0byte", 7, None])
def test_names_that_no_folder_has_are_refused(name: object) -> None:
    with pytest.raises(CheckpointError):
        load(name)  # type: ignore[arg-type]


# -- a folder called like a checkpoint that comes with dreamgym --


@pytest.fixture
def namesake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """ "table" comes with dreamgym, and a folder "table" stands where we are."""
    (tmp_path / "package").mkdir()
    (tmp_path / "here").mkdir()
    save(tmp_path / "package" / "table", model())
    monkeypatch.setattr(names, "BUILT_IN", tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")
    return save(tmp_path / "here" / "table", model(seed=5))


def test_a_name_is_the_built_in_and_the_folder_is_mentioned(namesake: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load("table").path == names.BUILT_IN / "table"
    assert f"not the folder {namesake}: write './table'" in caplog.text


@pytest.mark.parametrize("given", ["./table", "table/", Path("table"), "../here/table"])
def test_a_path_is_the_folder(namesake: Path, given: str | Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(given).path.resolve() == namesake
    assert not caplog.text


def test_a_path_without_a_folder_may_be_a_name(namesake: Path) -> None:
    folders.shutil.rmtree(namesake)
    assert load(Path("table")).path == names.BUILT_IN / "table"
