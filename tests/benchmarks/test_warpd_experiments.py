"""The measures and the searches of the WARPD experiments, without their trainings."""

import argparse
import json
import math
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dreamgym_agents.warpd import Demonstrations, MLPPolicy, WARPDConfig, train

pytest.importorskip("diffusers")
pytest.importorskip("mujoco")
pytest.importorskip("sklearn")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "warpd"))

import embedding
import gaits
import methods
import options
import plot
import pooling
import rows
import run_ablations
import run_halfcheetah
import run_in_dreams

SMALL = {"directions": 2, "best": 1, "steps": 15}


def points(rng, at, spread=0.05, count=32):
    return np.array(at) + spread * rng.standard_normal((count, 2))


def test_the_divergence_of_a_distribution_from_itself_is_nought_and_from_a_distant_one_ln_2():
    rng = np.random.default_rng(0)
    here, there = points(rng, (0.2, 0.2)), points(rng, (0.8, 0.7))
    assert run_halfcheetah.divergence(here, here) == pytest.approx(0, abs=1e-9)
    assert run_halfcheetah.divergence(here, there) == pytest.approx(math.log(2), abs=1e-3)
    again = run_halfcheetah.divergence(here, points(rng, (0.2, 0.2)))
    nearby = run_halfcheetah.divergence(here, points(rng, (0.27, 0.2)))
    assert 0 < again < nearby < math.log(2)


def test_the_symmetric_kl_is_that_of_normal_distributions():
    rng = np.random.default_rng(0)
    here, there = points(rng, (0, 0), 1.0, 40_000), points(rng, (1.5, 0), 1.0, 40_000)
    assert run_halfcheetah.symmetric_kl(here, there) == pytest.approx(1.5**2 / 2, rel=0.05)


def test_the_nearest_class_mean_is_asked_for_within_a_group():
    # The group moves points further than the label does: without it the far group's means decide.
    rng = np.random.default_rng(0)
    groups, labels = ["near", "near", "far", "far"] * 20, ["left", "right", "right", "left"] * 20
    z = np.array([(8.0 * (g == "far") + (n == "right"), 0.0) for g, n in zip(groups, labels, strict=True)])
    z += 0.1 * rng.normal(size=z.shape)
    assert run_ablations.nearest_centroid(z, labels, z, labels, (groups, groups)) == 1.0
    one = [""] * len(z)
    assert run_ablations.nearest_centroid(z, labels, z, labels, (one, one)) < 0.7


def test_spread_counts_nats_and_directions(tmp_path):
    rng = np.random.default_rng(0)
    demos = Demonstrations.from_episodes([(rng.random((8, 3)), rng.random((8, 2))) for _ in range(40)])
    agent = run_ablations.make_agent("warpd", WARPDConfig.tiny(3, 2, 8), demos, run_ablations.bounds(demos), "tiny")

    def told(scale, directions):
        """An encoder whose means are ``scale`` times so many independent entries, of deviation 1 about them."""
        means = scale * torch.randn(40, 32, generator=torch.Generator().manual_seed(0))
        means[:, directions:] = 0
        agent.vae.encode = lambda obs, action: (means, torch.zeros(40, 32))
        figures, found = run_ablations.spread(agent, demos, 8)
        assert np.array_equal(found, means.numpy())
        return figures

    one, four, far = told(1.0, 1), told(1.0, 4), told(3.0, 4)
    assert one["dimensions"] == pytest.approx(1, abs=0.01)
    assert 3 < four["dimensions"] <= 4
    assert far["dimensions"] == pytest.approx(four["dimensions"], abs=0.01)
    assert far["nats"] == pytest.approx(9 * four["nats"], rel=0.01)
    embedding.draw_side_by_side({"a": rng.random((20, 4)), "b": rng.random((20, 4))}, tmp_path / "side.png")
    assert (tmp_path / "side.png").stat().st_size > 5_000


