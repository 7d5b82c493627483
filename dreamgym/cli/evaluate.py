"""`dreamgym evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dreamgym.cli.bounds import Count, Seed, Threads, Whole
from dreamgym.cli.checks import check_device, check_file, check_folder
from dreamgym.cli.show import table
from dreamgym.places import check_place, write_whole

if TYPE_CHECKING:
    from dreamgym.evaluation.policies.config import EvaluationConfig


JSON_LIKE = """'{"image_size": 256}'"""


@dataclass(frozen=True)
class EvaluateOptions:
    """In which worlds, from which starts and how.

    Attributes:
        checkpoint: the world model: a shipped name, a folder, ``hf://organisation/name`` or a dream's id; what the
            policy's folder says where not given.
        suite: score as a benchmark does, in the simulator alone and without a world model: a suite, or a set of its
            tasks ("libero_10"). Policies are shown the simulator's sensors.
        rollouts: episodes of each task with --suite, from the benchmark's initial states where it has such.
        simulator: options of the simulator with --suite, as JSON, such as '{"visuals": "stock", "image_size": 256}'.
        tasks: tasks to be done, or "all"; what the policy's folder says where not given. A policy of several tasks is
            told which.
        episodes: paired episodes, each in the twin and in the dream.
        imagined: episodes in the dream in all, where more are wanted than in the twin: they sharpen the estimate of
            real success.
        seed: seed of the starts and of every draw.
        split: which starts: "test" for figures that are reported, "val" for choices, "train"; "auto": "test" where the
            start bank has some of every task, else "val".
        horizon: control steps of an episode; where not given the suite's, in dream and twin alike: {horizons}.
        twin: run the simulator too, not the dream alone.
        simulators: simulators at a time; the model's noise is drawn for all of them together.
        num_workers: processes of the simulators; 0: this process, or of a cluster as many as simulators. With --suite
            each has a policy of its own, and the figures are the same for any number.
        engine: where simulators run: on this machine, or on a Ray cluster.
        address: address of the Ray cluster ("auto", HOST:6379); where not given one is started here.
        embodiment: the robot, of models that know several; the model's own where not given.
        executor: the policy that carries instructions out in the twin of a model that is driven by them.
        map: sensors that a LeRobot policy is shown under its own keys, SENSOR=KEY, as
            rgb_static=observation.images.top; those that are not named go by name.
        obs: what an SB3 model was shown in training, where its spaces do not tell ("state" of a world whose features
            are as long).
        vecnormalize: file of the VecNormalize that an SB3 model learned in.
        trust_policy: load an SB3 model, or a LeRobot policy with code of others, though that runs code in its files.
        trust_simulator: run a simulator that the checkpoint names though it is of no known suite.
        clips: columns of the clips of successes and of disagreements; 0: no clips.
        out: folder for one JSON file of each policy; what is there is not evaluated again if policy, settings, world
            model, reward and starts are the same. Where not given a run's evaluations/, and of other policies nothing
            is written.
        record: episode store to which the simulator's episodes are appended, with every camera that the model was
            trained on; with --suite with every sensor. `dreamgym export` makes a LeRobot data set of it. None where not
            given.
        json: file for what the policies come to together: Pearson, MMRV, calibration, drift, the exploitation gap; none
            where not given.
        device: device to dream and act on; the CPU where not given.
        threads: threads of torch.
    """

    checkpoint: str | None = None
    suite: str | None = None
    rollouts: Count = 20
    simulator: str = "{}"
    tasks: tuple[str, ...] = ()
    episodes: Count = 100
    imagined: Count | None = None
    seed: Seed = 0
    split: Literal["auto", "test", "val", "train"] = "auto"
    horizon: Count | None = None
    twin: bool = True
    simulators: Count = 4
    num_workers: Whole = 0
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    embodiment: str | None = None
    executor: str | None = None
    map: tuple[str, ...] = ()
    obs: Literal["features", "state", "pixels", "dict"] | None = None
    vecnormalize: Path | None = None
    trust_policy: bool = False
    trust_simulator: bool = False
    clips: Whole = 0
    out: Path | None = None
    record: Path | None = None
    json: Path | None = None
    device: str | None = None
    threads: Threads = 1

    @property
    def config(self) -> EvaluationConfig:
        """Those of them that the evaluation itself has.

        Raises:
            ValueError: one is out of range.
        """
        from dreamgym.evaluation.policies.config import EvaluationConfig

        names = {field.name for field in fields(EvaluationConfig)} & {field.name for field in fields(self)}
        return EvaluationConfig(**{name: getattr(self, name) for name in names})

    @property
    def task(self) -> str | list[str] | None:
        """As `dreamgym.evaluation.policies.evaluate.evaluate` takes it: one, several, or None: what the policy says."""
        return (self.tasks[0] if len(self.tasks) == 1 else list(self.tasks)) if self.tasks else None


def evaluate(policies: tuple[str, ...], options: EvaluateOptions) -> None:
    """Scores policies in a dream and in its twin from the same held-out starts; success with 95% intervals.

    Args:
        policies: policies to score: "random", "hold", "package.module:factory", "path/to/file.py:factory", the folder
            of a saved policy, that of a run (every policy in its policies/), "lerobot:FOLDER" or
            "lerobot:organisation/name", or "sb3:FILE.zip" (needs --trust-policy); with --suite also "operator:NAME", a
            scripted operator of the suite.
    """
    import torch

    from dreamgym.evaluation.policies.batch import evaluate_all, run_folder

    if not policies:
        raise ValueError(
            "no policy to evaluate: name at least one, such as 'random', 'path/to/file.py:factory' or a run's folder"
        )
    out, device = options.out, options.device
    check_device(device)
    check_file("--json", options.json)
    if options.json is not None and not options.twin:
        raise ValueError("--json compares dream and twin: leave --no-twin out, or --json")
    torch.set_num_threads(options.threads)
    if options.suite is not None:
        _score_in_suite(policies, options)
        return
    config, run = options.config, run_folder(policies)
    folder = out if out is not None or run is None else run / "evaluations"
    check_folder("--out", folder)
    if options.record is not None:
        check_place(options.record, replaced=False)
    if options.clips and (folder is None or not options.twin):
        raise ValueError("--clips shows dream and twin side by side in files: give --out FOLDER, and no --no-twin")
    found: list[Any] = []
    try:
        found.extend(
            evaluate_all(policies, options.checkpoint, options.task, config, out=folder, device=device, progress=True)
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(folder)) from None
    except Exception:
        if found:  # what was measured before the one that failed is not lost
            _tell(found, folder, None)
        raise
    _tell(found, folder, options.json)


def _score_in_suite(policies: tuple[str, ...], options: EvaluateOptions) -> None:
    """Scores policies by the benchmark's protocol; prints and writes what they come to."""
    from dreamgym.evaluation.policies.libraries.options import PolicyOptions
    from dreamgym.evaluation.policies.protocol import ProtocolConfig, run_protocol
    from dreamgym.evaluation.policies.result import file_stem
    from dreamgym.fields import parse_json

    assert options.suite is not None
    for name in ("checkpoint", "json", "address"):
        if getattr(options, name) is not None:
            raise ValueError(f"--suite scores in the simulator alone: leave --{name.replace('_', '-')} out")
    try:
        simulator = parse_json(options.simulator)
    except ValueError as wrong:
        raise ValueError(f"--simulator: {options.simulator!r} is no JSON ({wrong}): write it as {JSON_LIKE}") from wrong
    if not isinstance(simulator, dict):
        raise ValueError(f"--simulator: expected a JSON object, as {JSON_LIKE}, got {options.simulator!r}")
    tasks = None if options.tasks in ((), ("all",)) else list(options.tasks)
    config = ProtocolConfig(options.rollouts, options.horizon, options.seed, simulator)
    told = PolicyOptions(None, options.map, options.obs, options.vecnormalize, options.trust_policy)
    device = options.device or "cpu"
    check_folder("--out", options.out)
    if options.record is not None:
        check_place(options.record, replaced=False)
    found = []
    for policy in policies:
        result = run_protocol(
            policy, options.suite, tasks, config, device=device, options=told, progress=True,
            num_workers=options.num_workers, record=options.record,
        )  # fmt: skip
        found.append(result.to_dict())
        if options.out is not None:
            file = options.out / f"{file_stem(result.policy)}.{options.suite}.json"
            write_whole(file, json.dumps(found[-1], indent=1) + "\n")
    cells = [[_percent(t["success_rate"], *t["interval_95"]) for t in (*one["tasks"].values(), one)] for one in found]
    rows = [list(row) for row in zip([*found[0]["tasks"], f"mean of {options.suite}"], *cells, strict=True)]
    table(
        f"success in %, 95% intervals; {options.rollouts} rollouts a task from {found[0]['begun']}",
        ["task", *(one["policy"] for one in found)], rows,
    )  # fmt: skip


