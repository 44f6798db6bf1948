"""How a run was made."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from omiga_torchrl.report import audit_record
from omiga_torchrl.report.audit import git_state


def test_everything_is_plain_and_the_settings_are_there() -> None:
    record = json.loads(json.dumps(audit_record({"seed": 3})))
    assert record["config"] == {"seed": 3} and record["threads"] >= 1 and record["command"]
    assert {"system", "processor", "cores", "memory_gib", "gpus"} == set(record["hardware"])
    assert record["started"].endswith("+00:00")


def test_the_commit_and_whether_files_differ(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    file = tmp_path / "a.py"
    file.write_text("1\n")
    assert git_state(file) is None  # not tracked
    git("add", "a.py")
    git("commit", "-qm", "one")
    assert git_state(file) == git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    file.write_text("2\n")
    assert git_state(file) == {"commit": git("rev-parse", "HEAD"), "dirty": True}
