"""One gradient step: clipping, adaptive coefficients, the order of what happens."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn

from omiga_torchrl.trainers import AdaptiveLoss, clip_gradients, train_step


class PricedLoss(nn.Module):
    """A weight whose price falls by the factor 0.5 at each step that is advanced."""

    price: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0]))
        self.register_buffer("price", torch.tensor(1.0))
        self.received: list[dict[str, float]] = []
        self.weight_when_advanced: list[float] = []

    def forward(self, batch: TensorDictBase) -> TensorDictBase:
        cost = self.price * self.weight * batch["x"].mean()
        return TensorDict({"loss_cost": cost.sum(), "next_price": 0.5 * self.price})

    def advance(self, losses: TensorDictBase) -> None:
        assert not losses["loss_cost"].requires_grad
        self.received.append({key: float(value) for key, value in losses.items()})
        self.weight_when_advanced.append(self.weight.item())
        self.price.copy_(losses["next_price"])


class Recorder:
    """A target updater that writes down the price at each of its steps."""

    def __init__(self, loss: PricedLoss) -> None:
        self.loss, self.prices = loss, list[float]()

    def step(self) -> None:
        self.prices.append(float(self.loss.price))


def one_step(loss: PricedLoss, updater: Recorder) -> TensorDictBase:
    return train_step(
        loss,
        TensorDict({"x": torch.ones(4)}, [4]),
        torch.optim.SGD(loss.parameters(), lr=1.0),
        parameter_groups={"weight": [loss.weight]},
        clip_grad_norm=None,
        target_updater=updater,
    )


def test_adaptive_coefficients_advance_after_the_step_and_before_the_targets() -> None:
    loss = PricedLoss()
    updater = Recorder(loss)
    assert isinstance(loss, AdaptiveLoss)
    loss(TensorDict({"x": torch.ones(4)}, [4]))
    assert float(loss.price) == 1.0  # the forward pass alone changes nothing
    out = one_step(loss, updater)
    # The gradient is the price of before: weight 2 - 1, then 1 - 0.5.
    assert loss.weight_when_advanced == [1.0] and updater.prices == [0.5]
    assert loss.received == [{"loss_cost": 2.0, "next_price": 0.5}]  # its own output, nothing more
    assert {key: float(value) for key, value in out.items()} == {
        "loss_cost": 2.0, "next_price": 0.5, "grad_norm_weight": 1.0,
    }  # fmt: skip
    one_step(loss, updater)
    assert loss.weight.item() == 0.5 and updater.prices == [0.5, 0.25]
    assert loss.weight.grad is None


def test_a_plain_function_is_a_loss() -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    out = train_step(
        lambda batch: TensorDict({"loss": (weight * batch["x"]).sum()}),
        TensorDict({"x": torch.tensor([30.0, 40.0])}),
        optimizer,
        parameter_groups={"weight": [weight]},
    )
    assert float(out["grad_norm_weight"]) == pytest.approx(50.0)
    torch.testing.assert_close(weight.data, torch.tensor([2.4, 3.2]))


def test_groups_are_clipped_separately() -> None:
    a, b, idle = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    a.grad, b.grad = torch.tensor([30.0, 40.0]), torch.tensor([0.3, 0.4])
    norms = clip_gradients({"a": [a], "b": [b], "idle": [idle]}, 1.0)
    torch.testing.assert_close(a.grad, torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(b.grad, torch.tensor([0.3, 0.4]))
    assert {name: pytest.approx(float(norm)) for name, norm in norms.items()} == {
        "grad_norm_a": 50.0, "grad_norm_b": 0.5,
    }  # fmt: skip
