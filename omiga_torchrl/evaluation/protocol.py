"""`Protocol`: how often and on how many episodes a policy is judged."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.errors import require_seed


@dataclass(frozen=True)
class Protocol:
    """The evaluation protocol of a run; it is stored with the results.

    Attributes:
        interval: training steps between two evaluations.
        episodes: episodes of an evaluation during training.
        final_episodes: episodes of the evaluation after training, the one that is reported.
        seed: seed of the evaluation's own random stream. It is the same for all training
            seeds, so that all runs face the same initial states.

    Raises:
        ValueError: a count is below one or the seed is not in [0, 2**32 - 1,000,000).

    Examples:
        >>> Protocol(interval=500).final_seed
        1000000
    """

    interval: int = 1_000
    episodes: int = 100
    final_episodes: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("interval", "episodes", "final_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"Protocol: {name}={getattr(self, name)}; expected at least 1.")
        require_seed("Protocol", seed=self.seed)
        require_seed("Protocol", final_seed=self.final_seed)

    @property
    def final_seed(self) -> int:
        """Seed of the final evaluation: its episodes are not those that chose a checkpoint."""
        return self.seed + 1_000_000
