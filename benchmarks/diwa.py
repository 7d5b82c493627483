"""DiWA's experiment (Table I and the ablations): clone, fine-tune in the dream, score both in the twin.

    python benchmarks/diwa.py --work runs/diwa --store data/calvin_d_demos   # Table I
    python benchmarks/diwa.py --work runs/diwa --store ... --variants bc_0 bc_0.5 --tasks open_drawer
    python benchmarks/diwa.py --work runs/diwa --store ... --variants online --num-workers 2
    python benchmarks/diwa.py --work runs/diwa --store ... --worlds vision=playtable --quick --out look.json

A row is a task, a seed and a variant. What is done is not done again: rows in the result file are skipped, and a killed
run of cloning, of fine-tuning or of evaluation goes on where it was, in ``WORK/base``, ``WORK/VARIANT/TASK_SEED``: runs
that ``dreamgym report`` and ``benchmarks/agreement.py`` read. Two processes with other tasks or seeds may fill one
result file side by side.

Base and tuned policy act in the twin from the same held-out starts, with the same noise. The tuned policy is the saved
one of the highest *imagined* return on training starts; the twin's episodes choose nothing. ``dream_steps`` count what
fine-tuning imagined, its evaluations included; ``sim_steps`` the simulator steps of fine-tuning: 0 but for "online",
whose ``steps_to_match`` and ``seconds_to_match`` belong to the first saved policy that reaches what the "vision" row of
that task and seed came to. ``seconds`` were spent on collecting and learning until the tuned policy, evaluations aside.

Variants that need another world model than the vision one say so: pass ``--worlds state=FOLDER hybrid=FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.diffusion_ppo import CloneConfig, TuneConfig, TuneResult, load_policy, save_policy, tune
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, clone_task, make_env

from dreamgym.data.shards import locked
from dreamgym.evaluation.policies.batch import evaluate_all
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.result import Evaluation, evaluation_file
from dreamgym.provenance import commit, machine
from dreamgym.suites.calvin.tasks import TASKS
from dreamgym.training.stop import Stopped

RESULT = Path(__file__).parent / "results" / "diwa.json"

# S.2.4: where the paper found other weights than 0.05 better.
BC_WEIGHT = {"open_drawer": 0.1, "close_drawer": 0.025, "turn_on_led": 0.025}


@dataclass(frozen=True)
class Variant:
    """One way to fine-tune.

    Attributes:
        world: which world model ("vision", "hybrid", "state").
        policy: "diffusion" or "gaussian".
        bc_weight: None: the paper's for the task.
        reward_model: which reward of the world model; None: its classifier.
        uncertainty_limit: see `make_env`.
        online: fine-tune in the twin, rewarded once by the oracle.
        share: of ``--steps``.
    """

    world: str = "vision"
    policy: str = "diffusion"
    bc_weight: float | None = None
    reward_model: str | None = None
    uncertainty_limit: str | None = None
    online: bool = False
    share: float = 1.0


VARIANTS = {
    "vision": Variant(),
    "state": Variant(world="state"),
    "online": Variant(online=True),
    # Ablations, on two tasks and half the steps.
    **{f"bc_{w:g}": Variant(bc_weight=w, share=0.5) for w in (0.0, 0.025, 0.05, 0.1, 0.5)},
    "hybrid_classifier": Variant(world="hybrid", share=0.5),
    "hybrid_decoded": Variant(world="hybrid", reward_model="decoded", share=0.5),
    "gaussian": Variant(policy="gaussian", share=0.5),
    "uncertainty": Variant(uncertainty_limit="auto", share=0.5),
}


@dataclass(frozen=True)
class Row:
    """One row under way."""

    task: str
    seed: int
    name: str
    variant: Variant
    options: argparse.Namespace

    @property
    def world(self) -> str:
        """The world model's name or folder."""
        return self.options.worlds[self.variant.world]

    @property
    def run(self) -> Path:
        """Where fine-tuning lives."""
        return self.options.work / self.name / f"{self.task}_{self.seed}"

    def base(self) -> Path:
        """The cloned policy's folder; made where it is not there yet. Variants of one world model share it."""
        variant, options = self.variant, self.options
        folder = options.work / "base" / f"{variant.world}_{variant.policy}" / f"{self.task}_{self.seed}"
        if (folder / "config.json").is_file():
            return folder
        config = replace(getattr(CloneConfig, options.preset)(), seed=self.seed)
        config = replace(config, epochs=options.epochs.get(self.task, options.epochs.get("all", config.epochs)))
        policy = clone_task(
            options.store,
            self.task,
            self.world,
            PolicyChoice(variant.policy, options.preset),
            config,
            Path(f"{folder}.run"),
        )
        metrics = {"clone_epochs": config.epochs, "seed": self.seed}
        return save_policy(folder, policy, task=self.task, world_model=self.world, metrics=metrics)

    def tuned(self) -> TuneResult:
        """Fine-tunes, or goes on with it."""
        variant, options, policy = self.variant, self.options, load_policy(self.base())
        weight = BC_WEIGHT.get(self.task, 0.05) if variant.bc_weight is None else variant.bc_weight
        config: TuneConfig = replace(
            getattr(TuneConfig, options.preset)(), seed=self.seed, bc_weight=weight, eval_every=options.eval_every
        )
        config = replace(config, total_steps=round((options.steps or config.total_steps) * variant.share))
        if variant.online:  # small iterations: smaller batches, and evaluations that cost few simulator steps
            config = replace(config, eval_episodes=options.online_envs, batch_size=1280, num_updates=10)
        kind = "PlayTable" if self.world == "playtable" else "CALVIN"
        real = {"reward": "success", "num_workers": options.num_workers, "num_envs": options.online_envs}
        dream = {"reward": "probability", "num_envs": options.num_envs, "reward_model": variant.reward_model}
        env = make_env(
            f"Real-{kind}-v0" if variant.online else "Dream-v0",
            self.task,
            policy.config.chunk,
            checkpoint=self.world,
            uncertainty_limit=variant.uncertainty_limit,
            device=options.device,
            **(real if variant.online else dream),
        )
        result = tune(policy, env, config, self.run, task=self.task, world_model=self.world)
        env.close()
        return result

    def scored(self, folder: Path, where: Path) -> Evaluation:
        """A saved policy in dream and twin; kept in ``where``."""
        options = self.options
        config = EvaluationConfig(episodes=options.episodes, num_workers=options.num_workers)
        return next(evaluate_all([str(folder)], config=config, out=where, device=options.device, progress=True))

    def scored_tuned(self, iteration: int) -> Evaluation:
        """What fine-tuning had made of it by then."""
        return self.scored(self.run / "policies" / f"iteration_{iteration:06d}", self.run / "evaluations")

    def scored_base(self) -> Evaluation:
        """The cloned policy, once for all variants that begin with it."""
        return self.scored(self.base(), self.base().parent / "evaluations" / self.base().name)

    def made(self, others: list[dict[str, Any]]) -> dict[str, Any]:
        """Does all of it; ``others`` are the rows so far."""
        began, result = time.monotonic(), self.tuned()
        tuning = time.monotonic() - began
        best = max(result.evaluations, key=lambda e: e["return"])
        sides = {"base": self.scored_base(), "tuned": self.scored_tuned(best["iteration"])}
        before = {**sides["base"].training, "iteration": 0, "dream_steps": 0, "sim_steps": 0}
        told = replace(sides["base"], training=before)  # so that `dreamgym report` finds it in the run
        told.save(evaluation_file(self.run / "evaluations", "base", self.task))
        row: dict[str, Any] = {"task": self.task, "seed": self.seed, "variant": self.name}
        for name, found in sides.items():
            told = found.summary()
            row[name] = told["twin"]["success_rate"]
            row[f"{name}_interval_95"] = told["twin"]["interval_95"]
            row[f"{name}_imagined"] = told["dream"]["success_rate"]
        row |= {"episodes": self.options.episodes, "dream_steps": result.dream_steps, "sim_steps": result.sim_steps}
        row |= {
            "split": sides["tuned"].config.split,
            "iteration": best["iteration"],
            "iterations": result.iterations,
            "world_model": self.world,
        }
        row |= {"tuning_seconds": round(tuning, 1), "seconds": self.seconds(best["iteration"]), "commit": commit()}
        return row | self._to_match(result, others) if self.variant.online else row

    def seconds(self, iteration: int) -> float:
        """How long it took to collect and to learn until then, evaluations aside; of a resumed run too."""
        told = [json.loads(line) for line in (self.run / "log.jsonl").read_text().splitlines()]
        spent = (x["collect_seconds"] + x["update_seconds"] for x in told if x["step"] <= iteration)
        return round(sum(spent), 1)

    def _to_match(self, result: TuneResult, others: list[dict[str, Any]]) -> dict[str, Any]:
        """The simulator steps after which online fine-tuning first stands where the dream's did."""
        aim = [r["tuned"] for r in others if (r["task"], r["seed"], r["variant"]) == (self.task, self.seed, "vision")]
        if not aim:
            return {"aim": None, "steps_to_match": None, "seconds_to_match": None}
        reached = next((e for e in result.evaluations if self._rate(e["iteration"]) >= aim[0]), None)
        if reached is None:
            return {"aim": aim[0], "steps_to_match": None, "seconds_to_match": None}
        spent = self.seconds(reached["iteration"])
        return {"aim": aim[0], "steps_to_match": reached["sim_steps"], "seconds_to_match": spent}

    def _rate(self, iteration: int) -> float:
        return float(self.scored_tuned(iteration).summary()["twin"]["success_rate"])


