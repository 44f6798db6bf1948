"""`PureStep`: a gradient step as a function from state and batch to the next state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.objectives import SoftUpdate
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.objectives.checks import unchecked
from omiga_torchrl.trainers.compiled.optimizers import (
    AdamMoments,
    adam_update,
    optimizer_state,
    read_settings,
)
from omiga_torchrl.trainers.compiled.state import StepInputs, StepState, undo_unless
from omiga_torchrl.trainers.compiled.targets import target_pairs
from omiga_torchrl.trainers.compiled.tensors import LossTensors
from omiga_torchrl.trainers.diagnosis import all_finite
from omiga_torchrl.trainers.parameter_groups import ParameterGroups
from omiga_torchrl.trainers.precision import Precision, autocast
from omiga_torchrl.trainers.step import (
    GRAD_NORM_PREFIX,
    TARGETS,
    AdaptiveLoss,
    check_update_intervals,
    clipping_scale,
    finite_terms,
    total_loss,
)


class PureStep:
    """:func:`omiga_torchrl.trainers.train_step` as a function without side effects.

    ``step(state, batch, inputs)`` gives the next state and the output of the loss. It reads no tensor but its
    arguments, changes none, and waits for no device, so that it can be tested, traced into one graph
    (:func:`omiga_torchrl.trainers.compiled.trace_step`), and mapped over several runs. Random numbers come
    from torch's global generators; a traced step takes them as an argument.

    Args:
        loss: from a batch to a TensorDict whose scalar entries ``loss*`` are minimised.
        optimizer: Adam or AdamW of the parameters in ``parameter_groups``.
        parameter_groups: name to parameters, disjoint; each is clipped by its own norm.
        clip_grad_norm: largest gradient norm of each group; ``None`` does not clip.
        target_updater: TorchRL's or this library's soft or hard update.
        update_intervals: as of ``train_step``.
        precision: as of :class:`omiga_torchrl.trainers.OfflineTrainer`.
        skip_nonfinite: as of ``train_step``, without waiting for the device.

    Attributes:
        known: all tensors of the loss.
        parameters: the trained ones, in the order of the groups.

    Raises:
        ValueError: another optimizer or target updater.

    Examples:
        >>> from omiga_torchrl.algorithms import make_bc
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=2, observation_size=3, action_size=1, state_size=4)
        >>> parts = make_bc(spec)
        >>> groups = parts.parameter_groups
        >>> step = PureStep(parts.loss, torch.optim.Adam(groups["actor"]), groups)
        >>> before = step.state()
        >>> after, out = step(before, spec.fake_batch(8), step.inputs(1))
        >>> sorted(out.keys())
        ['grad_norm_actor', 'loss_actor']
        >>> weight = step.known.index(groups["actor"][0])
        >>> bool((after.tensors[weight] == before.tensors[weight]).all())  # the state before is as it was
        False
    """

    def __init__(
        self,
        loss: nn.Module,
        optimizer: torch.optim.Optimizer,
        parameter_groups: ParameterGroups,
        *,
        clip_grad_norm: float | None = 1.0,
        target_updater: TargetNetUpdater | None = None,
        update_intervals: Mapping[str, int] | None = None,
        precision: Precision = "highest",
        skip_nonfinite: bool = False,
    ) -> None:
        self.loss, self.optimizer, self.precision = loss, optimizer, precision
        self.known = LossTensors(loss)
        self.clip_grad_norm, self.target_updater = clip_grad_norm, target_updater
        self.skip_nonfinite = skip_nonfinite
        self.intervals = check_update_intervals(update_intervals, parameter_groups, target_updater)
        settings = read_settings(optimizer)
        self.parameters = [p for group in parameter_groups.values() for p in group]
        self._owner = [name for name, group in parameter_groups.items() for _ in group]
        self._trained = [self.known.index(parameter) for parameter in self.parameters]
        self._settings = [settings[id(parameter)] for parameter in self.parameters]
        self._targets = target_pairs(target_updater, self.known)
        self._scalars: dict[tuple[type, float], Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where the trained parameters are."""
        return self.parameters[0].device

    def state(self) -> StepState:
        """The live tensors of the loss and the optimizer, not copies."""
        return StepState(
            [tensor.detach() for tensor in self.known.tensors],
            [optimizer_state(self.optimizer, parameter) for parameter in self.parameters],
        )

    def inputs(self, step: int) -> StepInputs:
        """The inputs of a step, from the optimizer's learning rates, the intervals and the target updater.

        Args:
            step: its number, from 1.
        """
        counter = getattr(self.target_updater, "counter", None)
        sync = counter is None or counter == cast(Any, self.target_updater).value_network_update_interval
        return StepInputs(
            [self._scalar(float(group["lr"])) for group in self.optimizer.param_groups],
            {name: self._scalar(step % every == 0) for name, every in self.intervals.items()},
            self._scalar(sync),
        )

    def count(self, step: int) -> None:
        """Tells the optimizer and the target updater of a step, which schedules and counters look for.

        Args:
            step: the number of the step that was done.
        """
        cast(Any, self.optimizer)._opt_called = True
        updater = cast(Any, self.target_updater)
        if hasattr(updater, "counter") and step % self.intervals.get(TARGETS, 1) == 0:
            full = updater.counter == updater.value_network_update_interval
            updater.counter = 0 if full else updater.counter + 1

    def _scalar(self, value: float | bool) -> Tensor:
        known = self._scalars.get((type(value), value))
        if known is None:
            dtype = torch.bool if isinstance(value, bool) else torch.float64
            known = torch.full((), value, dtype=dtype, device=self.device)
            if len(self._scalars) > 100:  # a schedule gives a new rate at every step
                self._scalars.clear()
            self._scalars[type(value), value] = known
        return known

    def __call__(
        self, state: StepState, batch: TensorDictBase, inputs: StepInputs
    ) -> tuple[StepState, TensorDictBase]:
        """The next state, and the output of the loss with ``grad_norm_<group>`` before clipping, detached.

        Args:
            state: of :meth:`state`, or of another run of the same structure.
            batch: data `[*batch_size]`; the loss may write priorities to it.
            inputs: of :meth:`inputs`.
        """
        tensors = [tensor.detach().clone() for tensor in state.tensors]
        leaves = [tensors[index].requires_grad_() for index in self._trained]
        with self.known.replaced_by(tensors):
            with autocast(self.device, self.precision), unchecked():
                losses = self.loss(batch)
            found = torch.autograd.grad(total_loss(losses), leaves, allow_unused=True)
            gradients: list[Tensor | None] = list(found)
            out = losses.detach()
            with torch.no_grad():
                norms = self._clip(gradients)
                moments = self._optimize(leaves, gradients, state.moments, inputs)
                if isinstance(self.loss, AdaptiveLoss):
                    self.loss.advance(out)
                if self.skip_nonfinite:
                    healthy = all_finite(finite_terms(out, norms))
                    moments = undo_unless(healthy, tensors, moments, state)
                self._move_targets(tensors, inputs)
        return StepState([tensor.detach() for tensor in tensors], moments), out.update(norms)

    def _clip(self, gradients: list[Tensor | None]) -> dict[str, Tensor]:
        norms = {}
        for group in dict.fromkeys(self._owner):
            members = [i for i, owner in enumerate(self._owner) if owner == group]
            known = {i: gradient for i in members if (gradient := gradients[i]) is not None}
            if not known:
                continue
            squares = [gradient.square().sum() for gradient in known.values()]
            norm = torch.stack(squares).sum().sqrt()
            norms[f"{GRAD_NORM_PREFIX}_{group}"] = norm
            if self.clip_grad_norm is not None:
                scale = clipping_scale(norm, self.clip_grad_norm)
                gradients[:] = [g if i not in known else known[i] * scale for i, g in enumerate(gradients)]
        return norms

    def _optimize(
        self,
        leaves: list[Tensor],
        gradients: list[Tensor | None],
        moments: list[AdamMoments],
        inputs: StepInputs,
    ) -> list[AdamMoments]:
        following = []
        for leaf, gradient, old, owner, (group, settings) in zip(
            leaves, gradients, moments, self._owner, self._settings, strict=True
        ):
            if gradient is None:  # PyTorch leaves these alone, too
                following.append(AdamMoments(*(value.clone() for value in old)))
                continue
            value, new = adam_update(leaf, gradient, old, inputs.lr[group], settings)
            due = inputs.due.get(owner)
            if due is not None:
                value = torch.where(due, value, leaf)
                new = AdamMoments(*(torch.where(due, a, b) for a, b in zip(new, old, strict=True)))
            leaf.copy_(value)
            following.append(new)
        return following

    def _move_targets(self, tensors: list[Tensor], inputs: StepInputs) -> None:
        updater, due = self.target_updater, inputs.due.get(TARGETS)
        share = 1 - updater.eps if isinstance(updater, SoftUpdate) else None
        for source, target in self._targets:
            old = tensors[target]
            new = tensors[source] if share is None else torch.lerp(old, tensors[source], share)
            for condition in (due, inputs.sync if share is None else None):
                new = new if condition is None else torch.where(condition, new, old)
            old.copy_(new)
