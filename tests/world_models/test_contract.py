"""`check_foreign`: what training and finishing ask of a family that does not come with dreamgym."""

from pathlib import Path

import pytest
import torch

from dreamgym.testing import PointMassModel
from dreamgym.world_models.contract import check_foreign
from dreamgym.world_models.families.mlp.model import MLPWorldModel
from dreamgym.world_models.registry import recipe


class MixesBatch(PointMassModel):
    def imagine(self, state, action, generator=None):
        state = super().imagine(state, action, generator)
        return {**state, "position": state["position"] - state["position"].mean(0)}


class Raises(PointMassModel):
    def imagine(self, state, action, generator=None):
        return {"position": torch.cat([state["position"], action], 0).view(3, 2)}


def test_a_broken_rule_is_told_with_family_and_class():
    with pytest.raises(ValueError, match=r"family 'point_mass' \(MixesBatch\) does not keep the contract .*of env 0"):
        check_foreign(MixesBatch())


def test_an_error_of_the_model_is_told_with_the_line_of_its_file():
    with pytest.raises(ValueError, match=rf"RuntimeError: .*\({Path(__file__)}, line 22\)"):
        check_foreign(Raises())


def test_a_model_that_keeps_it_stays_in_its_mode_and_nothing_is_drawn():
    model, before = PointMassModel().train(), torch.get_rng_state()
    check_foreign(model)
    assert model.training and torch.equal(torch.get_rng_state(), before)


def test_the_librarys_own_families_are_not_run(tmp_path, monkeypatch):
    made = recipe("mlp")
    store = made.example().write(tmp_path / "store")
    from dreamgym.suites.facts import store_facts

    model = MLPWorldModel(made.config(store_facts(store), "tiny", made.example().changes))
    monkeypatch.setattr(model, "start", None)
    check_foreign(model)
