"""Runs that are killed, agents on disk."""

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dreamgym_agents.common.runs import finished
from dreamgym_agents.warpd import (
    WARPD,
    Agent,
    Demonstrations,
    DiffusionBaseline,
    LatentDiffusionPolicy,
    MLPPolicy,
    PlanningPolicy,
    Scale,
    TrainConfig,
    WorldModelDynamics,
    load,
    load_agent,
    save,
    train,
)
from dreamgym_agents.warpd.recipes import make_agent

from dreamgym.evaluation.policies.load import load_policy
from dreamgym.training.checkpoint import CheckpointError
from dreamgym.training.stop import Stopped
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel


def make(demonstrations: Demonstrations, config, dynamics, **changes) -> WARPD:
    return WARPD.for_demonstrations(config(**changes), demonstrations, dynamics=dynamics(gain=0.05))


@pytest.mark.parametrize("kind", [WARPD, DiffusionBaseline, LatentDiffusionPolicy, MLPPolicy])
def test_every_stage_of_every_agent_lessens_its_loss(
    kind: type[Agent], demonstrations: Demonstrations, config, dynamics, tmp_path: Path
) -> None:
    schedule = TrainConfig(vae_epochs=40, diffusion_epochs=60, batch_size=8, vae_lr=1e-2, lr=1e-2)
    more = {"dynamics": dynamics(gain=0.05)} if kind is WARPD else {}
    agent = kind.for_demonstrations(config(train=schedule), demonstrations, **more)
    before = {k: v.clone() for k, v in agent.state_dict().items()}
    assert not train(agent, demonstrations, tmp_path, show=False).training
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))  # stage after stage
    for stage in agent.stages():
        losses = [line["loss"] for line in lines if line["stage"] == stage.name]
        assert len(losses) == stage.epochs
        assert sum(losses[-5:]) < 0.8 * sum(losses[:5]), (stage.name, losses[:5], losses[-5:])
    still = [k for k, v in agent.state_dict().items() if torch.equal(v, before[k])]
    # Every weight is trained; scales and the noise schedule are no weights.
    assert not set(still) & {name for name, _ in agent.named_parameters()}


def killed_at(patch: pytest.MonkeyPatch, kind: type[Agent], stage: str, epoch: int) -> None:
    """Has the loss of a stage run out of memory in an epoch."""
    original = kind.stages

    def stages(self):
        planned = original(self)
        (of,) = (s for s in planned if s.name == stage)
        loss = of.loss

        def killed(batch, generator, at):
            if at == epoch:
                raise MemoryError
            return loss(batch, generator, at)

        of.loss = killed
        return planned

    patch.setattr(kind, "stages", stages)


