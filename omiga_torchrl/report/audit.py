"""The audit trail of a run: how, when, where and with what it was made."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch


def audit_record(config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """How and where this process runs: command, settings, commits, hardware, threads and date.

    Args:
        config: the resolved settings, plain values.

    Returns:
        Plain values for ``run.json``. ``source`` is the state of this package's files, ``project`` that of
        the working folder, each ``{"commit", "dirty"}``, or ``None`` where it is under no version control.

    Examples:
        >>> sorted(audit_record({"seed": 0}))
        ['command', 'config', 'hardware', 'host', 'process', 'project', 'source', 'started', 'threads']
    """
    return {
        "command": list(sys.orig_argv),
        "config": dict(config or {}),
        "started": now(),
        "source": git_state(Path(__file__)),
        "project": git_state(Path.cwd()),
        "host": platform.node(),
        "process": os.getpid(),
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
    }


def now() -> str:
    """The time as text, with its zone."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def git_state(path: Path) -> dict[str, Any] | None:
    """The commit of the repository that a file or folder is part of, and whether files of it differ.

    Args:
        path: the file, which has to be tracked, or folder.

    Examples:
        >>> import tempfile
        >>> git_state(Path(tempfile.mkdtemp())) is None
        True
    """
    folder = path if path.is_dir() else path.parent
    if path.is_file() and _git(folder, "ls-files", "--error-unmatch", path.name) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else {"commit": commit, "dirty": bool(changes)}


def hardware() -> dict[str, Any]:
    """The machine: system, processor, cores, memory and GPUs.

    Examples:
        >>> hardware()["cores"] >= 1
        True
    """
    cuda = torch.cuda.is_available()
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    }


def peak_memory() -> dict[str, float]:
    """The most memory that this process has had so far, in MiB, of the machine and of every GPU.

    Examples:
        >>> peak_memory()["process_mib"] > 10
        True
    """
    try:
        import resource
    except ImportError:  # Windows
        return {}
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    found = {"process_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)}
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            found[f"gpu{i}_mib"] = round(torch.cuda.max_memory_allocated(i) / 2**20, 1)
    return found


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
