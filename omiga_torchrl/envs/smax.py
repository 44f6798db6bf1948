"""SMAX: battles like those of StarCraft II's micromanagement challenge (SMAC), written in JAX."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.envs.smax_maps import import_smax
from omiga_torchrl.envs.smax_records import Shown
from omiga_torchrl.envs.smax_simulator import SmaxSimulator
from omiga_torchrl.errors import DataError, require_shape

_MAX_STEPS: Final = 100
_GROUP_KEYS: Final = frozenset(key[-1] for key in (keys.OBSERVATION, keys.ACTION_MASK, keys.ACTION))
_ROOT_KEYS: Final = frozenset(
    (keys.GROUP, keys.STATE, keys.EPISODE_RETURN, "step_count", keys.WIN, "_reset")
    + (keys.REWARD, keys.DONE, keys.TERMINATED, keys.TRUNCATED)
)


def make_smax_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> EnvBase:
    """The SMAX map `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    The team fights the package's scripted opponents. Its reward is the share of the
    opponents' health that it takes, and 1 for winning: returns lie in [0, 2] and **cannot be
    compared with those of SMAC**, which lie in [0, 20]; rates of wins are reported as
    ``"win"``, but on other units and rules. ``"2s_vs_64zg"`` and ``"6z_vs_24zg"`` are
    look-alikes of SMAC's ``2c_vs_64zg`` and ``corridor``, without their terrain and with
    stalkers in place of colossi. Without them there is hardly a way to win: in 100 steps two
    stalkers can take less than a third of the zerglings' health.

    Args:
        name: a map, e.g. ``"3m"``; see :func:`omiga_torchrl.envs.smax_maps.smax_tasks`.
        num_envs: games played together.
        seed: seed of the games; each has its own random stream.
        max_steps: steps after which a game is truncated; ``None`` means 100.
        device: where tensors go; the games run on the CPU.
        options: arguments of jaxmarl's ``HeuristicEnemySMAX``, e.g. ``enemy_shoots=False``.

    Raises:
        ImportError: jaxmarl is not installed.
        ValueError: unknown map, or continuous actions.

    Examples:
        >>> env = make_smax_env("3m", num_envs=2, seed=0)  # doctest: +SKIP
        >>> env.rollout(4)["agents", "action_mask"].shape  # doctest: +SKIP
        torch.Size([2, 4, 3, 8])
    """
    import_smax()
    if options.get("action_type", "discrete") != "discrete":
        raise ValueError(
            f"make_env: action_type={options['action_type']!r} with smax/{name}; expected 'discrete'. "
            "Leave it out."
        )
    limit = max_steps or _MAX_STEPS
    return SmaxTeamEnv(
        SmaxSimulator(name, num_envs, limit, options), max_steps=limit, seed=seed, device=device
    )


class SmaxTeamEnv(EnvBase):
    """Games of SMAX, stepped together, as a team task; made by :func:`make_smax_env`.

    The actions of an agent: 0 to 3 move, 4 stops, 5 and up attack an enemy.
    ``("agents", "action_mask")`` says which are legal: enemies must live and be in range, and
    dead agents can only stop, so that every agent always has a legal action. Illegal actions
    are accepted and have no effect. ``"win"`` `[num_envs, 1]` is true at the end of a game that
    was won.

    A game that is over stands still until it is reset: it keeps its observation and ends, and
    its rewards are 0. A step with an entry ``"_step"`` (TorchRL's partial steps) moves only the
    games named there.

    Args:
        simulator: the games.
        max_steps: steps after which the simulator truncates a game.
        seed: seed of all games' random streams; one stream each.
        device: where tensors go.

    Raises:
        DataError: an action that does not exist.
        ValueError: actions of another shape.
    """

    # Stepping a game that is over does nothing; see `evaluate`.
    ended_stand_still = True

    def __init__(
        self,
        simulator: SmaxSimulator,
        *,
        max_steps: int,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        num_envs = simulator.num_envs
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self.simulator = simulator
        self.max_steps = max_steps
        agents = list(simulator.smax.agents)
        self.group_map = {keys.GROUP: agents}
        self.n_actions = int(simulator.smax.num_ally_actions)
        self._on_cpu = self.device.type == "cpu"
        self._team = torch.Size([num_envs, len(agents)])
        self._all = np.ones(num_envs, np.bool_)
        self._make_specs(num_envs)
        self._set_seed(seed)

    def _make_specs(self, num_envs: int) -> None:
        smax, device, team = self.simulator.smax, self.device, self._team
        each, batch = (num_envs, 1), (num_envs,)

        def group(**entries: Any) -> Composite:
            return Composite(entries, shape=team, device=device)

        def flag(*shape: int) -> Categorical:
            return Categorical(2, shape, dtype=torch.bool, device=device)

        self.observation_spec = Composite(
            {
                keys.GROUP: group(
                    observation=Unbounded((*team, int(smax.obs_size)), device=device),
                    action_mask=flag(*team, self.n_actions),
                ),
                keys.STATE: Unbounded((num_envs, int(smax.state_size)), device=device),
                keys.EPISODE_RETURN: Unbounded(each, device=device),
                "step_count": Unbounded(each, dtype=torch.int64, device=device),
                keys.WIN: flag(*each),
            },
            shape=batch,
            device=device,
        )
        action = Categorical(self.n_actions, team, device=device, dtype=torch.int64)
        self.action_spec = Composite({keys.GROUP: group(action=action)}, shape=batch, device=device)
        self.reward_spec = Composite(
            {keys.REWARD: Unbounded(each, device=device)}, shape=batch, device=device
        )
        self.done_spec = Composite(
            {key: flag(*each) for key in (keys.DONE, keys.TERMINATED, keys.TRUNCATED)},
            shape=batch,
            device=device,
        )

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Uniformly random legal actions, from PyTorch's global random stream."""
        if tensordict is None:
            team = TensorDict({}, self._team, device=self.device)
            tensordict = TensorDict({keys.GROUP: team}, self.batch_size, device=self.device)
        mask = tensordict.get(keys.ACTION_MASK, None)
        if mask is None:
            mask = _copied(self.simulator.games.seen.action_mask).to(self.device)
        # The legal action with the largest number of independent uniform ones is a uniform one.
        noise = torch.rand(mask.shape, device=mask.device).masked_fill_(~mask, -1.0)
        result: TensorDictBase = tensordict.set(keys.ACTION, noise.argmax(-1))
        return result

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(keys.ACTION)
        require_shape("SmaxTeamEnv", keys.ACTION, action, self._team, "[num_envs, agents]")
        numbers = action.detach().to("cpu", torch.int32).numpy()
        if numbers.min() < 0 or numbers.max() >= self.n_actions:
            raise DataError(
                f"SmaxTeamEnv: {keys.ACTION} lies in [{numbers.min()}, {numbers.max()}]; "
                f"expected [0, {self.n_actions - 1}]."
            )
        return self._results(self.simulator.step(numbers, self._named(tensordict, "_step")), reward=True)

    def _step_proc_data(self, next_tensordict_out: TensorDictBase) -> TensorDictBase:
        # TorchRL completes done entries and reshapes rewards here: ours are complete.
        return next_tensordict_out

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        chosen = self._all if tensordict is None else self._named(tensordict, "_reset")
        return self._results(self.simulator.reset(chosen))

    def _reset_proc_data(
        self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        # TorchRL merges what was reset with the rest here: ours is the whole already. Only
        # what others have added, such as the state of a recurrent policy, is left to it.
        if tensordict is None or self._holds_only_ours(tensordict):
            return tensordict_reset
        return cast(TensorDictBase, super()._reset_proc_data(tensordict, tensordict_reset))

    def _holds_only_ours(self, tensordict: TensorDictBase) -> bool:
        group = tensordict.get(keys.GROUP, None)
        return tensordict.keys() <= _ROOT_KEYS and (group is None or group.keys() <= _GROUP_KEYS)

    def _set_seed(self, seed: int | None) -> None:
        """Restarts all streams; games that run go on until they are reset."""
        self.simulator.seed(seed)

    def _named(self, tensordict: TensorDictBase, key: str) -> Any:
        named = tensordict.get(key, None)
        return self._all if named is None else named.reshape(-1).cpu().numpy()

    def _results(self, shown: Shown, reward: bool = False) -> TensorDictBase:
        group = {
            "observation": _copied(shown.observation),
            "action_mask": _copied(shown.action_mask),
        }
        earned, so_far, steps = _copied(shown.numbers).unbind()
        done, terminated, truncated, win = _copied(shown.flags).unbind()
        found = {
            keys.GROUP: self._together(group, self._team),
            keys.STATE: _copied(shown.state),
            keys.EPISODE_RETURN: so_far,
            "step_count": steps.long(),
            keys.WIN: win,
            keys.DONE: done,
            keys.TERMINATED: terminated,
            keys.TRUNCATED: truncated,
        }
        if reward:
            found[keys.REWARD] = earned
        results = self._together(found, self.batch_size)
        return results if self._on_cpu else results.to(self.device)

    def _together(self, entries: dict[str, Any], batch_size: torch.Size) -> TensorDict:
        # Without the checks of `TensorDict(...)`, as TorchRL's own batched simulators do it.
        return TensorDict._new_unsafe(entries, batch_size, self.device if self._on_cpu else None)


def _copied(values: Any) -> Tensor:
    # A copy: the values are JAX's own memory, which must never change. DLPack takes three times as long.
    return torch.from_numpy(np.array(values))
