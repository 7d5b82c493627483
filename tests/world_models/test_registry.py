import subprocess
import sys
from importlib.metadata import EntryPoint

import calvin_rssm
import pytest

from dreamgym.world_models import WorldModel, build, family, family_names, register_family, registry
from dreamgym.world_models.families.rssm import RSSM


@pytest.mark.parametrize("name", family_names())
def test_every_family_calls_itself_by_its_name(name: str) -> None:
    assert issubclass(family(name), WorldModel)
    assert family(name).family == name


def test_builds_from_the_json_form_of_a_config() -> None:
    config = calvin_rssm.tiny(variant="state", deter=8, units=8)
    model = build("rssm", config.to_dict())
    assert isinstance(model, RSSM)
    assert model.config == config


def test_unknown_family_names_the_known_and_the_mend() -> None:
    with pytest.raises(ValueError, match=r"'gan'.*rssm.*register_family"):
        build("gan", {})


def test_unknown_config_field_is_named() -> None:
    with pytest.raises(ValueError, match="no field.*depht"):
        build("rssm", {"depht": 3})


def test_own_family_by_import_path() -> None:
    register_family("by_path", "dreamgym.world_models.families.rssm.model:RSSM")
    assert family("by_path") is RSSM


def test_own_family_by_class() -> None:
    class Mine(RSSM):
        family = "by_class"

    register_family("by_class", Mine)
    register_family("by_class", Mine)
    assert isinstance(build("by_class", calvin_rssm.tiny(variant="state", deter=8).to_dict()), Mine)


def test_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="already registered"):
        register_family("rssm", "somewhere.else:Model")


def test_target_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="module:Class"):
        register_family("no_form", "somewhere.else.Model")


def test_families_are_imported_only_when_asked_for() -> None:
    code = "import sys, dreamgym.world_models; sys.exit(any('rssm' in m for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_installed_package_brings_its_family(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("installed", "dreamgym.world_models.families.rssm.model:RSSM", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group, name: [entry] if name == "installed" else [])
    assert family("installed") is RSSM
    with pytest.raises(ValueError, match="'theirs'.*entry point 'dreamgym.families'"):
        family("theirs")
