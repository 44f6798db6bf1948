"""A loss of two networks with targets, and a trainer for it."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.data.replay_buffers import Sampler
from torchrl.objectives.common import LossModule

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers import OfflineTrainer


class ToyLoss(LossModule):
    """Regresses two networks on x; the second on the first one's target."""

    a_network: TensorDictModule
    a_network_params: TensorDictParams
    target_a_network_params: TensorDictParams
    b_network: TensorDictModule
    b_network_params: TensorDictParams
    target_b_network_params: TensorDictParams

    def __init__(self, width: int = 16, depth: int = 1) -> None:
        super().__init__()
        for name in ("a_network", "b_network"):
            layers: list[nn.Module] = [nn.Linear(4, width), nn.Tanh()]
            for _ in range(depth - 1):
                layers += [nn.Linear(width, width), nn.Tanh()]
            module = TensorDictModule(nn.Sequential(*layers, nn.Linear(width, 1)), ["x"], [name[0]])
            self.convert_to_functional(module, name, create_target_params=True)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        inputs = tensordict.select("x")
        with self.a_network_params.to_module(self.a_network):
            a = self.a_network(inputs.copy())["a"]
        with self.b_network_params.to_module(self.b_network):
            b = self.b_network(inputs.copy())["b"]
        with torch.no_grad(), self.target_a_network_params.to_module(self.a_network):
            target = self.a_network(inputs.copy())["a"]
        goal = tensordict["x"].sum(-1, keepdim=True)
        losses = {"loss_a": (a - goal).square().mean(), "loss_b": (b - target).square().mean()}
        return TensorDict(
            {**losses, "spread": a.detach().std(), "per_agent": target.detach().mean().expand(2)}
        )


def parameter_groups(loss: ToyLoss) -> dict[str, list[nn.Parameter]]:
    return {"a": list(loss.a_network_params.parameters()), "b": list(loss.b_network_params.parameters())}


def toy_buffer(rows: int = 256, batch_size: int = 32, sampler: Sampler | None = None) -> ReplayBuffer:
    generator = torch.Generator().manual_seed(0)
    buffer = ReplayBuffer(storage=LazyTensorStorage(rows), batch_size=batch_size, sampler=sampler)
    buffer.extend(TensorDict({"x": torch.randn(rows, 4, generator=generator)}, [rows]))
    return buffer


def toy_trainer(
    total_steps: int = 20, sampler: Sampler | None = None, width: int = 16, **kwargs: Any
) -> OfflineTrainer:
    torch.manual_seed(0)
    loss = ToyLoss(width)
    settings: dict[str, Any] = {
        "loss_module": loss,
        "replay_buffer": toy_buffer(sampler=sampler),
        "parameter_groups": parameter_groups(loss),
        "target_updater": ForeachSoftUpdate(loss, tau=0.1),
        "progress_bar": False,
        "seed": 1,
        "lr": 1e-2,
    }
    return OfflineTrainer(total_steps=total_steps, **{**settings, **kwargs})


def snapshot(trainer: OfflineTrainer) -> list[torch.Tensor]:
    """All parameters, targets and optimiser state."""
    state = [value for value in trainer.loss_module.state_dict().values() if isinstance(value, torch.Tensor)]
    # In the order of the parameters: the state has that of their first updates.
    for _, entry in sorted(trainer.optimizer.state_dict()["state"].items()):
        state += list(entry.values())
    return [value.clone() for value in state]


def identical(left: OfflineTrainer, right: OfflineTrainer) -> bool:
    one, other = snapshot(left), snapshot(right)
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
