"""The three terms of OMIGA, from one evaluation of each network."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Literal

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number, require_shape, unknown_name
from omiga_torchrl.functional.advantage import Overflow
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.critic import MixedCriticLoss
from omiga_torchrl.objectives.diagnostics import DIAGNOSTICS, LocalTerms, diagnose, masked_mean

Variant = Literal["paper", "official"]


class OMIGATerms(MixedCriticLoss):
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
        burn_in: first steps of every sequence without terms.
        reduction: of the losses.
    """

    _schedulable_buffers = frozenset({"alpha", "gamma"})
    _with_parameters = ("qvalue_network_params", "value_network_params", "mixer_network_params")

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
        burn_in: int = 0,
        reduction: str | None = None,
    ) -> None:
        super().__init__(reduction, burn_in, gamma=gamma)
        component = type(self).__name__
        if variant not in ("paper", "official"):
            raise unknown_name(component, "variant", variant, ("paper", "official"))
        if overflow not in (None, "linear", "clamp"):
            raise unknown_name(component, "overflow", overflow, ("linear", "clamp"))
        if alpha != "auto" and not (isinstance(alpha, (int, float)) and 0 < alpha < math.inf):
            raise ValueError(f"{component}: alpha is {alpha!r}; expected a number > 0 or 'auto'.")
        require_number(component, "> 0", max_scaled_advantage=max_scaled_advantage)
        require_number(component, "in [0, 1]", target_sample_size=target_sample_size)
        self.official = variant == "official"
        self.auto_alpha = alpha == "auto"
        self.max_scaled_advantage = max_scaled_advantage
        self.overflow: Overflow = overflow or ("clamp" if self.official else "linear")
        self.target_sample_size = target_sample_size
        self.register_coeff_buffer("alpha", 1.0 if alpha == "auto" else float(alpha))
        # Target parameters exist only where a term reads them.
        local = self.terms != ("loss_qvalue",)
        if actor_network is not None:
            self.convert_to_functional(actor_network, "actor_network")
        self.convert_to_functional(qvalue_network, "qvalue_network", create_target_params=local)
        delayed = self.official and "loss_qvalue" in self.terms
        self.convert_to_functional(value_network, "value_network", create_target_params=delayed)
        self.convert_to_functional(mixer_network, "mixer_network", create_target_params=self.official)

    # Keys ---------------------------------------------------------------------------

    def _found_out_keys(self) -> list[NestedKey]:
        found: list[NestedKey] = list(self.terms)
        if "loss_qvalue" in self.terms:
            found.append(self.tensor_keys.global_qvalue)
        if self.terms != ("loss_qvalue",):
            found += [self.tensor_keys.global_value, *DIAGNOSTICS]
        return found

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
        return super()._data_keys() if "loss_qvalue" in self.terms else [self.tensor_keys.action]

    # Targets ------------------------------------------------------------------------

    @torch.no_grad()
    def _target(self, inputs: TensorDictBase, batch: torch.Size, mask: Tensor | None) -> Tensor:
        delayed = self.official
        local = self._next_local_value(inputs, target=delayed)
        weight, bias = self._next_mixing(inputs, target=delayed)
        return self._bootstrapped(inputs, kernels.mix_linearly(local, weight, bias), batch, mask)

    # Evaluation -----------------------------------------------------------------------

    def _local_terms(self, inputs: TensorDictBase, weight: Tensor, mask: Tensor | None) -> LocalTerms:
        with torch.no_grad():
            qvalue = self._qvalue(inputs, target=True)
            if self.official:
                weight, _ = self._mixing(inputs, target=True)
            weight = weight.detach()
        value = self._local_value(inputs)
        named = "[*batch, agents] of the Q network"
        require_shape(type(self).__name__, self.tensor_keys.local_value, value, qvalue.shape, named)
        require_shape(type(self).__name__, self.tensor_keys.mixer_weight, weight, qvalue.shape, named)
        alpha = self.alpha.clone() if self.auto_alpha else self.alpha
        z = kernels.scaled_advantage(qvalue, value.detach(), weight, alpha)
        return LocalTerms(qvalue, value, weight, alpha, z, self._entries(inputs, mask, z.shape))

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
            out |= self._local_losses(inputs, local, terms)
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
        self, inputs: TensorDictBase, local: LocalTerms, terms: Collection[str]
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
            out["loss_value"] = self._reduce(loss, local.valid)
        exp_z = kernels.policy_weight(local.z, max_scaled_advantage=cap, overflow=overflow)
        if "loss_actor" in terms:
            out["loss_actor"] = self._reduce(-exp_z * self._log_prob(inputs), local.valid)
        sample_size = kernels.effective_sample_size(exp_z, local.valid)
        if self.auto_alpha and self.training and torch.is_grad_enabled():
            target = self.target_sample_size
            self.alpha.copy_(kernels.updated_alpha(local.alpha, sample_size, target=target))
        return out | diagnose(local, sample_size, cap, overflow)
