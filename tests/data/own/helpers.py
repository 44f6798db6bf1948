"""Own data in every form, and a reader of their transitions in ten lines that shares no code with the "
"library."""

from __future__ import annotations

import numpy as np
import torch
from tensordict import TensorDict

KINDS = ("continuous", "discrete", "single", "groups")
LENGTHS = (3, 1, 4, 2)
SIZES = {"agents": (3, 4, 2), "cars": (2, 4, 2), "tower": (1, 3, 5)}


def make_episodes(kind, masked, *, seed=0):
    """One dict an episode: by group, arrays with a row more than steps; odd episodes terminate."""
    rng = np.random.default_rng(seed)
    names = ("cars", "tower") if kind == "groups" else ("agents",)
    episodes = []
    for number, steps in enumerate(LENGTHS):
        ends = np.arange(steps) == steps - 1
        one = {name: {} for name in ("observation", "action", "action_mask", "agent_mask")}
        for name in names:
            agents, features, actions = SIZES[name]
            agents = 1 if kind == "single" else agents
            one["observation"][name] = rng.normal(size=(steps + 1, agents, features)).astype(np.float32)
            discrete = kind == "discrete" or name == "tower"
            if discrete:
                one["action"][name] = rng.integers(actions, size=(steps, agents))
            else:
                one["action"][name] = rng.uniform(-1, 1, (steps, agents, actions)).astype(np.float32)
            present = rng.random((steps + 1, agents)) < 0.7
            present[:, 0] = True
            if masked and name != "tower" and agents > 1:
                one["agent_mask"][name] = present
                if discrete:  # what is no action is stored as 0
                    one["action"][name] *= present[:-1]
            if masked and discrete:
                legal = rng.random((steps + 1, agents, actions)) < 0.5
                np.put_along_axis(legal[:steps], one["action"][name][..., None], True, -1)
                one["action_mask"][name] = legal
        one["reward"] = rng.normal(size=steps).astype(np.float32)
        one["terminated"], one["truncated"] = ends & (number % 2 == 1), ends & (number % 2 == 0)
        one["state"] = rng.normal(size=(steps + 1, 6)).astype(np.float32)
        episodes.append({name: value for name, value in one.items() if len(value)})
    return episodes


PER_ROW = ("observation", "action_mask", "agent_mask", "state")


def in_form(kind, name, value):
    """As a user would give it: of one group without its name, of a single agent without that axis."""
    if not isinstance(value, dict):
        return value
    if kind == "groups":
        return value
    array = value["agents"]
    return array[:, 0] if kind == "single" else array


def rows(value, cut):
    return {name: cut(one) for name, one in value.items()} if isinstance(value, dict) else cut(value)


def joined(values):
    if isinstance(values[0], dict):
        return {name: np.concatenate([one[name] for one in values]) for name in values[0]}
    return np.concatenate(values)


def as_list(kind, episodes):
    """Lists of one array an episode, with a row more than steps."""
    return {name: [in_form(kind, name, one[name]) for one in episodes] for name in episodes[0]}


def as_flat(kind, episodes):
    """All steps in a row, with what follows in arrays of its own."""
    given = {}
    for name in episodes[0]:
        values = [one[name] for one in episodes]
        if name in PER_ROW:
            given[f"next_{name}"] = in_form(
                kind, name, joined([rows(one, lambda x: x[1:]) for one in values])
            )
            values = [rows(one, lambda x: x[:-1]) for one in values]
        given[name] = in_form(kind, name, joined(values))
    return given


def as_long(kind, episodes):
    """All rows in a row, one more for every episode."""
    return {name: in_form(kind, name, joined([one[name] for one in episodes])) for name in episodes[0]}


def as_tensors(kind, episodes):
    """The same as tensors, flags as integers and floats as doubles."""

    def tensor(name, value):
        if isinstance(value, dict):
            return {group: tensor(name, one) for group, one in value.items()}
        value = torch.as_tensor(value)
        if value.dtype == torch.bool:
            return value.to(torch.uint8)
        return value.double() if value.is_floating_point() else value.to(torch.int16)

    return {name: tensor(name, value) for name, value in as_flat(kind, episodes).items()}


def as_rollouts(kind, episodes):
    """TensorDicts of TorchRL, one an episode."""
    found = []
    for one in episodes:
        steps = len(one["reward"])
        groups, following = {}, {}
        for name in one["observation"]:
            entries = {entry: one[entry][name] for entry in PER_ROW[:3] if name in one.get(entry, {})}
            groups[name] = {entry: torch.as_tensor(value[:-1]) for entry, value in entries.items()}
            groups[name]["action"] = torch.as_tensor(one["action"][name])
            following[name] = {entry: torch.as_tensor(value[1:]) for entry, value in entries.items()}
        flags = {name: torch.as_tensor(one[name])[:, None] for name in ("reward", "terminated", "truncated")}
        after = {**following, **flags, "state": torch.as_tensor(one["state"][1:])}
        after["done"] = flags["terminated"] | flags["truncated"]
        found.append(
            TensorDict({**groups, "state": torch.as_tensor(one["state"][:-1]), "next": after}, [steps])
        )
    return found


def read_slowly(episodes):
    """Transitions by plain loops: the reader that shares nothing with the library."""
    out = []
    for number, one in enumerate(episodes):
        for t in range(len(one["reward"])):
            row = {"episode": number, "reward": float(one["reward"][t])}
            row |= {name: bool(one[name][t]) for name in ("terminated", "truncated")}
            row |= {"state": one["state"][t].tolist(), "next state": one["state"][t + 1].tolist()}
            row |= {f"{g} action": a[t].tolist() for g, a in one["action"].items()}
            for name in ("observation", "action_mask", "agent_mask"):
                row |= {f"{g} {name}": a[t].tolist() for g, a in one.get(name, {}).items()}
                row |= {f"next {g} {name}": a[t + 1].tolist() for g, a in one.get(name, {}).items()}
            out.append(row)
    return out


def read_dataset(dataset):
    """The same of a dataset with raw rewards."""
    out = []
    for data in dataset.data:
        following = data["next"]
        row = {"episode": int(data["episode"]), "reward": float(following["reward"])}
        row |= {name: bool(following[name]) for name in ("terminated", "truncated")}
        row |= {"state": data["state"].tolist(), "next state": following["state"].tolist()}
        for group in dataset.spec.groups:
            row[f"{group} action"] = data[group, "action"].tolist()
            for name in ("observation", "action_mask", "agent_mask"):
                if data.get((group, name), None) is not None:
                    row[f"{group} {name}"] = data[group, name].tolist()
                    row[f"next {group} {name}"] = following[group, name].tolist()
        out.append(row)
    return out
