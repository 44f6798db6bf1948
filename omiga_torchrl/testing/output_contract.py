"""Contract of a loss's output: entries, gradients, reductions, targets, state."""

from __future__ import annotations

import warnings
from copy import deepcopy

import pytest
import torch
from torch import nn
from torchrl.objectives import ValueEstimators

from omiga_torchrl.testing.helpers import CONTINUOUS, SPECS, has_targets, losses_of
from omiga_torchrl.testing.loss_case import LossCase


class OutputContract(LossCase):
    """Tests of a loss's outputs, gradients and state."""

    @SPECS
    def test_outputs_are_the_out_keys_and_only_losses_carry_gradients(self, spec):
        loss = self.build(spec)
        out = loss(self.data(spec, 8))
        assert set(out.keys()) == set(loss.out_keys)
        assert set(losses_of(out)) == set(self.trained)
        for key, value in out.items():
            assert value.requires_grad == key.startswith("loss_"), key
            assert value.isfinite().all(), key

    @SPECS
    def test_each_term_reaches_its_own_networks_and_no_other(self, spec):
        loss = self.build(spec)
        for term, networks in self.trained.items():
            loss.zero_grad()
            loss(self.data(spec, 32))[term].backward()
            for name, parameter in loss.named_parameters():
                if any(part in name for part in self.unused_parameters.get(term, ())):
                    continue
                touched = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
                assert touched == (name.split("_params")[0] in networks), f"{term}: {name}"

    @SPECS
    def test_targets_are_buffers_without_gradient(self, spec):
        loss = self.build(spec)
        assert not any(name.startswith("target_") for name, _ in loss.named_parameters())
        before = {k: v.clone() for k, v in loss.named_buffers() if k.startswith("target_")}
        sum(losses_of(loss(self.data(spec, 8))).values()).backward()
        for key, value in loss.named_buffers():
            if key.startswith("target_"):
                assert value.grad is None and not value.requires_grad and value.equal(before[key])

    @SPECS
    def test_term_methods_equal_forward(self, spec):
        loss, data = self.build(spec), self.data(spec, 8)
        out = loss(data)
        for term in self.trained:
            method = getattr(loss, f"{term.removeprefix('loss_')}_loss")
            torch.testing.assert_close(method(data), out[term])

    @SPECS
    @pytest.mark.parametrize("reduction", [None, "none", "mean", "sum"])
    def test_reductions(self, spec, reduction):
        loss, data = self.build(spec, reduction=reduction), self.data(spec, 8)
        if self.fit(spec).masked:  # a single legal action has log probability 0
            data["agents", "action_mask"].fill_(True)
        plain = self.build(spec, reduction="none")
        plain.load_state_dict(loss.state_dict())
        for term, value in losses_of(loss(data)).items():
            unreduced = plain(data)[term]
            agents = data["agents", "observation"].shape[:-1]
            assert unreduced.shape == (data.batch_size if term in self.team_terms else agents)
            mean = unreduced.sum() / unreduced.count_nonzero()  # zero: no target, hence not counted
            expected = {"none": unreduced, "sum": unreduced.sum()}.get(reduction, mean)
            torch.testing.assert_close(value, expected)

    @SPECS
    def test_state_dict_round_trip(self, spec):
        first, second, data = self.build(spec), self.build(spec), self.data(spec, 8)
        second.load_state_dict(first.state_dict())
        for key in first.out_keys:
            torch.testing.assert_close(second(data)[key], first(data)[key])

    @SPECS
    def test_casting_keeps_kinds_and_computes_in_double(self, spec):
        loss = self.build(spec)
        parameters = {name for name, _ in loss.named_parameters()}
        buffers = {name for name, _ in loss.named_buffers()}
        loss = loss.to(torch.float64)
        assert {name for name, _ in loss.named_parameters()} == parameters
        assert {name for name, _ in loss.named_buffers()} == buffers
        assert all(isinstance(p, nn.Parameter) for p in loss.parameters())
        data = self.data(spec, 8)
        data = data.apply(lambda x: x.double() if x.dtype.is_floating_point else x)
        assert all(value.dtype == torch.float64 for value in losses_of(loss(data)).values())

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
    def test_moves_to_a_device(self):
        loss = self.build(CONTINUOUS).to("cuda")
        out = loss(self.data(CONTINUOUS, 8).to("cuda"))
        assert all(value.device.type == "cuda" for value in out.values())

    @pytest.mark.filterwarnings("ignore:reset_parameters_recursive was called:UserWarning")  # VDN has none
    def test_deepcopy_and_reset_parameters(self):
        loss = self.build(CONTINUOUS)
        copied = deepcopy(loss)
        before = [p.clone() for p in copied.parameters()]
        copied.reset_parameters_recursive()
        assert any(not p.equal(old) for p, old in zip(copied.parameters(), before, strict=True))

    def test_value_estimators(self):
        if not self.bootstraps:
            return
        loss, data = self.build(CONTINUOUS), self.data(CONTINUOUS, 2, 6)
        found = {}
        for estimator in ValueEstimators:
            if estimator in (ValueEstimators.TD0, ValueEstimators.TDLambda):
                loss.make_value_estimator(estimator)
                found[estimator] = loss(data)["loss_qvalue"].item()
            else:
                with pytest.raises(NotImplementedError, match="choose TD0 or TDLambda"):
                    loss.make_value_estimator(estimator)
        assert found[ValueEstimators.TD0] != found[ValueEstimators.TDLambda]

    def test_value_estimator_follows_the_choice(self):
        loss, flags, numbers = self.build(CONTINUOUS), torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3)
        assert loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5) is loss
        one_step = loss.value_estimator(numbers, numbers, flags, flags)
        torch.testing.assert_close(one_step, torch.full((2, 3), 1.5))
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.5, lmbda=1.0)
        to_the_end = loss.value_estimator(numbers, numbers, flags, flags)
        torch.testing.assert_close(to_the_end, torch.tensor([1.875, 1.75, 1.5]).expand(2, 3))

    def test_warns_without_target_updater_and_only_then(self):
        loss, data = type(self).make(self.fit(CONTINUOUS)), self.data(CONTINUOUS, 8)
        if has_targets(loss):
            with pytest.warns(UserWarning, match="No target network updater"):
                loss(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.build(CONTINUOUS)(data)