def test_latents_are_drawn_in_the_plane(tmp_path):
    z = np.repeat(4 * np.eye(10)[:3], 20, 0) + 0.1 * np.random.default_rng(0).normal(size=(60, 10))
    names = ["a", "b", "c"]
    planes = embedding.in_the_plane(z)
    # Three groups lie in a plane: the third component and the fourth are noise.
    assert planes["components 3, 4"].std() < 0.2 < planes["components 1, 2"].std()
    for flat in (planes["components 1, 2"], planes["t-SNE"]):
        own = np.array([flat[20 * i : 20 * i + 20].mean(0) for i in range(3)])
        assert (np.linalg.norm(flat[:, None] - own, axis=-1).argmin(1) == np.arange(60) // 20).all()
    embedding.draw_latents(z, {"operator": [n for n in names for _ in range(20)]}, tmp_path / "latents.png")
    assert (tmp_path / "latents.png").stat().st_size > 5_000


def test_a_row_of_other_settings_is_refused(tmp_path):
    args = {"key": ("method", "seed"), "path": tmp_path / "rows.json"}
    made = rows.Rows(**args)
    made.put(method="mlp", seed=0, success=1.0)  # of before settings were told
    made.put(method="warpd", seed=0, success=1.0, settings={"epochs": 3})
    again = rows.Rows(**args)
    assert again.has({"epochs": 3}, method="warpd", seed=0)
    assert again.has({"epochs": 4}, method="mlp", seed=0)
    assert not again.has({"epochs": 3}, method="warpd", seed=1)
    with pytest.raises(ValueError, match=r"'epochs': 3.*, not .*'epochs': 4.*another --out"):
        again.has({"epochs": 4}, method="warpd", seed=0)


def test_snippets_begin_before_success():
    marks = np.array([False] * 6 + [True] * 4)
    assert run_ablations.undone_starts(marks, 3) == 6
    assert run_ablations.undone_starts(marks, 8) == 3
    assert run_ablations.undone_starts(np.zeros(10, bool), 10) == 1
    assert run_ablations.undone_starts(np.ones(10, bool), 2) == 1
    assert run_ablations.undone_starts(np.zeros(10, bool), 30) == 1


def test_a_gait_pays_for_feet_on_the_ground_and_for_tipping_over():
    gait, still, both = gaits.Gait(speed=2.0, front=4.0), np.zeros(6), np.ones(2)
    assert gait.reward(2.0, 0.0, still, np.array([0.0, 1.0])) == 2.0
    assert gait.reward(3.0, 0.0, still, both) == 1.0 - 4.0
    assert gait.reward(2.0, 1.5, still, np.zeros(2)) == 2.0 - gaits.TIPPED_COST


def test_a_search_that_was_stopped_goes_on_where_it_was(tmp_path):
    gait = gaits.GAITS["run"]
    whole = gaits.search(gait, tmp_path / "whole", gaits.Search(updates=2, **SMALL), progress=False)
    gaits.search(gait, tmp_path / "parts", gaits.Search(updates=1, **SMALL), progress=False)
    parts = gaits.search(gait, tmp_path / "parts", gaits.Search(updates=2, **SMALL), progress=False)
    assert np.abs(whole.weights).max() > 0
    assert np.array_equal(whole.weights, parts.weights)
    with pytest.raises(ValueError, match="another search"):
        gaits.search(gait, tmp_path / "parts", gaits.Search(updates=2, seed=1, **SMALL), progress=False)


def test_a_standing_cheetah_touches_the_ground_with_both_feet():
    cheetah = gaits.Cheetah()
    cheetah.reset(0)
    contacts = np.array([cheetah.step(np.zeros(6))[3] for _ in range(40)])
    assert contacts[20:].mean() > 0.9
    assert contacts[0].max() <= 1


def test_pooled_intervals_are_over_the_episodes_of_all_rows():
    mean, low, high = pooling.pooled([{"success": 0.5, "episodes": 50}, {"success": 0.7, "episodes": 50}])
    assert mean == pytest.approx(0.6)
    assert (low, high) == pytest.approx((0.502, 0.691), abs=2e-3)
    mean, low, high = pooling.pooled([{"success": 0.5, "spread": 0.2, "episodes": 100}])
    assert (mean, high - mean) == pytest.approx((0.5, 1.96 * 0.02))


def test_a_diffusion_policy_trains_for_as_many_epochs_as_both_stages_of_warpd():
    args = argparse.Namespace(vae_epochs=30, diffusion_epochs=20, batch_size=None, decay=True)
    config = WARPDConfig.tiny(3, 2, 8)
    warpd, chunks = (options.with_training(config, args, 4, m).train for m in ("warpd", "diffusion_policy"))
    assert (warpd.vae_epochs, warpd.diffusion_epochs, warpd.seed, warpd.decay) == (30, 20, 4, True)
    assert chunks.diffusion_epochs == 50
    assert chunks.batch_size == config.train.batch_size


def test_warpd_that_is_told_the_first_state_takes_the_vae_of_the_one_that_is_not(tmp_path):
    pytest.importorskip("metaworld")
    import run_metaworld

    rng = np.random.default_rng(0)
    demos = Demonstrations.from_episodes([(rng.random((9, 39)), rng.random((9, 4))) for _ in range(2)])
    told, plain = (run_metaworld.sizes(m, "256", "tiny", demos, 9, 9) for m in ("warpd_state", "warpd"))
    assert (told.condition, plain.condition, told.vae) == ("state+task", "task", plain.vae)
    held, run = tmp_path / "warpd", tmp_path / "warpd_state"
    methods.share_vae(held, run, told, demos)  # none there yet: it trains its own
    assert not run.exists()
    (held / "vae" / "progress").mkdir(parents=True)
    about = {"config": plain.to_dict(), "data": demos.fingerprint()}
    (held / "config.json").write_text(json.dumps(about))
    methods.share_vae(held, run, told, demos)
    assert (run / "vae" / "progress").is_dir()
    (held / "vae" / "more").mkdir()
    methods.share_vae(held, run, told, demos)  # once
    assert not (run / "vae" / "more").exists()
    longer = replace(told, train=replace(told.train, vae_epochs=7))
    with pytest.raises(ValueError, match=r"other settings.*'vae_epochs': \(100, 7\).*another --runs"):
        methods.share_vae(held, tmp_path / "longer", longer, demos)
    with pytest.raises(ValueError, match=r"other data.*'values'"):
        methods.share_vae(held, tmp_path / "longer", told, replace(demos, action=-demos.action))
    assert not (tmp_path / "longer").exists()


def test_an_agent_is_found_again_by_its_run_if_that_is_finished_and_of_these_data(tmp_path):
    rng = np.random.default_rng(0)
    demos = Demonstrations.from_episodes([(rng.random((9, 6)), rng.random((9, 2))) for _ in range(4)], "push_t")
    offsets = run_in_dreams.as_learned(demos, "pusht", "mlp").trailed(3)
    config = WARPDConfig.tiny(6, 2, 4, tasks=("push_t",), action_origin=(0, 1))
    config = replace(config, train=replace(config.train, diffusion_epochs=2))
    made = train(MLPPolicy.for_demonstrations(config, offsets, "ignore"), offsets, tmp_path / "run")
    method, agent = run_in_dreams.of_run(tmp_path / "run", "pusht", demos, "tiny")
    assert method == "mlp"
    assert all(torch.equal(v, made.state_dict()[k]) for k, v in agent.state_dict().items())
    with pytest.raises(ValueError, match="learned from other demonstrations"):
        run_in_dreams.of_run(tmp_path / "run", "pusht", replace(demos, action=-demos.action), "tiny")
    held = json.loads((tmp_path / "run" / "config.json").read_text())
    held["config"]["train"]["diffusion_epochs"] = 3
    (tmp_path / "run" / "config.json").write_text(json.dumps(held))
    with pytest.raises(ValueError, match="'cloning' is not finished"):
        run_in_dreams.of_run(tmp_path / "run", "pusht", demos, "tiny")


def test_agents_in_dreams_are_told_apart_by_size(tmp_path):
    made = [
        {"suite": "lift", "method": "warpd", "size": [size], "horizon": 16, "tasks": ["lift"], "episodes": 50,
         "twin": twin, "dream": 0.5, "both": 0.6, "seed": seed}
        for size, twin in ((64, 0.4), (128, 0.8)) for seed in (0, 1)
    ]  # fmt: skip
    page = plot.in_dreams(made, tmp_path).replace("&nbsp;", " ").replace("&#8209;", "-")
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines()[2:]]
    assert [(c[3], c[5][:4], c[-1]) for c in cells] == [("128", "0.80", "100"), ("64", "0.40", "100")]


