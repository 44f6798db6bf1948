"""The registry of published datasets: whole and consistent."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchrl.data.datasets import load_dataset

from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.published.card import Link
from omiga_torchrl.data.published.registry import (
    normalised_score,
    published_dataset,
    published_datasets,
    read_family,
)
from omiga_torchrl.envs.mujoco_tasks import find_task
from omiga_torchrl.errors import DataError

NAMES = published_datasets()


def cards():
    return [published_dataset(name) for name in NAMES]


def test_families_are_complete():
    counts = {}
    for name in NAMES:
        counts[name.partition(":")[0]] = counts.get(name.partition(":")[0], 0) + 1
    assert counts["omiga"] == 3 * 4
    assert counts["omiga-smac"] == 4 * 3
    assert counts["omar"] == 4 * 4 * 5
    assert counts["cfcql"] == 4 * 4
    assert counts["d4rl"] == 3 * (5 + 6) + 6 * 2 + 4 * 3 * 2
    assert {"alberdice", "icq-smac", "minari", "og-marl"} < set(counts)


def test_prefix():
    assert published_datasets("omiga:hopper") == [
        f"omiga:hopper-3x1/{tier}" for tier in ("expert", "medium", "medium-expert", "medium-replay")
    ]
    assert published_datasets("nothing") == []


def test_no_two_datasets_share_a_file():
    places = [(card.family, card.file) for card in cards()]
    assert len(set(places)) == len(places)


def test_every_template_is_filled():
    for card in cards():
        texts = [card.name, card.task, card.file, card.alternative or "", card.notes, card.citation]
        texts += [link.url for link in card.sources] + ([card.archive.into] if card.archive else [])
        assert not re.search("[{}]", "".join(texts)), card.name


def test_alternatives_exist_and_have_a_direct_link():
    alternatives = {card.alternative for card in cards() if card.alternative}
    assert len(alternatives) == 12 + 12 + 16 + 6
    assert all(published_dataset(name).direct_links for name in alternatives)


def test_alternatives_are_the_same_data():
    for card in cards():
        if card.alternative:
            other = published_dataset(card.alternative)
            assert (card.task, card.statistics) == (other.task, other.statistics), card.name


def test_options_can_be_read_with():
    for card in cards():
        assert isinstance(card.read, ReadOptions), card.name
    known = {card.read.actions for card in cards()}
    assert known == {None, "raw"}


def test_mujoco_tasks_exist():
    tasks = {card.task for card in cards() if card.task.startswith("mujoco/")}
    assert len(tasks) == 3 + 3 + 3 + 4
    for task in tasks:
        find_task(task.removeprefix("mujoco/"))


def test_checksums_differ():
    whole = {(one.sha256, one.size) for card in cards() if (one := card.archive or card).sha256}
    assert len({sha256 for sha256, _ in whole}) == len(whole)


def test_licences():
    assert {card.licence for card in cards()} == {"Apache-2.0", "CC-BY-4.0", "not stated"}


# Against the documents, copied here by hand.
def test_omiga():
    card = published_dataset("omiga:ant-2x4/medium-replay")
    assert card.file == "Ant-v2-2x4-medium-replay.hdf5"
    assert (card.task, card.task_kwargs["layout"], card.layout) == (
        "mujoco/ant-2x4",
        "omiga",
        "omiga-mujoco",
    )
    assert vars(card.read) == {"actions": "raw", "timeout_is_terminal": True, "max_steps": 1000,
                               "team_reward": None, "incomplete": "error", "agent_rewards": False,
                               "groups": None, "action_low": None, "action_high": None,
                               "delimiter_rows": None}  # fmt: skip
    found = card.statistics
    assert (found["rows"], found["episodes"], found["return_mean"]) == (1_751_750, 1750, 1029.51)
    assert found["transitions"] == 1750 * 1000


@pytest.mark.parametrize("name", published_datasets("omiga:ant") + published_datasets("omiga:half"))
def test_episodes_of_ant_and_halfcheetah_run_out_of_time(name):
    found = published_dataset(name).statistics
    assert found["rows"] == 1001 * found["episodes"]


@pytest.mark.parametrize("name", published_datasets("omiga:"))
def test_returns_lie_between_their_bounds(name):
    found = published_dataset(name).statistics
    assert found["return_min"] < found["return_mean"] < found["return_max"]


def test_medium_expert_is_both():
    for task in ("hopper-3x1", "ant-2x4", "halfcheetah-6x1"):
        both, medium, expert = (
            published_dataset(f"omiga:{task}/{tier}").statistics["rows"]
            for tier in ("medium-expert", "medium", "expert")
        )
        assert both == medium + expert


def test_d4rl():
    card = published_dataset("d4rl:halfcheetah-medium-replay-v2")
    assert card.file == "halfcheetah_medium_replay-v2.hdf5"
    assert (card.random_return, card.expert_return) == (-280.178953, 12135.0)
    assert card.size == 59448533
    assert len(card.direct_links) == 2
    assert published_dataset("d4rl:walker2d-medium-replay-v0").file == "walker_mixed.hdf5"


def test_og_marl():
    card = published_dataset("og-marl:omiga/mamujoco/3hopper/medium-replay")
    assert card.file == "omiga/mamujoco/3hopper.vlt/Medium-Replay"
    assert card.archive.into == "omiga/mamujoco" and card.archive.size == 599008299
    assert card.direct_links == [
        "https://huggingface.co/datasets/InstaDeepAI/og-marl/resolve/main/prior_work/omiga/mamujoco/3hopper.zip"
    ]


def test_omar():
    card = published_dataset("omar:simple_tag/medium-replay/seed_4")
    assert card.file == "simple_tag/medium-replay/seed_4_data"
    assert (card.tier, card.random_return, card.expert_return) == ("medium-replay", -4.1, 185.6)


def test_lists_what_is_near():
    with pytest.raises(ValueError, match="did you mean 'omiga:hopper-3x1/medium'") as error:
        published_dataset("omiga:hopper3x1/medium")
    assert len(str(error.value)) < 400


def test_lists_the_families():
    with pytest.raises(ValueError, match=r"Choose from: .*omiga-smac:\.\.\."):
        published_dataset("?")


FACTS = {
    "family": "mine",
    "name": "{group}-{tier}",
    "defaults": {
        "task": "mujoco/{group}",
        "layout": "d4rl",
        "file": "{stem}_{Tier}.hdf5",
        "sources": [{"kind": "page", "url": "https://example.org/{group}"}],
        "observation_preprocessing": "none",
        "citation": "?",
        "max_steps": 1000,
    },
    "groups": {
        "ant": {
            "variables": {"stem": "Ant"},
            "max_steps": 500,
            "tiers": {"low": {}, "high-end": {"max_steps": 100, "tier": "high"}},
        }
    },
}


def read(tmp_path, facts):
    path = tmp_path / "mine.json"
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts))
    return list(read_family(path))


def test_later_overrides_earlier_and_words_are_put_in(tmp_path):
    low, high = read(tmp_path, FACTS)
    assert (low.name, low.tier, low.read.max_steps, low.file) == ("mine:ant-low", "low", 500, "Ant_Low.hdf5")
    assert (high.name, high.tier, high.read.max_steps) == ("mine:ant-high-end", "high", 100)
    assert high.file == "Ant_High-End.hdf5"
    assert low.sources == (Link("page", "https://example.org/ant"),)


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 3},
        {"name": "{nobody}"},
        {"groups": {"ant": {}}},
        {"groups": {"ant": {"tiers": {"low": {"colour": "red"}}}}},
        {"defaults": {}},
    ],
)
def test_another_form(tmp_path, change):
    with pytest.raises(DataError, match=r"mine\.json"):
        read(tmp_path, {**FACTS, **change})


def test_no_json(tmp_path):
    with pytest.raises(DataError, match="JSONDecodeError"):
        read(tmp_path, "{")


def test_by_hand():
    # Published for hopper-medium: 3234.3 is 1, -20.272305 is 0.
    assert normalised_score(3234.3, -20.272305, 3234.3) == 1.0
    assert normalised_score(-20.272305, -20.272305, 3234.3) == 0.0
    assert normalised_score(1607.0138475, -20.272305, 3234.3) == pytest.approx(0.5)


def test_arrays_and_tensors():
    assert normalised_score(np.array([0.0, 5.0]), 0.0, 10.0).tolist() == [0.0, 0.5]
    assert normalised_score(torch.tensor([10.0, 20.0]), 0.0, 10.0).tolist() == [1.0, 2.0]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_can_be_undone(value, low, span):
    score = normalised_score(value, low, low + span)
    assert score * ((low + span) - low) + low == pytest.approx(value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_impossible_bounds(bounds):
    with pytest.raises(ValueError, match="two different finite numbers"):
        normalised_score(0.5, *bounds)


@pytest.mark.parametrize("family", ["omiga", "og-marl", "cfcql"])
def test_torchrl_finds_them_by_name(tmp_path, family):
    """TorchRL's registry opens ours; what is not there yet is told with where to get it."""
    name = next(one for one in NAMES if one.startswith(f"{family}:"))
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        load_dataset(name, root=tmp_path)
    with pytest.raises(ValueError, match="no-such-task"):
        load_dataset(f"{family}:no-such-task/medium", root=tmp_path)
