"""Benchmarks: suites of runs, their immutable records, and reports made from nothing but these."""

from __future__ import annotations

from omiga_torchrl.benchmark.cells import Cell, Contender, RunSpec
from omiga_torchrl.benchmark.failures import Failure, load_failures, write_failure
from omiga_torchrl.benchmark.protocol import BenchmarkProtocol
from omiga_torchrl.benchmark.records import Record, Records, load_records, read_record, write_record
from omiga_torchrl.benchmark.report import write_benchmark_report
from omiga_torchrl.benchmark.running import run_suite
from omiga_torchrl.benchmark.suite import Suite, parse_suite

__all__ = [
    "BenchmarkProtocol",
    "Cell",
    "Contender",
    "Failure",
    "Record",
    "Records",
    "RunSpec",
    "Suite",
    "load_failures",
    "load_records",
    "parse_suite",
    "read_record",
    "run_suite",
    "write_benchmark_report",
    "write_failure",
    "write_record",
]
