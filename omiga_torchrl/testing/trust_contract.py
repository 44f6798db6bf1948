"""Contract of a loss's inputs: wrong inputs are honored or refused, never a wrong number."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase

from omiga_torchrl.objectives.networks import action_bounds
from omiga_torchrl.testing.helpers import CONTINUOUS, DISCRETE, SPECS, losses_of
from omiga_torchrl.testing.loss_case import LossCase


class TrustContract(LossCase):
    """Tests of flags, masks and actions of other dtypes, shapes and ranges."""

    def _equal(self, data: TensorDictBase, changed: TensorDictBase, discrete: bool) -> None:
        loss = self.build(DISCRETE if discrete else CONTINUOUS)
        expected = losses_of(loss(data))
        for key, value in losses_of(loss(changed)).items():
            torch.testing.assert_close(value, expected[key], msg=str(key))

    @SPECS
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
    def test_end_flags_of_another_dtype_are_flags(self, spec, dtype):
        data = self.data(spec, 8)
        changed = data.clone()
        for name in ("done", "terminated"):
            changed["next", name] = data["next", name].to(dtype)
        self._equal(data, changed, self.fit(spec).discrete)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
    def test_action_masks_of_another_dtype_are_masks(self, dtype):
        if not self.fit(DISCRETE).discrete:
            return  # continuous actions only
        data = self.data(DISCRETE, 8)
        changed = data.clone()
        changed["agents", "action_mask"] = data["agents", "action_mask"].to(dtype)
        changed["next", "agents", "action_mask"] = data["next", "agents", "action_mask"].to(dtype)
        self._equal(data, changed, True)

    def test_float_actions_of_a_discrete_team_are_refused(self):
        if not self.fit(DISCRETE).discrete:
            return  # continuous actions only
        loss, data = self.build(DISCRETE), self.data(DISCRETE, 8)
        data["agents", "action"] = data["agents", "action"].float()
        with pytest.raises(ValueError, match=r"action.*must be integers.*got torch.float32"):
            loss(data)

    def test_integer_actions_of_a_continuous_team_are_refused(self):
        if self.fit(CONTINUOUS).discrete:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        data["agents", "action"] = data["agents", "action"].long()
        with pytest.raises(ValueError, match=r"action.*must be floats.*got torch.int64"):
            loss(data)

    def test_discrete_actions_out_of_range_are_refused(self):
        if not self.fit(DISCRETE).discrete:
            return  # continuous actions only
        loss, data = self.build(DISCRETE), self.data(DISCRETE, 8)
        data["agents", "action_mask"].fill_(True)
        data["agents", "action"][0] = 4
        with pytest.raises(ValueError, match=r"action.*must be in \[0, 4\), got 4"):
            loss(data)

    def test_actions_beyond_the_bounds_are_refused(self):
        if self.fit(CONTINUOUS).discrete:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        if action_bounds(loss) is None:
            return  # no network tells
        data["agents", "action"][0] = 1.5
        with pytest.raises(ValueError, match=r"action.*must be in \[-1.0, 1.0\].*got 1.5"):
            loss(data)
        loss.checked_kinds.clear()
        loss.checks_bounds = False  # they are meant so: densities clamp them
        assert all(value.isfinite() for value in losses_of(loss(data)).values())

    def test_a_wrong_number_of_action_features_is_refused(self):
        if self.fit(CONTINUOUS).discrete:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        action = data["agents", "action"]
        data["agents", "action"] = torch.cat([action, action], -1)
        with pytest.raises(ValueError, match=r"4"):
            loss(data)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
    def test_observations_of_another_dtype_are_refused(self, dtype):
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        data["agents", "observation"] = data["agents", "observation"].to(dtype)
        with pytest.raises(ValueError, match=rf"observation.*must be torch.float32.*got {dtype}"):
            loss(data)

    def test_a_mask_with_a_trailing_dimension_is_refused(self):
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        shape = data["agents", "observation"].shape[:-1]
        data["agents", "agent_mask"] = torch.ones(*shape, 1, dtype=torch.bool)
        with pytest.raises(ValueError, match=r"agent_mask.*must have the shape"):
            loss(data)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
    def test_rewards_of_another_dtype_are_rewards(self, dtype):
        if not self.bootstraps:
            return
        data = self.data(CONTINUOUS, 8)
        data["next", "reward"] = data["next", "reward"].round()
        changed = data.clone()
        changed["next", "reward"] = data["next", "reward"].to(dtype)
        self._equal(data, changed, False)

    def test_rewards_per_agent_are_refused(self):
        if not self.bootstraps:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        data["next", "reward"] = data["next", "reward"].expand(*data.batch_size, 3).clone()
        with pytest.raises(ValueError, match="reward"):
            loss(data)

    def test_multi_step_rewards_are_discounted_by_their_steps(self):
        if not self.bootstraps:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        data["next", "terminated"].fill_(False)
        steps = torch.full((*data.batch_size, 1), 3)
        data["steps_to_next_obs"] = steps
        if loss.value_type.name != "TD0":
            with pytest.raises(ValueError, match=r"one-step rewards|rewards must be of one step"):
                loss(data)
            return
        found = losses_of(loss(data))["loss_qvalue"]
        data = data.exclude("steps_to_next_obs")
        loss.gamma.fill_(0.99**3)
        torch.testing.assert_close(losses_of(loss(data))["loss_qvalue"], found)

    def test_lambda_targets_of_a_flat_batch_are_refused(self):
        if not self.bootstraps or len(self.data(CONTINUOUS, 8).batch_size) > 1:
            return  # takes sequences anyway
        loss = self.build(CONTINUOUS)
        loss.make_value_estimator(type(loss.value_type).TDLambda)
        with pytest.raises(ValueError, match="sequences"):
            loss(self.data(CONTINUOUS, 8))

    def test_coefficients_keep_their_precision(self):
        loss = self.build(CONTINUOUS)
        assert float(loss.gamma) == 0.99
        assert float(loss.double().gamma) == 0.99
        assert float(loss.to(torch.bfloat16).gamma) == 0.99

    @SPECS
    def test_importance_weights_count(self, spec):
        loss, data = self.build(spec, reduction="sum"), self.data(spec, 8)
        expected = losses_of(loss(data))
        data["priority_weight"] = torch.full(data.batch_size, 2.0)
        for key, value in losses_of(loss(data)).items():
            torch.testing.assert_close(value, 2 * expected[key], msg=str(key))

    def test_priorities_are_written(self):
        if not self.bootstraps:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        mean = loss(data)["td_error"]
        assert data["td_error"].shape == (*data.batch_size, 1) and not data["td_error"].requires_grad
        if len(data.batch_size) == 1:
            torch.testing.assert_close(data["td_error"].mean(), mean)
