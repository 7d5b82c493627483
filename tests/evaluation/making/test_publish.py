"""`dreamgym push` and `pull` against a local stand-in that speaks the Hub's protocol (tests/standins/hub.py).

huggingface_hub reads HF_ENDPOINT and HF_HUB_OFFLINE when it is imported, so the commands run in processes of their own.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")
pytest.importorskip("tyro")
import yaml

from dreamgym.evaluation.making.publish import hub_card, pull, push
from dreamgym.testing import PointMassConfig, point_mass_checkpoint
from dreamgym.training.checkpoint import BUILT_IN, read_config

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "standins"))
from hub import TOKEN, Hub

RUN = """
import json, sys
import dreamgym.testing
from dreamgym import cli
told = {}
for name, words in json.load(sys.stdin).items():
    try:
        cli.main(words)
        told[name] = ""
    except SystemExit as error:
        told[name] = str(error)
print("TOLD" + json.dumps(told))
"""


def run(commands, **env):
    """Runs commands in one process of its own: name -> what each said on its way out, "" where it went well."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(commands), env={**kept, "HF_HUB_DISABLE_XET": "1", **env},
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert "TOLD" in done.stdout, done.stderr
    return json.loads(done.stdout.rpartition("TOLD")[2])


@dataclass
class Scene:
    """A hub, two dreams, a folder for what is pulled, and what the commands said."""

    server: Hub
    first: Path
    second: Path
    out: Path
    told: dict[str, str]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    root, server = tmp_path_factory.mktemp("hub"), Hub()
    first, second = (point_mass_checkpoint(root / str(n), PointMassConfig(noise=n)) for n in (0.0, 0.1))
    out, damaged = root / "out", root / "damaged"
    for folder in (out, damaged, out / "taken"):
        folder.mkdir()
    (damaged / "config.json").write_text("{}")
    (out / "taken" / "thesis.tex").touch()
    files = {f.name: f.read_bytes() for f in first.iterdir()}
    server.begin("me/broken", {**files, "model.safetensors": b"other weights"})
    server.begin("me/older", {**files, "probe.safetensors": b"of the older one", "notes.txt": b"somebody's"})
    env = {"HF_ENDPOINT": server.url, "HF_HOME": str(root / "hf")}
    point, at = "hf://me/point", lambda name: ["--out", str(out / name)]
    told = run(
        {
            "push": ["push", str(first), point, "--private", "--licence", "mit"],
            "pull": ["pull", point, *at("back")],
            "branch": ["push", str(second), point, "--revision", "noisy"],
            "replaced": ["pull", point, *at("noisy")],
            "pulled branch": ["pull", point, "--revision", "noisy", *at("noisy")],
            "address": ["pull", f"{point}@noisy", *at("address")],
            "used": ["evaluate", "hold", "--checkpoint", point, "--no-twin", "--episodes", "2", "--horizon", "3"],
            "older": ["push", str(first), "hf://me/older"],
            "broken": ["pull", "hf://me/broken", *at("broken")],
            "damaged": ["push", str(damaged), "hf://me/unborn"],
            "nothing": ["pull", "hf://me/nothing", *at("x")],
            "no revision": ["pull", f"{point}@v9", *at("x")],
            "form": ["pull", "hf://nothing", *at("x")],
            "twice": ["pull", f"{point}@a", "--revision", "b", *at("x")],
            "taken": ["pull", point, *at("taken")],
            "nowhere": ["push", str(root / "nowhere"), "hf://me/x"],
            "forbidden": ["push", str(first), "hf://somebody-else/x"],
        },
        HF_TOKEN=TOKEN,
        **env,
    )  # fmt: skip
    told |= run(
        {
            "offline": ["pull", point, *at("offline")],
            "never": ["pull", "hf://me/never", *at("x")],
            "offline push": ["push", str(first), "hf://me/offline"],
        },
        HF_HUB_OFFLINE="1",
        **env,
    )
    told |= run(
        {"stranger": ["pull", point, *at("x")], "stranger push": ["push", str(first), "hf://me/x"]},
        HF_ENDPOINT=server.url, HF_HOME=str(root / "strangers"),
    )  # fmt: skip
    told |= run(
        {"unreachable push": ["push", str(first), "hf://me/x"], "unreachable": ["pull", "hf://me/x", *at("x")]},
        HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(root / "alone"),
    )  # fmt: skip
    yield Scene(server, first, second, out, told)
    server.shutdown()


def same(folder, other):
    return all((folder / f.name).read_bytes() == f.read_bytes() for f in other.glob("*") if f.name != "README.md")


