import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from dreamgym.evaluation.policies import load as policies
from dreamgym.evaluation.policies.load import HoldPolicy, RandomPolicy, load_policy, policy_name
from dreamgym.testing import PointMassModel
from dreamgym.types import InstructionSpec, Policy

SPEC = PointMassModel().spec
FACTORY = """
import torch
class Push:
    def __init__(self, dim): self.dim = dim
    def start(self, num_envs, generator): return None
    def act(self, obs, carry, fresh, generator): return torch.ones(len(fresh), self.dim), carry
def with_spec(spec): return Push(spec.action.dim)
def with_nothing(): return Push(2)
def with_default(dim=5): return Push(dim)
def greedy(spec, more): return Push(1)
def wrong(): return "no policy"
here = Push(4)
number = 3
"""


def act(policy, num=6):
    return policy.act(torch.zeros(num, 3), policy.start(num, None), torch.ones(num, dtype=torch.bool), None)[0]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FACTORY)
    return path


def test_random_actions_fill_the_bounds():
    policy = load_policy("random", SPEC)
    assert isinstance(policy, RandomPolicy)
    torch.manual_seed(0)
    actions = act(policy, 300)
    assert actions.shape == (300, 3)
    assert (actions.min(0).values < -0.9).all() and (actions.max(0).values > 0.9).all()
    assert actions.abs().max() <= 1
    assert len(actions.unique(dim=0)) == 300  # each env its own
    # Entry by entry uniform: a third of the draws lie in each third of the range.
    assert (((actions.abs() < 1 / 3).float().mean(0) - 1 / 3).abs() < 0.1).all()


def test_hold_is_the_specs_own_action():
    assert isinstance(load_policy("hold", SPEC), HoldPolicy)
    assert act(load_policy("hold", SPEC)).tolist() == [list(SPEC.action.hold)] * 6


def test_of_a_model_with_several_actions_a_frame_built_in_policies_decide_on_a_frame():
    spec = replace(SPEC, actions_per_frame=5)
    for name in ("random", "hold"):
        policy = load_policy(name, spec)
        assert policy.chunk == 5
        assert act(policy).shape == (6, 5, 3)
    assert act(policy).tolist() == [[list(SPEC.action.hold)] * 5] * 6  # holds still throughout the frame
    assert len(act(load_policy("random", spec)).flatten(0, 1).unique(dim=0)) == 30


def test_instructions_are_drawn_at_random_and_none_holds_still():
    spec = replace(SPEC, action=InstructionSpec(("go", "stop", "wait"), 4, SPEC.control))
    drawn = act(load_policy("random", spec), 60)
    assert drawn.dtype == torch.int64
    assert set(drawn.tolist()) == {0, 1, 2}
    with pytest.raises(ValueError, match="driven by instructions"):
        load_policy("hold", spec)


@pytest.mark.parametrize(("factory", "dim"), [("with_spec", 3), ("with_nothing", 2), ("with_default", 5), ("here", 4)])
def test_a_file_gives_a_policy(file, factory, dim):
    assert torch.equal(act(load_policy(f"{file}:{factory}", SPEC)), torch.ones(6, dim))


def test_a_module_gives_a_policy(file, monkeypatch):
    monkeypatch.syspath_prepend(str(file.parent))
    assert torch.equal(act(load_policy("mine:with_spec", SPEC)), torch.ones(6, 3))
    del sys.modules["mine"]


def test_a_policy_and_a_factory_pass_as_they_are():
    policy = HoldPolicy(SPEC)
    assert load_policy(policy, SPEC) is policy
    assert isinstance(load_policy(HoldPolicy, SPEC), HoldPolicy)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("absent", "has no 'absent'"),
        ("greedy", "takes the world model's spec, or nothing"),
        ("wrong", "returned a str"),
        ("number", "is a int"),
    ],
)
def test_what_is_no_policy_is_refused(file, attribute, message):
    with pytest.raises(ValueError, match=message):
        load_policy(f"{file}:{attribute}", SPEC)


def test_names_that_lead_nowhere_say_what_would(file):
    with pytest.raises(ValueError, match="unknown policy 'dance'.*random"):
        load_policy("dance", SPEC)
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_policy("runs/nothing", SPEC)
    with pytest.raises(FileNotFoundError, match="no file"):
        load_policy(f"{file.parent}/other.py:with_spec", SPEC)
    with pytest.raises(ValueError, match="no module 'nowhere.at_all'"):
        load_policy("nowhere.at_all:f", SPEC)


def test_a_module_that_lacks_what_it_imports_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_policy.py").write_text("import surely_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="surely_not_there"):
        load_policy("broken_policy:f", SPEC)


def saved(tmp_path, **config):
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "config.json").write_text(json.dumps(config))
    return tmp_path / "agent"


class Loaded:
    """What an agent's package registers."""

    value = "loader"
    folder: Path | None = None

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        return torch.zeros(len(fresh), 3), None

    @classmethod
    def load(cls, folder, device):
        made = cls()
        made.folder = folder
        return made


def register(monkeypatch):
    point = EntryPoint("held", f"{__name__}:Loaded.load", policies.GROUP)
    monkeypatch.setitem(sys.modules, point.module, sys.modules[__name__])
    monkeypatch.setattr(policies, "entry_points", lambda group: [point] if group == policies.GROUP else [])


def test_a_folder_is_read_by_the_loader_that_is_registered_for_it(tmp_path, monkeypatch):
    register(monkeypatch)
    folder = saved(tmp_path, policy="held")
    policy = load_policy(folder, SPEC)
    assert isinstance(policy, Policy)
    assert policy.folder == folder


def test_a_folder_of_an_unknown_kind_names_the_mend(tmp_path, monkeypatch):
    register(monkeypatch)
    with pytest.raises(ValueError, match=r"kind 'dance'.*known: \['held'\].*install"):
        load_policy(saved(tmp_path, policy="dance"), SPEC)


def test_a_folder_without_a_word_on_its_policy_is_refused(tmp_path):
    with pytest.raises(ValueError, match='key "policy"'):
        load_policy(saved(tmp_path, task="open"), SPEC)
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        load_policy(tmp_path, SPEC)


def test_policies_are_named_for_tables(tmp_path, file):
    assert policy_name("random") == "random"
    assert policy_name(f"{file}:with_spec") == "mine:with_spec"
    assert policy_name(HoldPolicy(SPEC)) == "HoldPolicy"
    (tmp_path / "run" / "policies" / "000010").mkdir(parents=True)
    assert policy_name(tmp_path / "run" / "policies" / "000010") == "run/000010"
    (tmp_path / "run" / "best").mkdir()
    assert policy_name(tmp_path / "run" / "best") == "run/best"
