"""Pages whose commands are run as they stand, in order, in a folder of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(page: Path, folder: Path) -> list[str]:
    """Saves each python block under the name in its first line, runs each sh block; returns what those printed."""
    search = os.pathsep.join([str(ROOT), str(ROOT / "agents"), os.environ.get("PYTHONPATH", "")])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PYTHONPATH": search, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    told = []
    for kind, text in BLOCK.findall(page.read_text()):
        if kind == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            assert re.fullmatch(r"\w+\.py", name), f"{page.name}: a python block without a file's name: {name!r}"
            (folder / name).write_text(text)
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=env, text=True, capture_output=True, timeout=600
        )
        assert done.returncode == 0, f"{page.name}:\n{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        told.append(done.stdout)
    return told


def test_the_toy_worlds_open_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [text for _, text in BLOCK.findall((ROOT / "docs" / "add_a_world_model.md").read_text())]
    (toys,) = [text for text in blocks if "joint_point_checkpoint" in text]
    exec(compile(toys, "add_a_world_model.md", "exec"), {})
    told = capsys.readouterr().out
    for space in ("(6, 3)", "(5, 3)", "(5, 4)", "Discrete(3)"):
        assert space in told, told


@pytest.mark.slow
def test_own_data(tmp_path: Path) -> None:
    for module in ("tyro", "rich", "pyarrow", "av", "accelerate", "metaworld"):
        pytest.importorskip(module)
    told = "\n".join(run_page(ROOT / "docs" / "own_data.md", tmp_path))
    assert "90 episodes (72 train, 9 val, 9 test)" in told
    assert "task 'reach the mark'" in told
    rate = r" *│ reach the mark │ +- │ +([\d.]+) \("  # of the table's rows: policy, task, no twin, dream
    reach, chance = (float(re.search(name + rate, told)[1]) for name in ("policies:Reach", "random"))  # type: ignore[index]
    assert reach > chance + 30  # the dream tells a policy that does the task from one that does not