def test_denoisers_are_shown_by_epochs_with_the_interval_of_all_seeds(tmp_path):
    made = [
        {"denoiser": kind, "epochs": epochs, "seed": seed, "success": success, "spread": 0.2, "solved": 0.1,
         "episodes": 100, "loss": 0.05, "parameters": 416_296}
        for kind, epochs, success in (("unet", 10, 0.3), ("unet", 200, 0.8), ("transformer", 200, 0.7))
        for seed in (0, 1)
    ]  # fmt: skip
    page = plot.denoisers(made, tmp_path)
    assert (tmp_path / "warpd_denoisers.png").stat().st_size > 5_000
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    found = {(c[0], c[2]): c[3].replace("&nbsp;", " ").replace("&#8209;", "-") for c in cells[2:]}
    assert found[("unet", "200")] == "0.80 (0.77-0.83)"
    assert list(found) == [("transformer", "200"), ("unet", "10"), ("unet", "200")]


def test_a_disc_that_stands_still_is_sent_to_where_it_is():
    obs = torch.tensor([[3.0, 4.0, 100.0, 100.0, 1.0, 0.0]])
    policy = methods.trained(methods.STILL, None, None, None, "tiny", None)(None)
    action, carry = policy.act(obs, policy.start(1), torch.ones(1, dtype=torch.bool))
    assert (action.tolist(), carry) == ([[3.0, 4.0]], None)


