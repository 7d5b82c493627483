"""Planners for any dream: action sequences are drawn, imagined in one batch, scored, and the best one begun.

    candidates [B, N, H, A] ──model.unroll──> imagined frames ──objective──> values [B, N] ──search──> plan [B, H, A]

A planner is a policy: ``dreamgym evaluate cem --checkpoint metaworld --tasks reach`` scores it in the dream and in the
twin. Its core (``bind``) stands at the filtered states of the world that it acts in, so it plans again from what
happened every ``execute`` frames (model-predictive control), or carries whole sequences out.
"""

from dreamgym_agents.planning.config import METHODS, PlannerConfig
from dreamgym_agents.planning.imagination import imagine
from dreamgym_agents.planning.objectives import DecodedDistance, GoalDistance, Objective, Success
from dreamgym_agents.planning.planner import Planner, cem, mppi, shooting

__all__ = [
    "METHODS",
    "DecodedDistance",
    "GoalDistance",
    "Objective",
    "Planner",
    "PlannerConfig",
    "Success",
    "cem",
    "imagine",
    "mppi",
    "shooting",
]
