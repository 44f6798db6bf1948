"""Means of metrics between two log lines, of families of any company and number."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from omiga_torchrl.trainers.metrics import MetricWindow


def window(*steps: dict[str, float]) -> MetricWindow:
    out = MetricWindow()
    for step in steps:
        out.add({name: torch.tensor(value) for name, value in step.items()})
    return out


def test_a_mean_is_over_the_steps_since_the_last_flush() -> None:
    seen = window({"a": 1.0, "b": 10.0}, {"a": 2.0, "b": 20.0}, {"a": 6.0, "b": 60.0})
    assert seen.flush() == {"a": 3.0, "b": 30.0}
    assert seen.flush() == {}
    seen.add({"a": torch.tensor(5.0)})
    assert seen.flush() == {"a": 5.0}


def test_nothing_is_no_step() -> None:
    seen = window({"a": 1.0})
    seen.add({})
    assert seen.flush() == {"a": 1.0} and MetricWindow().flush() == {}


@pytest.mark.parametrize("steps", [1, 63, 64, 65, 128, 130])
def test_any_number_of_steps_has_its_mean(steps: int) -> None:
    seen = MetricWindow()
    for step in range(steps):
        seen.add({"vector": torch.tensor([2.0 * step, 1.0]), "scalar": torch.tensor(float(step))})
    mean = (steps - 1) / 2
    assert seen.flush() == pytest.approx({"vector/0": 2 * mean, "vector/1": 1.0, "scalar": mean})


def test_scalars_and_vectors_keep_their_names_in_any_order() -> None:
    values = {
        "first": torch.tensor([1.0, 2.0, 3.0]),
        "then": torch.tensor(4.0),
        "next": torch.tensor([5.0]),
        "last": torch.tensor(6.0),
    }
    seen = MetricWindow()
    for factor in (1, 3):
        seen.add({name: factor * value for name, value in values.items()})
    expected = {"first/0": 2.0, "first/1": 4.0, "first/2": 6.0, "then": 8.0, "next/0": 10.0, "last": 12.0}
    assert list(seen.flush().items()) == list(expected.items())


def test_what_changes_later_was_as_it_was() -> None:
    seen, value, vector = MetricWindow(), torch.tensor(1.0), torch.tensor([1.0, 2.0])
    for _ in range(2):
        seen.add({"own": value, "vector": vector})
        seen.add({"own": value})
        seen.add({"vector": vector})
        value += 2
        vector *= 3
    assert seen.flush() == {"own": 2.0, "vector/0": 2.0, "vector/1": 4.0}


def test_a_metric_in_two_families_has_the_mean_of_all_its_steps() -> None:
    """Once 1, in other company 4, 4 and 9: a mean weighted by steps."""
    seen = window({"a": 1.0}, {"a": 4.0, "b": 0.0}, {"a": 4.0, "b": 2.0}, {"a": 9.0, "b": 4.0})
    assert seen.flush() == pytest.approx({"a": 4.5, "b": 2.0})
    three = window({"a": 1.0}, {"a": 5.0, "b": 0.0}, {"a": 3.0, "c": 0.0}, {"a": 3.0, "c": 0.0})
    assert three.flush()["a"] == pytest.approx(3.0)


def test_other_numbers_and_half_precision_are_summed_in_single() -> None:
    seen = MetricWindow()
    for value in (1, 2, 4):
        seen.add({"count": torch.tensor(value), "half": torch.tensor(256.0 + value, dtype=torch.bfloat16)})
    found = seen.flush()
    assert found["count"] == pytest.approx(7 / 3) and found["half"] == pytest.approx(258.0, abs=0.7)


def test_a_metric_with_a_gradient_keeps_no_graph() -> None:
    seen, weight = MetricWindow(), torch.ones((), requires_grad=True)
    for _ in range(65):
        seen.add({"a": 2 * weight, "v": weight.expand(2)})
    state = seen.state_dict()["families"][0]
    assert not any(one.requires_grad for one in [*state[1], *state[3]])


def test_no_more_than_64_steps_are_kept_as_they_are() -> None:
    seen = window(*[{"a": 1.0}] * 63)
    (_, sums, count, rows) = seen.state_dict()["families"][0]
    assert (sums[0].item(), count, len(rows)) == (0.0, 63, 63)
    seen.add({"a": torch.tensor(1.0)})
    (_, sums, count, rows) = seen.state_dict()["families"][0]
    assert (sums[0].item(), count, len(rows)) == (64.0, 64, 0)


@pytest.mark.parametrize("steps", [3, 64, 70])
def test_an_unfinished_window_goes_on_after_a_checkpoint(steps: int) -> None:
    def fill(seen: MetricWindow, first: int, last: int) -> MetricWindow:
        for step in range(first, last):
            seen.add({"a": torch.tensor(float(step)), "v": torch.tensor([1.0, step])})
        return seen

    whole = fill(MetricWindow(), 0, steps + 5).flush()
    resumed = MetricWindow()
    resumed.add({"a": torch.tensor(1e6)})  # forgotten
    resumed.load_state_dict(fill(MetricWindow(), 0, steps).state_dict())
    assert fill(resumed, steps, steps + 5).flush() == whole


def test_a_window_of_a_former_version_has_sums_only() -> None:
    sums: list[Tensor] = [torch.tensor(6.0), torch.tensor([2.0, 4.0])]
    seen = MetricWindow()
    seen.load_state_dict({"families": [(["a", "v"], sums, 2)]})
    seen.add({"a": torch.tensor(3.0), "v": torch.tensor([1.0, 2.0])})
    assert seen.flush() == {"a": 3.0, "v/0": 1.0, "v/1": 2.0}
