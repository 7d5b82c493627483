"""Each command where no extra but the command line's is installed: it works, or names the pip line, in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tyro")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

from commands import WORDS, give

CORE = ("gymnasium", "numpy", "safetensors", "torch", "tqdm")
COMMAND_LINE = ("tyro", "rich")

GIVEN = ("/disc", "/robots", "/run ", "/policy --store")
TRIED = [name for name, text in WORDS.items() if not any(part in text for part in GIVEN)]
"""Not those whose inputs are trained, or a policy's run."""
LONG = ["evaluate --json", "evaluate --record", "demo", "clone", "tune", "diffusion-ppo demo", "refinement"]
"""Those that work for a while before they are done, or lack something."""
SHORT = [name for name in TRIED if name not in LONG]
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


@pytest.mark.parametrize("names", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)], ids=["short", "long"])
def test_a_command_works_or_names_the_pip_line(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    give(tmp_path / "given")
    words = {
        name: WORDS[name].format(given=tmp_path / "given", out=tmp_path / str(names.index(name))) for name in names
    }
    script, asked = SCRIPT.format(kept=(*CORE, *COMMAND_LINE)), {name: text.split() for name, text in words.items()}
    run = subprocess.run([sys.executable, "-c", script, json.dumps(asked)], capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    told: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    assert list(told) == names
    for name, said in told.items():
        if said != "done":
            assert name not in WORK
            assert said.startswith("SystemExit: dreamgym: "), (name, said)
            assert 'pip install "dreamgym[' in said, (name, said)
            assert "\n" not in said
