"""A clip from a sentence, and what an executor makes of it in the simulator; both as one picture.

Run it: ``python examples/clip_from_a_sentence.py`` (on a tiny built-in world), or with a checkpoint that is driven by
instructions, an action expert's folder and a sentence of yours:
``python examples/clip_from_a_sentence.py dreams/video experts/alone "open the drawer"``.
"""

import sys
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import dreamgym  # noqa: F401 - registers the envs
from dreamgym.testing.instructed_point import ClipFollower, instructed_point_checkpoint
from dreamgym.types import Policy


def imagined_and_done(checkpoint: str, executor: Policy, sentence: str, seed: int = 0) -> tuple[list, list, bool]:
    """Pictures of the imagined clip and of the simulator, frame by frame, and whether the simulator says it is done."""
    dream = gym.make("Dream-v0", checkpoint=checkpoint, render_mode="rgb_array_list")
    known = dream.unwrapped.core.spec.action.sentences
    if sentence not in known:
        raise SystemExit(f"the model was never told {sentence!r}; it knows {list(known)}")
    twin = gym.make("Real-v0", world_model=checkpoint, executor=executor, render_mode="rgb_array_list")
    task = _task_of(dream, sentence)
    films, info = [], {}
    for env in (dream, twin):  # both begin in the same place, by the same row of the start bank
        env.reset(seed=seed, options={"task": task})
        *_, info = env.step(known.index(sentence))
        films.append(env.render())
        env.close()
    return films[0], films[1], bool(info["is_success"])


def _task_of(env: gym.Env, sentence: str) -> str:
    """The env's task that a sentence is of; its first task where no suite says so."""
    from dreamgym.suites import suite, suites

    tasks = env.unwrapped.core.tasks
    said = (t for name in suites() for t in tasks if t in suite(name).tasks and sentence in suite(name).sentences(t))
    return next(said, tasks[0])


def save_picture(path: Path, imagined: list[np.ndarray], done: list[np.ndarray], frames: int = 6) -> None:
    """The imagined clip above, the simulator below."""
    rows = []
    for film in (imagined, done):
        chosen = np.linspace(0, len(imagined) - 1, frames).round().astype(int).clip(max=len(film) - 1)
        rows.append(np.concatenate([film[i] for i in chosen], 1))
    picture = Image.fromarray(np.concatenate(rows, 0))
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST).save(path)


def main(arguments: list[str]) -> None:
    """Imagines, does, and saves the picture."""
    out = Path("clip_from_a_sentence.png")
    with tempfile.TemporaryDirectory() as scratch:
        if arguments:
            from dreamgym_agents.action_expert import load

            checkpoint, sentence, executor = arguments[0], arguments[2], load(arguments[1])
        else:
            checkpoint, sentence = str(instructed_point_checkpoint(Path(scratch) / "point")), "go right"
            executor = ClipFollower()
        imagined, done, success = imagined_and_done(checkpoint, executor, sentence)
    save_picture(out, imagined, done)
    print(f"{sentence}: {'done' if success else 'not done'} in the simulator; {out} shows the clip above, it below")


if __name__ == "__main__":
    main(sys.argv[1:])