class Understood(Exception):
    """The script's parser took its arguments."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Every command line of everything.sh that runs Python, as its words."""
    work = tmp_path_factory.mktemp("everything")
    for name in ("python", "dreamgym"):
        shim = work / name
        shim.write_text(f"#!/bin/sh\nprintf '%s\\t' {name} \"$@\" >> {work}/commands; echo >> {work}/commands\n")
        shim.chmod(0o755)
    script = Path(run_halfcheetah.__file__).with_name("everything.sh")
    steps = subprocess.run([script, "--list"], capture_output=True, text=True, check=True).stdout.split()
    env = {**os.environ, "PATH": f"{work}:{os.environ['PATH']}"}
    subprocess.run([script, work / "w", *steps], env=env, check=True, capture_output=True)
    return [line.split("\t")[:-1] for line in (work / "commands").read_text().splitlines()]


def test_every_step_of_everything_is_a_command_that_its_script_takes(commands, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self, *args, **kwargs):
        parse(self, *args, **kwargs)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    scripts = [words[1:] for words in commands if words[0] == "python"]
    assert len(scripts) > 30
    for words in scripts:
        if Path(words[0]).name == "flops.py":  # it takes none
            continue
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(Understood):
            runpy.run_path(words[0], run_name="__main__")


@pytest.mark.parametrize(("rates", "chosen"), [((0.4, 0.6), "24"), ((0.6, 0.6), "8"), ((0.6, 0.4), "8")])
def test_what_is_trained_out_is_the_rung_that_is_best_on_val(rates, chosen, tmp_path):
    config = WARPDConfig.tiny(2, 2, 4)
    made = methods.trained_out(
        lambda at, run: (at.train.snippets, run.name),
        config,
        tmp_path,
        lambda policy: dict(zip(methods.LADDER, rates, strict=True))[policy[0]],
    )
    assert made == ((int(chosen), chosen), dict(zip(map(str, methods.LADDER), rates, strict=True)))
