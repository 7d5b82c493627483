"""Cloning: what is imitated, and that a killed run goes on along the same curve."""

import importlib
import json
from dataclasses import replace

import pytest
import torch
from dreamgym_agents.common.encoded import EncodedChunks
from dreamgym_agents.diffusion_ppo import CloneConfig, clone
from point_policies import make_policy, wanderers

from dreamgym.training.ema import EMA

cloning = importlib.import_module("dreamgym_agents.diffusion_ppo.clone")  # the package has a function of that name
CONFIG = CloneConfig(epochs=6, batch_size=64, lr=1e-3, ema_start=2, ema_every=2)


def test_the_preset_is_the_papers_table():
    paper = CloneConfig.paper()
    assert (paper.demonstrations, paper.epochs, paper.batch_size, paper.weight_decay) == (50, 5000, 256, 1e-6)
    assert (paper.lr, paper.final_lr) == (1e-4, 1e-5)
    assert (paper.ema, paper.ema_start, paper.ema_every) == (0.995, 20, 10)


def test_the_rate_falls_along_a_cosine(tmp_path):
    config = replace(CONFIG, epochs=101, lr=3e-3, final_lr=1e-3)
    clone(make_policy(), wanderers(8), config, tmp_path)
    rate = [json.loads(line)["lr"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [rate[i] for i in (0, 25, 50, 100)] == pytest.approx([3e-3, 2e-3 + 1e-3 * 0.5**0.5, 2e-3, 1e-3])


def averages(tmp_path, monkeypatch, **changes):
    """(epoch, update) of each update of the average, and after which epoch it was begun."""
    updates, begun, seen = [], [], []
    policy, data = make_policy(), wanderers(128)  # two batches an epoch
    loss = policy.clone_loss
    policy.clone_loss = lambda *args: seen.append(1) or loss(*args)

    class Watched(EMA):
        def __init__(self, *args):
            super().__init__(*args)
            begun.append(len(seen))

        def update(self, model):
            super().update(model)
            updates.append(len(seen) - 1)

    monkeypatch.setattr(cloning, "EMA", Watched)
    clone(policy, data, replace(CONFIG, **changes), tmp_path)
    return updates, begun


def test_the_average_begins_at_its_epoch_and_takes_in_every_so_many_updates(tmp_path, monkeypatch):
    updates, begun = averages(tmp_path, monkeypatch, epochs=8, ema_start=3, ema_every=4)
    assert begun[-1] == 6  # what the weights were before is forgotten
    assert updates == [8, 12]


def test_too_few_epochs_for_an_average_leave_the_last_weights(tmp_path, monkeypatch):
    assert averages(tmp_path, monkeypatch, epochs=3, ema_start=5)[0] == []


def test_two_ways_are_cloned_as_two_and_not_as_their_mean(tmp_path):
    chunk = torch.where(torch.arange(256)[:, None, None] % 2 == 0, 0.8, -0.8).expand(256, 1, 3)
    policy = make_policy(chunk=1, steps=10)
    config = CloneConfig(epochs=500, lr=5e-3, final_lr=1e-4, ema=0.9, ema_every=1)
    clone(policy, EncodedChunks(torch.zeros(256, 3), chunk, 2), config, tmp_path)
    with torch.no_grad():
        decided = policy.decide(torch.zeros(256, 3), policy.draw_noise(256, torch.Generator().manual_seed(0))).mean(1)
    assert (decided.abs() > 0.6).float().mean() > 0.8  # a Gaussian would put them around 0
    assert 0.25 < float((decided > 0).float().mean()) < 0.75


def test_a_gaussian_clones_the_mean_and_the_spread(tmp_path):
    generator = torch.Generator().manual_seed(0)
    obs = torch.rand(1024, 3, generator=generator)
    chunk = 0.5 * obs[:, :1, None] + 0.2 * torch.randn(1024, 4, 3, generator=generator)
    policy = make_policy("gaussian")
    clone(policy, EncodedChunks(obs, chunk, 8), CloneConfig(epochs=60, lr=5e-3, final_lr=5e-4), tmp_path)
    with torch.no_grad():
        mean = policy.decide(obs, policy.draw_noise(1024, generator))
    assert (mean - 0.5 * obs[:, :1]).abs().mean() < 0.06
    assert policy.base.std(0.0).mean().item() == pytest.approx(0.2, abs=0.04)


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def test_a_killed_run_goes_on_along_the_same_curve(tmp_path):
    data, config = wanderers(128), replace(CONFIG, checkpoint_every_s=0.0)
    whole, killed, resumed = make_policy(), make_policy(), make_policy(seed=9)
    clone(whole, data, config, tmp_path / "whole")
    loss, calls = killed.clone_loss, []

    def until_killed(*args):
        calls.append(1)
        if len(calls) == 8:  # two batches an epoch: in the middle of the fourth
            raise Killed
        return loss(*args)

    killed.clone_loss = until_killed
    with pytest.raises(Killed):
        clone(killed, data, config, tmp_path / "parts")
    clone(resumed, data, config, tmp_path / "parts")
    torch.testing.assert_close(whole.state_dict(), resumed.state_dict(), rtol=0, atol=0)
    log = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "parts")]
    assert log[0] == log[1]
    assert json.loads(log[0].splitlines()[-1])["step"] == 6


def test_the_average_is_what_is_left(tmp_path):
    policy, data = make_policy(), wanderers(128)
    seen = []
    loss = policy.clone_loss
    policy.clone_loss = lambda *args: seen.append(policy.base.mlp.out.bias.detach().clone()) or loss(*args)
    clone(policy, data, replace(CONFIG, epochs=40, lr=1e-2, final_lr=1e-2), tmp_path)
    last, left = seen[-1], policy.base.mlp.out.bias
    assert not torch.allclose(last, left)
    assert (left - last).abs().max() < (left - seen[0]).abs().max()
