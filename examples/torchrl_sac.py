"""SAC of TorchRL's own parts from nothing in the dream of a Metaworld task, then scored in the simulator.

Run it: ``python examples/torchrl_sac.py`` (button_press), or with another task and number of updates:
``python examples/torchrl_sac.py window_open 40000``. It needs the extras torchrl and metaworld.
"""

import sys

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import NormalParamExtractor, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import SACLoss, SoftUpdate

import dreamgym
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate


# [networks]
def mlp(inputs: int, outputs: int, width: int = 128) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


class Quality(nn.Module):
    """Q of features and action."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.net = mlp(features + size, 1)

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([observation, action], -1))


def actor_and_critic(env: EnvBase) -> tuple[ProbabilisticActor, ValueOperator]:
    features, size = env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1]
    network = nn.Sequential(mlp(features, 2 * size), NormalParamExtractor(scale_lb=1e-2))
    actor = ProbabilisticActor(
        TensorDictModule(network, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=env.action_spec,
        distribution_class=TanhNormal,
        distribution_kwargs={"low": env.action_spec.space.low[0], "high": env.action_spec.space.high[0]},
    )
    return actor, ValueOperator(Quality(features, size), in_keys=["observation", "action"])


# [train]
def train(task: str, updates: int, num_envs: int = 32, updates_a_batch: int = 8, seed: int = 0) -> ProbabilisticActor:
    """SAC on the dense reward of Metaworld's suite, in dreams alone: one step of every dream, then some updates."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    env = dreamgym.torchrl_env("Dream-Metaworld-v0", num_envs=num_envs, task=task, reward="shaped")
    env.set_seed(seed)
    actor, critic = actor_and_critic(env)
    loss = SACLoss(actor, critic, num_qvalue_nets=2, loss_function="l2", alpha_init=0.05)
    loss.make_value_estimator(gamma=0.98)
    target = SoftUpdate(loss, eps=0.995)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(300_000), batch_size=256)
    first = num_envs * 150  # at random, before the first update
    total = first + num_envs * (updates // updates_a_batch)
    for batch in Collector(env, actor, frames_per_batch=num_envs, total_frames=total, init_random_frames=first):
        buffer.extend(batch.reshape(-1))
        if len(buffer) < first:
            continue
        for _ in range(updates_a_batch):
            terms = loss(buffer.sample())
            optimizer.zero_grad()
            (terms["loss_actor"] + terms["loss_qvalue"] + terms["loss_alpha"]).backward()
            optimizer.step()
            target.step()
    env.close()
    return actor


# [score]
class Acting:
    """The actor's mean as a policy of `dreamgym.evaluation`."""

    def __init__(self, actor: ProbabilisticActor) -> None:
        self.actor = actor

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            return self.actor(TensorDict({"observation": obs}, batch_size=len(obs)))["action"], None


def score(actor: ProbabilisticActor, task: str, episodes: int) -> dict[str, float]:
    """Success rates from held-out starts, in the dream and in the simulator."""
    config = EvaluationConfig(episodes=episodes, split="test")
    result = evaluate(Acting(actor), "metaworld", task, config)
    return {"dream": result.dream.rate, "simulator": result.twin.rate}


# [end]
if __name__ == "__main__":
    task, updates = sys.argv[1] if sys.argv[1:] else "button_press", int(sys.argv[2]) if sys.argv[2:] else 12_000
    print(task, score(train(task, updates), task, episodes=50))
