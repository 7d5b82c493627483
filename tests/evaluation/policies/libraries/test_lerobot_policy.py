"""LeRobot's policies, on a stand-in of its package that has the API of lerobot 0.6.2: tests/standins/lerobot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dreamgym import cli
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.fingerprint import fingerprint
from dreamgym.evaluation.policies.libraries import PolicyOptions
from dreamgym.evaluation.policies.load import load_policy, policy_name
from dreamgym.suites import Suite
from dreamgym.testing import PointMassModel, TwoRobotsModel

SPEC = PointMassModel().spec
STANDINS = Path(__file__).resolve().parents[3] / "standins"
CAMERA, STATE = "observation.images.rgb_static", "observation.state"


@pytest.fixture
def saved(lerobot, tmp_path):
    """Saves a policy that moves by `bias` plus `slope` times its position, as lerobot's training leaves one."""
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies.chunked import ChunkedConfig, ChunkedPolicy

    def save(name="pretrained_model", bias=(0.8, 0, -1), slope=0.0, camera=CAMERA, size=16, state=3, **changes):
        inputs = {
            camera: PolicyFeature(FeatureType.VISUAL, (3, size, size)),
            STATE: PolicyFeature(FeatureType.STATE, (state,)),
        }
        outputs = {"action": PolicyFeature(FeatureType.ACTION, (len(bias),))}
        policy = ChunkedPolicy(ChunkedConfig(input_features=inputs, output_features=outputs, device="cpu", **changes))
        with torch.no_grad():
            policy.layer.weight.zero_().fill_diagonal_(2 * slope)  # the pipelines halve
            policy.layer.bias.copy_(2 * torch.tensor(bias) - 0.2)
        folder = tmp_path / name
        policy.save_pretrained(folder)
        write_pipelines(folder, state, len(bias))
        return folder

    return save


def write_pipelines(folder, state, action):
    """Pipelines as lerobot saves them: the position is halved on its way in, the action (plus 0.2) on its way out."""
    save_file(
        {f"{STATE}.mean": torch.zeros(state), f"{STATE}.std": torch.ones(state)}, folder / "normalizer.safetensors"
    )
    save_file(
        {"action.mean": torch.full((action,), 0.1), "action.std": torch.full((action,), 0.5)},
        folder / "unnormalizer.safetensors",
    )
    steps = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "device_processor", "config": {"device": "cuda"}},
        {"registry_name": "normalizer_processor", "config": {}, "state_file": "normalizer.safetensors"},
    ]
    (folder / "policy_preprocessor.json").write_text(json.dumps({"name": "policy_preprocessor", "steps": steps}))
    steps = [{"registry_name": "unnormalizer_processor", "config": {}, "state_file": "unnormalizer.safetensors"}]
    (folder / "policy_postprocessor.json").write_text(json.dumps({"name": "policy_postprocessor", "steps": steps}))


def shown(num=4, x=0.0):
    """What the point's world shows as obs="dict"."""
    state = torch.tensor([[x, 0.0, 0.0]]).repeat(num, 1)
    pixels = torch.randint(0, 256, (num, 16, 16, 3), dtype=torch.uint8)
    return {
        "features": state,
        "instruction": torch.zeros(num),
        "rgb_static": pixels,
        "state": state,
        "proprioception": state,
    }


FRESH, GOING = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)


def first(policy, obs=None, generator=None):
    carry = policy.begin(policy.start(4, generator), FRESH, ["reach_right"] * 4)
    return policy.act(shown() if obs is None else obs, carry, FRESH, generator)[0]


def last_made():
    """The stand-in that was loaded last."""
    from lerobot.policies.chunked import ChunkedPolicy

    return ChunkedPolicy.made[-1]


class Same:
    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        return torch.tensor([0.8, 0.0, -1.0]).expand(len(fresh), 3), carry


def test_it_is_scored_as_a_policy_of_ones_own_that_does_the_same(saved, world):
    options = {"episodes": 5, "simulators": 2, "horizon": 12}
    theirs, ours = (evaluate(p, world, "reach_right", **options) for p in (f"lerobot:{saved()}", Same()))
    for side in ("dream", "twin"):
        assert getattr(theirs, side).success.all()
        assert getattr(theirs, side).length.tolist() == getattr(ours, side).length.tolist()


def test_it_is_shown_lerobots_names_and_asked_through_both_pipelines(saved):
    policy = load_policy(f"lerobot:{saved()}", SPEC)
    assert first(policy, obs := shown()).allclose(torch.tensor([0.8, 0.0, -1.0]))
    (seen,) = last_made().seen
    assert set(seen) == {CAMERA, STATE, "task"}
    assert torch.equal(seen[CAMERA], obs["rgb_static"].movedim(-1, 1) / 255)
    assert seen["task"] == ["reach right"] * 4


