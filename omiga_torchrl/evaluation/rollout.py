"""`evaluate`: returns of complete episodes on many environments at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.utils import unravel_key
from torch import Tensor, nn
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl import keys
from omiga_torchrl.envs.memory import with_memory
from omiga_torchrl.errors import DataError, require_key, require_seed, require_shape
from omiga_torchrl.evaluation.result import EvaluationResult
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.team_env import team_env

Policy = Callable[[TensorDictBase], TensorDictBase]


def evaluate(
    policy: Policy,
    env: EnvBase,
    *,
    episodes: int,
    seed: int,
    deterministic: bool = True,
    win_key: NestedKey = keys.WIN,
    max_steps: int = 100_000,
) -> EvaluationResult:
    """Plays complete episodes and returns their raw results.

    All environments of a batched ``env`` start together and each counts with its *first*
    episode only; further rounds follow until there are enough. Counting whatever ends
    first would over-represent short episodes.

    The evaluation has a random stream of its own: the global states of torch, numpy and
    Python are put back afterwards, so that it never changes training, and equal seeds give
    equal results. Module training flags are put back as well.

    .. note:: Which seed produces which episode depends on the number of environments:
        compare policies on environments of the same batch size.

    Args:
        policy: writes the joint action into the TensorDict it is given; recurrent parts of it get
            what they need of the environment. Actions of agents that are absent by
            ``(group, "agent_mask")`` are the environment's to ignore.
        env: environment with batch size `[]` or `[num_envs]` and the team reward
            ``("next", "reward")`` `[*B, 1]`. Its random state is changed.
        episodes: number of episodes E.
        seed: seed of the evaluation's random stream.
        deterministic: take the policy's most likely action instead of sampling.
        win_key: entry of ``"next"`` `[*B, 1]` that says whether an ended episode was won;
            used where the environment gives it.
        max_steps: longest episode accepted, a guard against environments that never end.

    Returns:
        The results of E episodes.

    Raises:
        DataError: a NaN or infinite action or reward, an episode without end, or observations of another
            precision than the policy's.
        KeyError: the environment gives no team reward.
        ValueError: ``episodes`` below one, or a team reward of another shape.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> env = make_env("vmas/navigation", num_envs=4, seed=0, max_steps=5)
        >>> still = lambda td: td.set(("agents", "action"), torch.zeros(4, 3, 2))
        >>> evaluate(still, env, episodes=6, seed=0).lengths.tolist()
        [5, 5, 5, 5, 5, 5]
    """
    if episodes < 1:
        raise ValueError(f"evaluate: episodes={episodes}; expected at least 1.")
    require_seed("evaluate", seed=seed)
    kind = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    rounds: list[_Round] = []
    env = with_memory(env, policy)
    with isolated_random(seed), torch.no_grad(), set_exploration_type(kind), _eval_mode(policy):
        env.set_seed(seed)
        while len(rounds) * env.batch_size.numel() < episodes:
            rounds.append(_play_round(policy, env, win_key, max_steps))
    won = [one.won for one in rounds if one.won is not None]
    return EvaluationResult(
        returns=torch.cat([one.returns for one in rounds])[:episodes].cpu(),
        group_returns={
            name: torch.cat([one.group_returns[name] for one in rounds])[:episodes].cpu()
            for name in rounds[0].group_returns
        },
        lengths=torch.cat([one.lengths for one in rounds])[:episodes].cpu(),
        terminated=torch.cat([one.terminated for one in rounds])[:episodes].cpu(),
        won=torch.cat(won)[:episodes].cpu() if won else None,
        seed=seed,
        deterministic=deterministic,
    )


@dataclass
class _Round:
    """The first episode of each of n environments; all tensors are `[n]`."""

    returns: Tensor
    lengths: Tensor
    terminated: Tensor
    group_returns: dict[str, Tensor]
    won: Tensor | None = None

    @classmethod
    def empty(cls, n: int, device: torch.device | None, groups: Iterable[str]) -> _Round:
        return cls(
            torch.zeros(n, dtype=torch.float64, device=device),
            torch.zeros(n, dtype=torch.int64, device=device),
            torch.zeros(n, dtype=torch.bool, device=device),
            {name: torch.zeros(n, dtype=torch.float64, device=device) for name in groups},
        )


def _play_round(policy: Policy, env: EnvBase, win_key: NestedKey, max_steps: int) -> _Round:
    """Plays until the first episode of every environment is over."""
    n = env.batch_size.numel()
    result = _Round.empty(n, env.device, _rewarded_groups(env))
    running = torch.ones(n, dtype=torch.bool, device=env.device)
    stands_still = team_env(env).ended_stand_still
    data = env.reset()
    _require_precision(policy, data)
    for _ in range(max_steps):
        data = policy(data)
        _check_actions(env, data, running)
        data = env.step(data)
        running = _count(result, data["next"], running, win_key)
        if not running.any():
            _check_returns(result)
            return result
        data = env.step_mdp(data)
        # Ended environments are reset and play on, uncounted: few simulators can be stepped
        # beyond the end. Those that stand still there cost nothing more.
        if not stands_still:
            data = env.maybe_reset(data)
    raise DataError(
        f"evaluate: {int(running.sum())} of {n} environments did not end within {max_steps} steps. "
        f"Add a StepCounter(max_steps) to the environment or raise max_steps."
    )


def _count(result: _Round, following: TensorDictBase, running: Tensor, win_key: NestedKey) -> Tensor:
    """Adds one step to ``result`` in place; returns which environments still run, `[n]`."""
    reward = require_key(
        "evaluate", following, keys.REWARD, "Team rewards stand at the root: make_env puts them there."
    )
    batch = following.batch_size
    require_shape("evaluate", ("next", keys.REWARD), reward, (*batch, 1), "[*batch, 1]", "Sum over agents?")
    result.returns += torch.where(running, reward.reshape(-1).double(), 0.0)
    for name, total in result.group_returns.items():
        own = following.get((name, "reward")).reshape(len(running), -1).double().mean(-1)
        total += torch.where(running, own, 0.0)
    result.lengths += running
    ended = running & following[keys.DONE].reshape(-1)
    result.terminated |= ended & following[keys.TERMINATED].reshape(-1)
    won = following.get(win_key, None)
    if won is not None:
        result.won = torch.zeros_like(running) if result.won is None else result.won
        result.won |= ended & won.reshape(-1).bool()
    return running & ~ended


def _rewarded_groups(env: EnvBase) -> list[str]:
    """Groups whose agents get rewards of their own beside the team's."""
    paths = [keys.key_path(unravel_key(key)) for key in env.reward_keys]
    return [path[0] for path in paths if path[1:] == (keys.REWARD,)]


