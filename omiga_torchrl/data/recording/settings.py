"""How a dataset is recorded."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.data.recording.collecting import Launcher, check_launcher


@dataclass(frozen=True)
class RecordingSettings:
    """How a dataset is recorded.

    Attributes:
        launcher: ``"local"`` plays in this process, ``"process"`` in several ones, ``"ray"`` in
            actors of the Ray cluster that ``RAY_ADDRESS`` names (default: one of this machine).
        workers: processes or actors; each plays a whole batched environment.
        shard_transitions: about so many transitions are played from their own seed, held in
            memory, and written as one shard.
        seed: seed of environments and action noise, of all workers and shards.
        progress: show a progress bar (if tqdm is installed).
    """

    launcher: Launcher = "local"
    workers: int = 1
    shard_transitions: int = 50_000
    seed: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        check_launcher(self.launcher, self.workers)
        for name, least in (("shard_transitions", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"record_dataset: {name}={getattr(self, name)}; expected at least {least}.")
