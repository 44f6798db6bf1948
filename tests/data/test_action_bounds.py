"""Actions in the environment's own units: any box trains and evaluates like the same data in [-1, 1]."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TransformedEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.data import OfflineDataset, ReadOptions, check_dataset, check_dataset_fits
from omiga_torchrl.envs import ExecutedAction
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.modules import is_censored
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer

from .line_env import LineEnv, write_line

PER_AGENT = [-2.0, 0.0], [2.0, 100.0]
BOXES = [(-2.0, 2.0), (-0.4, 0.4), (0.0, 100.0), PER_AGENT]


def columns(bound):
    """The option for a bound of every agent, `[N, A]`."""
    return bound if isinstance(bound, float) else [[one] for one in bound]


def open_line(folder, low, high, **options):
    path = write_line(folder / "line.vlt" / "Good", low, high)
    bounds = {"action_low": columns(low), "action_high": columns(high)}
    return OfflineDataset(path, root=folder, **{"batch_size": 256, **bounds, **options})


def trained_return(dataset, env, name="bc", steps=150):
    check_dataset(dataset)
    check_dataset_fits(dataset, env)
    torch.manual_seed(0)
    parts = make_algorithm(name, dataset.spec, hidden_sizes=[32])
    optimizer = torch.optim.Adam(parts.policy.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = parts.loss(dataset.sample())["loss_actor"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return evaluate(parts.policy, env, episodes=20, seed=1).mean_return


@pytest.fixture(scope="module")
def in_unit_box(tmp_path_factory):
    dataset = open_line(tmp_path_factory.mktemp("unit"), -1.0, 1.0)
    return trained_return(dataset, LineEnv(-1.0, 1.0, 20))


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_any_box_trains_like_the_same_data_in_the_unit_box(tmp_path, in_unit_box, low, high):
    dataset = open_line(tmp_path, low, high)
    assert dataset.spec.action_high == (high if isinstance(high, float) else ((2.0,), (100.0,)))
    found = trained_return(dataset, LineEnv(low, high, 20))
    assert found == pytest.approx(in_unit_box, rel=0.02)
    assert found > -3  # standing still has -60


@pytest.mark.parametrize(
    "name", ["td3_bc", "matd3_bc", "omar", "cql", "bcq", "icq", "rebrac", "omiga", "iql", "comadice"]
)
def test_losses_do_not_depend_on_the_units(name):
    """Critics, samplers, noise, models of the behavior and penalties are in units of the box."""
    sizes = (2, 5, 3, 7)
    unit = TeamSpec(*sizes)
    torch.manual_seed(2)
    data = unit.fake_batch(16, 4)
    found = {}
    for low, high in ((-1.0, 1.0), (-0.25, 0.25), (0.0, 64.0), ((-2.0, 0.0, -8.0), (2.0, 1.0, 0.0))):
        spec = TeamSpec(*sizes, action_low=low, action_high=high)
        box = [torch.as_tensor(bound) for bound in (low, high)]
        batch = data.clone()
        for key in (("agents", "action"), ("next", "agents", "action")):
            if key in batch.keys(True):
                batch[key] = box[0] + (box[1] - box[0]) * (data[key] + 1) / 2
        torch.manual_seed(0)
        parts = make_algorithm(name, spec, hidden_sizes=[32])
        torch.manual_seed(1)
        with torch.no_grad():
            out = parts.loss(batch if ALGORITHMS[name].sequences else batch[:, 0])
        found[low] = {key: value.item() for key, value in out.items() if key.startswith("loss")}
    expected = found.pop(-1.0)
    for low, losses in found.items():
        if name == "omar":  # the volume of the box is a constant of its penalty
            losses.pop("loss_cql")
        if name in ("omiga", "iql", "comadice", "bcq", "icq", "cql"):  # densities have another unit
            losses = {key: value for key, value in losses.items() if key in ("loss_qvalue", "loss_value")}
        assert losses == {key: pytest.approx(expected[key], rel=1e-4, abs=1e-4) for key in losses}, low


HUMANOID = 0.4  # 0.4000000059604645 in single precision, in which environments have their bounds


@pytest.fixture(scope="module")
def humanoid_and_unit(tmp_path_factory):
    """The same data in both boxes, as transitions and as sequences of five steps."""
    made = {}
    for bound, length in itertools.product((1.0, HUMANOID), (None, 5)):
        folder = tmp_path_factory.mktemp("box")
        batch = 256 if length is None else 100
        made[bound, length] = open_line(folder, -bound, bound, slice_len=length, batch_size=batch)
    return made


@pytest.mark.parametrize("name", sorted(n for n, one in ALGORITHMS.items() if "continuous" in one.actions))
def test_every_algorithm_trains_and_evaluates_in_the_units_of_humanoid(humanoid_and_unit, name):
    """Data, policy and environment have +-0.4: actions are 0.4 times, and returns are, those of +-1."""
    returns, actions = {}, {}
    for bound in (1.0, HUMANOID):
        dataset, env = (
            humanoid_and_unit[bound, 5 if ALGORITHMS[name].sequences else None],
            LineEnv(-bound, bound),
        )
        check_dataset_fits(dataset, env)
        torch.manual_seed(0)
        parts = make_algorithm(name, dataset.spec, hidden_sizes=[8])
        OfflineTrainer(
            **parts.trainer_arguments,
            replay_buffer=dataset,
            total_steps=3,
            lr=1e-2,
            progress_bar=False,
            seed=1,
        ).train()
        returns[bound] = evaluate(parts.policy, env, episodes=2, seed=1).mean_return
        seen = dataset.data[:200]["agents"].select("observation").clone()
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            torch.manual_seed(2)
            actions[bound] = parts.policy(TensorDict({"agents": seen}, [200]))["agents", "action"]
    assert actions[HUMANOID].abs().max() <= 0.4 + 1e-7
    torch.testing.assert_close(actions[HUMANOID] / 0.4, actions[1.0], rtol=1e-4, atol=1e-5)
    assert returns[HUMANOID] == pytest.approx(returns[1.0], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"action_high": 2.0, "action_low": None}, "given together, got None and 2.0"),
        ({"action_low": "low", "action_high": 1.0}, "action_low must be a number"),
    ],
)
def test_options_that_say_no_box(options, match):
    with pytest.raises(ValueError, match=match):
        ReadOptions(**options)


def test_messages_name_the_option(tmp_path):
    path = write_line(tmp_path / "line.vlt" / "Good", -2.0, 2.0, episodes=20)
    with pytest.raises(DataError, match=r"outside \[-1, 1\] \(-2 to 2\).*pass action_low= and action_high="):
        OfflineDataset(path, root=tmp_path)
    raw = OfflineDataset(path, root=tmp_path, actions="raw")
    with pytest.raises(DataError, match=r"in \[-1, 1\] in the data and in \[-2, 2\].*action_low=-2.0"):
        check_dataset_fits(raw, LineEnv(-2.0, 2.0, 4))
    with pytest.raises(DataError, match=r"action_low must be a number, or 1 of them.*shape \(3,\)"):
        OfflineDataset(path, root=tmp_path, action_low=[-2.0] * 3, action_high=[2.0] * 3)
    with pytest.raises(DataError, match="no bound of the group 'agents', only of cars"):
        OfflineDataset(path, root=tmp_path, action_low={"cars": -2.0}, action_high={"cars": 2.0})


def test_scaled_data_need_an_environment_that_multiplies(tmp_path):
    path = write_line(tmp_path / "line.vlt" / "Good", -1.0, 1.0, episodes=20)
    scaled = OfflineDataset(path, root=tmp_path, actions="scale")
    assert scaled.card.action_convention == "scale"
    with pytest.raises(DataError, match=r"'scale' in the data.*ExecutedAction"):
        check_dataset_fits(scaled, LineEnv(-1.0, 1.0, 4))
    multiplied = TransformedEnv(LineEnv(-1.0, 1.0, 4), ExecutedAction("scale"))
    check_dataset_fits(scaled, multiplied)
    with pytest.raises(DataError, match="open the data with actions='scale'"):
        check_dataset_fits(OfflineDataset(path, root=tmp_path), multiplied)


def test_clip_is_to_the_bounds(tmp_path):
    path = write_line(tmp_path / "line.vlt" / "Good", -2.0, 2.0, episodes=20)
    dataset = OfflineDataset(path, root=tmp_path, actions="clip", action_low=-1.5, action_high=0.5)
    action = dataset.data["agents", "action"]
    assert (action.min().item(), action.max().item()) == (-1.5, 0.5)
    assert dataset.card.spec.action_low == -1.5 and dataset.card.action_convention == "clip"


def test_single_precision_of_a_bound_is_the_bound():
    at = np.float32(0.4).item()
    assert at != 0.4 and TeamSpec(2, 1, 1, 2, action_low=-at, action_high=at) == TeamSpec(
        2, 1, 1, 2, action_low=-0.4, action_high=0.4
    )
    for bad in (float("inf"), float("nan"), 3.4e38):
        with pytest.raises(ValueError, match="action_high must be finite"):
            TeamSpec(2, 1, 1, 2, action_high=bad)


def test_bounds_of_discrete_actions_are_not_compared():
    one = TeamSpec(2, 1, 4, 2, discrete=True, action_low=0.0, action_high=0.0)
    assert one == TeamSpec(2, 1, 4, 2, discrete=True)


@pytest.mark.parametrize(("noise", "is_clipped"), [(0.0, False), (0.6, True)])
def test_data_with_actions_on_the_bounds_are_cloned_by_a_censored_gaussian(tmp_path, noise, is_clipped):
    path = write_line(tmp_path / "line.vlt" / "Good", -2.0, 2.0, episodes=20, noise=noise, gain=0.3)
    dataset = OfflineDataset(path, root=tmp_path, action_low=-2.0, action_high=2.0)
    share = (dataset.data["agents", "action"].abs() == 2).float().mean().item()
    assert dataset.card.actions_on_bound.get("agents", 0.0) == pytest.approx(share, abs=1e-6)
    assert (share > 0.01) == dataset.spec.clipped == is_clipped
    assert is_censored(make_algorithm("bc", dataset.spec, hidden_sizes=[8]).policy) == is_clipped
    assert dataset.card.told_clipping == (f"agents {share:.1%}" if is_clipped else "none")
