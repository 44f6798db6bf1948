"""Data of tabular games: the teams that play, and what is recorded of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.behaviors import TablePolicy, available_tiers, game_policies, record_tier
from omiga_torchrl.data import OfflineDataset, check_dataset_fits
from omiga_torchrl.envs import make_env
from omiga_torchrl.envs.tabular_games import tabular_game
from omiga_torchrl.envs.tabular_solutions import expected_return
from omiga_torchrl.errors import DataError


def test_experts_are_perfect_each_in_its_own_way() -> None:
    game = tabular_game("bridge")
    teams = game_policies(game, "experts")
    assert [expected_return(game, policy) for policy in teams.values()] == pytest.approx([-1.2354526] * 2)
    first = [game.joint_actions[policy[game.start].argmax()].tolist() for policy in teams.values()]
    assert first == [[3, 3], [4, 4]]  # who steps back


def test_lone_experts_play_with_novices() -> None:
    game = tabular_game("credit")
    teams = game_policies(game, "lone-experts", habit=0.6)
    assert list(teams) == ["expert-agent-0", "expert-agent-1", "novices"]
    alone = teams["expert-agent-0"].reshape(3, 3)
    assert alone[1:].abs().max() == 0  # agent 0 always plays 0, the best
    assert alone[0].tolist() == pytest.approx([0.4 / 3, 0.6 + 0.4 / 3, 0.4 / 3])
    novices = teams["novices"].reshape(3, 3)
    assert novices[1, 1].item() == pytest.approx((0.6 + 0.4 / 3) ** 2)
    for policy in teams.values():
        assert policy.sum().item() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="unknown tier 'expert'; did you mean 'experts'"):
        game_policies(game, "expert")


def test_a_table_is_played_jointly() -> None:
    game = tabular_game("xor")
    policy = TablePolicy(game, torch.tensor([[0.0, 0.7, 0.3, 0.0]]))
    state = TensorDict({"state": game.state.expand(500, 1)}, [500])
    torch.manual_seed(0)
    played = policy(state.clone())["agents", "action"]
    assert (played.sum(-1) == 1).all() and 0.6 < played[:, 1].float().mean() < 0.8
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        assert policy(state)["agents", "action"].unique(dim=0).tolist() == [[0, 1]]


def test_recordings_have_equal_shares_and_exact_references(tmp_path: Path) -> None:
    card = record_tier("tabular/xor", "experts", [], folder=tmp_path / "xor", transitions=40, num_envs=4)
    assert (card.transitions, card.tier, card.random_return) == (40, "experts", 0.5)
    assert card.best_checkpoint_return == 1.0 and card.behaviour_return == {"mean": 1.0, "std": 0.0}
    assert [(one.file, one.episodes) for one in card.behaviour] == [("expert-0", 20), ("expert-1", 20)]
    data = OfflineDataset(str(tmp_path / "xor"), batch_size=8)
    actions = data.storage[:]["agents", "action"]
    assert actions.sum(0).tolist() == [20, 20] and (actions.sum(-1) == 1).all()
    again = record_tier("tabular/xor", "experts", [], folder=tmp_path / "again", transitions=40, num_envs=4)
    assert again.data_sha256 == card.data_sha256


def test_tiers_are_those_of_the_task(tmp_path: Path) -> None:
    assert available_tiers("tabular/xor") == ("experts", "lone-experts", "random")
    assert "medium-replay" in available_tiers("vmas/navigation")
    with pytest.raises(ValueError, match="unknown tier 'medium'"):
        record_tier("tabular/xor", "medium", [], folder=tmp_path / "data")
    with pytest.raises(ValueError, match=r"task_kwargs is .*; expected none for tabular/xor"):
        record_tier("tabular/xor", "random", [], folder=tmp_path / "data", task_kwargs={"max_steps": 3})


def test_recorded_experts_that_always_take_as_long_fit_their_game(tmp_path: Path) -> None:
    folder = tmp_path / "bridge"
    record_tier("tabular/bridge", "experts", [], folder=folder, transitions=400, num_envs=4)
    dataset = OfflineDataset(folder, root=tmp_path)
    assert len(dataset.data) == 8 * dataset.data["next", "terminated"].sum()
    check_dataset_fits(dataset, make_env("tabular/bridge"))
    with pytest.raises(DataError, match="8 steps in the data, and 7 in the environment"):
        check_dataset_fits(dataset, make_env("tabular/bridge", max_steps=7))
