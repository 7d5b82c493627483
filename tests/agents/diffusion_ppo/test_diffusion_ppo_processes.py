"""Fine-tuning on two processes: the update of one with both their samples, and one policy on both."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dreamgym_agents.common.runs import StageRun, run_stages
from dreamgym_agents.diffusion_ppo import load_policy
from dreamgym_agents.diffusion_ppo.ppo import ALONE, Learner, Samples, update
from launched import two_processes
from point_policies import TINY_TUNE, make_policy
from safetensors.torch import load_file

from dreamgym.training.processes import Processes

# One minibatch with all samples, no draws: what two processes do with half of them each must be the same.
WHOLE = replace(TINY_TUNE, num_updates=1, batch_size=10_000, bc_weight=0.0)
SCRIPT = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import gymnasium as gym, torch
from safetensors.torch import save_file
import test_diffusion_ppo_processes as here
from dreamgym.training.processes import Processes
from dreamgym_agents.diffusion_ppo import tune
from dreamgym_agents.diffusion_ppo.tune import Tuning
torch.set_num_threads(1)
own = Processes.current()
learner, told = here.updated(slice(own.rank * 20, own.rank * 20 + 20), own)
save_file(learner.state_dict(), f"{sys.argv[3]}/update{own.rank}.safetensors")
env = gym.make_vec("Dream-v0", num_envs=4, checkpoint=sys.argv[2], task="reach_right", horizon=16, chunk=4,
                   reward="probability", array="torch")
kept = []
Tuning.finish = lambda self, finish=Tuning.finish: (finish(self), kept.append(self.learner))
tune(here.make_policy(), env, here.TINY_TUNE, sys.argv[3] + "/run")
save_file(kept[0].state_dict(), f"{sys.argv[3]}/tuned{own.rank}.safetensors")
"""


def updated(rows: slice, processes: Processes = ALONE) -> tuple[Learner, dict[str, float]]:
    """A learner after one update on some of 40 decisions."""
    policy = make_policy().for_tuning(WHOLE.tuned_steps)
    learner, draw = Learner(policy, WHOLE), torch.Generator().manual_seed(1)
    steps, size = WHOLE.tuned_steps, policy.config.flat_dim
    features = torch.randn(40, policy.config.feature_dim, generator=draw)
    chain = 0.3 * torch.randn(steps + 1, 40, size, generator=draw)
    parts = [torch.rand(40, generator=draw), torch.randn(40, generator=draw), torch.rand(40, generator=draw)]
    elapsed, advantage, target = (part[rows] for part in parts)
    with torch.no_grad():
        log_prob = policy.log_prob(features, chain)
    samples = Samples(
        features[rows], elapsed, chain[:, rows], log_prob[:, rows], advantage, target, chain[:, :0],
        torch.zeros(0, dtype=torch.long), torch.tensor(0.0),
    )  # fmt: skip
    # Not Adam, whose first step is the gradient's sign, of rounding errors too.
    optimizer = torch.optim.SGD([{"params": policy.tunable()}, {"params": list(learner.critic.parameters())}], lr=0.1)
    return learner, update(learner, optimizer, samples, WHOLE, torch.Generator(), True, processes)


def test_two_processes_update_as_one_and_stay_one_policy(point_checkpoint, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = two_processes(script, f"{Path(__file__).parent}:{Path(__file__).parents[2]}", point_checkpoint, tmp_path)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-4000:]
    before, after = make_policy().for_tuning(WHOLE.tuned_steps), updated(slice(None))[0].state_dict()
    assert any(not torch.equal(value, after[f"policy.{key}"]) for key, value in before.state_dict().items())
    for rank in range(2):
        for key, value in load_file(tmp_path / f"update{rank}.safetensors").items():
            torch.testing.assert_close(
                value, after[key], rtol=1e-4, atol=2e-5
            )  # of steps of 1e-3: Adam divides by small numbers
    first, second = (load_file(tmp_path / f"tuned{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert load_policy(tmp_path / "run" / "best").config.tuned_steps == TINY_TUNE.tuned_steps


def test_a_stage_that_does_not_share_its_work_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "current", classmethod(lambda cls: cls(1, 2)))
    stage = StageRun()
    stage.name, stage.budget = "clone", 1
    with pytest.raises(ValueError, match="clone runs in one process, and 2 were started: start it without torchrun"):
        run_stages([stage], tmp_path)