def test_a_checkpoint_goes_up_and_comes_back(scene):
    for name in ("push", "pull", "branch", "replaced", "pulled branch", "address", "used"):
        assert scene.told[name] == "", name
    assert same(scene.out / "back", scene.first)
    assert same(scene.out / "noisy", scene.second)
    assert same(scene.out / "address", scene.second)
    assert scene.server.repositories["me/point"].private
    card = scene.server.files("me/point")["README.md"].decode()
    assert yaml.safe_load(card.split("---")[1])["license"] == "mit"


def test_without_a_network_what_was_downloaded_is_taken(scene):
    assert scene.told["offline"] == ""
    assert same(scene.out / "offline", scene.first)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("never", "'hf://me/never' could not be fetched: the Hub is offline"),
        ("offline push", "could not be written: the Hub is offline"),
        ("nothing", "there is no such repository, or it is private"),
        ("no revision", "the repository has no such revision"),
        ("form", "expected hf://organisation/name"),
        ("twice", "names a revision already"),
        ("taken", "exists and is no checkpoint folder"),
        ("nowhere", "no checkpoint"),
        ("forbidden", "the Hub answered 403: log in with a token that may write"),
        ("stranger", "or it is private"),
        ("stranger push", "could not be written"),
        ("unreachable push", "could not be written: ConnectError"),
        ("unreachable", "cannot be reached"),
        ("broken", "hf://me/broken: its folder/model.safetensors"),
        ("damaged", "config.json"),
    ],
)
def test_what_is_not_there_or_not_ones_own_is_one_line(scene, name, part):
    assert part in scene.told[name]
    assert len(scene.told[name].splitlines()) == 1


def test_nothing_is_left_of_what_failed(scene):
    assert sorted(p.name for p in scene.out.iterdir()) == ["address", "back", "noisy", "offline", "taken"]
    assert "me/unborn" not in scene.server.repositories


def test_weights_that_the_new_one_lacks_are_deleted_and_other_files_kept(scene):
    assert scene.told["older"] == ""
    found = scene.server.files("me/older")
    assert "probe.safetensors" not in found
    assert found["notes.txt"] == b"somebody's"
    assert found["model.safetensors"] == (scene.first / "model.safetensors").read_bytes()


def test_the_card_says_what_was_measured_in_the_hubs_words():
    path = BUILT_IN / "playtable"
    config = read_config(path)
    card = hub_card(path, config, "me/table", "mit")
    data = yaml.safe_load(card.split("---")[1])
    assert {"world-model", "rssm", "calvin"} <= set(data["tags"])
    assert (data["library_name"], data["license"]) == ("dreamgym", "mit")
    (index,) = data["model-index"]
    assert index["name"] == "table"
    metrics = {m["name"]: m for result in index["results"] for m in result["metrics"]}
    curve = config["metrics"]["fidelity"]["curves"]["drawer"]
    stated = metrics["drawer, 25 steps ahead (m)"]
    assert (stated["type"], stated["value"]) == ("mean-absolute-error", curve["model"][curve["steps"].index(25)])
    assert metrics["F1 of frames, mean over tasks"]["value"] == config["metrics"]["rewards"]["mean_f1"]
    assert {result["dataset"]["split"] for result in index["results"]} <= {"val", "test"}
    assert (path / "README.md").read_text().splitlines()[0] in card


def test_metadata_of_ones_own_are_kept(tmp_path):
    folder = point_mass_checkpoint(tmp_path / "mine")
    (folder / "README.md").write_text('---\nlicense: apache-2.0\nlanguage: en\n---\n# Mine\n\ncheckpoint="mine"\n')
    data = yaml.safe_load((card := hub_card(folder, read_config(folder), "me/mine")).split("---")[1])
    assert (data["license"], data["language"], data["library_name"]) == ("apache-2.0", "en", "dreamgym")
    assert "model-index" not in data  # nothing was measured
    assert 'checkpoint="hf://me/mine"' in card


def test_without_huggingface_hub_the_mend_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"dreamgym\[hub\]"):
        push("pusht", "hf://me/x")


def test_an_address_of_another_form_is_refused_first(tmp_path):
    for address in ("hf://x", "a/b/c", "hf://a/", "hf://a/b@"):
        with pytest.raises(ValueError, match="expected hf://organisation/name"):
            push("playtable", address)
        with pytest.raises(ValueError, match="expected hf://organisation/name"):
            pull(address, tmp_path / "x")


def test_a_folder_is_not_pulled(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="a folder of this machine"):
        pull("a/b", "x")
