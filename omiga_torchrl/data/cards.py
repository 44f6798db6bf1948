"""`DatasetCard`: everything that a number reported on a dataset depends on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.errors import DataError
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.plain_files import read_text
from omiga_torchrl.specs import TeamSpec

CARD_FORMAT: Final = 1
CARD_FILE: Final = "card.json"
CLIPPED_SHARE: Final = 0.01
"""Share of actions on a bound above which data count as clipped."""
DATA_FILE: Final = "data.npz"

# Of a plain team, or of every group by its name.
ByGroup = list[float] | dict[str, list[float]]


@dataclass
class BehaviourEntry:
    """One policy that made part of the data. Returns are raw, per episode.

    Attributes:
        file: name of its checkpoint; ``"uniform"`` for random actions.
        sha256: checksum of that file.
        step: environment steps it was trained for.
        stochastic_return: mean return when sampled, as it was for the data.
        deterministic_return: mean return of its mode.
        measured_episodes: episodes behind each of these means.
        episodes: episodes it contributed to the data.
    """

    file: str
    sha256: str
    step: int
    stochastic_return: float
    deterministic_return: float
    measured_episodes: int
    episodes: int


@dataclass
class DatasetCard:
    """Content and origin of a dataset; stored beside it as ``card.json``.

    Attributes:
        name: e.g. ``"vmas/navigation/mixed"``.
        task: task it was recorded on, for :func:`omiga_torchrl.envs.make_env`.
        tier: how the behaviour policies were chosen.
        transitions: joint transitions T.
        episodes: episodes E; all of them are whole.
        sizes: sizes of the team or of its groups, as :meth:`TeamSpec.to_dict` gives them.
        data_sha256: checksum of the data file; empty where it was not taken.
        reward_std: standard deviation of the stored rewards, which are raw.
        reward_mean: mean of the stored rewards.
        behaviour_return: ``{"mean", "std"}`` of the episode returns in the data.
        best_checkpoint_return: deterministic return of the best behaviour policy.
        random_return: mean return of uniformly random actions, of
            :func:`omiga_torchrl.behaviors.random_baseline` in our recordings.
        random_interval: 95% interval of it; empty if it is not known.
        behaviour: the policies that made the data.
        task_kwargs: arguments of the task.
        seeds: random seeds by what they seeded.
        recording: how it was recorded, as far as the data depend on it.
        timeout_is_terminal: whether running out of time is stored as ``terminated``.
        team_reward: how the agents' rewards became the team's: ``"mean"``, ``"sum"``, ``"first"``, that of
            the first agent, or the name of the group whose mean it is.
        action_convention: meaning of the actions; ``"raw"``, ``"clip"`` or ``"scale"`` for
            published data, see :class:`omiga_torchrl.data.ReadOptions`.
        actions_on_bound: share of the entries of continuous actions that are exactly on a bound, or beyond
            it, by the name of the group; of groups that have some.
        observation_preprocessing: what was done to the simulator's observations.
        layout: layout of the files it was read from.
        source: where it is published.
        expert_return: the return that counts as 1 in normalised scores, if one is published.
        observation_mean: mean of every observation feature, over agents and steps `[O]`; in a team of groups
            by the name of the group.
        observation_std: its standard deviation `[O]`; by the name of the group.
        state_mean: mean of every feature of a stored state `[S]`.
        state_std: its standard deviation `[S]`.
        left_out_steps: last steps of truncated episodes that are not among the transitions, as what was seen
            after them is unknown; their rewards are part of ``behaviour_return``.
        parts: the datasets that it was put together from or is a part of: name, checksum, how much of each.
        library_versions: packages that made the data.
        format: version of this layout.

    Raises:
        DataError: impossible values, all of them in one message.
    """

    name: str
    task: str
    tier: str
    transitions: int
    episodes: int
    sizes: dict[str, Any]
    reward_std: float
    behaviour_return: dict[str, float]
    data_sha256: str = ""
    reward_mean: float = 0.0
    best_checkpoint_return: float | None = None
    random_return: float | None = None
    random_interval: list[float] = field(default_factory=list)
    behaviour: list[BehaviourEntry] = field(default_factory=list)
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    recording: dict[str, Any] = field(default_factory=dict)
    timeout_is_terminal: bool = False
    team_reward: str = "mean"
    action_convention: str = "as sent to the environment, one row per agent"
    actions_on_bound: dict[str, float] = field(default_factory=dict)
    observation_preprocessing: str = ""
    layout: str = "recording"
    source: str = ""
    expert_return: float | None = None
    observation_mean: ByGroup = field(default_factory=list)
    observation_std: ByGroup = field(default_factory=list)
    state_mean: list[float] = field(default_factory=list)
    state_std: list[float] = field(default_factory=list)
    left_out_steps: int = 0
    parts: list[dict[str, Any]] = field(default_factory=list)
    library_versions: dict[str, str] = field(default_factory=dict)
    format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        self.behaviour = [_entry(one) if isinstance(one, dict) else one for one in self.behaviour]
        found = []
        if self.format != CARD_FORMAT:
            found.append(f"format is {self.format}, expected {CARD_FORMAT}")
        if not 1 <= self.episodes <= self.transitions:
            found.append(f"{self.episodes} episodes in {self.transitions} transitions")
        if len(self.data_sha256) not in (0, 64):
            found.append(f"data_sha256 is {self.data_sha256!r}, expected 64 hexadecimal digits, or none")
        if not (math.isfinite(self.reward_std) and self.reward_std >= 0):
            found.append(f"reward_std is {self.reward_std}, expected a finite number >= 0")
        if set(self.behaviour_return) != {"mean", "std"}:
            found.append(f"behaviour_return has {sorted(self.behaviour_return)}, expected 'mean' and 'std'")
        found += _problems_of_sizes(self.sizes)
        if found:
            raise DataError(f"DatasetCard {self.name!r}: {'; '.join(found)}.")

    @property
    def spec(self) -> AnyTeamSpec:
        """Sizes of the team; of every group of a team of several."""
        spec = TeamSpec.from_dict(self.sizes)
        groups = {
            name: replace(group, clipped=self.actions_on_bound.get(name, 0.0) > CLIPPED_SHARE)
            for name, group in spec.groups.items()
        }
        return TeamSpec.from_groups(groups, spec.state_size)

    @property
    def told_clipping(self) -> str:
        """Shares of actions on a bound in words, e.g. ``"agents 44.2%"``."""
        return ", ".join(f"{name} {share:.1%}" for name, share in self.actions_on_bound.items()) or "none"

    def to_json(self) -> str:
        """The card as JSON text.

        Raises:
            ValueError: a value is NaN or infinite, which JSON has no word for.
        """
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, path: str | Path | None = None) -> DatasetCard:
        """The card that :meth:`to_json` wrote.

        Args:
            text: of the card.
            path: where it is from, for the message.

        Raises:
            DataError: not JSON, or fields are missing or unknown.

        Examples:
            >>> from omiga_torchrl.data import bundled_datasets, find_dataset
            >>> card = read_card(find_dataset(bundled_datasets()[0]))
            >>> DatasetCard.from_json(card.to_json()) == card
            True
        """
        try:
            return cls(**json.loads(text))
        except DataError:
            raise
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            where = "the card" if path is None else path
            raise DataError(f"DatasetCard: cannot read {where}: {error}. Was it edited by hand?") from error


def _problems_of_sizes(sizes: dict[str, Any], where: str = "sizes") -> list[str]:
    if "groups" in sizes:
        unknown = set(sizes) ^ {"groups", "state_size"}
        found = [f"{where} lacks or has too much: {sorted(unknown)}"] if unknown else []
        for name, group in sizes["groups"].items():
            found += _problems_of_sizes(group, f"{where} of group {name!r}")
        return found
    optional = {"agents", "clipped", "group"}
    unknown = (set(sizes) - optional) ^ ({f.name for f in fields(TeamSpec)} - optional)
    return [f"{where} lacks or has too much: {sorted(unknown)}"] if unknown else []


def _entry(values: dict[str, Any]) -> BehaviourEntry:
    return BehaviourEntry(**values)


def read_card(folder: str | Path) -> DatasetCard:
    """The card of the dataset in `folder`.

    Raises:
        FileNotFoundError: the folder holds no card.
        DataError: the card cannot be read.
    """
    path = Path(folder) / CARD_FILE
    if not path.exists():
        raise FileNotFoundError(
            f"OfflineDataset: {path} does not exist; expected a folder with {CARD_FILE} and {DATA_FILE}. "
            "Record one with recipes/record_dataset.py."
        )
    return DatasetCard.from_json(
        read_text("OfflineDataset", path, "Fetch or record the dataset again."), path
    )
