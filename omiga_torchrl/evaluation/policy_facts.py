"""The facts that a policy needs, besides its weights, to be played again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from torchrl.envs import EnvBase

from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.envs import make_env


@dataclass(frozen=True)
class PolicyFacts:
    """The task and the scaling of observations that a policy was trained for; stored with it.

    Attributes:
        task: name of the task; ``None`` if the dataset has none.
        task_kwargs: arguments of the task.
        dataset: name of the dataset.
        normalisation: fields of :class:`omiga_torchrl.data.Normalisation`; ``None``: raw observations.

    Examples:
        >>> dataset = OfflineDataset("vmas/navigation/mixed")
        >>> facts = PolicyFacts.of_dataset(dataset, task_kwargs={"max_steps": 5})
        >>> facts.task, facts.dataset
        ('vmas/navigation', 'vmas/navigation/mixed')
        >>> PolicyFacts.from_dict(facts.to_dict()) == facts
        True
        >>> facts.make_env(num_envs=2).batch_size
        torch.Size([2])
    """

    task: str | None
    task_kwargs: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    normalisation: Mapping[str, Any] | None = None

    @classmethod
    def of_dataset(
        cls, dataset: OfflineDataset, *, task: str | None = None, task_kwargs: Mapping[str, Any] | None = None
    ) -> PolicyFacts:
        """The facts of a policy that is trained on a dataset.

        Args:
            dataset: what it is trained on.
            task: task that it is for; ``None`` is the dataset's.
            task_kwargs: arguments of the task, over those on the dataset's card.
        """
        return cls(
            task=task or dataset.card.task,
            task_kwargs={**dataset.card.task_kwargs, **(task_kwargs or {})},
            dataset=dataset.card.name,
            normalisation=dataset.normalisation.to_dict() if dataset.normalisation else None,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PolicyFacts:
        """The facts in plain values, e.g. a policy file's metadata; other entries are left out."""
        return cls(**{one.name: values[one.name] for one in fields(cls) if one.name in values})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a policy file."""
        return asdict(self)

    def make_env(
        self,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        check: Callable[[EnvBase], object] | None = None,
    ) -> EnvBase:
        """The task's environment, with raw observations: policies scale them themselves.

        Args:
            num_envs: environments stepped together.
            seed: seed of the simulator.
            check: called with the environment; raises if it does not fit, e.g. by
                :func:`omiga_torchrl.data.check_dataset_fits`.

        Raises:
            ValueError: there is no task, or it is unknown.
        """
        if not self.task:
            raise ValueError("PolicyFacts: task must be the name of a task, got none. Pass task=.")
        env = make_env(self.task, num_envs=num_envs, seed=seed, **self.task_kwargs)
        if check is not None:
            check(env)
        return env
