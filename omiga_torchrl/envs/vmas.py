"""VMAS tasks: vectorised 2-D team tasks that learn in minutes on a CPU."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.libs.vmas import VmasEnv

from omiga_torchrl.envs.choices import DiscretizedActions
from omiga_torchrl.envs.grouping import require_reward_rule, team_env, uniform_groups
from omiga_torchrl.envs.vmas_rules import Rule, flee, follow_rule, shadow
from omiga_torchrl.errors import unknown_name

MIXED = "-mixed"


@dataclass(frozen=True)
class VmasTask:
    """The defaults of one scenario.

    Attributes:
        max_steps: episode length in steps.
        scenario: arguments of the VMAS scenario.
        controlled: groups that policies play; ``()`` is all. The others follow ``rule``.
        rule: how agents act that no policy plays; ``None``: there is no rule, all are played.
        choices: groups with discrete actions in the task ``"<name>-mixed"``, and their tables of actions.
        build: makes a scenario of this library; ``None`` is VMAS's of the same name.
    """

    max_steps: int = 100
    scenario: Mapping[str, Any] = field(default_factory=dict)
    controlled: tuple[str, ...] = ()
    rule: Rule | None = None
    choices: Mapping[str, Tensor] = field(default_factory=dict)
    build: Callable[[], Any] | None = None


def _speaker_listeners() -> Any:
    # VMAS is optional: the module of the scenario needs it.
    from omiga_torchrl.envs.vmas_speaker import SpeakerListeners

    return SpeakerListeners()


# Of scenarios with two sides the default is the usual task of offline data: one side is the team, the other
# follows a fixed rule.
VMAS_TASKS: dict[str, VmasTask] = {
    "balance": VmasTask(200, {"n_agents": 3}),
    "ball_passage": VmasTask(),
    "ball_trajectory": VmasTask(),
    "buzz_wire": VmasTask(),
    "discovery": VmasTask(),
    "dispersion": VmasTask(100, {"n_agents": 4, "n_food": 4}),
    "dropout": VmasTask(),
    "flocking": VmasTask(),
    "give_way": VmasTask(100),
    "joint_passage": VmasTask(),
    "joint_passage_size": VmasTask(),
    "multi_give_way": VmasTask(),
    "navigation": VmasTask(100, {"n_agents": 3}),
    "passage": VmasTask(),
    "reverse_transport": VmasTask(150),
    "sampling": VmasTask(),
    "simple_adversary": VmasTask(100, controlled=("agent",), rule=shadow),
    "simple_spread": VmasTask(100),
    "simple_tag": VmasTask(100, controlled=("adversary",), rule=flee),
    "simple_world_comm": VmasTask(100, controlled=("lead_adversary", "adversary"), rule=flee),
    "speaker_listeners": VmasTask(50, choices={"speaker": torch.eye(3)}, build=_speaker_listeners),
    "transport": VmasTask(150),
    "wheel": VmasTask(100),
    "wind_flocking": VmasTask(),
}


def vmas_tasks() -> list[str]:
    """The scenarios with known defaults, sorted.

    Examples:
        >>> "balance" in vmas_tasks()
        True
    """
    mixed = [f"{name}{MIXED}" for name, task in VMAS_TASKS.items() if task.choices]
    return sorted([*VMAS_TASKS, *mixed])


def make_vmas_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    team_reward: str | None = None,
    keep_agent_rewards: bool = False,
    controlled: Sequence[str] | None = None,
    **scenario_kwargs: Any,
) -> EnvBase:
    """The VMAS scenario `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    Agents form groups by their names, as TorchRL has them (``"adversary_0"`` is in ``"adversary"``), and
    those whose spaces differ within one are split further. A team of one group has the group ``"agents"``.

    ``simple_tag`` and ``simple_world_comm`` are games of predators against prey. By default the predators
    are the team, and the prey flees by a rule; in ``simple_adversary`` the two agents are the team, and the
    adversary follows them by a rule. With ``controlled=("adversary", "agent")`` policies play both sides;
    what the team wants is then to be said by ``team_reward``: a side's name, or a rule over all. The team
    of ``simple_world_comm`` has a leader who speaks, and followers, of other action sizes. In
    ``speaker_listeners`` a speaker knows the goal and two listeners have to find it. A task
    ``"<name>-mixed"`` gives some groups discrete actions: in ``speaker_listeners-mixed`` the speaker says
    one of three words.

    .. note:: VMAS keeps one random stream per process, apart from PyTorch's global one
        and shared by all its environments: ``seed`` restarts that stream, and stepping
        or resetting a second environment moves the first one's. Seed right before a
        rollout that must be repeatable.

    Args:
        name: scenario, e.g. ``"navigation"``.
        num_envs: environments simulated together.
        seed: seed of VMAS's random stream.
        max_steps: episode length in steps; ``None`` means the task's own.
        device: where VMAS runs.
        team_reward: how the agents' rewards become the team's, see :class:`omiga_torchrl.envs.TeamReward`;
            ``None`` is ``"mean"``, which keeps the scale of the rewards that VMAS scenarios share among
            agents. Where policies play both sides of a game it has to be given.
        keep_agent_rewards: whether the agents' own rewards ``(group, "reward")`` are given as well.
        controlled: names of the groups that policies play; the others follow the task's rule. ``None`` is the
            task's own.
        scenario_kwargs: arguments of the scenario; they override the task's defaults.

    Raises:
        ImportError: VMAS is not installed.
        ValueError: unknown scenario, group or rule, two sides without a rule for the team's reward, or a
            default precision in which VMAS does not compute.

    Examples:
        >>> make_vmas_env("navigation", n_agents=2).rollout(5)["state"].shape
        torch.Size([1, 5, 36])
        >>> make_vmas_env("speaker_listeners").group_map
        {'speaker': ['speaker_0'], 'listener': ['listener_0', 'listener_1']}
    """
    _require_vmas()
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"make_env: vmas/{name}: torch's default precision must be torch.float32, in which VMAS "
            f"computes, got {torch.get_default_dtype()}. Call torch.set_default_dtype(torch.float32) before."
        )
    task, choices = _find_task(name)
    if controlled is not None:
        task = replace(task, controlled=tuple(controlled))
    # `max_steps=None`: VMAS would report a time-out as a termination, which cuts
    # bootstrapping; StepCounter reports it as a truncation.
    options = {
        "num_envs": num_envs,
        "continuous_actions": True,
        "max_steps": None,
        "seed": seed,
        "device": device,
        "scenario_kwargs": {**task.scenario, **scenario_kwargs},
    }
    base = _grouped(name.removesuffix(MIXED), task, options)
    sides = {agent.adversary for agent in base.agents}
    rule = require_reward_rule(f"vmas/{name}", team_reward, base.group_map, two_sides=len(sides) > 1)
    return team_env(
        base,
        rule,
        *(DiscretizedActions(group, table) for group, table in choices.items()),
        max_steps=max_steps or task.max_steps,
        keep_agent_rewards=keep_agent_rewards,
    )


def _require_vmas() -> None:
    if importlib.util.find_spec("vmas") is None:
        raise ImportError('make_env: the package vmas is missing. pip install "omiga-torchrl[vmas]"')


def _find_task(name: str) -> tuple[VmasTask, Mapping[str, Tensor]]:
    """The task called ``name``, and the groups that have discrete actions in it."""
    scenario = name.removesuffix(MIXED)
    task = VMAS_TASKS.get(scenario, VmasTask())
    known = scenario in VMAS_TASKS or scenario in VmasEnv.available_envs
    if not known or (name != scenario and not task.choices):
        raise unknown_name("make_env", "task", f"vmas/{name}", [f"vmas/{one}" for one in vmas_tasks()])
    return task, task.choices if name != scenario else {}


def _grouped(name: str, task: VmasTask, options: Mapping[str, Any]) -> VmasEnv:
    """The simulator, with groups of agents that have equal spaces."""
    base = VmasEnv(_scenario(name, task), **options)
    groups = uniform_groups(base.group_map, dict(zip(base.agent_names, _spaces(base), strict=True)))
    if groups == base.group_map:
        return base
    # Built again: the groups are fixed when the simulator is made.
    return VmasEnv(_scenario(name, task), group_map=groups, **options)


def _scenario(name: str, task: VmasTask) -> Any:
    if not task.build and not task.controlled:
        return name
    # Not `vmas.scenarios`: the package has a list of that name.
    load = importlib.import_module("vmas.scenarios").load
    scenario = task.build() if task.build else load(f"{name}.py").Scenario()
    if not task.controlled:
        return scenario
    return follow_rule(scenario, task.controlled, task.rule, f"vmas/{name}")


def _spaces(env: VmasEnv) -> list[tuple[Any, ...]]:
    """Spaces of every agent, which have to be equal within a group."""
    return [
        (seen.shape, act.low.tolist(), act.high.tolist())
        for seen, act in zip(env.observation_space, env.action_space, strict=True)
    ]
