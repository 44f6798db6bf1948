"""`BestPolicy`: the policy that was best in training, kept on disk for a fresh evaluation."""

from __future__ import annotations

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch

from omiga_torchrl.files import atomic_write, load_plain
from omiga_torchrl.report import RunWriter

_LOG = logging.getLogger(__name__)


class Restored(NamedTuple):
    """A policy as it was at some step.

    Attributes:
        step: gradient steps done then.
        policy: the network with the weights of then.
    """

    step: int
    policy: Any


class BestPolicy:
    """Keeps the weights behind every new best evaluation of a training in the run's folder ``best``.

    Which one is the best is read from the run's record, so that a resumed run goes on with it, and one that
    went back to a checkpoint forgets what came later.

    Args:
        run: the run's record.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.report import RunInfo
        >>> best = BestPolicy(RunWriter(tempfile.mkdtemp(), RunInfo("bc", "game", "mixed", 0)))
        >>> network = torch.nn.Linear(1, 1)
        >>> for step, result in ((10, 2.0), (20, 1.0)):
        ...     _ = best.judged(network)
        ...     best.run.evaluation(step, "training", returns=[result])
        ...     best.keep(step)
        >>> best.restored(network).step
        10
    """

    def __init__(self, run: RunWriter) -> None:
        self.run = run
        self._folder = run.path / "best"
        self._weights: dict[str, Any] = {}

    def judged(self, policy: Any) -> Any:
        """The policy, whose present weights are remembered: it is evaluated now, or in the background.

        Args:
            policy: a network.
        """
        self._weights = {name: value.detach().cpu().clone() for name, value in policy.state_dict().items()}
        return policy

    def keep(self, step: int) -> None:
        """Writes the weights that were judged, if theirs is the best evaluation on the run's record.

        Args:
            step: of their evaluation, which is on the record.
        """
        if self.run.best_step == step:
            with atomic_write(self._file(step)) as file:
                torch.save({"policy": self._weights}, file)

    def restored(self, policy: Any) -> Restored | None:
        """The best policy; ``None`` if it was not kept, by a former version.

        Args:
            policy: the network, which stays as it is.
        """
        step = self.run.best_step
        if step is None or not self._file(step).is_file():
            _LOG.info("the best checkpoint was not kept; it is not evaluated again")
            return None
        found = deepcopy(policy)
        found.load_state_dict(load_plain("BestPolicy", self._file(step))["policy"])
        return Restored(step, found)

    def prune(self) -> None:
        """Removes all weights but those of the best policy."""
        step = self.run.best_step
        for file in self._folder.glob("step_*.pt"):
            if step is None or file != self._file(step):
                file.unlink()

    def _file(self, step: int) -> Path:
        return self._folder / f"step_{step}.pt"
