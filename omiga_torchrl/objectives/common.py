"""What every loss of the library shares: inputs, network calls, reductions, shape checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor
from torch.distributions import Categorical, Distribution

from omiga_torchrl.errors import require_key, require_shape
from omiga_torchrl.modules import is_recurrent
from omiga_torchrl.objectives.inputs import LossInputs, action_index
from omiga_torchrl.objectives.sequences import with_first_step

Result = TypeVar("Result")


def log_probabilities(policy: Distribution) -> Tensor:
    """Log probability of every action of a discrete policy, ``[*B, N, K]``.

    Args:
        policy: its distribution.

    Examples:
        >>> log_probabilities(Categorical(logits=torch.zeros(1, 2))).exp()
        tensor([[0.5000, 0.5000]])
    """
    return cast(Categorical, policy).logits.log_softmax(-1)


class MultiAgentLoss(LossInputs):
    """Base of the losses of a team: a subclass gives one method ``*_loss`` a term.

    See :class:`LossInputs` for masks, absent agents and recurrent networks.
    """

    def _reduce(self, loss: Tensor, mask: Tensor | None) -> Tensor:
        """Reduce an elementwise loss over its valid entries; with ``"none"`` zero the others."""
        if mask is None:
            return self._reduce_loss(loss)
        mask = self._expand_loss_mask(mask, loss)
        loss = torch.where(mask, loss, 0.0)
        if self.reduction == "mean":
            return loss.sum() / mask.sum().clamp(min=1)
        return self._reduce_loss(loss)

    def _run(
        self, name: str, tensordict: TensorDictBase, *, target: bool = False, frozen: bool = False
    ) -> TensorDictBase:
        """Call network ``name`` with its online or target parameters; it writes into ``tensordict``.

        ``frozen`` keeps gradients from the parameters, but not from the inputs.
        """
        network: TensorDictModuleBase = getattr(self, name)
        params = getattr(self, f"target_{name}_params" if target else f"{name}_params")
        with (params.data if frozen else params).to_module(network, preserve_module_state=False):
            return network(tensordict)

    def _run_next(self, name: str, inputs: TensorDictBase, *, target: bool = False) -> TensorDictBase:
        """Call network ``name`` on the entries under ``"next"`` of ``inputs``, and write there.

        Memories see a sequence from its first step on.
        """
        following = inputs.get("next")
        if not self._recurrent:
            return self._run(name, following, target=target)
        network: TensorDictModuleBase = getattr(self, name)
        time = self._time(inputs)
        out = self._run(name, with_first_step(inputs, following, network.in_keys, time), target=target)
        return self._copy_later_steps(out, network.out_keys, following, time)

    @staticmethod
    def _copy_later_steps(
        source: TensorDictBase, names: Iterable[NestedKey], following: TensorDictBase, time: int
    ) -> TensorDictBase:
        for key in names:
            value = source.get(key)
            following.set(key, value.narrow(time, 1, value.shape[time] - 1))
        return following

    def _agent_entry(self, tensordict: TensorDictBase, key: NestedKey, network: str) -> Tensor:
        """Entry ``[*B, N, 1]`` written by ``network``, as ``[*B, N]``."""
        component = type(self).__name__
        value = require_key(component, tensordict, key, f"Does the {network} network write it?")
        if value.shape[-1] != 1:
            raise ValueError(
                f"{component}: {key!r} has shape {tuple(value.shape)}; expected [*batch, agents, 1]. "
                f"Does the {network} network end in one feature?"
            )
        return value.squeeze(-1)

    def _team_entry(self, tensordict: TensorDictBase, key: NestedKey, batch: torch.Size) -> Tensor:
        """Entry ``[*B, 1]`` of the data, as ``[*B]``."""
        value = tensordict.get(key)
        hint = (
            "It looks like one value per agent: reduce it to the team's with mean or sum over agents."
            if value.shape != batch
            else "Did you forget unsqueeze(-1)?"
        )
        require_shape(type(self).__name__, key, value, (*batch, 1), "[*batch, 1]", hint)
        return value.squeeze(-1)

    def _log_prob(self, tensordict: TensorDictBase, name: str = "actor_network") -> Tensor:
        """Log density of the data actions under the policy or another distribution, ``[*B, N]``."""
        return self._with_distribution(name, tensordict, lambda found: self._log_prob_of(found, tensordict))

    def _likelihood_term(self, inputs: TensorDictBase, mask: Tensor | None, name: str) -> Tensor:
        """The mean negative log density of the data actions under network ``name``."""
        log_prob = self._log_prob(inputs, name)
        return self._reduce(-log_prob, self._entries(inputs, mask, log_prob.shape))

    def _with_distribution(
        self,
        name: str,
        tensordict: TensorDictBase,
        use: Callable[[Distribution], Result],
        *,
        frozen: bool = False,
    ) -> Result:
        """What ``use`` makes of the distribution of network ``name``, with its parameters in place.

        ``frozen`` keeps gradients from the parameters, but not from what ``use`` brings.
        """
        network: ProbabilisticTensorDictSequential = getattr(self, name)
        params = getattr(self, f"{name}_params")
        with (params.data if frozen else params).to_module(network, preserve_module_state=False):
            return use(network.get_dist(tensordict))

    def _with_next_distribution(
        self,
        name: str,
        inputs: TensorDictBase,
        use: Callable[[Distribution], Result],
        *,
        target: bool = False,
    ) -> Result:
        """What ``use`` makes of the distribution of network ``name`` at the entries under ``"next"``."""
        network: ProbabilisticTensorDictSequential = getattr(self, name)
        following = inputs.get("next")
        params = getattr(self, f"target_{name}_params" if target else f"{name}_params")
        with params.to_module(network, preserve_module_state=False):
            if not is_recurrent(network):
                return use(network.get_dist(following))
            time = self._time(inputs)
            found = network.get_dist_params(with_first_step(inputs, following, network.in_keys, time))
            wanted = network[-1].in_keys
            return use(network[-1].get_dist(self._copy_later_steps(found, wanted, following, time)))

    def _log_prob_of(self, distribution: Distribution, tensordict: TensorDictBase) -> Tensor:
        """Log density of the data actions under ``distribution``, ``[*B, N]``."""
        action = tensordict.get(self.tensor_keys.action)
        if not action.dtype.is_floating_point:
            action = action_index(action, distribution.batch_shape)
        log_prob = distribution.log_prob(action)
        agents = distribution.batch_shape
        require_shape(
            type(self).__name__,
            self.tensor_keys.action,
            log_prob,
            agents,
            "[*batch, agents]",
            "The policy's distribution must have the action features as its event.",
        )
        return log_prob
