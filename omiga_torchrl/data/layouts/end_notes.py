"""`EndNotes`: what a reader finds out about the ends of episodes beyond what their flags say."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from omiga_torchrl.data.agent_arrays import Array


@dataclass
class EndNotes:
    """Rows that are no steps, episodes without an end of their own, and what else is to be told of ends.

    Attributes:
        dropped: how many rows of the files are no steps, by what they are.
        notes: sentences about ends that are not what they seem.
        cut: which episodes ended without a mark of their own, part by part `[E]`; of those that were given.

    Examples:
        >>> notes = EndNotes()
        >>> notes.drop("delimiter rows", 3)
        >>> notes.drop("padding", 0)
        >>> notes.dropped
        {'delimiter rows': 3}
    """

    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cut: list[Array] = field(default_factory=list)

    def drop(self, what: str, rows: int) -> None:
        """Take in rows that are no steps.

        Args:
            what: what they are, as a plural.
            rows: how many.
        """
        if rows:
            self.dropped[what] = self.dropped.get(what, 0) + int(rows)

    def note(self, text: str) -> None:
        """Take in a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def foreign_ends(self, ended: Array, goes_on: Array) -> Array:
        """Ends `[T]` behind which the files have the first observation of the next episode.

        Environments that reset by themselves return it. A single end, or few of many, are chance.

        Args:
            ended: marks of ends `[T]`.
            goes_on: what was seen after a row is what the next row has, and not what it has itself `[T]`.
        """
        found = ended & goes_on
        found[-1] = False
        count = int(found.sum())
        if count < 2 or 2 * count < ended[:-1].sum():
            return found & False
        self.note(
            f"What the files give as seen after {count} ends is the first observation of the next episode, "
            "as from environments that reset by themselves. It is not used."
        )
        return found

    def is_cut(self, episodes: int) -> Array:
        """Which of the stored episodes ended without a mark `[E]`; those that nothing is known of did not."""
        found = np.concatenate([np.zeros(0, bool), *self.cut])[:episodes]
        return np.pad(found, (0, episodes - len(found)))