def pairs(words: list[str]) -> dict[str, str]:
    """["a=b"] as {"a": "b"}."""
    wrong = [w for w in words if "=" not in w]
    if wrong:
        raise SystemExit(f"expected NAME=VALUE, got {wrong}")
    return dict(w.split("=", 1) for w in words)


def parse(args: list[str] | None = None) -> argparse.Namespace:
    """The command line; ``worlds`` and ``epochs`` as dicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="policies, runs and evaluations live here")
    parser.add_argument("--store", type=Path, required=True, help="episode store of the scene")
    parser.add_argument("--worlds", nargs="+", default=[], help="NAME=CHECKPOINT; vision=calvin_d by default")
    parser.add_argument("--variants", nargs="+", default=["vision"], choices=list(VARIANTS))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--preset", default="tiny", choices=("tiny", "paper"))
    parser.add_argument("--steps", type=int, help="env steps of a run; the preset's (1 M, paper 5 M) by default")
    parser.add_argument("--epochs", nargs="+", default=[], help="TASK=EPOCHS of cloning, or all=EPOCHS")
    parser.add_argument("--episodes", type=int, default=100, help="paired episodes in the twin")
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--online-envs", type=int, default=16)
    parser.add_argument("--eval-every", type=int, default=10)
    parser.add_argument("--num-workers", type=int, default=0, help="processes of simulators")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--matmul-precision", default="highest", choices=("highest", "high", "medium"), help="medium: bfloat16 products"
    )
    parser.add_argument("--quick", action="store_true", help="a minute a row, to see that it works; give --out too")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(args)
    options.worlds = {"vision": "calvin_d", **pairs(options.worlds)}
    options.epochs = {k: int(v) for k, v in pairs(options.epochs).items()}
    missing = sorted({VARIANTS[v].world for v in options.variants} - set(options.worlds))
    if missing:
        raise SystemExit(f"these variants need world models {missing}: --worlds {missing[0]}=FOLDER")
    if options.quick:
        if options.out == RESULT:
            raise SystemExit("--quick is no measurement: give it another --out")
        options.steps, options.episodes, options.num_envs, options.online_envs = 30_000, 4, 64, 2
        options.epochs, options.seeds = {"all": 20, **options.epochs}, options.seeds[:1]
    return options


def read(file: Path) -> list[dict[str, Any]]:
    """The rows so far."""
    return json.loads(file.read_text())["rows"] if file.is_file() else []


def add(file: Path, row: dict[str, Any], options: argparse.Namespace) -> None:
    """Adds a row to the result file, which others with other tasks or seeds may be filling at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    with locked(options.work, exclusive=True, name="rows.lock"):
        write(file, [*read(file), row], options)


def write(file: Path, rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The result file, whole or not at all."""
    names = ("preset", "steps", "num_envs", "eval_every", "epochs", "matmul_precision")
    how = {k: getattr(options, k) for k in names}
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"machine": machine(), "settings": how, "rows": rows}, indent=1) + "\n")
    part.replace(file)


def main(args: list[str] | None = None) -> int:
    options = parse(args)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision(options.matmul_precision)
    wanted = [(t, s, v) for v in options.variants for s in options.seeds for t in options.tasks]
    try:
        for task, seed, name in wanted:
            rows = read(options.out)
            if (task, seed, name) in {(r["task"], r["seed"], r["variant"]) for r in rows}:
                continue
            row = Row(task, seed, name, VARIANTS[name], options).made(rows)
            add(options.out, row, options)
            print(json.dumps(row))
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
