"""What is drawn of a dataset, read off the axes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.report.dataset_figure import draw_dataset, plot_dataset, short_number
from tests.report.small_statistics import small_statistics

pytest.importorskip("matplotlib")


def bars(panel):
    """Heights and edges of every histogram in a panel."""
    return [(patch.get_data().values, patch.get_data().edges) for patch in panel.patches]


def shown(figure):
    return [panel for panel in figure.axes if panel.get_visible()]


def test_panels_show_the_histograms() -> None:
    s = small_statistics(random_return=2.0, best_return=60.0)
    figure = draw_dataset(s, "toy/mixed")
    returns, lengths, rewards, *actions = shown(figure)
    for panel, histogram in (
        (returns, s.return_histogram),
        (lengths, s.length_histogram),
        (rewards, s.reward_histogram),
    ):
        ((heights, edges),) = bars(panel)
        assert np.array_equal(heights, histogram.counts) and np.array_equal(edges, histogram.edges)
    assert len(actions) == 3
    for feature, panel in enumerate(actions):
        drawn = [one[feature] for one in s.action.histograms]
        assert [list(heights) for heights, _ in bars(panel)] == [list(one.counts) for one in drawn]
        assert [text.get_text() for text in panel.get_legend().get_texts()] == ["agent 0", "agent 1"]
    title = figure.get_suptitle()
    assert title.startswith("toy/mixed\n300 transitions, 30 episodes, TQ 0.166, joint SACo 1.000")


def test_titles_and_units() -> None:
    s = small_statistics()
    returns, lengths, rewards, first, *_ = shown(draw_dataset(s))
    assert returns.get_title() == f"Return: {s.episode_return.mean:.3f} $\\pm$ {s.episode_return.std:.3f}"
    assert lengths.get_title() == "Episode length: 10 $\\pm$ 0"
    assert rewards.get_title().startswith("Reward: 1.163")
    units = [(p.get_xlabel(), p.get_ylabel()) for p in (returns, lengths, first)]
    assert units == [
        ("sum of team rewards per episode", "number of episodes"),
        ("steps per episode", "number of episodes"),
        ("value of the action", "number of steps"),
    ]
    share = 100 * np.mean([one[0] for one in s.action.beyond])
    assert first.get_title() == f"Action feature 0: {share:.1f} % beyond its bounds" and 20 < share < 45
    assert [line.get_xdata()[0] for line in first.lines] == [-1.0, 1.0]


def test_references_are_marked_where_they_are_known() -> None:
    def marks(figure):
        return {line.get_label(): line.get_xdata()[0] for line in shown(figure)[0].lines}

    mean = f"dataset mean: {small_statistics().episode_return.mean:.3f}"
    assert list(marks(draw_dataset(small_statistics()))) == [mean]
    both = marks(draw_dataset(small_statistics(random_return=2.0, best_return=60.5)))
    assert both == {
        mean: pytest.approx(11.633, abs=1e-3),
        "best policy: 60.500": 60.5,
        "random actions: 2": 2.0,
    }


def test_rare_values_are_seen() -> None:
    returns, _, rewards, *_ = shown(draw_dataset(small_statistics()))
    assert returns.get_yscale() == "linear"
    assert rewards.get_yscale() == "log" and rewards.get_ylabel() == "number of steps (log scale)"
    assert rewards.get_ylim()[0] < 1


def test_a_single_length_is_a_bar_not_a_wall() -> None:
    low, high = shown(draw_dataset(small_statistics()))[1].get_xlim()
    assert low < 8 and high > 12


def test_many_agents_are_drawn_together() -> None:
    s = small_statistics(9)
    panel = shown(draw_dataset(s))[3]
    ((heights, _),) = bars(panel)
    assert np.array_equal(heights, np.sum([one[0].counts for one in s.action.histograms], axis=0))
    assert panel.get_legend().get_texts()[0].get_text() == "all 9 agents"


def test_discrete_actions() -> None:
    panels = shown(draw_dataset(small_statistics(discrete=True)))
    assert len(panels) == 4
    assert (panels[3].get_title(), panels[3].get_xlabel()) == ("Action", "index of the action")
    assert all(list(edges) == [-0.5, 0.5, 1.5, 2.5] for _, edges in bars(panels[3])) and not panels[3].lines


def test_png(tmp_path: Path) -> None:
    path = plot_dataset(small_statistics(), tmp_path / "new" / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 30_000


def test_missing_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"omiga-torchrl\[plot\]"):
        draw_dataset(small_statistics())


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-3.0, "-3"), (-0.25, "-0.250"), (2e-5, "2e-05"), (-2785.104, "-2785.1")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text
