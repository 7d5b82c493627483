"""Long, reset-free, task-agnostic play on CALVIN's table, and the recorder that demonstrations share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng
from dreamgym.suites.calvin.skills import BLOCK_SKILLS, SKILLS, TASKS, SkillRun
from dreamgym.suites.calvin.skills_engine import Hand, Style, View, Waypoint
from dreamgym.suites.calvin.skills_layout import LAYOUTS, SceneLayout

MAX_SKILL_STEPS = 110


@dataclass(frozen=True)
class PlayConfig:
    """What play looks like.

    Attributes:
        scene: name of a scene that has a skill layout ("playtable" or "D").
        image_size: side of the camera frames in pixels.
        cameras: names of the cameras to record; () records states only.
        visuals: how the simulator draws, see CalvinEnv.
        episode_steps: rows of a play episode.
        task_share: share of the skills that are one of DiWA's eight tasks.
        free_share: share of the skills that are wandering or idling; blocks take what is left.
        miss_share: share of the skills that reach for a wrong place on purpose.
        detour_share: share of the skills that begin with a detour.
        snapshots: whether to record the simulator's full state of every row under the key "snapshot".
    """

    scene: str = "playtable"
    image_size: int = 64
    cameras: tuple[str, ...] = ("static", "gripper")
    visuals: str = "thin"
    episode_steps: int = 1000
    task_share: float = 0.72
    free_share: float = 0.06
    miss_share: float = 0.13
    detour_share: float = 0.10
    snapshots: bool = True

    def __post_init__(self) -> None:
        if self.scene not in LAYOUTS:
            raise ValueError(f"scene: skills know {tuple(LAYOUTS)}, got {self.scene!r}")
        shares = (self.task_share, self.free_share, self.miss_share, self.detour_share)
        if not all(0 <= share <= 1 for share in shares) or self.task_share + self.free_share > 1:
            raise ValueError(f"shares lie in [0, 1], task_share + free_share below 1; got {shares}")
        if self.episode_steps < 1:
            raise ValueError(f"episode_steps: expected at least 1, got {self.episode_steps}")

    def info(self) -> dict[str, Any]:
        """What the store remembers: scene, tasks and settings, JSON-ready."""
        return {"scene": self.scene, "tasks": list(TASKS), "settings": asdict(self)}

    def __call__(self, worker_seed: int) -> PlayGenerator:
        """Build a generator: a config is the picklable factory that `collect` takes."""
        return PlayGenerator(self, worker_seed)


class Stage:
    """A simulator, the scripted hand in it, and the rows recorded so far."""

    def __init__(self, config: PlayConfig) -> None:
        from dreamgym.sims.calvin import CalvinEnv  # pybullet is an extra

        self.config = config
        self.env = CalvinEnv(
            scene=config.scene, cameras=config.cameras, image_size=config.image_size, visuals=config.visuals
        )
        self.view = View(LAYOUTS[config.scene])
        self.hand = Hand(np.random.default_rng(0))
        self.obs: dict[str, np.ndarray] = {}
        self.rows: dict[str, list[np.ndarray]] = {}

    def reset(self, rng: np.random.Generator, scene_obs: np.ndarray) -> None:
        """Begin an episode from the home pose of the arm and the given scene state (24,); forget the rows."""
        self.obs, _ = self.env.reset(seed=int(rng.integers(2**31)), options={"scene_obs": scene_obs})
        self.view.update(self.obs)
        self.hand = Hand(rng)
        self.hand.sync(self.view)
        self.rows = {}

    def draw_scene(self, rng: np.random.Generator) -> np.ndarray:
        """A random scene state (24,): furniture and lights anywhere, blocks where the simulator's resets drop them."""
        # A push task's reset drops every block on the table top, where the block skills reach them.
        options = {"task": "push_red_block_left"} if rng.random() < 0.6 else None
        obs, _ = self.env.reset(seed=int(rng.integers(2**31)), options=options)
        return furnish(rng, LAYOUTS[self.config.scene], np.array(obs["scene_obs"], dtype=np.float64))

    def step(self, action: np.ndarray, record: bool = True) -> dict[str, Any]:
        """Record the observation and the action that is taken at it, then take it; return the simulator's info."""
        # What is stored is what is executed, to the last bit.
        action = np.clip(action, -1, 1).astype(np.float32)
        if record:
            row = {"action": action, **self.env.observe()}
            if self.config.snapshots:
                row["snapshot"] = self.env.snapshot()
            for key, value in row.items():
                self.rows.setdefault(key, []).append(value)
        # Drawing is most of a step's cost: only recorded rows are drawn.
        self.env.cameras = ()
        self.obs, _, _, _, info = self.env.step(action)
        self.env.cameras = self.config.cameras
        self.view.update(self.obs)
        return info

    def go(self, waypoint: Waypoint, style: Style, limit: int, record: bool = True) -> None:
        """Move towards one waypoint for at most `limit` steps."""
        for _ in range(limit):
            self.step(self.hand.act(self.view, waypoint, style), record)
            if self.hand.arrived(waypoint) and np.linalg.norm(self.view.tcp - waypoint.position) < waypoint.tolerance:
                return

    def episode(self) -> Episode:
        """The recorded rows as arrays [T, ...]; states as float32, snapshots as float64."""
        return {key: np.stack(rows) for key, rows in self.rows.items()}


