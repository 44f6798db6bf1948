"""How long episodes may last: in the data, and in an environment."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase, StepCounter

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import first_steps
from omiga_torchrl.env_specs import transforms_of

# So many episodes of one length were not ended by the task, even if the data say so.
_MANY = 10


def recorded_lengths(data: TensorDictBase) -> tuple[Tensor, Tensor]:
    """Steps of every episode ``[E]``, and whether it was truncated ``[E]``.

    Args:
        data: transitions in order ``[T]``.

    Examples:
        >>> from tensordict import TensorDict
        >>> ends = torch.tensor([[False], [False], [True]])
        >>> rows = {"episode": torch.tensor([0, 0, 1]), "next": {"terminated": ends}}
        >>> recorded_lengths(TensorDict(rows, [3]))
        (tensor([2, 1]), tensor([ True, False]))
    """
    ends = torch.as_tensor(first_steps(data[keys.EPISODE])).roll(-1).nonzero().squeeze(-1)
    lengths = torch.diff(ends, prepend=torch.tensor([-1]))
    return lengths, ~torch.as_tensor(data["next", keys.TERMINATED])[ends].squeeze(-1)


def time_limit_of(env: EnvBase) -> int | None:
    """Steps after which an environment truncates an episode; None where it does not say.

    Args:
        env: says it by its transform ``StepCounter``, or as ``max_steps``.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> time_limit_of(make_env("vmas/navigation"))
        100
    """
    counters = (one.max_steps for one in transforms_of(env) if isinstance(one, StepCounter))
    limit = next((one for one in counters if one is not None), None)
    limit = getattr(env, "max_steps", None) if limit is None else limit
    return limit if isinstance(limit, int) else None


def find_other_horizon(
    data: TensorDictBase, left_out: int, env: EnvBase, *, ends_are_told: bool = False
) -> list[str]:
    """Whether episodes of the data ended by another time limit than the environment's.

    Data say it where episodes were truncated, all of them at one length, where all episodes have one length,
    whatever their ends are called, or where they are longer than the environment allows.

    Args:
        data: transitions in order ``[T]``.
        left_out: last steps of truncated episodes that are not among them.
        env: the environment.

    Keyword Args:
        ends_are_told: an environment of this library said how every episode ended: a like length of all is
            no limit then, as of experts that always take the shortest way.
    """
    limit, (lengths, truncated) = time_limit_of(env), recorded_lengths(data)
    if limit is None or not len(lengths):
        return []
    longest, cut = int(lengths.max()), lengths[truncated]
    # A truncated episode may lack its last step.
    known = {longest, longest + 1} if left_out else {longest}
    told = f"+task_kwargs.max_steps={longest} of the recipes says so; another number there is meant"
    if longest > limit:
        return [f"episodes last up to {longest} steps in the data, and {limit} in the environment: {told}"]
    one_length = not ends_are_told and len(lengths) >= _MANY and bool((lengths == longest).all())
    if (one_length or (len(cut) and bool((cut == longest).all()))) and limit not in known:
        return [f"time is over after {longest} steps in the data, after {limit} in the environment: {told}"]
    return []