def test_the_suites_words_are_used(saved):
    suite = Suite(
        "mine", ("reach_right",), SPEC.action, 10.0, 10, "a:b", cameras={"rgb_static": "top"},
        instructions={"reach_right": "go to the right"},
    )  # fmt: skip
    policy = load_policy(f"lerobot:{saved(camera='observation.images.top')}", SPEC, options=PolicyOptions(suite))
    first(policy)
    assert last_made().seen[0]["task"] == ["go to the right"] * 4


def test_a_plan_is_followed_until_an_episode_begins(saved):
    policy = load_policy(f"lerobot:{saved(bias=(0, 0, 0), slope=1.0)}", SPEC)
    carry = policy.start(4, None)
    plan = policy.act(shown(x=0.4), carry, FRESH, None)[0]
    assert policy.act(shown(x=-0.7), carry, GOING, None)[0].equal(plan)  # of three actions
    assert policy.act(shown(x=-0.7), carry, FRESH, None)[0][:, 0].allclose(torch.tensor(-0.7))
    with pytest.raises(ValueError, match="begin their episodes together"):
        policy.act(shown(), carry, torch.tensor([True, False, False, False]), None)


def test_its_draws_come_from_the_generator_and_leave_torchs_own_alone(saved):
    policy = load_policy(f"lerobot:{saved(noise=1.0)}", SPEC)
    obs, before = shown(), torch.get_rng_state()
    drawn = [first(policy, obs, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn[0].equal(drawn[1]) and not drawn[0].equal(drawn[2])
    assert not first(policy).equal(first(policy))


def test_pictures_are_resized_with_a_warning(saved, caplog):
    policy = load_policy(f"lerobot:{saved(size=32)}", SPEC)
    first(policy)
    first(policy)
    assert [r.message for r in caplog.records] == [f"{CAMERA}: this world's (16, 16) are resized to (32, 32)"]


def test_vectors_that_no_policy_of_lerobot_reads_need_not_be_here(saved, caplog):
    folder = saved()
    config = json.loads((folder / "config.json").read_text())
    config["input_features"]["observation.scene_obs"] = {"type": "STATE", "shape": [24]}
    (folder / "config.json").write_text(json.dumps(config))
    first(load_policy(f"lerobot:{folder}", SPEC))
    assert [r.message for r in caplog.records if "scene_obs" in r.message and "left out" in r.message]
    config["input_features"]["observation.environment_state"] = {"type": "ENV", "shape": [24]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"reads \['observation.environment_state'\]"):
        first(load_policy(f"lerobot:{folder}", SPEC))


def test_a_frame_of_several_actions_takes_several(saved):
    spec = TwoRobotsModel().spec
    policy = load_policy(f"lerobot:{saved(bias=(0.1,) * spec.action.dim)}", spec)
    assert policy.chunk == spec.actions_per_frame == 5
    assert first(policy).shape == (4, 5, spec.action.dim)


def test_adapters_are_put_on_their_base(saved):
    peft = pytest.importorskip("peft")
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.chunked import ChunkedPolicy

    base, tuned = saved("base", bias=(0, 0, 0)), saved("tuned", bias=(0, 0, 0), use_peft=True)
    (tuned / "model.safetensors").unlink()
    config = PreTrainedConfig.from_pretrained(base)
    adapted = peft.get_peft_model(
        ChunkedPolicy.from_pretrained(base, config=config), peft.LoraConfig(r=1, target_modules=["layer"], bias="all")
    )
    with torch.no_grad():
        adapted.base_model.model.layer.bias.fill_(0.8)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    config_json = (tuned / "config.json").read_text()
    adapted.save_pretrained(tuned)
    (tuned / "config.json").write_text(config_json)
    assert first(load_policy(f"lerobot:{tuned}", SPEC)).allclose(torch.tensor(0.5))


def test_a_sensor_is_named_where_its_name_does_not_tell(saved, world, capsys):
    folder = saved(camera="observation.images.front")
    with pytest.raises(
        ValueError, match=r"reads \['observation.images.front'\].*--map SENSOR=observation.images.front"
    ):
        first(load_policy(f"lerobot:{folder}", SPEC))
    words = ["--checkpoint", world, "--tasks", "reach_right", "--episodes", "2", "--horizon", "9"]
    cli.main(["evaluate", f"lerobot:{folder}", *words, "--map", "rgb_static=observation.images.front"])
    assert "100.0" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="map is of policies of lerobot alone"):
        cli.main(["evaluate", "random", *words, "--map", "rgb_static=observation.images.front"])
    for wrong in (("rgb_static",), ("=x",), ("a=",)):
        with pytest.raises(ValueError, match="--map takes SENSOR=KEY"):
            PolicyOptions(map=wrong)
    with pytest.raises(ValueError, match="names 'key' twice"):
        PolicyOptions(map=("a=key", "b=key"))


def test_what_does_not_fit_the_world_is_refused(saved):
    with pytest.raises(ValueError, match=r"actions have shape \(2,\), this world's have 3"):
        load_policy(f"lerobot:{saved(bias=(0.1, 0.1))}", SPEC)
    with pytest.raises(ValueError, match=r"observation.state of shape \(9,\).*has 3 entries.*--map"):
        first(load_policy(f"lerobot:{saved(state=9)}", SPEC))


def test_a_step_that_is_code_of_others_needs_trust(saved, tmp_path, monkeypatch):
    folder = saved()
    (tmp_path / "steps.py").write_text("def Ours(config, state):\n    return lambda batch: batch\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = folder / "policy_preprocessor.json"
    pipeline = json.loads(file.read_text())
    pipeline["steps"].append({"class": "steps.Ours", "config": {}})
    file.write_text(json.dumps(pipeline))
    with pytest.raises(ValueError, match=r"steps.Ours.*--trust-policy"):
        load_policy(f"lerobot:{folder}", SPEC)
    assert "steps" not in sys.modules
    assert first(load_policy(f"lerobot:{folder}", SPEC, options=PolicyOptions(trust=True))).shape == (4, 3)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("config.json", None, "holds no config.json: point at"),
        ("config.json", '{"type": "dance"}', "not registered"),
        ("config.json", "{", "cannot be loaded"),
        ("model.safetensors", "x", "cannot be loaded"),
        ("policy_preprocessor.json", None, "migrate_policy_normalization"),
        ("policy_postprocessor.json", "[]", "missing or damaged"),
        ("normalizer.safetensors", None, "cannot be loaded"),
    ],
)
def test_a_damaged_folder_is_one_error(saved, file, text, told):
    folder = saved()
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    with pytest.raises(ValueError, match=told):
        load_policy(f"lerobot:{folder}", SPEC)


