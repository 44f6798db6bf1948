"""Whether an exported policy acts as the original does."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from omiga_torchrl.modules.candidate_policy import CandidatePolicy
from omiga_torchrl.policies import TeamPolicy, inputs_of
from omiga_torchrl.policies.acting import PolicyStep, act_with
from tests.policies.cases import arrays_of


def require_equal(policy: TeamPolicy, exported, steps: int = 3, batch: int = 5) -> None:
    """Equal actions and memories along an episode, to 1e-6 of the actions' range."""
    state, other = None, None
    noise = {
        port.name: np.random.default_rng(0).normal(size=(batch, *port.shape)).astype(np.float32)
        for port in inputs_of(policy)
        if port.role == "noise"
    }
    for step in range(steps):
        arrays = arrays_of(policy, batch, seed=step)
        if noise:
            with near_best_candidates(policy) as near_best:
                actions, state = acting_with(policy, arrays, state, noise)
            found, other = exported.act(**arrays, state=other, noise=noise)
        else:
            near_best = {}
            actions, state = policy.act(**arrays, state=state)
            found, other = exported.act(**arrays, state=other)
        for group in policy.team.groups:
            own, theirs = (x[group] if isinstance(x, dict) else x for x in (actions, found))
            if group in near_best:
                own = nearest(near_best[group], theirs)
            np.testing.assert_allclose(theirs, own, rtol=0, atol=4e-6 if own.dtype.kind == "f" else 0)
            assert own.dtype == theirs.dtype
        assert state.keys() == other.keys()
        for name, value in state.items():
            np.testing.assert_allclose(other[name], value, rtol=0, atol=4e-6)


@contextmanager
def near_best_candidates(policy: TeamPolicy):
    """By group, BCQ's candidates `[M, B, N, A]`; NaN where others are better than float32 errs.

    Of those that are left a program may take any: candidates of one value are frequent.
    """
    found = {}

    def keep(group, module, inputs):
        actions, values = module.candidates_and_values(*inputs)
        worse = values < values.amax(0) - 1e-6 * values.abs().amax()
        found[group] = actions.masked_fill(worse[..., None], torch.nan).numpy()

    policies = getattr(policy.network, "policies", {"agents": policy.network})
    hooks = [
        one.register_forward_pre_hook(partial(keep, group))
        for group, one in policies.items()
        if isinstance(one, CandidatePolicy)
    ]
    yield found
    for hook in hooks:
        hook.remove()


def nearest(candidates: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """For every agent the candidate that is nearest to its action."""
    distance = np.nan_to_num(np.abs(candidates - actions).max(-1), nan=np.inf)
    return np.take_along_axis(candidates, distance.argmin(0)[None, ..., None], 0)[0]


def acting_with(policy, arrays, state, noise):
    """The policy's actions with given draws."""
    step = PolicyStep(policy)

    def run(inputs):
        with torch.no_grad():
            return [x.numpy() for x in step(*(torch.as_tensor(inputs[port.name]) for port in step.inputs))]

    mask = arrays.get("action_mask")
    return act_with(run, step.inputs, step.outputs, arrays["observations"], state, mask, noise)