def _tell(found: Sequence[Any], folder: Path | None, study_file: Path | None) -> None:
    """Prints the evaluations, and writes what they come to together."""
    from dreamgym.evaluation.statistics.study import ranks_in_words, study

    heads = ["policy", "task", "twin", "dream", "twin, from both", "steps"]
    table("success in %, 95% intervals", heads, [_scored(done) for done in found])
    if compared := _against_first(found):
        heads = ["policy", "task", "twin", "dream"]
        table(f"success in points above {found[0].policy}, from the same starts, 95% intervals", heads, compared)
    if folder is not None:
        print(f"wrote {folder}")
    both = [e.score() for e in found if e.dream is not None and e.twin is not None]
    if len(both) > 2:
        print(ranks_in_words(both))
    if study_file is not None:
        write_whole(study_file, json.dumps(study(found).to_dict(), indent=1))


def _stopped(folder: Path | None) -> str:
    if folder is None:
        return "stopped; nothing was kept: with --out FOLDER each policy's evaluation is, once it is done"
    return f"stopped; the same command goes on after the evaluations that are in {folder}"


def _against_first(found: Sequence[Any]) -> list[list[str]]:
    """Rows for those that began from the very starts that the first one began from, with the same tasks."""
    from dreamgym.evaluation.policies.summary import gain, paired

    rows = []
    for done in found[1:]:
        sides = [(getattr(found[0], side), getattr(done, side)) for side in ("twin", "dream")]
        if any(a is not None and b is not None and not paired(a, b) for a, b in sides):
            continue
        cells = ["-" if a is None or b is None else _points(*gain(a, b)) for a, b in sides]
        rows.append([done.policy, done.task, *cells])
    return rows


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _scored(done: Any) -> list[str]:
    """An evaluation as a row of the table."""
    told = done.summary()
    cells = [_rate(told.get(side)) for side in ("twin", "dream")]
    guess = told.get("estimate")
    cells.append("-" if guess is None else _percent(guess["rate"], guess["low"], guess["high"]))
    cells.append(f"{told['twin']['mean_length']:.1f}" if "twin" in told else "-")
    many = done.task.count(",") + 1
    return [done.policy, done.task if many == 1 else f"{many} tasks", *cells]


def _rate(side: dict[str, Any] | None) -> str:
    return "-" if side is None else _percent(side["success_rate"], *side["interval_95"])


def _percent(rate: float, low: float, high: float) -> str:
    return f"{100 * rate:.1f} ({100 * low:.0f} to {100 * high:.0f})"
