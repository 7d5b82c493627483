"""How often intervals of real success from few real and many imagined episodes hold the truth, in simulated worlds.

    python benchmarks/interval_coverage.py        # a minute; writes benchmarks/results/interval_coverage.json

A world has a real success rate and a dream that says of an episode what really comes of it, but for a share of episodes
in which it throws a coin of the same rate. Each row is a number of real episodes, a rate and such a share: the share of
trials whose 95% interval held the rate, and its mean width, by prediction-powered inference in Wilson's form (ours) and
in the normal one (the papers'), and by Wilson from the real episodes alone.

"clustered" holds worlds whose starts differ in difficulty (beta distributed, with an intra-class correlation) and from
each of which several episodes begin: the same for intervals clustered by start and for Wilson's, which takes all
episodes for independent. Scene D's measured correlation is 0.26.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.evaluation.statistics.inference import clustered_wilson, wilson
from dreamgym.evaluation.statistics.prediction_powered import prediction_powered
from dreamgym.provenance import provenance

RESULT = Path(__file__).parent / "results" / "interval_coverage.json"
NUM_IMAGINED = 500


def world(rng: np.random.Generator, num: int, rate: float, blind: float) -> tuple[np.ndarray, np.ndarray]:
    """Real outcomes [num] and what the dream says of them."""
    real = (rng.random(num) < rate).astype(float)
    return real, np.where(rng.random(num) < blind, rng.random(num) < rate, real)


def row(num_real: int, rate: float, blind: float, rounds: int, rng: np.random.Generator) -> dict[str, Any]:
    held, width = np.zeros(3), np.zeros(3)
    for _ in range(rounds):
        (real, said), (_, more) = world(rng, num_real, rate, blind), world(rng, NUM_IMAGINED, rate, blind)
        ours, normal = (prediction_powered(real, said, more, method=m) for m in ("wilson", "normal"))
        ends = [(ours.low, ours.high), (normal.low, normal.high), (ours.classical_low, ours.classical_high)]
        held += [low <= rate <= high for low, high in ends]
        width += [high - low for low, high in ends]
    out: dict[str, Any] = {"num_real": num_real, "rate": rate, "blind_share": blind}
    for i, name in enumerate(("wilson", "normal", "real_alone")):
        out[name] = {"coverage": round(held[i] / rounds, 4), "width": round(width[i] / rounds, 4)}
    return out


def clustered_row(
    num_starts: int, each: int, rate: float, correlation: float, rounds: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Coverage and width of both intervals, ``each`` episodes from each of ``num_starts`` starts."""
    held, width = np.zeros(2), np.zeros(2)
    shape = (1 - correlation) / correlation if correlation else np.inf
    label = np.repeat(np.arange(num_starts), each)
    for _ in range(rounds):
        hard = rng.beta(rate * shape, (1 - rate) * shape, num_starts) if correlation else np.full(num_starts, rate)
        success = (rng.random((num_starts, each)) < hard[:, None]).ravel()
        ends = clustered_wilson(success, label), wilson(float(success.sum()), len(success))
        held += [low <= rate <= high for low, high in ends]
        width += [high - low for low, high in ends]
    out: dict[str, Any] = {"num_starts": num_starts, "episodes_each": each, "rate": rate, "correlation": correlation}
    for i, name in enumerate(("clustered", "independent")):
        out[name] = {"coverage": round(held[i] / rounds, 4), "width": round(width[i] / rounds, 4)}
    return out


def spread(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """The lowest and the mean coverage over rows, by kind of interval."""
    return {
        "lowest_coverage": {k: min(r[k]["coverage"] for r in rows) for k in names},
        "mean_coverage": {k: round(float(np.mean([r[k]["coverage"] for r in rows])), 4) for k in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    cases = product((6, 10, 20, 50), (0.1, 0.3, 0.5, 0.8, 0.95), (0.1, 0.4, 1.0))
    rows = [row(*case, options.rounds, rng) for case in cases]
    worlds = product((10, 25, 50), (2, 4), (0.1, 0.3, 0.5, 0.8, 0.95), (0.0, 0.26, 0.6))
    clustered = [clustered_row(*case, options.rounds, rng) for case in worlds]
    told: dict[str, Any] = {**provenance(), "seed": options.seed, "rounds": options.rounds}
    told |= {"num_imagined": NUM_IMAGINED, **spread(rows, ("wilson", "normal", "real_alone")), "rows": rows}
    told["clustered"] = {**spread(clustered, ("clustered", "independent")), "rows": clustered}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    for part in (told, told["clustered"]):
        print(json.dumps({k: part[k] for k in ("lowest_coverage", "mean_coverage")}, indent=1))


if __name__ == "__main__":
    main()