def furnish(rng: np.random.Generator, layout: SceneLayout, scene_obs: np.ndarray) -> np.ndarray:
    """The scene state (24,) with slider, drawer, switch and lights drawn anew: at an end, or anywhere in between."""

    def draw(high: float) -> float:
        return float(rng.choice([0.0, high, rng.uniform(0, high)], p=[0.4, 0.35, 0.25]))

    scene = scene_obs.copy()
    scene[0], scene[1] = draw(layout.slider_range), draw(layout.drawer_range)
    scene[2] = 0.0
    scene[3] = layout.lever_range * rng.integers(2)
    scene[4] = float(scene[3] > 0)
    scene[5] = float(rng.integers(2))
    return scene


def draw_style(rng: np.random.Generator, miss: bool) -> Style:
    """A random way to carry out a skill; `miss` puts the contact points 3 to 7 cm aside, or 5 to 10 cm too high."""
    offset = np.zeros(3)
    if miss and rng.random() < 0.5:
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.07)
        offset = np.array([length * np.cos(angle), -abs(length * np.sin(angle)), rng.uniform(0.0, 0.04)])
    elif miss:
        offset = np.array([*rng.normal(0.0, 0.015, 2), rng.uniform(0.05, 0.1)])
    return Style(
        speed=rng.uniform(0.013, 0.023),
        jitter=rng.uniform(0.0, 0.02),
        noise=abs(rng.normal(0.0, 0.0012)),
        miss=(float(offset[0]), float(offset[1]), float(offset[2])),
    )


class PlayGenerator:
    """Makes play episodes; episode i depends on the seed and i alone.

    After `episode`, `start_snapshot` is the simulator's state at row 0.
    """

    def __init__(self, config: PlayConfig, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        self.stage = Stage(config)
        self.start_snapshot: Any = None

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One reset, then play without a reset for `episode_steps` rows."""
        rng = episode_rng(self.worker_seed, episode_index)
        stage = self.stage
        stage.reset(rng, stage.draw_scene(rng))
        self.start_snapshot = stage.env.snapshot()
        skills: list[list[Any]] = []
        missed: list[int] = []
        step = 0
        while step < self.config.episode_steps:
            miss = bool(rng.random() < self.config.miss_share)
            if rng.random() < self.config.detour_share:
                step = self._play("wander", rng, replace(draw_style(rng, False), noise=0.004), step, skills)
            if miss:
                missed.append(len(skills))
            step = self._play(self._choose(rng), rng, draw_style(rng, miss), step, skills)
        # skills: [name, first row, row after the last, success]; missed: which of them missed on purpose.
        meta = {"kind": "play", "scene": self.config.scene, "skills": skills, "missed": missed}
        return stage.episode(), {**meta, "config": asdict(self.config)}

    def _choose(self, rng: np.random.Generator) -> str:
        """A skill at random among those that make sense now."""
        view = self.stage.view
        tasks = [name for name in TASKS if SKILLS[name].applicable(view)]
        blocks = [name for name in BLOCK_SKILLS if SKILLS[name].applicable(view)]
        draw = rng.random()
        if draw < self.config.free_share or not (tasks or blocks):
            return str(rng.choice(["wander", "idle"]))
        use_task = tasks and (not blocks or draw < self.config.free_share + self.config.task_share)
        return str(rng.choice(tasks if use_task else blocks))

    def _play(self, name: str, rng: np.random.Generator, style: Style, step: int, skills: list[list[Any]]) -> int:
        """Carry out one skill within the rows left, log it, and return the new row count."""
        stage, start = self.stage, step
        run = SkillRun(name, stage.hand, stage.view, rng, style, MAX_SKILL_STEPS)
        while not run.done and step < self.config.episode_steps:
            stage.step(run.act())
            run.settle()
            step += 1
        skills.append([name, start, step, run.success])
        return step
