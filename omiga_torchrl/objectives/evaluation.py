"""`NetworkView`: the networks of a loss evaluated on a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor
from torch.distributions import Distribution

from omiga_torchrl.errors import require_key, require_shape
from omiga_torchrl.modules import is_recurrent
from omiga_torchrl.modules.groups import MixedNetwork
from omiga_torchrl.objectives.batch import TeamBatch
from omiga_torchrl.objectives.entries import BatchView

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss

Result = TypeVar("Result")


def full_precision(value: Tensor) -> Tensor:
    """``value`` in float32 if it has half of it: autocast ends where losses begin."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


class NetworkView(BatchView):
    """The outputs of a loss's networks on a batch, at one step.

    The base of :class:`omiga_torchrl.objectives.view.TeamView`, which adds the quantities of equations.

    Args:
        loss: gives networks and keys.
        batch: the entries, see :func:`omiga_torchrl.objectives.batch.read_batch`.

    Keyword Args:
        at_next: read the next step.
        is_target: evaluate the target networks.
        with_grad: keep gradients.
    """

    def __init__(
        self,
        loss: TeamLoss,
        batch: TeamBatch,
        *,
        at_next: bool = False,
        is_target: bool = False,
        with_grad: bool = True,
    ) -> None:
        super().__init__(loss, batch, at_next=at_next)
        self._is_target, self.has_grad = is_target, with_grad

    # Networks -----------------------------------------------------------------------------

    def run(
        self,
        name: str,
        action: Tensor | None = None,
        *,
        detach_params: bool = False,
        first_critic: bool = False,
    ) -> TensorDictBase:
        """Output of a network, in a TensorDict of its own.

        Args:
            name: its attribute, e.g. ``"qvalue_network"``.
            action: actions in place of the data's, with their shape, or ``[M, *B, N, A]`` for M samples each:
                then all outputs begin with M.

        Keyword Args:
            detach_params: only the action gets a gradient, not the parameters; target networks, too.
            first_critic: of the Q network, evaluate the first member of the ensemble only.
        """
        return self.with_network(
            name, lambda network, inputs: network(inputs), action, detach_params, first_critic
        )

    def with_network(
        self,
        name: str,
        use: Callable[[Any, TensorDictBase], Result],
        action: Tensor | None = None,
        detach_params: bool = False,
        first_critic: bool = False,
    ) -> Result:
        """Call ``use(network, inputs)`` with the network's parameters in place.

        Args:
            name: attribute of the network.
            use: what to do with it; the inputs are a scratch TensorDict. For memories at the next step they
                begin one step earlier, and TensorDicts that ``use`` returns are cut to the steps after it.
            action: see :meth:`run`.
            detach_params: see :meth:`run`.
            first_critic: see :meth:`run`.

        Raises:
            ValueError: the loss has no such network.
        """
        loss = self.loss
        if name not in loss.networks:
            raise ValueError(
                f"{type(loss).__name__}: has no {name}, got networks {', '.join(loss.networks)}. Its terms "
                f"are {', '.join(loss.terms)}; evaluate one of them."
            )
        network = self.network(name, first_critic=first_critic)
        inputs = self._inputs(network, action)
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and (self.has_grad or detach_params)),
            self._params(name, detach_params).to_module(network, preserve_module_state=False),
        ):
            out = use(network, inputs)
        if self._starts_early(network) and isinstance(out, TensorDictBase):
            time = self._time(action)
            shorter = {
                key: value.narrow(time, 1, value.shape[time] - 1) for key, value in out.items(True, True)
            }
            return cast(Result, TensorDict(shorter, []))
        return out

    def network(self, name: str, *, first_critic: bool = False) -> TensorDictModuleBase:
        """The module of a network, of a mixed team that of these agents' kind.

        Args:
            name: its attribute.

        Keyword Args:
            first_critic: of the Q network, the view of its first member.

        Raises:
            ValueError: there is none for this kind of actions.
        """
        network = self.loss.first_critic[0] if first_critic else getattr(self.loss, name)
        if not isinstance(network, MixedNetwork):
            return cast(TensorDictModuleBase, network)
        if self.batch.kind not in network.kinds:
            raise ValueError(
                f"{type(self.loss).__name__}: the {name} is of {' and '.join(network.kinds)} actions, got a "
                f"batch of {self.batch.kind} ones. Evaluate it on batch.parts."
            )
        return cast(TensorDictModuleBase, network.kinds[self.batch.kind])

    def _params(self, name: str, detached: bool) -> TensorDictBase:
        params: TensorDictBase = getattr(self.loss, f"{'target_' * self._is_target}{name}_params")
        params = self._all_params(name, params, detached)
        is_mixed = isinstance(getattr(self.loss, name), MixedNetwork)
        return params.get(("kinds", self.batch.kind)) if is_mixed else params

    def _all_params(self, name: str, params: TensorDictBase, detached: bool) -> TensorDictBase:
        shared = self.loss.shared_entries[name]
        if detached:
            return params.detach()
        if not (self.loss.separate_losses and shared):
            return params
        return params.named_apply(
            lambda key, value: value.detach() if key in shared else value, nested_keys=True
        )

    def _starts_early(self, network: TensorDictModuleBase) -> bool:
        """A memory that started at the second step of a sequence would not have seen the first."""
        return self._at_next and self.loss.is_recurrent and is_recurrent(network)

    def _has_samples(self, action: Tensor | None) -> bool:
        return action is not None and action.ndim > len(self.agents) + (not self.is_discrete)

    def _time(self, action: Tensor | None) -> int:
        return len(self.batch.size) - 1 + self._has_samples(action)

    def _inputs(self, network: TensorDictModuleBase, action: Tensor | None) -> TensorDictBase:
        samples = (len(action),) if action is not None and self._has_samples(action) else ()
        early, out = self._starts_early(network), TensorDict({}, [])
        for key in network.in_keys:
            if key in self.loss.computed_keys and self.data.get(key, None) is None:
                continue  # `use` supplies it
            replaced = key == self.loss.tensor_keys.action and action is not None
            value = cast(Tensor, action) if replaced else self.data.get(key)
            if not replaced:
                value = value.expand(*samples, *value.shape)
            if early:
                first = self.batch.data.get(key)
                first = first.expand(*samples, *first.shape).narrow(self._time(action), 0, 1)
                value = torch.cat([first, value], self._time(action))
            out.set(key, value)
        return out

    def distribution(self, name: str) -> Distribution:
        """Distribution of a policy ``[*B, N]``.

        Args:
            name: attribute of a ``ProbabilisticTensorDictSequential``. Models whose distribution evaluates
                networks, as :class:`omiga_torchrl.modules.ConditionalVAE`, need :meth:`with_distribution`.
        """
        network = cast(ProbabilisticTensorDictSequential, self.network(name))
        params = self.with_network(name, lambda net, inputs: net.get_dist_params(inputs))
        return network[-1].get_dist(params)

    def with_distribution(
        self, name: str, use: Callable[[Distribution], Result], *, detach_params: bool = False
    ) -> Result:
        """Call ``use(distribution)`` of a policy or behavior model with its parameters in place.

        Args:
            name: attribute of the network.
            use: what to do with it.

        Keyword Args:
            detach_params: no gradient to the parameters, only to what ``use`` brings.
        """
        if isinstance(self.network(name), ProbabilisticTensorDictSequential):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not detach_params):
                distribution = self.distribution(name)
            return use(distribution)
        return self.with_network(
            name, lambda net, inputs: use(net.get_dist(inputs)), detach_params=detach_params
        )

    def output(self, name: str, key: NestedKey) -> Tensor:
        """One output ``[*B, N, 1]`` of a network, as ``[*B, N]``.

        Args:
            name: attribute of the network.
            key: what it writes.

        Raises:
            KeyError: the network does not write it.
            ValueError: it does not end in one feature for each agent.
        """
        component = type(self.loss).__name__
        value = require_key(component, self.run(name), key, f"Does the {name} write it?")
        expected = (*self.agents, 1)
        require_shape(component, key, value, expected, "[*batch, agents, 1]", f"Check the {name}.")
        return full_precision(value).squeeze(-1)
