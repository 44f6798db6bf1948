"""`write_dataset_report`: the statistics of a dataset as a table, a file and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from omiga_torchrl import keys
from omiga_torchrl.data.padding import describe_padding
from omiga_torchrl.data.statistics.dataset_statistics import DatasetStatistics
from omiga_torchrl.data.statistics.distributions import Spread
from omiga_torchrl.data.statistics.scan import GroupStatistics
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.files import storage_errors
from omiga_torchrl.report.dataset_figure import plot_dataset, short_number

Line = tuple[str, str, str]
COLUMNS: Line = ("statistic", "value", "meaning")
NOTES = """\
Returns and rewards are raw and undiscounted; standard deviations have the divisor n. Pairs are counted
exactly as stored, in single precision. TQ: Schweighofer et al. 2022, "A Dataset Perspective on Offline
Reinforcement Learning". Joint SACo: Formanek et al. 2024, "Putting Data at the Centre of Offline
Multi-Agent Reinforcement Learning". OACo counts every agent apart, and is divided by the transitions too."""


class DatasetReportPaths(NamedTuple):
    """Files written by :func:`write_dataset_report`.

    Attributes:
        json: all statistics.
        markdown: the table with notes.
        picture: the histograms.
    """

    json: Path
    markdown: Path
    picture: Path


def write_dataset_report(
    statistics: DatasetStatistics, out: str | Path, title: str = "Dataset"
) -> DatasetReportPaths:
    """Write ``statistics.json``, ``statistics.md`` and ``statistics.png``.

    Args:
        statistics: of :func:`omiga_torchrl.data.dataset_statistics`.
        out: folder to write to.
        title: heading of the table and the picture, e.g. the dataset's name.

    Returns:
        The three paths.

    Raises:
        ImportError: matplotlib is not installed; the other two files are written nevertheless.
        StorageError: ``out`` cannot be written.
    """
    out = Path(out)
    paths = DatasetReportPaths(*(out / f"statistics.{suffix}" for suffix in ("json", "md", "png")))
    table = format_statistics(statistics)
    ends = f"Ends:\n\n```\n{statistics.ends}\n```"
    parts = [f"# {title}", table, ends, NOTES, "![Histograms](statistics.png)"]
    with storage_errors(out, "out="):
        out.mkdir(parents=True, exist_ok=True)
        paths.json.write_text(statistics.to_json(), encoding="utf-8")
        paths.markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        plot_dataset(statistics, paths.picture, title)
    return paths


def format_statistics(
    statistics: DatasetStatistics, style: Literal["markdown", "terminal"] = "markdown"
) -> str:
    """The statistics as a table with one value a line, its unit and its meaning.

    Args:
        statistics: of :func:`omiga_torchrl.data.dataset_statistics`.
        style: ``"markdown"``, or ``"terminal"`` with aligned columns.

    Raises:
        ValueError: unknown style.
    """
    if style not in ("markdown", "terminal"):
        raise unknown_name("format_statistics", "style", style, ("markdown", "terminal"))
    lines = [COLUMNS, *_lines(statistics)]
    if style == "markdown":
        rule = ("---", "---:", "---")
        return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))
    name, value = (max(len(line[i]) for line in lines) for i in (0, 1))
    text = [f"{line[0]:<{name}}  {line[1]:>{value}}  {line[2]}" for line in lines]
    return "\n".join((text[0], "-" * max(map(len, text)), *text[1:]))


