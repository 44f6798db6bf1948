"""`StackedFQE`: fitted-Q evaluation of many policies with several seeds at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from torch import Tensor

from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.checks import unchecked
from omiga_torchrl.selection.config import FQEConfig
from omiga_torchrl.trainers.compiled.targets import target_pairs
from omiga_torchrl.trainers.compiled.tensors import LossTensors

Actions = Mapping[NestedKey, Tensor]


class StackedFQE:
    """Fits Q of P policies, each with K seeds, by one step that is mapped over their stacked parameters.

    A seed has its own initial weights and batches; the policies share both, so that their differences are
    those of the policies. Each fit equals one made alone up to rounding.

    Args:
        spec: sizes of the team.
        config: networks and optimisation.

    Keyword Args:
        value_range: bounds of the targets, see :class:`omiga_torchrl.objectives.FQELoss`.
        seed: first of the K seeds.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> data, config = spec.fake_batch(64), FQEConfig(hidden_sizes=(8,), batch_size=16, seeds=2)
        >>> actions = {("agents", "action"): torch.rand(4, 64, 3, 2)}  # of four policies
        >>> fits = StackedFQE(spec, config).for_policies(4)
        >>> fits.fit(data, actions, steps=3)
        >>> fits.values(data[:5], {("agents", "action"): torch.rand(4, 5, 3, 2)}).shape
        torch.Size([4, 2, 5])
    """

    def __init__(
        self,
        spec: AnyTeamSpec,
        config: FQEConfig,
        *,
        value_range: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.spec, self.config = spec, config
        losses = []
        with torch.random.fork_rng(devices=[]):
            for k in range(config.seeds):
                torch.manual_seed(seed + k)
                losses.append(config.loss(spec, value_range))
        self.loss = losses[0]
        self._known = LossTensors(self.loss)
        # Of any tau: it only tells which tensor is whose target, and `fit` moves the stacked ones.
        pairs = target_pairs(ForeachSoftUpdate(self.loss, tau=0.005), self._known)
        self._sources, self._targets = ([pair[side] for pair in pairs] for side in (0, 1))
        stacked = zip(*(LossTensors(loss).tensors for loss in losses), strict=True)
        self._tensors = [torch.stack([one.detach() for one in values]).unsqueeze(0) for values in stacked]
        for source, target in pairs:
            self._tensors[target] = self._tensors[source].clone()
        self._generators = [torch.Generator().manual_seed(seed + k) for k in range(config.seeds)]
        self._turns = torch.Generator().manual_seed(seed)

    @property
    def policies(self) -> int:
        """Number of policies P."""
        return len(self._tensors[0])

    def for_policies(self, policies: int) -> StackedFQE:
        """The same fits for a number of policies, each of which begins at the present values.

        Args:
            policies: number P; the present ones are of a single policy.
        """
        other = object.__new__(StackedFQE)
        other.__dict__.update(self.__dict__)
        other._tensors = [tensor.expand(policies, *tensor.shape[1:]).contiguous() for tensor in self._tensors]
        other._generators = [one.clone_state() for one in self._generators]
        other._turns = self._turns.clone_state()
        return other

    def fit(
        self,
        data: TensorDictBase,
        actions: Actions | Sequence[Actions],
        *,
        steps: int,
        rows: Tensor | None = None,
    ) -> None:
        """Gradient steps for every policy and seed.

        Args:
            data: transitions ``[T]``.
            actions: of the policies in the next state of every transition, ``[P, T, ...]`` by key; several
                such samples of a stochastic policy take turns at random.

        Keyword Args:
            steps: number of steps.
            rows: numbers of the transitions to fit; None: all.
        """
        samples = [actions] if isinstance(actions, Mapping) else list(actions)
        entries = self._entries(data)
        rows = torch.arange(len(data)) if rows is None else rows
        self._check(data, samples[0])
        trained = [self._tensors[index].requires_grad_() for index in self._sources]
        optimizer = torch.optim.Adam(trained, lr=self.config.lr, fused=True)
        targets = [self._tensors[index] for index in self._targets]
        step = torch.vmap(torch.vmap(self._loss), in_dims=(0, None, 0))
        size = (self.config.batch_size,)
        for _ in range(steps):
            drawn = [torch.randint(len(rows), size, generator=one) for one in self._generators]
            index = rows[torch.stack(drawn)]
            turn = int(torch.randint(len(samples), (), generator=self._turns))
            batch = {key: value[index] for key, value in entries.items()}
            following = {next_key(key): value[:, index] for key, value in samples[turn].items()}
            loss = step(self._tensors, batch, following).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            torch._foreach_lerp_(targets, [one.detach() for one in trained], self.config.tau)
        self._tensors = [tensor.detach() for tensor in self._tensors]

    @torch.no_grad()
    def values(self, data: TensorDictBase, actions: Actions | None = None, *, chunk: int = 4096) -> Tensor:
        """Team values ``[P, K, R]`` of actions in recorded states, by the target networks.

        Args:
            data: transitions ``[R]``, of which states are read.
            actions: of every policy ``[P, R, ...]`` by key; None: the data's own.

        Keyword Args:
            chunk: transitions evaluated at once.
        """
        entries, found = self._entries(data), []
        value = torch.vmap(torch.vmap(self._value, in_dims=(0, None, None)), in_dims=(0, None, 0))
        given = actions or {
            key: entries[key].expand(self.policies, *entries[key].shape) for key in self._action_keys
        }
        for first in range(0, len(data), chunk):
            span = slice(first, first + chunk)
            part = {key: one[span] for key, one in entries.items()}
            acted = {key: one[:, span] for key, one in given.items()}
            found.append(value(self._tensors, part, acted))
        return torch.cat(found, -1)

    @property
    def _action_keys(self) -> list[NestedKey]:
        return [(name, "action") for name in self.spec.groups]

    def _entries(self, data: TensorDictBase) -> dict[NestedKey, Tensor]:
        """The entries that the loss reads, in memory; the policies' actions are no part of the data."""
        known = [*self.loss.in_keys, *self.loss.tensor_keys.masks]
        groups = self.spec.groups if self.loss.groups is not None else ()
        for name in groups:
            for entry in ("action_mask", "agent_mask"):
                known += [(name, entry), ("next", name, entry)]
        computed = set(map(next_key, self._action_keys))
        entries = {key: data.get(key, None) for key in dict.fromkeys(known) if key not in computed}
        return {key: one.as_subclass(Tensor) for key, one in entries.items() if one is not None}

    def _check(self, data: TensorDictBase, actions: Actions) -> None:
        """One plain evaluation: it refuses what does not fit with its own messages."""
        first = {key: value[:2] for key, value in self._entries(data).items()}
        first |= {next_key(key): value[0, :2] for key, value in actions.items()}
        with torch.no_grad():
            self.loss(_tensordict(first, [2]))

    def _loss(self, tensors: list[Tensor], batch: dict[NestedKey, Tensor], actions: Actions) -> Tensor:
        with self._known.replaced_by(tensors), unchecked():
            return self.loss.qvalue_loss(_tensordict({**batch, **actions}))

    def _value(self, tensors: list[Tensor], batch: dict[NestedKey, Tensor], actions: Actions) -> Tensor:
        following = {next_key(key): action for key, action in actions.items()}  # not evaluated
        with self._known.replaced_by(tensors), unchecked():
            value = self.loss.view(_tensordict({**batch, **actions, **following})).target.q_tot.mean(-1)
        return value if self.loss.has_mixer else value.mean(-1)


def _tensordict(entries: Mapping[NestedKey, Tensor], batch: Sequence[int] = ()) -> TensorDictBase:
    out = TensorDict({}, list(batch))
    for key, value in entries.items():
        out.set(key, value)
    return out
