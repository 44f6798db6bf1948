"""A loss is tried on a dataset without a trace."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.data.loss_check import check_loss

from .conftest import make_card, make_episodes


class Loss:
    """Notes what it is given."""

    checks_bounds = None

    def __init__(self, error=None):
        self.batches, self.error = [], error

    def __call__(self, batch):
        self.batches.append(batch)
        assert not torch.is_grad_enabled()
        torch.rand(3)
        if self.error:
            raise self.error
        return batch


def test_one_batch_is_tried_and_the_random_state_stays(write):
    dataset, loss = write(make_episodes(), batch_size=6), Loss()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    check_loss(loss, dataset)
    assert torch.rand(1) == expected and torch.is_grad_enabled()
    [batch] = loss.batches
    assert batch.batch_size == (6,)


def test_the_same_batch_every_time(write):
    dataset, loss = write(make_episodes(), batch_size=6), Loss()
    for seed in (1, 2):
        torch.manual_seed(seed)
        check_loss(loss, dataset)
    first, second = loss.batches
    assert (first["index"] == second["index"]).all() if "index" in first else (first == second).all()


@pytest.mark.parametrize(("convention", "checked"), [("raw", False), ("clip", True), ("scale", True)])
def test_only_raw_actions_may_be_beyond_their_bounds(write, convention, checked):
    episodes, loss = make_episodes(), Loss()
    check_loss(loss, write(episodes, batch_size=4, card=make_card(episodes, action_convention=convention)))
    assert loss.checks_bounds is checked


def test_errors_of_the_loss_come_through(write):
    with pytest.raises(KeyError, match="missing"):
        check_loss(Loss(KeyError("missing")), write(make_episodes(), batch_size=4))
    assert torch.is_grad_enabled()
