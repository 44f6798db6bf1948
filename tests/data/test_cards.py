"""`DatasetCard`: impossible values, the sizes of the team, and the file."""

from __future__ import annotations

import json

import pytest

from omiga_torchrl.data import DatasetCard
from omiga_torchrl.data.cards import CARD_FILE, CLIPPED_SHARE, BehaviourEntry, read_card
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

from .conftest import HUNT, make_card, make_episodes

SPEC = TeamSpec(2, 5, 2, 10)
ENTRY = {
    "file": "a.pt", "sha256": "1" * 64, "step": 100, "stochastic_return": 1.0, "deterministic_return": 2.0,
    "measured_episodes": 5, "episodes": 3,
}  # fmt: skip


def card(**changes):
    fields = {
        "name": "x", "task": "t", "tier": "mixed", "transitions": 8, "episodes": 3, "sizes": SPEC.to_dict(),
        "reward_std": 1.0, "behaviour_return": {"mean": 0.0, "std": 0.0},
    }  # fmt: skip
    return DatasetCard(**{**fields, **changes})


def test_defaults():
    plain = card()
    assert (plain.format, plain.team_reward, plain.layout, plain.reward_mean) == (1, "mean", "recording", 0.0)
    assert plain.timeout_is_terminal is False and plain.left_out_steps == 0
    assert plain.random_return is plain.expert_return is plain.best_checkpoint_return is None
    assert CLIPPED_SHARE == 0.01 and CARD_FILE == "card.json"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format is 2, expected 1"),
        ({"episodes": 0}, "0 episodes in 8 transitions"),
        ({"episodes": 9}, "9 episodes in 8 transitions"),
        ({"data_sha256": "0" * 63}, "expected 64 hexadecimal digits"),
        ({"data_sha256": "0" * 65}, "expected 64 hexadecimal digits"),
        ({"reward_std": -0.1}, "reward_std is -0.1"),
        ({"reward_std": float("nan")}, "reward_std is nan"),
        ({"reward_std": float("inf")}, "reward_std is inf"),
        ({"behaviour_return": {"mean": 0.0}}, r"behaviour_return has \['mean'\]"),
        ({"behaviour_return": {"mean": 0.0, "std": 0.0, "min": 0.0}}, "behaviour_return has"),
    ],
)
def test_impossible_values(changes, told):
    with pytest.raises(DataError, match=f"DatasetCard 'x': .*{told}"):
        card(**changes)


def test_values_at_their_limits():
    card(episodes=1), card(episodes=8), card(reward_std=0.0), card(data_sha256=""), card(data_sha256="f" * 64)


def test_all_problems_are_in_one_message():
    with pytest.raises(DataError, match=r"format is 0.*; 9 episodes.*; reward_std"):
        card(format=0, episodes=9, reward_std=-1)


def test_sizes_are_complete_and_no_more():
    sizes = SPEC.to_dict()
    with pytest.raises(DataError, match=r"sizes lacks or has too much: \['n_agents'\]"):
        card(sizes={name: value for name, value in sizes.items() if name != "n_agents"})
    with pytest.raises(DataError, match=r"sizes lacks or has too much: \['colour'\]"):
        card(sizes={**sizes, "colour": 1})
    assert card(sizes={**sizes, "agents": ["a", "b"], "clipped": True}).spec.agent_names == ("a", "b")


def test_sizes_of_every_group_are_checked():
    sizes = HUNT.to_dict()
    assert card(sizes=sizes).spec == HUNT
    prey = {name: value for name, value in sizes["groups"]["prey"].items() if name != "action_size"}
    with pytest.raises(DataError, match=r"sizes of group 'prey' lacks or has too much: \['action_size'\]"):
        card(sizes={**sizes, "groups": {**sizes["groups"], "prey": prey}})
    with pytest.raises(DataError, match=r"sizes lacks or has too much: \['state_size'\]"):
        card(sizes={"groups": sizes["groups"]})


@pytest.mark.parametrize(
    ("share", "clipped"), [(0.0, False), (CLIPPED_SHARE, False), (CLIPPED_SHARE + 1e-6, True), (1.0, True)]
)
def test_more_than_a_hundredth_on_a_bound_is_clipped(share, clipped):
    assert card(actions_on_bound={"agents": share}).spec.clipped is clipped


def test_clipping_is_told_of_every_group_by_itself():
    hunt = card(sizes=HUNT.to_dict(), actions_on_bound={"predators": 0.5})
    assert [group.clipped for group in hunt.spec.groups.values()] == [True, False]
    assert hunt.spec.state_size == 14 and hunt.told_clipping == "predators 50.0%"
    assert card().told_clipping == "none" and not card().spec.clipped
    both = card(actions_on_bound={"a": 0.442, "b": 0.0123})
    assert both.told_clipping == "a 44.2%, b 1.2%"


def test_json_and_back():
    given = card(behaviour=[BehaviourEntry(**ENTRY)], seeds={"data": 3}, random_interval=[0.0, 1.0])
    back = DatasetCard.from_json(given.to_json())
    assert back == given and isinstance(back.behaviour[0], BehaviourEntry)
    assert given.to_json().endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        card(reward_mean=float("nan")).to_json()


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", "{}", '{"name": "x"}', "[" * 100_000, '{"colour": 1}'], ids=range(8)
)
def test_what_is_no_card_is_one_error(text):
    with pytest.raises(DataError, match="DatasetCard: cannot read the card"):
        DatasetCard.from_json(text)
    with pytest.raises(DataError, match=r"cannot read here/card\.json"):
        DatasetCard.from_json(text, "here/card.json")


def test_impossible_values_in_a_file_are_said_as_they_are():
    values = json.loads(card().to_json())
    with pytest.raises(DataError, match=r"^DatasetCard 'x': 9 episodes"):
        DatasetCard.from_json(json.dumps({**values, "episodes": 9}))
    with pytest.raises(DataError, match="cannot read the card"):
        DatasetCard.from_json(json.dumps({**values, "behaviour": [{"file": "a"}]}))


def test_a_folder_has_a_card_or_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"card\.json does not exist"):
        read_card(tmp_path)
    given = make_card(make_episodes())
    (tmp_path / CARD_FILE).write_text(given.to_json())
    assert read_card(tmp_path) == read_card(str(tmp_path)) == given