def _lines(s: DatasetStatistics) -> list[Line]:
    lines = [
        ("transitions", str(s.transitions), "joint steps of the team"),
        ("episodes", str(s.episodes), "whole episodes"),
        ("duplicate episodes", str(s.duplicate_episodes), "equal to an earlier one, step for step"),
        ("terminated", _percent(s.terminated), "of episodes: ended by the task"),
        ("truncated", _percent(s.truncated), "of episodes: ended otherwise, e.g. by the time limit"),
        ("unfinished", _percent(s.unfinished), "of episodes: without an end"),
        ("cut", _percent(s.ends.share("cut")), "of episodes: no mark of their end, found from the data"),
        ("rows that are no steps", *_dropped(s)),
        *_spread("return", s.episode_return, "sum of the team's rewards per episode"),
        *_spread("length", s.episode_length, "steps per episode"),
        ("TQ", "-" if s.tq is None else f"{s.tq:.3f}", _tq_meaning(s)),
        (
            "joint SACo",
            f"{s.joint_saco:.3f}",
            f"{s.unique_joint} unique (state, joint action) pairs / transitions",
        ),
        (
            "average OACo",
            f"{s.average_oaco:.3f}",
            "unique (observation, action) pairs / transitions, mean over agents",
        ),
    ]
    reward = _spread("reward", s.reward, "the team's reward per step")
    if s.is_plain:
        group = s.groups[keys.GROUP]
        return [_agents_line(group), *lines, *_action_lines(group), *reward, *_observation_lines(group)]
    agents = ("agents", str(len(s.unique_local)), f"in {len(s.groups)} groups")
    lines = [agents, *lines, *reward]
    for name, group in s.groups.items():
        of_group = [_agents_line(group), *_action_lines(group), *_observation_lines(group)]
        lines += [(f"{name}: {title}", value, meaning) for title, value, meaning in of_group]
    return lines


def _dropped(s: DatasetStatistics) -> tuple[str, str]:
    told = ", ".join(f"{rows} {what}" for what, rows in s.ends.dropped.items())
    return str(sum(s.ends.dropped.values())), told or "of the files: delimiters, padding and the like"


def _agents_line(group: GroupStatistics) -> Line:
    features = len(group.observation_minimum)
    return ("agents", str(len(group.unique_local)), f"{features} observation features each")


def _observation_lines(group: GroupStatistics) -> list[Line]:
    low, high = group.observation_minimum, group.observation_maximum
    constant = sum(a == b for a, b in zip(low, high, strict=True))
    lines = [
        ("observation range", _range(min(low), max(high)), "over all agents and features"),
        ("constant observations", str(constant), "features that never change, for any agent"),
    ]
    lines += [
        (f"takes part, agent {agent}", _percent(share), "of transitions")
        for agent, share in enumerate(group.present)
        if share < 1
    ]
    lines += [
        (f"own return, agent {agent}", short_number(value), "sum of its own rewards per episode, mean")
        for agent, value in enumerate(group.agent_return or ())
    ]
    if group.padding:
        count = str(len(group.padding))
        lines.append(("padded agents", count, f"constant, unlike others': {describe_padding(group.padding)}"))
    return lines


def _action_lines(group: GroupStatistics) -> list[Line]:
    action = group.action
    kind = "index of the action" if action.discrete else f"over its {len(action.minimum[0])} action features"
    lines = [
        (f"action range, agent {agent}", _range(min(low), max(high)), kind)
        for agent, (low, high) in enumerate(zip(action.minimum, action.maximum, strict=True))
    ]
    if action.share_beyond is not None:
        lines.append(("actions beyond their bounds", _percent(action.share_beyond), "of all action values"))
    return lines


def _spread(name: str, spread: Spread, meaning: str) -> list[Line]:
    return [
        (f"{name}, mean +- std", f"{short_number(spread.mean)} +- {short_number(spread.std)}", meaning),
        (f"{name}, range", _range(spread.minimum, spread.maximum), "smallest and largest"),
    ]


def _tq_meaning(s: DatasetStatistics) -> str:
    if s.random_return is None or s.best_return is None:
        return "not known: needs the returns of random actions and of the best policy"
    random, best = short_number(s.random_return), short_number(s.best_return)
    if s.tq is None:
        return f"not defined: best policy ({best}) no better than random actions ({random})"
    return f"0: random actions ({random}), 1: best policy ({best})"


def _percent(value: float) -> str:
    # A few among millions are not none.
    return f"{100 * value:.1f} %" if value == 0 or value >= 5e-4 else f"{100 * value:.1g} %"


def _range(low: float, high: float) -> str:
    return f"[{short_number(low)}, {short_number(high)}]"
