"""`DatasetSets`: parts of datasets, and datasets put together, on one scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.own.parts import choose_episodes, lengths_and_returns
from omiga_torchrl.data.own.set_opening import (
    choose,
    mixed_parts,
    open_part,
    open_set,
    relabelled,
    require_some,
    same_scale,
)
from omiga_torchrl.errors import require_number


class DatasetSets:
    """The operations of :class:`omiga_torchrl.data.OfflineDataset` on whole datasets.

    Each gives a dataset of its own, converted once, whose card names its parts with their fingerprints.
    """

    @classmethod
    def concatenate(cls, datasets: Sequence[Self | str | Path], *, name: str = "", **options: Any) -> Self:
        """All episodes of several datasets of one task, with one scale of rewards and observations.

        Args:
            datasets: the datasets, or what opens them; each has a scale of its own, of which nothing is
                left.
            name: name of the whole; default joins those of the parts.
            **options: of :class:`omiga_torchrl.data.OfflineDataset`; ``card`` says what holds for the whole
                where the cards of the parts differ, e.g. ``card={"task_kwargs": {}}``.

        Raises:
            DataError: they are of other sizes or tasks, or their rewards or actions mean something else.

        Examples:
            >>> from omiga_torchrl.data import OfflineDataset
            >>> mixed = OfflineDataset("vmas/navigation/mixed")
            >>> best, rest = mixed.subset(top=0.1), mixed.subset(fraction=0.1)
            >>> both = OfflineDataset.concatenate([best, rest], batch_size=32)
            >>> len(both) == len(best) + len(rest), [one["how"] for one in both.card.parts]
            (True, ['all', 'all'])
        """
        require_some(datasets)
        return open_set(cls, [(open_part(cls, one, {}), None, "all") for one in datasets], name, options)

    @classmethod
    def mix(
        cls,
        shares: Mapping[Self | str | Path, float],
        *,
        transitions: int | None = None,
        seed: int = 0,
        name: str = "",
        **options: Any,
    ) -> Self:
        """Random episodes of several datasets in given shares of the transitions, with one scale.

        Args:
            shares: dataset, or what opens it, to its share of the transitions; they sum up to 1. Episodes
                stay whole: the card has the numbers of transitions.
            transitions: of the whole, about; default is as many as there are without repeating any.
            seed: seed of the choice.
            name: name of the whole; default joins those of the parts.
            **options: see :meth:`concatenate`; ``root`` also holds for datasets opened by name.

        Raises:
            ValueError: the shares are none, or there are too few transitions in a part.
            DataError: see :meth:`concatenate`.

        Examples:
            >>> from omiga_torchrl.data import OfflineDataset
            >>> mixed = OfflineDataset("vmas/navigation/mixed")
            >>> half = OfflineDataset.mix({mixed.subset(top=0.2): 0.5, "vmas/navigation/mixed": 0.5})
            >>> [one["transitions"] for one in half.card.parts]
            [6061, 6100]
        """
        require_some(list(shares))
        root = {"root": options["root"]} if "root" in options else {}
        opened = {open_part(cls, one, root): share for one, share in shares.items()}
        return open_set(cls, mixed_parts(opened, transitions, seed), name, options)

    def subset(
        self,
        *,
        fraction: float | None = None,
        episodes: int | Sequence[int] | None = None,
        top: float | None = None,
        seed: int = 0,
        name: str = "",
        **options: Any,
    ) -> Self:
        """Some episodes, on the scale of the whole dataset, so that coefficients and losses stay comparable.

        Args:
            fraction: random episodes with about this share of the transitions.
            episodes: numbers of the episodes to take, or how many random ones.
            top: the share of episodes with the highest returns.
            seed: seed of random choices.
            name: name of the part.
            **options: of :class:`omiga_torchrl.data.OfflineDataset`, e.g. ``reward_scale="std"`` for a scale
                of its own.

        Raises:
            ValueError: not exactly one choice, or one that is out of its range.

        Examples:
            >>> from omiga_torchrl.data import OfflineDataset
            >>> mixed = OfflineDataset("vmas/navigation/mixed")
            >>> best = mixed.subset(top=0.1)
            >>> best.card.episodes, best.reward_scale == mixed.reward_scale
            (30, True)
        """
        chosen, how = choose(self, fraction, episodes, top, seed)
        return open_set(type(self), [(self, chosen, how)], name, {**same_scale(self), **options})

    def split(
        self, train: float = 0.9, validation: float = 0.1, *, seed: int = 0, **options: Any
    ) -> tuple[Self, Self]:
        """Two parts without a common episode, both on the scale of the whole dataset.

        Args:
            train: share of the transitions of the first part, about, as episodes stay whole.
            validation: that of the second.
            seed: seed of the random choice.
            **options: of :class:`omiga_torchrl.data.OfflineDataset`, of both.

        Raises:
            ValueError: shares out of range, or more than 1 together.
            DataError: there are too few episodes.

        Examples:
            >>> from omiga_torchrl.data import OfflineDataset
            >>> train, validation = OfflineDataset("vmas/navigation/mixed").split(0.8, 0.2)
            >>> len(train), len(validation), train.reward_scale == validation.reward_scale
            (24161, 6100, True)
        """
        require_number("OfflineDataset.split", "> 0", train=train, validation=validation)
        if train + validation > 1 + 1e-9:
            raise ValueError(
                f"OfflineDataset.split: train and validation sum up to {train + validation:g}; expected at "
                "most 1. Make one smaller."
            )
        whole: Any = self
        length, _ = lengths_and_returns(whole)
        both = choose_episodes(length, (train, validation), seed)
        one, two = (
            open_set(
                type(self),
                [(self, chosen, f"{label}={share:g} seed={seed}")],
                "",
                {**same_scale(self), **options},
            )
            for chosen, label, share in zip(both, ("train", "validation"), (train, validation), strict=True)
        )
        return one, two

    def relabel_rewards(self, reward: Callable[[Episodes], Array], *, name: str = "", **options: Any) -> Self:
        """The same steps with other rewards of the team; nothing of the old ones is kept, nor of their scale.

        Args:
            reward: from episodes with raw observations and rewards to the new rewards `[T]`. It is called
                with some episodes at a time.
            name: name of the new dataset.
            **options: of :class:`omiga_torchrl.data.OfflineDataset`; ``card`` adds what is known, e.g.
                ``card={"random_return": -3.0}``.

        Raises:
            DataError: the new rewards have another shape, or are not finite.

        Examples:
            >>> from omiga_torchrl.data import OfflineDataset
            >>> mixed = OfflineDataset("vmas/navigation/mixed")
            >>> costs = mixed.relabel_rewards(lambda episodes: -episodes.reward)
            >>> round(costs.card.behaviour_return["mean"], 4)
            -1.0406
        """
        return relabelled(self, reward, name, options)
