"""The package as a user meets it: what an import costs, and what the built wheel holds."""

import re
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path

import pytest

import dreamgym
from dreamgym.envs.make import SHIPPED

ROOT = Path(__file__).resolve().parent.parent

# Extras, simulators and drawing libraries: each belongs to the one module that needs it.
HEAVY = (
    "accelerate", "av", "diffusers", "gym_pusht", "huggingface_hub", "imageio", "matplotlib", "metaworld", "minari",
    "mujoco", "pandas", "PIL", "pyarrow", "pybullet", "pybullet_data", "robosuite", "scipy", "stable_baselines3",
    "tensorboard", "tensordict", "torchrl", "torchvision", "transformers", "tyro",
)  # fmt: skip


def run(python: str | Path, code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` isolated from this checkout: no PYTHONPATH, no current directory on the path."""
    return subprocess.run(
        [str(python), "-I", "-c", textwrap.dedent(code)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("module", ["dreamgym", "dreamgym_agents", "dreamgym.cli"])
def test_import_pulls_in_nothing_heavy(module: str, tmp_path: Path) -> None:
    done = run(sys.executable, f"import {module}, sys; print(*sorted(sys.modules))", tmp_path)
    assert done.returncode == 0, done.stderr
    # torch and gymnasium are core; what they import by themselves is not ours to answer for.
    base = run(sys.executable, "import torch, gymnasium, sys; print(*sorted(sys.modules))", tmp_path)
    added = set(done.stdout.split()) - set(base.stdout.split())
    own = {"tyro"} if module == "dreamgym.cli" else set()  # the command line is made of it
    assert not added.intersection(HEAVY) - own


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(out.glob("dreamgym-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel in it; its dependencies are read from this environment.

    A path in a .pth file joins sys.path, but the .pth files found there are not read: an editable install of this
    checkout stays invisible.
    """
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=300)
    python = venv / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    site = next((venv / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    return python


def test_wheel_imports_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "import dreamgym, dreamgym_agents; print(dreamgym.__file__)", tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(installed.parent.parent) in done.stdout


def test_wheel_holds_every_tracked_file_of_the_package(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "dreamgym", "agents"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    expected = {line.removeprefix("agents/") for line in tracked.stdout.splitlines() if (ROOT / line).exists()}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert not {f for f in expected if not f.endswith(".gitignore")} - held


def test_wheel_installs_the_command(installed: Path, tmp_path: Path) -> None:
    command = installed.parent / "dreamgym"
    done = subprocess.run(
        [str(command), "info"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dreamgym 0.1.0" in done.stdout


def test_wheel_opens_its_shipped_dreams(installed: Path, tmp_path: Path) -> None:
    shipped = [p.name for p in (ROOT / "dreamgym" / "checkpoints").glob("*") if (p / "config.json").exists()]
    if not shipped:
        pytest.skip("no checkpoint ships at this commit")
    for env_id in (SHIPPED[name] for name in shipped):
        done = run(
            installed,
            f"""
            import dreamgym, gymnasium
            env = gymnasium.make("{env_id}")
            obs, info = env.reset(seed=0)
            obs, *_ = env.step(env.action_space.sample())
            assert env.observation_space.contains(obs)
            """,
            tmp_path,
        )
        assert done.returncode == 0, done.stderr


def test_wheel_brings_the_part_of_the_demo_that_fine_tunes(installed: Path, tmp_path: Path) -> None:
    done = run(
        installed,
        """
        from importlib.metadata import entry_points
        from dreamgym.training.checkpoint import load
        from dreamgym_agents.diffusion_ppo import load_policy
        from dreamgym_agents.diffusion_ppo.shipped import shipped_for
        assert [e.load().__name__ for e in entry_points(group="dreamgym.demo")] == ["demo_part"]
        print(load_policy(shipped_for(load("playtable"))).kind)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "diffusion_ppo"


def test_public_names_are_seen_by_completion_and_found() -> None:
    assert set(dreamgym.__all__) <= set(dir(dreamgym))
    assert all(getattr(dreamgym, name) is not None for name in dreamgym.__all__)


@pytest.mark.slow
def test_type_checkers_see_signatures_and_tell_of_unknown_names(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    file = tmp_path / "user.py"
    file.write_text(
        "import dreamgym\n"
        "reveal_type(dreamgym.sb3_env)\nreveal_type(dreamgym.make_core)\nreveal_type(dreamgym.load)\n"
        "dreamgym.sb3_evn\n"
    )
    told, _, _ = api.run([str(file), "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)])
    sb3, core, checkpoint = (line for line in told.splitlines() if "Revealed type" in line)
    assert "num_envs: " in sb3 and "DreamVecEnv" in sb3
    assert "autoreset_mode: " in core and "DreamCore" in core
    assert "name_or_path: " in checkpoint and "Checkpoint" in checkpoint
    assert 'Module has no attribute "sb3_evn"' in told


@pytest.mark.parametrize("package", ["dreamgym", "agents/dreamgym_agents"])
def test_findings_of_bandits_rules_are_explained(package: str) -> None:
    """ruff's rules S are bandit's; where one is silenced, the line before or the rest of the line says why."""
    for file in sorted((ROOT / package).rglob("*.py")):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if found := re.search(r"# noqa: [^#]*\bS\d{3}\b(.*)", line):
                above = lines[number - 1].strip()
                assert found[1].strip(" ,-") or above.startswith("#"), f"{file}:{number + 1}: say why"
