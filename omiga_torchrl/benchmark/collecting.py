"""From a finished run's folder to its record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.benchmark.plateau import SAMPLE_SIZE, final_sample_size, read_plateau
from omiga_torchrl.errors import DataError
from omiga_torchrl.plain_files import read_json
from omiga_torchrl.report.records import RUN_FILE, Evaluation, Run, load_runs
from omiga_torchrl.report.run_folder import is_finished

_FACTS: Final = (
    "transitions",
    "unique_joint",
    "episodes",
    "duplicate_episodes",
    "terminated",
    "truncated",
    "tq",
)
_DIGITS: Final = 7


def data_facts(statistics: str | Path) -> dict[str, Any]:
    """The data of a record: facts from the file ``statistics.json`` of ``recipes/inspect_dataset.py``.

    Args:
        statistics: the file.

    Raises:
        DataError: it is damaged.
    """
    values = read_json("benchmark", statistics, "Remove it; the same command writes it again.")
    try:
        spread, histogram = values["episode_return"], values["return_histogram"]
        return {
            **{name: _rounded(values[name]) for name in _FACTS},
            "return": {name: _rounded(spread[name]) for name in ("mean", "std", "minimum", "maximum")},
            "histogram": {"edges": _rounded(histogram["edges"]), "counts": histogram["counts"]},
        }
    except (KeyError, TypeError) as error:
        raise DataError(
            f"benchmark: {statistics} must have the statistics of a dataset, got none of {error}. Remove it; "
            f"the same command writes it again."
        ) from None


def finished_run(folder: str | Path, seed: int) -> Run | None:
    """The finished run of a seed below a folder; ``None``: there is none yet.

    Of several, by former versions of the library, the one that ended last counts.

    Args:
        folder: of one setting's runs.
        seed: of the training.

    Raises:
        DataError: records of the run are damaged.
    """
    if not any(Path(folder).rglob(RUN_FILE)):
        return None
    found = [run for run in load_runs(folder) if run.info.seed == seed]
    found = [run for run in found if is_finished(run.info) and run.final is not None]
    return max(found, key=_ended, default=None)


def make_record(
    run: Run, *, key: str, protocol: Mapping[str, Any], data: Mapping[str, Any], tried: Sequence[str] = ()
) -> dict[str, Any]:
    """The record of a finished run.

    Args:
        run: as read back from its folder.

    Keyword Args:
        key: its name, see :meth:`omiga_torchrl.benchmark.RunSpec.key`.
        protocol: of :meth:`omiga_torchrl.benchmark.BenchmarkProtocol.to_record`.
        data: of :func:`data_facts`, with whatever else is known of the data.
        tried: overrides that a trial tries, or that trials have chosen.
    """
    info, audit = run.info, run.info.audit
    config = dict(audit["config"])
    trainer = config["trainer"]
    values = read_plateau(run.path, trainer["steps"], trainer.get("lr_schedule"))
    command = [Path(audit["command"][0]).name, *audit["command"][1:]]
    return {
        **{"key": key, "algorithm": info.algorithm, "task": info.task, "dataset": info.dataset},
        **{"seed": info.seed, "protocol": {**protocol, "steps": trainer["steps"]}},
        "date": _ended(run),
        **{"command": command, "config": config, "identity": dict(info.identity)},
        **{name: audit.get(name) for name in ("source", "project", "hardware", "threads")},
        "versions": dict(info.versions),
        "references": {
            "behaviour": info.behaviour_return,
            "best_checkpoint": info.best_checkpoint_return,
            "random": info.random_return,
        },
        "data": {**info.card, "fingerprint": info.identity["data"]["fingerprint"], **data},
        "evaluations": [_evaluation(one) for one in run.evaluations],
        "values": None if values is None else asdict(values),
        SAMPLE_SIZE: final_sample_size(run.path, trainer["steps"]),
        "cost": _cost(run),
        **({"tried": list(tried)} if tried else {}),
    }


def _evaluation(one: Evaluation) -> dict[str, Any]:
    found = {"label": one.label, "step": one.step, "returns": _rounded(one.returns), "lengths": one.lengths}
    if len(set(one.lengths)) == 1:
        found["lengths"] = one.lengths[:1]  # of all of them
    if "won" in one.extra:
        found["won"] = sum(one.extra["won"])
    return found


def _cost(run: Run) -> dict[str, Any]:
    """Time and memory of the run; of several that trained together, each has those of all of them."""
    sessions = run.info.audit["sessions"]
    last = sessions[-1]
    together = run.info.audit["config"].get("seeds") or []
    return {
        "wall_seconds": max([one.wall_time for one in run.evaluations] + [last["seconds"]]),
        "cpu_seconds": last.get("cpu_seconds"),
        "peak_memory_mib": last.get("peak_memory", {}).get("process_mib"),
        "sessions": len(sessions),
        "runs_together": len(together) if run.info.audit["config"].get("vectorize") else 1,
    }


def _ended(run: Run) -> str:
    return str(run.info.audit["sessions"][-1].get("ended", ""))


def _rounded(value: Any) -> Any:
    """Numbers with seven digits: more than single precision, in which environments count, has."""
    return json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.{_DIGITS}g}"))
