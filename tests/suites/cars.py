"""Suites of a user's script: Gymnasium's car in a valley, and a pendulum; importable, as worker processes need."""

from dreamgym.suites import gym_suite


def at_the_flag(obs, reward, info):
    return obs[0] >= 0.45


def upright(obs, reward, info):
    return obs[0] > 0.99


def hanging(obs, reward, info):
    return obs[0] < -0.99


def swing(obs):
    return [1.0 if obs[1] > 0 else -1.0]


CAR = gym_suite("MountainCarContinuous-v0", at_the_flag, tasks=("climb",), policies={"swing": swing})
PENDULUM = gym_suite("Pendulum-v1", {"up": upright, "down": hanging}, name="pendulum")
