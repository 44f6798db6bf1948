"""What every loss of the library must do: TorchRL's own list of checks, for teams."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.objectives import LossModule, ValueEstimators

from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec

CONTINUOUS = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
DISCRETE = TeamSpec(n_agents=3, observation_size=5, action_size=4, state_size=7, discrete=True, masked=True)
SPECS = pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])


def losses_of(out: TensorDictBase) -> dict[str, Tensor]:
    return {key: value for key, value in out.items() if key.startswith("loss_")}


def gradients(loss: LossModule) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}


def has_targets(loss: LossModule) -> bool:
    return any(name.startswith("target_") for name, _ in loss.named_buffers())


def arguments(loss: LossModule, data: TensorDictBase) -> dict[str, Any]:
    return {key if isinstance(key, str) else "_".join(key): data[key] for key in loss.in_keys}


def expanded(rows: Tensor, data: TensorDictBase) -> Tensor:
    """One flag a row of ``data``, as one flag an entry of its batch dimensions."""
    return rows.reshape(-1, *[1] * (data.batch_dims - 1)).expand(data.batch_size)


def sequences(spec: TeamSpec, *batch: int, time: int = 4) -> TensorDictBase:
    """Random sequences ``[*batch, time]`` of one episode each: only the last step may be an end."""
    data = spec.fake_batch(*batch, time)
    for key in ("done", "terminated"):
        data["next", key][..., :-1, :] = False
    data["next", "terminated"][..., -1, :] = torch.rand(*batch, 1) < 0.5
    data["next", "done"][..., -1, :] = True
    return data


def assert_actions_unread(loss: Any, data: TensorDictBase, first: int) -> None:
    """The values of the discrete actions from number ``first`` on change nothing.

    Args:
        loss: a loss whose Q network ends in four values.
        data: a batch.
        first: the first action to be changed.
    """
    expected = loss(data)
    with torch.no_grad():
        for params in (loss.qvalue_network_params, loss.target_qvalue_network_params):
            biases = [value for value in params.values(True, True) if value.shape == (4,)]
            assert biases
            for value in biases:
                value.data[first:] += 100.0
    for key, value in loss(data).items():
        torch.testing.assert_close(value, expected[key], msg=str(key))


@contextmanager
def without_chance() -> Iterator[None]:
    """Draws the same number everywhere, so that batches of other shapes can be compared."""

    def like(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return torch.full_like(x, 0.3)

    def full(*size: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        flat = size[0] if size and not isinstance(size[0], int) else size
        return torch.full(tuple(flat), 0.3, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("randn_like", "rand_like"):
            patch.setattr(torch, name, like)
        for name in ("randn", "rand"):
            patch.setattr(torch, name, full)
        for name in ("uniform_", "normal_"):
            patch.setattr(Tensor, name, lambda x, *args, **kwargs: x.fill_(0.3))
        yield


def steadied(loss: LossModule) -> LossModule:
    """``loss`` with every draw of its own replaced by the same number."""
    evaluate = loss._evaluate

    def steady(*args: Any) -> dict[str, Tensor]:
        with without_chance():
            return evaluate(*args)

    loss._evaluate = steady
    return loss


class LossContract:
    """Subclasses give ``make`` and ``trained``.

    ``make(spec, **kwargs)`` builds the loss with small networks. ``trained`` maps each
    loss entry to the names of the networks that it trains. ``team_terms`` are those with one
    value a row, not one an agent. ``samples`` says whether the loss draws random numbers.
    ``idle`` maps a loss entry to parameters of its networks that cancel in it, by parts of their names.
    """

    make: Callable[..., LossModule]
    trained: dict[str, set[str]]
    team_terms: set[str] = {"loss_qvalue"}
    idle: dict[str, tuple[str, ...]] = {}
    samples = False

    @pytest.fixture(autouse=True)
    def seed(self):
        torch.manual_seed(0)

    def fit(self, spec: TeamSpec) -> TeamSpec:
        """The sizes that this loss is tried with, e.g. one agent instead of three."""
        return spec

    def draw(self, spec: TeamSpec, *batch: int) -> TensorDictBase:
        """Random data of these sizes; for a loss along sequences see :func:`sequences`."""
        return spec.fake_batch(*batch)

    def data(self, spec: TeamSpec, *batch: int) -> TensorDictBase:
        return self.draw(self.fit(spec), *batch)

    def build(self, spec: TeamSpec, **kwargs: Any) -> LossModule:
        loss = type(self).make(self.fit(spec), **kwargs)
        if has_targets(loss):
            ForeachSoftUpdate(loss, tau=0.5)
        return steadied(loss) if self.samples else loss

    @property
    def bootstraps(self) -> bool:
        return "loss_qvalue" in self.trained

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
                if any(part in name for part in self.idle.get(term, ())):
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
    def test_input_is_not_changed(self, spec):
        loss, data = self.build(spec), self.data(spec, 8)
        before = data.clone()
        loss(data)
        assert set(data.keys(True, True)) == set(before.keys(True, True))
        assert (data == before).all()

    @SPECS
    def test_keyword_call_equals_tensordict_call(self, spec):
        loss, data = self.build(spec), self.data(spec, 8)
        found = loss(**arguments(loss, data))
        found = found if isinstance(found, tuple) else (found,)
        out = loss(data)
        for key, value in zip(loss.out_keys, found, strict=True):
            torch.testing.assert_close(value, out[key])

    def test_selected_out_keys(self):
        loss = self.build(CONTINUOUS)
        loss.select_out_keys(next(iter(self.trained)))
        assert loss(**arguments(loss, self.data(CONTINUOUS, 8))).shape == ()

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
        mask = expanded(keep, data)
        data["collector", "mask"] = mask.unsqueeze(-1) if trailing else mask
        out = loss(data)
        sum(losses_of(out).values()).backward()
        torch.testing.assert_close(gradients(loss), expected)
        for key in loss.out_keys:
            torch.testing.assert_close(out[key], expected_out[key], msg=str(key))

    def test_masked_rows_with_reduction_none_are_zero(self):
        loss, data = self.build(CONTINUOUS, reduction="none"), self.data(CONTINUOUS, 4)
        data["valid"] = expanded(torch.tensor([True, False, True, True]), data)
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

    def test_warns_without_target_updater_and_only_then(self):
        loss, data = type(self).make(self.fit(CONTINUOUS)), self.data(CONTINUOUS, 8)
        if has_targets(loss):
            with pytest.warns(UserWarning, match="No target network updater"):
                loss(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.build(CONTINUOUS)(data)


def permuted(data: TensorDictBase, order: Tensor) -> TensorDictBase:
    """The same data with the agents in another order."""
    out = data.clone()
    for key in ("agents", ("next", "agents")):
        for name, value in data[key].items():
            out[key][name] = value[:, order]
    return out
