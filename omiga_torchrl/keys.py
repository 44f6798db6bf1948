"""The default TensorDict keys of the library, in one place.

Every loss takes them from here and lets users change them with ``set_keys``;
environments, datasets and networks are built with the same names, so that
parts fit together without any configuration.

Shapes (``*B`` any batch dimensions, ``N`` agents, always at dimension -2)::

    ("agents", "observation")   [*B, N, O]
    ("agents", "action")        [*B, N, A]  (discrete: [*B, N], integers)
    ("agents", "action_mask")   [*B, N, K]  True = legal
    ("agents", "agent_mask")    [*B, N]     True = takes part; optional
    ("agents", "last_action")   as action; discrete: -1 before the first
    ("agents", "local_qvalue")  [*B, N, 1]
    ("agents", "local_value")   [*B, N, 1]
    ("agents", "mixer_weight")  [*B, N, 1]  >= 0
    "mixer_bias"                [*B, 1]
    "state"                     [*B, S]
    "global_qvalue"             [*B, 1]
    "global_value"              [*B, 1]
    "is_init"                   [*B, 1]     True = first step of an episode
    ("next", "reward"|"done"|"terminated"|"truncated")  [*B, 1], of the team
    ("next", "win")             [*B, 1]     True = ended and won; optional
    ("next", "agents", "reward")  [*B, N, 1], of each agent; optional

In a team of several groups (:class:`omiga_torchrl.groups.GroupedTeamSpec`) the entries of agents are under
the name of their group in place of ``"agents"``.
"""

from __future__ import annotations

from typing import Final

from tensordict import NestedKey

GROUP: Final = "agents"

OBSERVATION: Final = (GROUP, "observation")
ACTION: Final = (GROUP, "action")
ACTION_MASK: Final = (GROUP, "action_mask")
AGENT_MASK: Final = (GROUP, "agent_mask")
LAST_ACTION: Final = (GROUP, "last_action")
AGENT_REWARD: Final = (GROUP, "reward")
LOCAL_QVALUE: Final = (GROUP, "local_qvalue")
LOCAL_VALUE: Final = (GROUP, "local_value")
MIXER_WEIGHT: Final = (GROUP, "mixer_weight")

MIXER_BIAS: Final = "mixer_bias"
STATE: Final = "state"
RAW_STATE: Final = "raw_state"
GLOBAL_QVALUE: Final = "global_qvalue"
GLOBAL_VALUE: Final = "global_value"

REWARD: Final = "reward"
DONE: Final = "done"
TERMINATED: Final = "terminated"
TRUNCATED: Final = "truncated"
EPISODE: Final = "episode"
IS_INIT: Final = "is_init"
EPISODE_RETURN: Final = "episode_reward"
WIN: Final = "win"


_AGENT_KEYS = (
    *(OBSERVATION, ACTION, ACTION_MASK, AGENT_MASK),
    *(LOCAL_QVALUE, LOCAL_VALUE, MIXER_WEIGHT),
)


def in_group(group: str) -> dict[str, NestedKey]:
    """The keys of one value an agent in a group of another name, as arguments of a loss's ``set_keys``.

    Entries of the team, e.g. ``"state"``, are in no group and keep their keys.

    Args:
        group: name of the group, as the data have it.

    Examples:
        >>> in_group("robots")["action"]
        ('robots', 'action')
        >>> from omiga_torchrl.modules import agent_network, make_actor
        >>> from omiga_torchrl.objectives import MultiAgentBCLoss
        >>> from omiga_torchrl.specs import TeamSpec
        >>> robots = in_group("robots")
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> actor = make_actor(spec, observation=robots["observation"], action=robots["action"])
        >>> loss = MultiAgentBCLoss(actor)
        >>> loss.set_keys(**robots)
        >>> loss.in_keys
        [('robots', 'observation'), ('robots', 'action')]
    """
    of_agents: dict[str, NestedKey] = {name: (group, name) for _, name in _AGENT_KEYS}
    return {**of_agents, "agent_reward": (group, AGENT_REWARD[-1])}


def next_key(key: NestedKey) -> NestedKey:
    """The same entry one step later, under ``"next"``.

    Examples:
        >>> next_key("state"), next_key(("agents", "observation"))
        (('next', 'state'), ('next', 'agents', 'observation'))
    """
    return ("next", *key_path(key))


def key_path(key: NestedKey) -> tuple[str, ...]:
    """The names on the way to an entry, one per level.

    Examples:
        >>> key_path("state"), key_path(("agents", "observation"))
        (('state',), ('agents', 'observation'))
    """
    return (key,) if isinstance(key, str) else tuple(key)


def sibling_key(key: NestedKey, name: str) -> NestedKey:
    """The entry ``name`` of the group that ``key`` is in.

    Examples:
        >>> sibling_key(("robots", "observation"), "action"), sibling_key("observation", "action")
        (('robots', 'action'), 'action')
    """
    return name if isinstance(key, str) else (*key[:-1], name)
