"""Games of several steps in which it matters whose action earned the team's reward."""

from __future__ import annotations

import torch

from omiga_torchrl.envs.tabular_game import TabularGame, list_joint_actions

_FLAT, _STEEP = (7.0, 7.0, 7.0, 7.0), (0.0, 1.0, 1.0, 8.0)


def two_step_game() -> TabularGame:
    """QMIX's two-step game: what the team can earn is not a sum of what its agents do.

    In the first step agent 0 alone chooses between two matrix games, without a reward: with 0 one that pays 7
    whatever is played, with 1 ``[[0, 1], [1, 8]]``. The sum of two values that fits the second best over all
    four joint actions has 6.5 for the last, which is less than 7; a mixer that is monotonic has 8.

    The source is arXiv:1803.11485, section 5.

    Examples:
        >>> two_step_game().reward.tolist()[1:]
        [[7.0, 7.0, 7.0, 7.0], [0.0, 1.0, 1.0, 8.0]]
    """
    joint = list_joint_actions(2, 2)
    reward = torch.tensor([(0.0,) * 4, _FLAT, _STEEP])
    following = torch.stack([1 + joint[:, 0], torch.ones(4).long(), torch.full((4,), 2)])
    terminal = torch.tensor([[False] * 4, [True] * 4, [True] * 4])
    features = torch.eye(3)
    observation = features.unsqueeze(1).expand(3, 2, 3).clone()
    return TabularGame(reward, following, terminal, joint, observation, features, max_steps=2)


def tmaze_game(*, corridor: int = 3, worth: tuple[float, float] = (1.0, 4.0)) -> TabularGame:
    """T-maze for a team: each agent sees a sign, walks down a corridor, and turns to the side of its sign.

    A sign, left or right by chance for each agent, is seen in the first step only; then an agent sees how far
    it has come and nothing else. It walks by itself, whatever it does. At the end of the corridor its turn is
    right if it is to the side of its sign (left is 0); the team earns the worth of every agent that is right,
    and the game is over. Without a memory no more than half of the worth can be expected.

    Args:
        corridor: steps between the sign and the turn, >= 1.
        worth: of agent 0's and agent 1's right turn.

    Examples:
        >>> game = tmaze_game()
        >>> game.starts.tolist(), game.max_steps
        ([0, 4, 8, 12], 4)
    """
    if corridor < 1:
        raise ValueError(f"tmaze_game: corridor is {corridor}; expected at least 1.")
    joint, length = list_joint_actions(2, 2), corridor + 1
    signs = joint.repeat_interleave(length, 0)  # [S, agent]
    place = torch.arange(length).repeat(len(joint))
    at_end = (place == corridor).unsqueeze(-1).expand(-1, len(joint)).clone()
    is_right = joint == signs.unsqueeze(1)  # [S, J, agent]
    reward = torch.where(at_end, (is_right * torch.tensor(worth)).sum(-1), 0.0)
    states = torch.arange(len(place)).unsqueeze(-1)
    following = torch.where(at_end, states, states + 1).expand(-1, len(joint)).clone()
    way = (place / corridor).reshape(-1, 1, 1).expand(-1, 2, 1)
    seen = torch.nn.functional.one_hot(signs, 2) * (place == 0).reshape(-1, 1, 1)
    return TabularGame(
        *(reward, following, at_end, joint, torch.cat([seen, way], -1)),
        torch.cat([signs, way[:, 0]], -1),
        other_starts=tuple(range(length, len(place), length)),
        max_steps=length,
    )
