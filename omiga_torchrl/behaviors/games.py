"""Data of tabular games, from policies that are known exactly: experts who do not coordinate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.nn import functional as F
from torchrl.envs.utils import ExplorationType, exploration_type

from omiga_torchrl import keys
from omiga_torchrl.data.cards import BehaviourEntry, DatasetCard
from omiga_torchrl.data.recording.dataset_recorder import UNKNOWN, Part, record_parts, weights_sha256
from omiga_torchrl.data.recording.settings import RecordingSettings
from omiga_torchrl.envs import make_env
from omiga_torchrl.envs.tabular_game import TabularGame
from omiga_torchrl.envs.tabular_games import tabular_game
from omiga_torchrl.envs.tabular_solutions import expected_return, joint_policy, optimal_actions
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec

GameTier = Literal["experts", "lone-experts", "random"]

# How often a novice acts out of habit. Bridge: with more of it nobody ever gets across.
_HABIT: Final = {"bridge": 0.4}
_USUAL_HABIT: Final = 0.75


def game_policies(game: TabularGame, tier: GameTier, *, habit: float = _USUAL_HABIT) -> dict[str, Tensor]:
    """The policies that make the data of a tier, by name; joint probabilities ``[S, J]``.

    ``experts``: teams that are all perfect, each in its own way. The k-th plays the k-th of the best joint
    actions of each state; there are as many teams as the start has best joint actions.

    ``lone-experts``: for every agent a team in which it alone is an expert, of the first way, and one team
    without any. The others are novices: with probability ``habit`` they play the action after the
    expert's (after the last the first), else any action by chance.

    ``random``: independent, uniformly random actions.

    Args:
        game: the game.
        tier: which tier.

    Keyword Args:
        habit: of novices, in [0, 1].

    Raises:
        ValueError: unknown tier.

    Examples:
        >>> for name, policy in game_policies(tabular_game("xor"), "experts").items():
        ...     print(name, policy.tolist())
        expert-0 [[0.0, 1.0, 0.0, 0.0]]
        expert-1 [[0.0, 0.0, 1.0, 0.0]]
    """
    if tier not in get_args(GameTier):
        raise unknown_name("game_policies", "tier", tier, get_args(GameTier))
    if tier == "random":
        return {"random": torch.full_like(game.reward, 1 / len(game.joint_actions))}
    if tier == "experts":
        number = int(optimal_actions(game)[game.start].sum())
        return {f"expert-{k}": joint_policy(game, _expert(game, k)) for k in range(number)}
    expert = _expert(game, 0)
    novice = habit * expert.roll(1, -1) + (1 - habit) / game.n_actions
    agents = torch.arange(game.n_agents).reshape(-1, 1)
    teams = {f"expert-agent-{i}": torch.where(agents == i, expert, novice) for i in range(game.n_agents)}
    return {name: joint_policy(game, local) for name, local in {**teams, "novices": novice}.items()}


def _expert(game: TabularGame, number: int) -> Tensor:
    """Each agent's actions ``[S, N, K]`` of the best joint action of that number."""
    best = optimal_actions(game)
    wanted = number % best.sum(-1, keepdim=True)
    chosen = (best & (best.cumsum(-1) - 1 == wanted)).long().argmax(-1)
    return F.one_hot(game.joint_actions[chosen], game.n_actions).float()


class TablePolicy(TensorDictModuleBase):
    """A joint policy of a game as a module: reads ``"state"``, writes ``("agents", "action")`` ``[*B, N]``.

    All agents' actions are drawn together; under TorchRL's deterministic exploration they are the most
    likely joint action.

    Args:
        game: the game.
        policy: probabilities of the joint actions ``[S, J]``.

    Examples:
        >>> game = tabular_game("xor")
        >>> policy = TablePolicy(game, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
        >>> make_env("tabular/xor", num_envs=2).rollout(1, policy)["agents", "action"].tolist()
        [[[0, 1]], [[0, 1]]]
    """

    policy: Tensor
    features: Tensor
    joint_actions: Tensor

    def __init__(self, game: TabularGame, policy: Tensor) -> None:
        super().__init__()
        self.in_keys, self.out_keys = [keys.STATE], [keys.ACTION]
        self.register_buffer("policy", policy)
        self.register_buffer("features", game.state)
        self.register_buffer("joint_actions", game.joint_actions)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Writes the actions."""
        state = tensordict.get(keys.STATE)
        number = (state.unsqueeze(-2) - self.features).abs().sum(-1).argmin(-1)
        chance = self.policy[number]
        if exploration_type() == ExplorationType.DETERMINISTIC:
            joint = chance.argmax(-1)
        else:
            joint = torch.multinomial(chance.flatten(0, -2), 1).reshape(chance.shape[:-1])
        return tensordict.set(keys.ACTION, self.joint_actions[joint])


def record_game(
    task: str,
    tier: GameTier,
    *,
    folder: str | Path,
    transitions: int = 2_000,
    num_envs: int = 100,
    **settings: Any,
) -> DatasetCard:
    """Record a dataset of a tabular game, the same number of transitions of every policy of the tier.

    The card's returns of policies and of random actions are exact, and the best checkpoint is the game's
    optimum: a whole team of experts.

    Args:
        task: e.g. ``"tabular/xor"``.
        tier: see :func:`game_policies`.

    Keyword Args:
        folder: where ``data.npz`` and ``card.json`` go; an existing recording is replaced.
        transitions: joint transitions wanted; episodes are whole.
        num_envs: games played together by each worker.
        **settings: fields of :class:`omiga_torchrl.data.RecordingSettings`, e.g. ``seed``.

    Returns:
        The card that was written.

    Raises:
        ValueError: unknown game or tier, or see :func:`omiga_torchrl.data.record_dataset`.
    """
    options, name = RecordingSettings(**settings), task.partition("/")[2]
    game = tabular_game(name)
    policies = game_policies(game, tier, habit=_HABIT.get(name, _USUAL_HABIT))
    optimum = expected_return(game, joint_policy(game, _expert(game, 0)))
    chance = expected_return(game, next(iter(game_policies(game, "random").values())))
    env_fn = partial(make_env, task, num_envs=num_envs, seed=options.seed)
    with isolated_random(options.seed):
        env = env_fn()
        card = DatasetCard(
            name=f"{task}/{tier}",
            task=task,
            tier=tier,
            sizes=TeamSpec.from_env(env).to_dict(),
            best_checkpoint_return=optimum,
            random_return=chance,
            random_interval=[chance, chance],
            seeds={"recording": options.seed},
            **UNKNOWN,
        )
        parts = [_part(game, label, policy) for label, policy in policies.items()]
        return record_parts(parts, env, env_fn, card, folder=folder, transitions=transitions, options=options)


def _part(game: TabularGame, label: str, policy: Tensor) -> Part:
    module, earned = TablePolicy(game, policy), expected_return(game, policy)
    most_likely = F.one_hot(policy.argmax(-1), policy.shape[-1])
    mode = expected_return(game, most_likely)
    sha256 = weights_sha256(module)
    return Part(module, sha256, BehaviourEntry(label, sha256, 0, earned, mode, 0, 0))
