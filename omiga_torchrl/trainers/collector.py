"""The stand-in for a collector: an offline trainer has nothing to collect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tensordict import TensorDictBase


class NoCollector:
    """Stands where the stock trainer expects a collector; there is nothing to collect."""

    init_random_frames = 0

    def __iter__(self) -> Iterator[TensorDictBase]:
        return iter(())

    def shutdown(self) -> None:
        """Nothing to stop."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Nothing to restore."""

    def update_policy_weights_(self, *args: Any, **kwargs: Any) -> None:
        """No copies of the policy to update."""
