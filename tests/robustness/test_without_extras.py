"""Each command where no extra but the command line's is installed: it works, or names the pip line, in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("tyro")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

from commands import WORDS, give

CORE = ("gymnasium", "numpy", "safetensors", "torch", "tqdm")
COMMAND_LINE = ("tyro", "rich")

GIVEN = ("/disc", "/robots", "/run ", "/policy --store")
TRIED = {name: text for name, text in WORDS.items() if not any(part in text for part in GIVEN)}
"""Not those whose inputs are trained, or a policy's run."""
WORK = ("join", "clips", "evaluate", "evaluate --json")
"""Those that need no extra."""

SCRIPT = """
import importlib.machinery, importlib.metadata, json, os, re, sys

kept = set()
def keep(name):  # a distribution and what it needs
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name not in kept:
        kept.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            return
        for line in needs:
            if "extra ==" not in line:
                keep(re.match(r"[\\w.-]+", line)[0])
for name in {kept}:
    keep(name)
gone = {{
    module for module, owners in importlib.metadata.packages_distributions().items()
    if not {{re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}} & kept
}} - {{"dreamgym", "dreamgym_agents"}}

class Installed(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in gone else super().find_spec(name, path, target)

sys.meta_path = [Installed if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
assert importlib.util.find_spec("accelerate") is None
import dreamgym.testing, dreamgym.envs.make
from dreamgym import cli

def said(words):
    # In a process of its own, which begins with what is imported here.
    out, into = os.pipe()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1), os.dup2(1, 2)
        try:
            cli.main(words)
            told = "done"
        except BaseException as error:
            told = f"{{type(error).__name__}}: {{error}}"
        os.write(into, told.encode()[:4000])
        os._exit(0)
    os.close(into)
    with open(out) as stream:
        told = stream.read()
    os.wait()
    return told

print(json.dumps({{name: said(words) for name, words in json.loads(sys.argv[1]).items()}}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command said."""
    folder, given = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("given")
    give(given)
    words = {
        name: text.format(given=given, out=folder / f"{i}").split() for i, (name, text) in enumerate(TRIED.items())
    }
    script = SCRIPT.format(kept=(*CORE, *COMMAND_LINE))
    run = subprocess.run([sys.executable, "-c", script, json.dumps(words)], capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", TRIED)
def test_a_command_works_or_names_the_pip_line(name: str, told: dict[str, str]) -> None:
    if told[name] != "done":
        assert told[name].startswith("SystemExit: dreamgym: ")
        assert 'pip install "dreamgym[' in told[name]
        assert "\n" not in told[name]


def test_what_needs_no_extra_works(told: dict[str, str]) -> None:
    assert {name: told[name] for name in WORK} == dict.fromkeys(WORK, "done")
