"""Checks before training: is the data sound, and does it fit the environment?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.data.horizon import find_other_horizon
from omiga_torchrl.data.observation_checks import find_observation_differences
from omiga_torchrl.data.outliers import find_dwarfed, told_dwarfed
from omiga_torchrl.data.padding import describe_padding, find_padding
from omiga_torchrl.data.spec_checks import (
    action_convention_of,
    find_spec_differences,
    spec_of,
    team_reward_of,
)
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.data.value_checks import (
    find_actions,
    find_copies,
    find_ends,
    find_not_finite,
    find_sizes,
    in_blocks,
)
from omiga_torchrl.errors import DataError
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.team_env import team_env

# Transitions in which every feature that can change should have changed.
_ENOUGH: Final = 500


def check_dataset(
    dataset: OfflineDataset | TensorDictBase,
    spec: AnyTeamSpec | None = None,
    *,
    allow_duplicates: bool = False,
) -> None:
    """Raise one error that lists everything wrong with the data.

    Looked at: missing entries, sizes, NaN and infinity, actions outside their bounds or
    against their mask, a reward that is not the team's, the ends of episodes, and episodes
    that are exact copies of others. The data are read block by block. Actions of agents that
    do not take part mean nothing.

    Last features of one agent that never change while those of another one do are a warning: they
    look like padding, which the likelihood of actions does not survive. In fewer than 500
    transitions this is said of actions only, as observations may not have changed yet. So is a feature of a
    dataset's observations that single values dwarf.

    Args:
        dataset: the dataset, or its transitions in order `[T]`.
        spec: sizes to hold it to; default is the dataset's own.
        allow_duplicates: accept copies, as deterministic policies in a task that always
            starts the same make them.

    Raises:
        DataError: at least one finding.

    Examples:
        >>> check_dataset(OfflineDataset("vmas/navigation/mixed"))
    """
    bounded = True
    if isinstance(dataset, TensorDictBase):
        data, name = dataset, "data"
        spec = spec or spec_of(data)
    else:
        data, name = dataset.data, dataset.card.name
        spec = spec or dataset.spec
        bounded = dataset.card.action_convention != "raw"
    groups = spec.groups
    found = list(find_sizes(data, spec))
    # Values are only looked at where the sizes are right.
    if not found:
        _warn_of_padding(data, groups, name)
        found += in_blocks(data, find_not_finite)
        found += in_blocks(
            data,
            lambda part: (one for name in groups for one in find_actions(part, name, groups[name], bounded)),
        )
        found += find_ends(data)
        found += [] if allow_duplicates else find_copies(data)
    if isinstance(dataset, OfflineDataset) and len(data) != dataset.card.transitions:
        found.append(f"{len(data)} transitions, the card says {dataset.card.transitions}")
    if isinstance(dataset, OfflineDataset) and not found:
        _warn_of_outliers(dataset)
    if found:
        raise DataError(f"check_dataset: {name}: {'; '.join(found)}. Repair or record the dataset again.")


def check_dataset_fits(dataset: OfflineDataset, env: EnvBase, *, horizon: bool = True) -> None:
    """Raise one error that lists everything in which the dataset and the environment differ.

    Beyond sizes, two things are compared that tell a wrong preprocessing of observations: the
    first observations of the recorded episodes with those of fresh resets, and, where the
    simulator can be put into a recorded state, what recorded actions lead to.

    Args:
        dataset: the dataset.
        env: an environment of :func:`omiga_torchrl.envs.make_env`. It is reset.

    Keyword Args:
        horizon: also compare the time limits; False where another one is meant.

    Raises:
        DataError: at least one difference: groups and their agents, sizes, bounds and convention of
            the actions, how agents' rewards become the team's, the time limit, the task itself, or the
            observations.

    Examples:
        >>> from omiga_torchrl.envs import make_env
        >>> check_dataset_fits(OfflineDataset("vmas/navigation/mixed"), make_env("vmas/navigation"))
    """
    found = find_spec_differences(dataset.spec, TeamSpec.from_env(env))
    found += _find_other_rule(dataset, env) + _find_other_convention(dataset, env)
    if horizon:
        card = dataset.card
        told = card.layout == "recording" and bool(card.behaviour)
        found += find_other_horizon(dataset.data, card.left_out_steps, env, ends_are_told=told)
    task = team_env(env).task_name or dataset.card.task
    if dataset.card.task and task != dataset.card.task:
        found.insert(0, f"the data were recorded on {dataset.card.task!r} and the environment is {task!r}")
    found = found or find_observation_differences(dataset, env)
    if found:
        task = dataset.card.task or task
        raise DataError(
            f"check_dataset_fits: {dataset.card.name}: {'; '.join(found)}. Make the environment with "
            f"make_env({task!r}, **{dataset.card.task_kwargs}){_fitting_layout(task, dataset.spec)}."
        )


def _fitting_layout(task: str, spec: AnyTeamSpec) -> str:
    """Which layout of a MuJoCo task's observations has the data's sizes, as the end of a message."""
    if not task.startswith("mujoco/"):
        return ""
    # Here, so that checking the data alone imports no environment.
    from omiga_torchrl.envs import make_env

    choices: list[dict[str, Any]] = [{"layout": "omiga"}, {"layout": "state"}]
    choices += [{"layout": "local", "obsk": distance} for distance in range(3)]
    for options in choices:
        try:
            env = make_env(task, **options)
        except ValueError:  # the task does not have this layout
            continue
        found = TeamSpec.from_env(env)
        env.close()
        if found == spec:
            return f", or with {', '.join(f'{k}={v!r}' for k, v in options.items())}, which has these sizes"
    return ""


def _find_other_rule(dataset: OfflineDataset, env: EnvBase) -> list[str]:
    """Whether the agents' rewards become the team's in another way than in the environment."""
    # Layouts that only have a reward of the team do not say how it was made.
    recorded: str | None = dataset.source.options.team_reward
    if recorded is None and dataset.card.recording:
        recorded = dataset.card.team_reward
    given = team_reward_of(env)
    if not recorded or not given or recorded == given:
        return []
    return [
        f"the team's reward is the {recorded} of the agents' in the data, the {given} in the environment: "
        f"+task_kwargs.team_reward={recorded} of the recipes, or make_env(..., team_reward={recorded!r}), "
        "makes it that of the data"
    ]


def _find_other_convention(dataset: OfflineDataset, env: EnvBase) -> list[str]:
    """Whether actions were divided in the data and are not multiplied in the environment, or the reverse.

    Only ``"scale"`` changes what a policy inside its bounds does.
    """
    recorded, given = dataset.card.action_convention, action_convention_of(env)
    if all(group.discrete for group in dataset.spec.groups.values()):
        return []
    if (recorded == "scale") == (given == "scale"):
        return []
    if recorded == "scale":
        return [
            f"the convention of the actions is 'scale' in the data, which are divided by 4, and {given!r} in "
            "the environment, which does not multiply them: make it with actions='scale', or wrap it in "
            "ExecutedAction('scale')"
        ]
    return [
        "the environment multiplies actions by 4, convention 'scale', and those of the data are not divided "
        "by 4: open the data with actions='scale', or make the environment with actions='raw'"
    ]


def _warn_of_padding(data: TensorDictBase, groups: Mapping[str, TeamSpec], name: str) -> None:
    found = []
    for group in groups:
        padding = find_padding(data, group)
        if any(one.action for one in padding) or (padding and len(data) >= _ENOUGH):
            found.append(describe_padding(padding, group if len(groups) > 1 else ""))
    if found:
        warnings.warn(
            f"check_dataset: {name}: features never change for some agents, while they do for others: "
            f"{'; '.join(found)}. If unequal agents were padded, read the data with groups='unpadded'.",
            stacklevel=3,
        )


def _warn_of_outliers(dataset: OfflineDataset) -> None:
    """Say which features of observations are as good as constant beside single values."""
    raw = load_ted(dataset.data_path)  # normalised ones have lost their digits
    for group in dataset.spec.groups:
        values, stds = raw[group, "observation"], dataset.card.observation_std
        std = stds[group] if isinstance(stds, dict) else stds
        if dwarfed := find_dwarfed(values, std) if std else []:
            first = dwarfed[0]
            warnings.warn(
                f"check_dataset: {dataset.card.name}: observations of {group!r}, features {dwarfed}: "
                f"{told_dwarfed(values, std[first], first)} (feature {first}). Repair the data.",
                stacklevel=3,
            )