def test_the_folder_of_a_checkpoint_will_do_and_edits_are_noticed(saved):
    folder = saved()
    assert first(load_policy(f"lerobot:{folder.parent}", SPEC)).shape == (4, 3)
    assert policy_name("lerobot:out/act_reach/checkpoints/last/pretrained_model") == "lerobot:act_reach/last"
    assert policy_name("lerobot:someone/act_reach") == "lerobot:someone/act_reach"


def test_a_fingerprint_is_of_the_files(saved, monkeypatch):
    from dreamgym.evaluation.policies.libraries import names

    folder = saved()
    assert fingerprint(f"lerobot:{folder}") is None  # the stand-in is no distribution
    monkeypatch.setattr(names, "version", lambda name: "0.6.2")
    before = fingerprint(f"lerobot:{folder}")
    assert before is not None
    (folder / "policy_postprocessor.json").write_text("{}")
    assert fingerprint(f"lerobot:{folder}") != before
    assert fingerprint("lerobot:someone/of_the_hub") is None


def test_a_policy_of_the_hub_is_fetched_and_scored(saved, world, tmp_path):
    pytest.importorskip("huggingface_hub")
    from hub import Hub

    server = Hub()
    server.begin("me/policy", {file.name: file.read_bytes() for file in saved().iterdir()})
    words = ["--checkpoint", world, "--tasks", "reach_right", "--episodes", "2", "--horizon", "9", "--no-twin"]
    script = (
        "import sys, dreamgym.testing; from dreamgym import cli; cli.main(sys.argv[1:]); "
        "cli.main(['evaluate', 'lerobot:me/nothing', *sys.argv[3:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "evaluate", "lerobot:me/policy@main", *words], capture_output=True, text=True,
        env={**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"),
             "PYTHONPATH": os.pathsep.join([str(STANDINS), *sys.path])},
        timeout=300,
    )  # fmt: skip
    server.shutdown()
    assert "lerobot:me/policy" in done.stdout and "100.0" in done.stdout, done.stderr
    assert "'me/nothing' could not be fetched: there is no such repository" in done.stderr


def test_without_lerobot_the_mend_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "lerobot", None)
    with pytest.raises(ImportError, match="pip install lerobot"):
        load_policy("lerobot:somewhere", SPEC)