def _check_actions(env: EnvBase, data: TensorDictBase, running: Tensor) -> None:
    """Refuses non-finite actions of agents that take part, and says whose they are."""
    for key in env.action_keys:
        action = require_key("evaluate", data, key, "Does the policy write this key?")
        if not action.dtype.is_floating_point or action.isfinite().all():
            continue
        # `[n, N, *features]`: the agents come right after the batch dimensions.
        agents = action.isfinite().reshape(running.numel(), action.shape[env.batch_dims], -1).all(-1)
        takes_part = data.get(keys.sibling_key(unravel_key(key), "agent_mask"), None)
        if takes_part is not None:
            agents = agents | ~takes_part.reshape(agents.shape)
        if agents.all():
            continue
        agent = int((~agents.all(0)).nonzero()[0])
        raise DataError(
            f"evaluate: {unravel_key(key)!r} of agent {agent} is NaN or infinite in "
            f"{int((~agents[:, agent]).sum())} of {running.numel()} environments. Training probably "
            f"diverged: lower the learning rate or clip gradients."
        )


def _require_precision(policy: Policy, data: TensorDictBase) -> None:
    """Refuses observations in double precision for a policy in single one, and the reverse."""
    if not isinstance(policy, nn.Module):
        return
    own = {p.dtype for p in policy.parameters()} & {torch.float32, torch.float64}
    for key in getattr(policy, "in_keys", ()):
        value = data.get(key, None)
        given = None if value is None else value.dtype
        if given in (torch.float32, torch.float64) and len(own) == 1 and given not in own:
            raise DataError(
                f"evaluate: {unravel_key(key)!r} must be {own.pop()} like the policy's parameters, got "
                f"{given}. Cast the policy with policy.to({given})."
            )


def _check_returns(result: _Round) -> None:
    if not result.returns.isfinite().all():
        raise DataError(
            "evaluate: ('next', 'reward') is NaN or infinite. The simulator diverged: check its "
            "actions' range."
        )


@contextmanager
def _eval_mode(policy: Policy) -> Iterator[None]:
    """Sets every module of the policy to evaluation and puts each one's own flag back."""
    modules = list(policy.modules()) if isinstance(policy, nn.Module) else []
    flags = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, flag in zip(modules, flags, strict=True):
            module.training = flag
