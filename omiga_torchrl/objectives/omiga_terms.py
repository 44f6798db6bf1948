"""The three terms of OMIGA, from one evaluation of each network."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar, Literal

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase, dispatch
from torch import Tensor
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_shape, unknown_name
from omiga_torchrl.functional.advantage import Overflow
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.common import MultiAgentLoss, action_index
from omiga_torchrl.objectives.diagnostics import DIAGNOSTICS, LocalTerms, diagnose, masked_mean

Variant = Literal["paper", "official"]


class OMIGATerms(MultiAgentLoss):
    """Base of the OMIGA losses; a subclass names its ``terms`` in the order of ``out_keys``.

    Args:
        actor_network: the policy; None for terms without it.
        qvalue_network: the local action values.
        value_network: the local values.
        mixer_network: the weights and bias of the linear mixer.
        alpha: regularisation strength or ``"auto"``.
        gamma: discount.
        variant: ``"paper"`` or ``"official"``.
        max_scaled_advantage: where exp ends.
        overflow: what happens beyond; ``None`` follows the variant.
        target_sample_size: of ``alpha="auto"``.
        reduction: of the losses.
    """

    terms: ClassVar[tuple[str, ...]]
    _schedulable_buffers = frozenset({"alpha", "gamma"})

    actor_network: TensorDictModuleBase
    actor_network_params: TensorDictParams
    target_actor_network_params: TensorDictParams
    qvalue_network: TensorDictModuleBase
    qvalue_network_params: TensorDictParams
    target_qvalue_network_params: TensorDictParams
    value_network: TensorDictModuleBase
    value_network_params: TensorDictParams
    target_value_network_params: TensorDictParams
    mixer_network: TensorDictModuleBase
    mixer_network_params: TensorDictParams
    target_mixer_network_params: TensorDictParams

    def __init__(
        self,
        actor_network: TensorDictModuleBase | None,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        *,
        alpha: float | Literal["auto"] = 10.0,
        gamma: float = 0.99,
        variant: Variant = "paper",
        max_scaled_advantage: float = 10.0,
        overflow: Overflow | None = None,
        target_sample_size: float = 0.4,
        reduction: str | None = None,
    ) -> None:
        super().__init__(reduction)
        self._out_keys: list[NestedKey] | None = None
        component = type(self).__name__
        if variant not in ("paper", "official"):
            raise unknown_name(component, "variant", variant, ("paper", "official"))
        if overflow not in (None, "linear", "clamp"):
            raise unknown_name(component, "overflow", overflow, ("linear", "clamp"))
        if alpha != "auto" and not (isinstance(alpha, (int, float)) and alpha > 0):
            raise ValueError(f"{component}: alpha is {alpha!r}; expected a number > 0 or 'auto'.")
        self.official = variant == "official"
        self.auto_alpha = alpha == "auto"
        self.max_scaled_advantage = max_scaled_advantage
        self.overflow: Overflow = overflow or ("clamp" if self.official else "linear")
        self.target_sample_size = target_sample_size
        self.register_coeff_buffer("alpha", 1.0 if alpha == "auto" else float(alpha))
        self.register_coeff_buffer("gamma", gamma)
        self.register_coeff_buffer("lmbda", 0.95)
        self.value_type = self.default_value_estimator
        # Target parameters exist only where a term reads them.
        local = self.terms != ("loss_qvalue",)
        if actor_network is not None:
            self.convert_to_functional(actor_network, "actor_network")
        self.convert_to_functional(qvalue_network, "qvalue_network", create_target_params=local)
        delayed = self.official and "loss_qvalue" in self.terms
        self.convert_to_functional(value_network, "value_network", create_target_params=delayed)
        self.convert_to_functional(mixer_network, "mixer_network", create_target_params=self.official)

    # Keys ---------------------------------------------------------------------------

    @property
    def out_keys(self) -> list[NestedKey]:
        """The losses, then the detached diagnostics."""
        if self._out_keys is None:
            found: list[NestedKey] = list(self.terms)
            if "loss_qvalue" in self.terms:
                found.append(self.tensor_keys.global_qvalue)
            if self.terms != ("loss_qvalue",):
                found += [self.tensor_keys.global_value, *DIAGNOSTICS]
            self._out_keys = found
        return self._out_keys

    @out_keys.setter
    def out_keys(self, values: list[NestedKey]) -> None:
        self._out_keys = values

    def set_keys(self, **kwargs: NestedKey | None) -> None:
        """Rename entries, see :class:`MultiAgentLoss`; ``None`` restores the default."""
        super().set_keys(**kwargs)
        self._out_keys = None

    def _network_keys(self) -> Iterable[NestedKey]:
        present: list[TensorDictModuleBase] = [self.qvalue_network, self.mixer_network]
        if self.terms != ("loss_qvalue",):
            present.append(self.value_network)
        if "loss_actor" in self.terms:
            present.append(self.actor_network)
        yield from (key for network in present for key in network.in_keys)
        if "loss_qvalue" in self.terms:
            for network in (self.value_network, self.mixer_network):
                yield from (next_key(key) for key in network.in_keys)

    def _data_keys(self) -> Iterable[NestedKey]:
        yield self.tensor_keys.action
        if "loss_qvalue" in self.terms:
            yield next_key(self.tensor_keys.reward)
            yield next_key(self.tensor_keys.terminated)
            yield next_key(self.tensor_keys.done)

    # Targets ------------------------------------------------------------------------

    def make_value_estimator(self, value_type: ValueEstimators | None = None, **hyperparams: float) -> None:
        """Choose the target of Q_tot: ``TD0`` (default) or ``TDLambda``.

        TDLambda needs time in the last batch dimension, ``[*B, T]``, with ``done`` where a
        sequence ends, as :class:`torchrl.data.SliceSampler` gives it.

        Args:
            value_type: the estimator.
            **hyperparams: ``gamma``, and ``lmbda`` (default 0.95) for TDLambda.

        Raises:
            NotImplementedError: for another estimator.
        """
        value_type = value_type or self.default_value_estimator
        known = {ValueEstimators.TD0: {"gamma"}, ValueEstimators.TDLambda: {"gamma", "lmbda"}}
        if value_type not in known:
            raise NotImplementedError(
                f"{type(self).__name__}: value estimator {value_type} is not supported; "
                "choose TD0 or TDLambda."
            )
        unknown = set(hyperparams) - known[value_type]
        if unknown:
            raise TypeError(f"{type(self).__name__}: {value_type} takes no {sorted(unknown)}.")
        for name, value in hyperparams.items():
            getattr(self, name).fill_(value)
        self.value_type = value_type

    @torch.no_grad()
    def _target(self, inputs: TensorDictBase, batch: torch.Size, mask: Tensor | None) -> Tensor:
        reward = self._team_entry(inputs, next_key(self.tensor_keys.reward), batch)
        terminated = self._team_entry(inputs, next_key(self.tensor_keys.terminated), batch)
        following = inputs.get("next")
        delayed = self.official
        value = self._run("value_network", following, target=delayed)
        local = self._agent_entry(value, self.tensor_keys.local_value, "value")
        weight, bias = self._mixing(following, target=delayed)
        next_value = kernels.mix_linearly(local, weight, bias)
        if self.value_type == ValueEstimators.TD0:
            return kernels.one_step_target(reward, next_value, terminated, self.gamma)
        done = self._team_entry(inputs, next_key(self.tensor_keys.done), batch)
        if mask is not None:  # a sequence ends where its padding begins
            done = done | ~torch.cat([mask[..., 1:], mask[..., -1:]], -1)
        return kernels.lambda_target(reward, next_value, terminated, done, self.gamma, self.lmbda)

    # Evaluation -----------------------------------------------------------------------

    def _mixing(self, inputs: TensorDictBase, *, target: bool = False) -> tuple[Tensor, Tensor]:
        """Mixer weight ``[*B, N]`` and bias ``[*B]``."""
        mixed = self._run("mixer_network", inputs, target=target)
        weight = self._agent_entry(mixed, self.tensor_keys.mixer_weight, "mixer")
        return weight, self._team_entry(mixed, self.tensor_keys.mixer_bias, weight.shape[:-1])

    def _qvalue(self, inputs: TensorDictBase, *, target: bool = False) -> Tensor:
        """Local Q of the data actions, ``[*B, N]``."""
        key = self.tensor_keys.local_qvalue
        written = self._run("qvalue_network", inputs, target=target)
        action = inputs.get(self.tensor_keys.action)
        if action.dtype.is_floating_point:
            return self._agent_entry(written, key, "Q")
        qvalue = written.get(key)
        index = action_index(action, qvalue.shape[:-1])
        return qvalue.gather(-1, index.unsqueeze(-1)).squeeze(-1)

    def _local_terms(self, inputs: TensorDictBase, weight: Tensor, mask: Tensor | None) -> LocalTerms:
        with torch.no_grad():
            qvalue = self._qvalue(inputs, target=True)
            if self.official:
                weight, _ = self._mixing(inputs, target=True)
            weight = weight.detach()
        value = self._agent_entry(self._run("value_network", inputs), self.tensor_keys.local_value, "value")
        named = "[*batch, agents] of the Q network"
        require_shape(type(self).__name__, self.tensor_keys.local_value, value, qvalue.shape, named)
        require_shape(type(self).__name__, self.tensor_keys.mixer_weight, weight, qvalue.shape, named)
        alpha = self.alpha.clone() if self.auto_alpha else self.alpha
        z = kernels.scaled_advantage(qvalue, value.detach(), weight, alpha)
        valid = None if mask is None else mask.unsqueeze(-1).expand_as(z)
        return LocalTerms(qvalue, value, weight, alpha, z, valid)

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The losses of this class and its diagnostics, detached, as scalars.

        Args:
            tensordict: data with the entries of ``in_keys``.

        Returns:
            TensorDict with the entries of ``out_keys``; ``mixer_weight`` is ``[N]``.
        """
        out = TensorDict(self._evaluate(tensordict, self.terms), [])
        self._clear_weakrefs(
            tensordict, "qvalue_network_params", "value_network_params", "mixer_network_params"
        )
        return out

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        """The losses named in ``terms`` and the diagnostics, each network evaluated once."""
        inputs, mask = self._inputs(tensordict)
        trains_mixer = "loss_qvalue" in terms
        with torch.set_grad_enabled(torch.is_grad_enabled() and trains_mixer):
            weight, bias = self._mixing(inputs)
        out: dict[str, Tensor] = {}
        if trains_mixer:
            out |= self._qvalue_term(inputs, weight, bias, mask)
        if "loss_value" in terms or "loss_actor" in terms:
            local = self._local_terms(inputs, weight, mask)
            global_value = kernels.mix_linearly(local.value.detach(), weight.detach(), bias.detach())
            out[self.tensor_keys.global_value] = masked_mean(global_value, mask)
            out |= self._local_losses(inputs, local, terms, mask)
        return out

    def _qvalue_term(
        self, inputs: TensorDictBase, weight: Tensor, bias: Tensor, mask: Tensor | None
    ) -> dict[str, Tensor]:
        global_qvalue = kernels.mix_linearly(self._qvalue(inputs), weight, bias)
        target = self._target(inputs, global_qvalue.shape, mask)
        return {
            "loss_qvalue": self._reduce((global_qvalue - target).square(), mask),
            self.tensor_keys.global_qvalue: masked_mean(global_qvalue.detach(), mask),
        }

    def _local_losses(
        self, inputs: TensorDictBase, local: LocalTerms, terms: Collection[str], mask: Tensor | None
    ) -> dict[str, Tensor]:
        cap, overflow = self.max_scaled_advantage, self.overflow
        out: dict[str, Tensor] = {}
        if "loss_value" in terms:
            loss = kernels.omiga_value_loss(
                *(local.qvalue, local.value, local.weight, local.alpha),
                max_scaled_advantage=cap,
                overflow=overflow,
            )
            if self.official:
                loss = loss * kernels.batch_max_scale(local.z, cap, local.valid)
            out["loss_value"] = self._reduce(loss, mask)
        exp_z = kernels.policy_weight(local.z, max_scaled_advantage=cap, overflow=overflow)
        if "loss_actor" in terms:
            out["loss_actor"] = self._reduce(-exp_z * self._log_prob(inputs), mask)
        sample_size = kernels.effective_sample_size(exp_z, local.valid)
        if self.auto_alpha and self.training and torch.is_grad_enabled():
            target = self.target_sample_size
            self.alpha.copy_(kernels.updated_alpha(local.alpha, sample_size, target=target))
        return out | diagnose(local, sample_size, cap, overflow)
