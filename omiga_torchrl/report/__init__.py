"""Reports: records of runs, statistics, a table and a picture."""

from __future__ import annotations

from omiga_torchrl.report.aggregate import Aggregate, aggregate_scores, format_aggregates
from omiga_torchrl.report.audit import audit_record
from omiga_torchrl.report.dataset_figure import plot_dataset
from omiga_torchrl.report.dataset_report import format_statistics, write_dataset_report
from omiga_torchrl.report.grouping import SeparatedRuns, separate_runs
from omiga_torchrl.report.identity import RunIdentity, describe_run, identity_of, run_identity
from omiga_torchrl.report.lock import RunLockedError
from omiga_torchrl.report.plots import plot_learning_curves
from omiga_torchrl.report.records import Evaluation, Run, RunInfo, load_runs
from omiga_torchrl.report.run_folder import claim_folder
from omiga_torchrl.report.run_writer import RunWriter
from omiga_torchrl.report.scores_figure import plot_scores
from omiga_torchrl.report.statistics import (
    interquartile_mean,
    mean_confidence_interval,
    stratified_bootstrap,
)
from omiga_torchrl.report.table import Row, format_table, table_rows
from omiga_torchrl.report.writer import write_report

__all__ = [
    "Aggregate",
    "Evaluation",
    "Row",
    "Run",
    "RunIdentity",
    "RunInfo",
    "RunLockedError",
    "RunWriter",
    "SeparatedRuns",
    "aggregate_scores",
    "audit_record",
    "claim_folder",
    "describe_run",
    "format_aggregates",
    "format_statistics",
    "format_table",
    "identity_of",
    "interquartile_mean",
    "load_runs",
    "mean_confidence_interval",
    "plot_dataset",
    "plot_learning_curves",
    "plot_scores",
    "run_identity",
    "separate_runs",
    "stratified_bootstrap",
    "table_rows",
    "write_dataset_report",
    "write_report",
]
