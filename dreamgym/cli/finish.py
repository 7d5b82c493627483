"""`dreamgym finish`."""

from __future__ import annotations

from pathlib import Path


def finish(
    run: Path, play: Path, demonstrations: Path, out: Path, attempts: Path | None = None, quick: bool = False
) -> None:
    """Turns a training run into a complete checkpoint: probe, rewards, starts, fidelity, twin rollouts and model card.

    Args:
        run: folder of a ``dreamgym fit`` run.
        play: store of play of the same scene.
        demonstrations: store of demonstrations of the same scene.
        out: checkpoint folder to write.
        attempts: store of clumsy attempts of the same scene, for the rewards.
        quick: spend a minute or two instead of ten: to see that everything works, not to share.
    """
    from dreamgym.evaluation.making.finish import FinishConfig, finish_checkpoint

    config = FinishConfig.quick() if quick else FinishConfig()
    print(f"wrote {finish_checkpoint(run, play, demonstrations, out, config, attempts_store=attempts)}")
