"""Small coordination games with known solutions, as environments."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import Compose, EnvBase, RewardSum, StepCounter, TransformedEnv

from omiga_torchrl import keys
from omiga_torchrl.envs.tabular_game import TabularGame
from omiga_torchrl.envs.tabular_games import tabular_game
from omiga_torchrl.errors import DataError, require_shape


def make_tabular_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
) -> EnvBase:
    """The game ``name`` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    Args:
        name: e.g. ``"xor"``; see :func:`omiga_torchrl.envs.tabular_games.tabular_tasks`.
        num_envs: games played together.
        seed: of the states that episodes begin in; without effect in games that have one.
        max_steps: length of episodes in steps; None is the game's own.
        device: where the tables are.

    Raises:
        ValueError: there is no such game.

    Examples:
        >>> env = make_tabular_env("bridge", num_envs=2)
        >>> env.rollout(3)["agents", "observation"].shape
        torch.Size([2, 3, 2, 4])
    """
    game = tabular_game(name)
    return TransformedEnv(
        TabularTeamEnv(game, num_envs=num_envs, seed=seed, device=device),
        Compose(
            RewardSum(in_keys=[keys.REWARD], out_keys=[keys.EPISODE_RETURN]),
            StepCounter(max_steps or game.max_steps),
        ),
    )


class TabularTeamEnv(EnvBase):
    """Many copies of a :class:`TabularGame`, stepped by table look-up.

    Args:
        game: the game.
        num_envs: number of copies B.
        seed: of the states that episodes begin in.
        device: where the tables are.

    Raises:
        DataError: an action that does not exist.
        ValueError: actions of another shape.
    """

    def __init__(
        self,
        game: TabularGame,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        tables = {name: value for name, value in vars(game).items() if isinstance(value, Tensor)}
        moved = {name: value.to(self.device) for name, value in tables.items()}
        self.game = TabularGame(**{**vars(game), **moved})
        self.group_map = {keys.GROUP: [f"agent_{agent}" for agent in range(game.n_agents)]}
        self._now = torch.full((num_envs,), game.start, device=self.device)
        self._starts, self._chance = self.game.starts, torch.Generator()
        self._make_specs(num_envs)
        self.set_seed(seed)

    def _make_specs(self, num_envs: int) -> None:
        game, device = self.game, self.device
        team, each, batch = (num_envs, game.n_agents), (num_envs, 1), (num_envs,)

        def group(**entries: Any) -> Composite:
            return Composite(entries, shape=team, device=device)

        observation = Unbounded((*team, game.observation.shape[-1]), device=device)
        state = Unbounded((num_envs, game.state.shape[-1]), device=device)
        self.observation_spec = Composite(
            {keys.GROUP: group(observation=observation), keys.STATE: state}, shape=batch, device=device
        )
        action = Categorical(game.n_actions, team, device=device, dtype=torch.int64)
        self.action_spec = Composite({keys.GROUP: group(action=action)}, shape=batch, device=device)
        self.reward_spec = Composite(
            {keys.REWARD: Unbounded(each, device=device)}, shape=batch, device=device
        )
        flag = Categorical(2, each, dtype=torch.bool, device=device)
        self.done_spec = Composite(
            {keys.DONE: flag, keys.TERMINATED: flag.clone()}, shape=batch, device=device
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        game, action = self.game, tensordict.get(keys.ACTION)
        shape = (*self.batch_size, game.n_agents)
        require_shape("TabularTeamEnv", keys.ACTION, action, shape, "[num_envs, agents]")
        if ((action < 0) | (action >= game.n_actions)).any():
            raise DataError(
                f"TabularTeamEnv: {keys.ACTION} lies in [{int(action.min())}, {int(action.max())}]; "
                f"expected [0, {game.n_actions - 1}]."
            )
        joint, before = game.joint_index(action), self._now
        ended = game.terminal[before, joint].unsqueeze(-1)
        self._now = game.next_state[before, joint]
        reward = game.reward[before, joint].unsqueeze(-1)
        return self._seen({keys.REWARD: reward, keys.DONE: ended, keys.TERMINATED: ended.clone()})

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        named = None if tensordict is None else tensordict.get("_reset", None)
        start = self._starts[0].expand_as(self._now)
        if len(self._starts) > 1:
            drawn = torch.randint(len(self._starts), self._now.shape, generator=self._chance)
            start = self._starts[drawn.to(self.device)]
        self._now = start.clone() if named is None else torch.where(named.reshape(-1), start, self._now)
        ended = torch.zeros(*self.batch_size, 1, dtype=torch.bool, device=self.device)
        return self._seen({keys.DONE: ended, keys.TERMINATED: ended.clone()})

    def _seen(self, entries: dict[str, Tensor]) -> TensorDictBase:
        observation = self.game.observation[self._now]
        group = TensorDict({"observation": observation}, observation.shape[:2], device=self.device)
        state = self.game.state[self._now]
        return TensorDict(
            {keys.GROUP: group, keys.STATE: state, **entries}, self.batch_size, device=self.device
        )

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            self._chance.seed()
        else:
            self._chance.manual_seed(seed)
