"""OMIGA composed by hand: single-term losses, TorchRL's replay buffer and a plain loop.

Launch:    python recipes/custom_pipeline.py
Override:  python recipes/custom_pipeline.py --steps 500 --alpha 0.6
"""

from __future__ import annotations

import argparse

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

from omiga_torchrl import keys
from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.modules import AgentMLP, LinearMixer, tanh_gaussian_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, OMIGAPolicyLoss, OMIGAQValueLoss, OMIGAValueLoss
from omiga_torchrl.trainers import make_optimizer, train_step


def main(steps: int = 2000, alpha: float = 1.0, batch_size: int = 256, seed: int = 0) -> float:
    """Train on the bundled navigation data and return the mean evaluation return."""
    torch.manual_seed(seed)
    # Any TensorDict with the keys of omiga_torchrl.keys serves; here it is the bundled data.
    data = OfflineDataset("vmas/navigation/mixed")
    spec = data.spec.groups["agents"]
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(len(data)), batch_size=batch_size)
    buffer.extend(TensorDict(data.data.to_dict(), [len(data)]))

    # Networks: any TensorDictModules with these keys.
    n, size, hidden = spec.n_agents, spec.observation_size, (128, 128)
    policy = tanh_gaussian_actor(spec, hidden_sizes=hidden)
    qvalue = TensorDictModule(
        AgentMLP(size + spec.action_size, 1, n, hidden_sizes=hidden),
        in_keys=[keys.OBSERVATION, keys.ACTION],
        out_keys=[keys.LOCAL_QVALUE],
    )
    value = TensorDictModule(
        AgentMLP(size, 1, n, hidden_sizes=hidden), in_keys=[keys.OBSERVATION], out_keys=[keys.LOCAL_VALUE]
    )
    mixer = LinearMixer(n, spec.state_size).as_weight_module()

    # One loss a term, each usable alone or with a part of your own in its place.
    losses = [
        OMIGAValueLoss(qvalue, value, mixer, alpha=alpha),
        OMIGAQValueLoss(qvalue, value, mixer, gamma=0.99),
        OMIGAPolicyLoss(policy, qvalue, value, mixer, alpha=alpha),
    ]
    updaters = [ForeachSoftUpdate(losses[i], tau=0.005) for i in (0, 2)]
    networks = {"policy": policy, "qvalue": qvalue, "value": value, "mixer": mixer}
    groups = {name: list(network.parameters()) for name, network in networks.items()}
    optimizer = make_optimizer(groups, lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def loss(batch: TensorDictBase) -> TensorDictBase:
        return TensorDict({one.out_keys[0]: one(batch)[one.out_keys[0]] for one in losses})

    for _ in range(steps):
        train_step(loss, buffer.sample(), optimizer, parameter_groups=groups, clip_grad_norm=1.0)
        schedule.step()
        for updater in updaters:
            updater.step()

    env = make_env("vmas/navigation", num_envs=100, seed=0)
    result = evaluate(policy, env, episodes=100, seed=0)
    print(f"return {result.mean_return:.2f} (behaviour {data.card.behaviour_return['mean']:.2f})")
    return result.mean_return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (("steps", 2000), ("alpha", 1.0), ("batch-size", 256), ("seed", 0)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    main(**vars(parser.parse_args()))
