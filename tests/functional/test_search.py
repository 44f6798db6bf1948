from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import cross_entropy_search

PEAKS = torch.tensor([[0.7, -0.4], [0.0, 0.9], [-0.8, 0.2]])


def quadratic(action):
    """A concave value whose maximum differs between 3 agents, ``[*B, 3, 2] -> [*B, 3]``."""
    return -(action - PEAKS).square().sum(-1)


def bimodal(action):
    """A broad hill at -0.5 and a higher, narrow one at 0.6."""
    broad = 1.0 * torch.exp(-((action + 0.5) / 0.3).square())
    narrow = 1.5 * torch.exp(-((action - 0.6) / 0.1).square())
    return (broad + narrow).sum(-1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("update", ["elites", "softmax"])
def test_finds_the_maximum_of_every_agent(update):
    scale = 1.0 if update == "elites" else 30.0  # the softmax depends on the unit of the value
    found = cross_entropy_search(
        lambda action: scale * quadratic(action),
        torch.zeros(16, 3, 2),
        2.0,
        iterations=10,
        num_samples=100,
        num_elites=20,
        update=update,
        generator=seeded(),
    )
    assert found.action.shape == (16, 3, 2) and found.value.shape == (16, 3)
    assert (found.action - PEAKS).abs().max() < (0.001 if update == "elites" else 0.05)
    torch.testing.assert_close(found.value, scale * quadratic(found.action))


def test_the_defaults_are_the_released_numbers():
    """OMAR for MuJoCo: 2 iterations of 20 samples, of which the mean of 5 is kept, from +-1."""
    start = torch.zeros(4, 3, 2)
    found = cross_entropy_search(quadratic, start, 2.0, generator=seeded())
    numbers = {"iterations": 2, "num_samples": 20, "update": "elites", "num_elites": 5}
    given = cross_entropy_search(quadratic, start, 2.0, **numbers, low=-1.0, high=1.0, generator=seeded())
    assert all(torch.equal(one, other) for one, other in zip(found, given, strict=True))


def test_finds_the_higher_of_two_modes():
    found = cross_entropy_search(
        bimodal, torch.zeros(32, 1), 1.0, iterations=10, num_samples=200, num_elites=10, generator=seeded()
    )
    assert (found.action - 0.6).abs().max() < 0.01


def test_without_refinement_it_is_random_search():
    """The published mistake: the second iteration is as wide as the first."""
    spreads, errors = {}, {}
    for refine in (True, False):
        seen = []

        def record(action, seen=seen):
            seen.append(action)
            return quadratic(action)

        found = cross_entropy_search(
            record,
            torch.zeros(64, 3, 2),
            0.5,
            iterations=6,
            num_samples=50,
            num_elites=10,
            refit=refine,
            generator=seeded(),
        )
        spreads[refine] = [action.std(0).mean().item() for action in seen]
        errors[refine] = (found.action - PEAKS).norm(dim=-1).mean().item()
    assert spreads[False][-1] == pytest.approx(spreads[False][0], rel=0.05)
    assert spreads[True][-1] < 0.2 * spreads[True][0]
    assert errors[True] < 0.1 * errors[False]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(["elites", "softmax"]), st.booleans())
def test_returns_the_best_of_all_that_it_evaluated_inside_the_bounds(seed, update, refine):
    seen = []

    def evaluate(action):
        # values that do not depend on the place: the last iteration is no better than the first
        value = torch.rand(action.shape[:-1], generator=random)
        seen.append((action, value))
        return value

    random = seeded(seed + 1)
    found = cross_entropy_search(
        evaluate,
        torch.zeros(4, 2),
        torch.tensor([2.0, 0.1]),
        iterations=3,
        num_samples=6,
        num_elites=2,
        update=update,
        refit=refine,
        low=-0.5,
        high=0.25,
        generator=seeded(seed),
    )
    actions, values = (torch.cat(x) for x in zip(*seen, strict=True))
    assert actions.shape == (18, 4, 2)
    assert actions.min() >= -0.5 and actions.max() <= 0.25
    best = values.argmax(0)
    assert found.value.equal(values.amax(0))
    assert found.action.equal(actions[best, torch.arange(4)])


@pytest.mark.parametrize("update", ["elites", "softmax"])
def test_agrees_with_an_independent_transcription(update):
    """One row at a time, in numpy, from the same noise."""
    rows, features, samples, elites, iterations = 3, 2, 8, 3, 4
    peaks = PEAKS.double()

    def critic(action):
        return 5 * quadratic(action.to(peaks))

    noise_source = seeded(3)
    noise = [
        torch.randn(samples, rows, features, generator=noise_source, dtype=torch.float64).numpy()
        for _ in range(iterations)
    ]
    found = cross_entropy_search(
        critic,
        torch.zeros(rows, features, dtype=torch.float64),
        2.0,
        iterations=iterations,
        num_samples=samples,
        num_elites=elites,
        update=update,
        generator=seeded(3),
    )
    for row in range(rows):
        mean, std, carried, best = np.zeros(features), np.full(features, 2.0), [], (-np.inf, None)
        for drawn in noise:
            pool = [np.clip(mean + std * z, -1, 1) for z in drawn[:, row]]
            pool += carried if update == "elites" else []
            value = [-5 * np.square(a - peaks[row].numpy()).sum() for a in pool]
            order = np.argsort(value)[::-1]
            best = max(best, (value[order[0]], tuple(pool[order[0]])))
            if update == "elites":
                carried = [pool[k] for k in order[:elites]]
                mean, std = np.mean(carried, 0), np.std(carried, 0, ddof=1)
            else:
                share = np.exp(value - np.max(value))
                mean = np.average(pool, 0, share)
                std = np.sqrt(np.mean(np.square(np.array(pool) - mean), 0))
        np.testing.assert_allclose(found.value[row].item(), best[0], rtol=1e-6)
        np.testing.assert_allclose(found.action[row].numpy(), best[1], rtol=1e-6)


def test_elites_that_share_a_bound_lose_their_spread():
    """From std 100 all samples are at the bounds, so that the search cannot leave a corner."""
    start = torch.full((64, 1), 0.0)
    found = cross_entropy_search(
        lambda action: -(action - 0.7).square().sum(-1), start, 100.0, iterations=20, generator=seeded()
    )
    assert (found.action == 1).float().mean() > 0.5


def test_result_is_detached_and_a_generator_reproduces_it():
    scale = torch.ones((), requires_grad=True)
    first, second = (
        cross_entropy_search(lambda a: scale * quadratic(a), torch.zeros(3, 2), 1.0, generator=seeded())
        for _ in range(2)
    )
    assert not first.action.requires_grad and not first.value.requires_grad
    assert first.action.equal(second.action)


def test_mistakes_are_named():
    start = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"got \(20, 3, 1\).*Squeeze"):
        cross_entropy_search(lambda a: quadratic(a).unsqueeze(-1), start, 1.0)
    for wrong in ({"iterations": 0}, {"num_samples": 4}, {"num_elites": 1}):
        with pytest.raises(ValueError, match=r"num_samples >= num_elites >= 2"):
            cross_entropy_search(quadratic, start, 1.0, **wrong)
    cross_entropy_search(quadratic, start, 1.0, num_samples=1, update="softmax")
    cross_entropy_search(quadratic, start, 1.0, iterations=1, num_samples=2, num_elites=2)