@pytest.mark.parametrize("stage", ["vae", "diffusion"])
def test_a_killed_run_goes_on_as_if_unbroken(
    stage: str, demonstrations: Demonstrations, config, dynamics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(make(demonstrations, config, dynamics), demonstrations, tmp_path / "whole", show=False)
    with monkeypatch.context() as patch:
        killed_at(patch, WARPD, stage, 2)
        with pytest.raises(MemoryError):
            train(make(demonstrations, config, dynamics), demonstrations, tmp_path / "broken", show=False)
    resumed = train(make(demonstrations, config, dynamics), demonstrations, tmp_path / "broken", show=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert (tmp_path / "broken" / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()


@pytest.mark.parametrize("decay", [False, True])
def test_rates_rise_and_fall_where_they_are_to_also_after_a_kill(
    decay: bool, demonstrations: Demonstrations, config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def watched(optimizer, *args, **kwargs):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *args, **kwargs)

    def run() -> None:
        changes = {"train": TrainConfig(diffusion_epochs=4, lr=0.1, decay=decay, batch_size=8, save_every_s=0)}
        agent = DiffusionBaseline.for_demonstrations(config(**changes), demonstrations)
        train(agent, demonstrations, tmp_path, show=False)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    with monkeypatch.context() as patch:
        killed_at(patch, DiffusionBaseline, "diffusion", 2)
        with pytest.raises(MemoryError):
            run()
    run()
    falling = [0.05 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]  # two updates an epoch
    assert rates == pytest.approx([0.05, *falling[1:]] if decay else [0.1] * 8)


def test_a_run_of_before_a_field_was_there_goes_on(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    train(MLPPolicy.for_demonstrations(config(), demonstrations), demonstrations, tmp_path, show=False)
    file = tmp_path / "config.json"
    held = json.loads(file.read_text())
    del held["config"]["train"]["decay"], held["config"]["action_origin"]
    file.write_text(json.dumps(held))
    train(MLPPolicy.for_demonstrations(config(), demonstrations), demonstrations, tmp_path, show=False)


def test_stages_can_be_run_one_by_one(demonstrations: Demonstrations, config, dynamics, tmp_path: Path) -> None:
    agent = make(demonstrations, config, dynamics)
    before = agent.latent_diffusion.state_dict()["diffusion.denoiser.out.1.weight"].clone()
    train(agent, demonstrations, tmp_path, show=False, stages=["vae"])
    assert torch.equal(agent.latent_diffusion.state_dict()["diffusion.denoiser.out.1.weight"], before)
    assert not (tmp_path / "diffusion").exists()
    with pytest.raises(ValueError, match="no stages"):
        train(agent, demonstrations, tmp_path, show=False, stages=["sleep"])
    learned = agent.vae.state_dict()
    later = train(make(demonstrations, config, dynamics), demonstrations, tmp_path, show=False, stages=["diffusion"])
    assert all(torch.equal(v, learned[k]) for k, v in later.vae.state_dict().items())
    whole = train(make(demonstrations, config, dynamics), demonstrations, tmp_path / "whole", show=False)
    for k, v in whole.latent_diffusion.state_dict().items():
        assert torch.equal(v, later.latent_diffusion.state_dict()[k])


def test_a_stage_waits_for_the_one_before(demonstrations: Demonstrations, config, dynamics, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'diffusion' builds on the stage 'vae', which is not done"):
        train(make(demonstrations, config, dynamics), demonstrations, tmp_path, show=False, stages=["diffusion"])


def test_what_training_leaves_is_no_pickle(demonstrations: Demonstrations, config, dynamics, tmp_path: Path) -> None:
    train(make(demonstrations, config, dynamics), demonstrations, tmp_path, show=False)
    kept = [f for f in tmp_path.rglob("*") if f.is_file() and f.parent.name != "tensorboard" and f.name != ".held"]
    assert {f.suffix for f in kept} == {".json", ".jsonl", ".safetensors"}


def test_a_run_of_another_config_is_not_overwritten(
    demonstrations: Demonstrations, config, dynamics, tmp_path: Path
) -> None:
    train(make(demonstrations, config, dynamics), demonstrations, tmp_path, show=False)
    with pytest.raises(ValueError, match=r"begun with other settings: config.horizon 5, not 4. Use a new"):
        train(make(demonstrations, config, dynamics, horizon=4), demonstrations, tmp_path, show=False)


def test_a_run_of_other_data_or_scales_is_not_gone_on_with(
    demonstrations: Demonstrations, config, dynamics, tmp_path: Path
) -> None:
    train(make(demonstrations, config, dynamics), demonstrations, tmp_path, show=False)
    other = replace(demonstrations, action=-demonstrations.action)
    with pytest.raises(ValueError, match=r"other settings: data.values .*, not "):
        train(make(demonstrations, config, dynamics), other, tmp_path, show=False)
    coarse = WARPD.for_demonstrations(
        config(), demonstrations, dynamics=dynamics(gain=0.05), finest=torch.full((2,), 9.0)
    )
    with pytest.raises(ValueError, match=r"other settings: data.scales .*, not "):
        train(coarse, demonstrations, tmp_path, show=False)


@pytest.mark.parametrize(("stage", "stops"), [("vae", True), ("diffusion", False)])
def test_a_signal_in_the_last_epoch_of_a_stage_stops_unless_all_is_done(
    stage: str, stops: bool, demonstrations: Demonstrations, config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, begun = LatentDiffusionPolicy.for_demonstrations(config(), demonstrations), []
    original = LatentDiffusionPolicy.stages

    def stages(self):
        planned = original(self)
        for of in planned:

            def loss(batch, generator, epoch, of=of, own=of.loss):
                begun.append(of.name)
                if of.name == stage and epoch == of.epochs - 1:
                    signal.raise_signal(signal.SIGTERM)
                return own(batch, generator, epoch)

            of.loss = loss
        return planned

    with monkeypatch.context() as patch:
        patch.setattr(LatentDiffusionPolicy, "stages", stages)
        if stops:
            with pytest.raises(Stopped, match="stopped after vae") as stopped:
                train(agent, demonstrations, tmp_path, show=False)
            assert stopped.value.exit_code == 143
        else:
            train(agent, demonstrations, tmp_path, show=False)
    assert set(begun) == ({"vae"} if stops else {"vae", "diffusion"})
    train(agent, demonstrations, tmp_path, show=False)
    assert finished(tmp_path, "diffusion", 3)


def test_demonstrations_that_an_agent_was_not_made_for_are_refused_before_anything_is_written(
    demonstrations: Demonstrations, config, dynamics, tmp_path: Path
) -> None:
    agent = make(demonstrations, config, dynamics)

    def refused(demos: Demonstrations, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            train(agent, demos, tmp_path / "run", show=False)
        assert not (tmp_path / "run").exists()

    wide = replace(demonstrations, obs=torch.cat([demonstrations.obs] * 2, 1))
    refused(wide, r"\(4, 2\) entries of observation and action, an agent of \(2, 2\)")
    refused(replace(demonstrations, tasks=("up", "down")), r"tasks \['up', 'down'\], an agent of \['left', 'right'\]")
    refused(replace(demonstrations, tasks=("left", "right", "up")), r"'up'\], an agent of")
    refused(demonstrations.counted_from((0, 1)), r"counted from the entries \(0, 1\)")
    with pytest.raises(ValueError, match="fewer than 8 steps"):
        train(agent, Demonstrations.from_episodes([(torch.rand(5, 2),) * 2] * 2, ["left", "right"]), tmp_path / "run")


def test_a_world_model_of_other_sizes_is_refused(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    def made(obs_dim: int, actions: int) -> WARPD:
        model = MLPWorldModel(MLPConfig.tiny(obs_dim, ActionSpec((-3.0,) * actions, (3.0,) * actions), ensemble=1))
        return WARPD.for_demonstrations(config(), demonstrations, dynamics=WorldModelDynamics(model))

    with pytest.raises(ValueError, match="world model of 5 observed entries, demonstrations of 2"):
        train(made(5, 2), demonstrations, tmp_path / "run", show=False)
    with pytest.raises(ValueError, match="world model of 3 actions, demonstrations of 2"):
        train(made(2, 3), demonstrations, tmp_path / "run", show=False)


def test_a_seed_draws_the_world_model_too(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    action = ActionSpec((-3.0,) * 2, (3.0,) * 2)

    def weights(seed: int) -> torch.Tensor:
        torch.rand(1)  # what was drawn before is of no account
        agent = make_agent("warpd", config(train=TrainConfig(seed=seed)), demonstrations, action)
        return torch.cat([p.flatten() for p in agent.dynamics.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_loss_that_is_not_finite_stops_the_run(
    demonstrations: Demonstrations, config, dynamics, tmp_path: Path
) -> None:
    agent = make(demonstrations, config, dynamics, train=TrainConfig(vae_epochs=3, vae_lr=1e18, lr=1e18))
    with pytest.raises(FloatingPointError, match="grad_clip"):
        train(agent, demonstrations, tmp_path, show=False)


def test_the_averaged_weights_are_what_acts(demonstrations: Demonstrations, config, dynamics, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    agent = train(make(demonstrations, config, dynamics), demonstrations, tmp_path, show=False)
    (ema,) = (tmp_path / "diffusion" / "progress").glob("*3/ema.safetensors")
    weights = dict(agent.latent_diffusion.named_parameters())
    last = load_file(ema.parent / "model.safetensors")
    for name, average in load_file(ema).items():
        assert torch.equal(weights[name], average)
    assert any(not torch.equal(weights[name], last[name]) for name in weights)


@pytest.mark.parametrize("kind", [WARPD, DiffusionBaseline, LatentDiffusionPolicy, MLPPolicy])
def test_a_saved_agent_acts_the_same(kind: type[Agent], demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    agent = kind.for_demonstrations(config(), demonstrations)
    policies = [PlanningPolicy(agent, "right"), load(save(tmp_path / "agent", PlanningPolicy(agent, "right")))]
    acted = []
    for policy in policies:
        generator = torch.Generator().manual_seed(0)
        fresh = torch.ones(2, dtype=torch.bool)
        acted.append(policy.act(torch.ones(2, 2), policy.start(2, generator), fresh, generator)[0])
    assert torch.equal(*acted)


def test_evaluation_loads_the_folder_by_itself(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    folder = save(tmp_path / "agent", PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), "left", 3))
    policy = load_policy(folder, None)  # type: ignore[arg-type]
    assert isinstance(policy, PlanningPolicy)
    assert policy.horizon == 3


def test_an_agent_of_before_it_said_what_it_is_shown_is_shown_features(
    demonstrations: Demonstrations, config, tmp_path: Path
) -> None:
    folder = save(tmp_path / "agent", PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), "left"))
    assert load(folder).obs == "state"
    told = json.loads((folder / "config.json").read_text())
    del told["obs"]
    (folder / "config.json").write_text(json.dumps(told))
    assert load(folder).obs == "features"


def test_a_floor_of_scales_of_another_suite_is_refused(demonstrations: Demonstrations, config) -> None:
    with pytest.raises(ValueError, match=r"for each of 2 observed entries, got \(39,\): is this dream one of the same"):
        WARPD.for_demonstrations(config(), demonstrations, finest=torch.ones(39))


def test_the_scale_of_features_is_saved(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    scale = Scale(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    agent = WARPD.for_demonstrations(config(), demonstrations)
    policy = load(save(tmp_path / "agent", PlanningPolicy(agent, "left", obs_scale=scale)))
    assert policy.obs_scale is not None
    assert torch.equal(policy.obs_scale.std, scale.std)


def test_damage_is_found(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    folder = save(tmp_path / "agent", PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), "left"))
    weights = folder / "agent.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="damaged"):
        load_agent(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99}, "pip install -U"),
        ({"policy": "diffusion_ppo"}, "no agent"),
        ({"kind": "oracle"}, "no agent"),
        ({"config": {"obs_dim": 2}}, "do not fit"),
    ],
)
def test_a_foreign_config_is_refused(change: dict, says: str, demonstrations, config, tmp_path: Path) -> None:
    folder = save(tmp_path / "agent", PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), "left"))
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(CheckpointError, match=says):
        load_agent(folder)


def test_saving_over_something_else_is_refused(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(ValueError, match="another path"):
        save(tmp_path, PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), "left"))


def test_a_policy_with_a_task_for_each_env_is_not_saved(demonstrations: Demonstrations, config, tmp_path: Path) -> None:
    policy = PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), ["left", "right"])
    with pytest.raises(ValueError, match=r"the name of one task, got \['left', 'right'\]"):
        save(tmp_path / "a", policy)


def test_a_policy_without_one_of_several_tasks_is_refused(demonstrations: Demonstrations, config) -> None:
    with pytest.raises(ValueError, match=r"knows 2 tasks: say which, one of \['left'"):
        PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations))


def test_a_policy_for_a_task_never_seen_is_refused(demonstrations: Demonstrations, config) -> None:
    with pytest.raises(ValueError, match="never seen"):
        PlanningPolicy(WARPD.for_demonstrations(config(), demonstrations), "fly")


def test_an_agent_refuses_demonstrations_of_other_tasks(config) -> None:
    rows = torch.randn(9, 2)
    with pytest.raises(ValueError, match="tasks"):
        WARPD.for_demonstrations(config(), Demonstrations.from_episodes([(rows, rows)]))


def test_a_floor_keeps_what_hardly_moves_from_being_magnified(demonstrations: Demonstrations, config) -> None:
    agent = MLPPolicy.for_demonstrations(config(), demonstrations, finest=torch.tensor([0.0, 9.0]))
    assert agent.scaling.obs_std[1] == 9.0
    assert 0.1 < agent.scaling.obs_std[0] < 1.0
