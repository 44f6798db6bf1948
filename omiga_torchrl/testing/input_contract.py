"""How a loss reads its inputs: keys, masks, dtypes, weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from omiga_torchrl.testing.helpers import (
    CONTINUOUS,
    SPECS,
    expand_rows,
    gradients,
    keyword_arguments,
    losses_of,
)
from omiga_torchrl.testing.loss_case import LossCase


class InputContract(LossCase):
    """Tests of how a loss reads batches; the data are never changed but for the priority."""

    @SPECS
    def test_input_is_not_changed(self, spec):
        loss, data = self.build(spec), self.data(spec, 8)
        before = data.clone()
        loss(data)
        data = data.exclude(loss.tensor_keys.priority)  # the one entry that TorchRL's losses write, too
        assert set(data.keys(True, True)) == set(before.keys(True, True))
        assert (data == before).all()

    @SPECS
    def test_keyword_call_equals_tensordict_call(self, spec):
        loss, data = self.build(spec), self.data(spec, 8)
        found = loss(**keyword_arguments(loss, data))
        found = found if isinstance(found, tuple) else (found,)
        out = loss(data)
        for key, value in zip(loss.out_keys, found, strict=True):
            torch.testing.assert_close(value, out[key])

    def test_selected_out_keys(self):
        loss = self.build(CONTINUOUS)
        loss.select_out_keys(next(iter(self.trained)))
        assert loss(**keyword_arguments(loss, self.data(CONTINUOUS, 8))).shape == ()

    def test_selected_out_keys_are_all_that_forward_gives(self):
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        everything, term = loss(data), next(iter(self.trained))
        loss.select_out_keys(term)
        out = loss(data)
        assert set(out.keys()) == {term} and loss.out_keys == [term]
        torch.testing.assert_close(out[term], everything[term])
        loss.reset_out_keys()
        assert set(loss(data).keys()) == set(everything.keys())

    @SPECS
    @pytest.mark.parametrize("trailing", [True, False])
    def test_nan_in_masked_rows_changes_nothing(self, spec, trailing):
        loss, data = self.build(spec), self.data(spec, 8)
        keep = torch.tensor([1, 1, 0, 1, 0, 1, 1, 0], dtype=torch.bool)
        expected_out = loss(data[keep])
        sum(losses_of(expected_out).values()).backward()
        expected = gradients(loss)
        loss.zero_grad()
        for value in data.values(True, True):
            if value.dtype.is_floating_point:
                value[~keep] = float("nan")
        mask = expand_rows(keep, data)
        data["collector", "mask"] = mask.unsqueeze(-1) if trailing else mask
        out = loss(data)
        sum(losses_of(out).values()).backward()
        torch.testing.assert_close(gradients(loss), expected)
        for key in loss.out_keys:
            torch.testing.assert_close(out[key], expected_out[key], msg=str(key))

    def test_masked_rows_with_reduction_none_are_zero(self):
        loss, data = self.build(CONTINUOUS, reduction="none"), self.data(CONTINUOUS, 4)
        data["valid"] = expand_rows(torch.tensor([True, False, True, True]), data)
        loss.loss_mask_key = "valid"
        for value in losses_of(loss(data)).values():
            assert (value[1] == 0).all() and (value[0] != 0).any()

    @SPECS
    def test_extra_batch_dimensions_change_nothing(self, spec):
        loss, data = self.build(spec), self.data(spec, 12)
        flat, folded = loss(data), loss(data.reshape(3, 4, *data.batch_size[1:]))
        for key in loss.out_keys:
            torch.testing.assert_close(flat[key], folded[key], msg=str(key))

    def test_unknown_key_is_refused(self):
        with pytest.raises(ValueError, match="not_a_key"):
            self.build(CONTINUOUS).set_keys(not_a_key="x")

    @pytest.mark.parametrize("name", ["reward", "terminated", "done"])
    def test_renamed_data_keys_are_read(self, name):
        if not self.bootstraps:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        expected = loss(data)
        data["next", "team", "renamed"] = data["next", name]
        del data["next", name]
        loss.set_keys(**{name: ("team", "renamed")})
        out = loss(data)
        for term in self.trained:
            torch.testing.assert_close(out[term], expected[term])
        loss.set_keys(**{name: None})
        assert loss.tensor_keys == loss.default_keys()

    def test_missing_key_is_named(self):
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 8)
        with pytest.raises(KeyError, match=r"action.*is missing; found"):
            loss(data.exclude(("agents", "action")))

    def test_wrong_agent_dimension_is_named(self):
        loss = self.build(CONTINUOUS)
        agents = self.fit(CONTINUOUS).n_agents
        other = replace(CONTINUOUS, n_agents=agents + 1)
        with pytest.raises(ValueError, match=f"agents={agents}"):
            loss(self.draw(other, 8))
