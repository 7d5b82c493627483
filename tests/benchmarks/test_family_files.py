"""Which files name a family of world models; run as ``python benchmarks/family_files.py`` it prints the list."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import family_files as program

FAMILIES = ("rssm", "latent_diffusion", "mlp", "latent_action", "video_cascade")
TOYS = ("point_mass", "joint_point", "two_robots", "instructed_point")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_named_by_its_registry_line_alone(name):
    assert all(file.startswith(f"world_models/families/{name}/") for file in program.own_files(name))
    assert program.naming_files(name) == [program.REGISTRY]


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_is_named_in_its_room_alone(name):
    assert program.own_files(name) == [f"testing/{name}.py"]
    found = program.naming_files(name)
    assert "testing/__init__.py" in found
    assert all(file.startswith("testing/") for file in found)


def test_the_program_prints_a_line_for_each(capsys):
    program.main()
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= {*FAMILIES, *TOYS}
