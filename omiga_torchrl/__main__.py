"""``python -m omiga_torchrl ls|cp|run``: the recipes of the installed version."""

from __future__ import annotations

from omiga_torchrl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
