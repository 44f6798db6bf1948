"""The fingerprint of a dataset's content: what is learned from, not what its file is called."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from tensordict import TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.data.dataset import OfflineDataset
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.data.ted import entry_file
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.files import atomic_write

_FILE = "fingerprint.json"
_PREFIX = b"omiga-torchrl data 1\n"


def content_fingerprint(dataset: OfflineDataset) -> str:
    """The SHA-256 of all transitions as they were converted: raw rewards, observations, ends of episodes.

    Equal for equal content wherever and in whichever layout it is stored; other read options that change a
    number, such as the rule that makes the team's reward, change it. It is kept beside the conversion and
    computed again whenever a file there has another size or time.

    Args:
        dataset: the dataset.

    Returns:
        64 hexadecimal digits.

    Examples:
        >>> one = OfflineDataset("vmas/navigation/mixed", reward_scale=None)
        >>> other = OfflineDataset("vmas/navigation/mixed", reward_scale="std")
        >>> content_fingerprint(one) == content_fingerprint(other)
        True
    """
    folder = dataset.data_path
    files = sorted(folder.rglob("*.memmap"))
    stamp = {str(f.relative_to(folder)): [f.stat().st_size, f.stat().st_mtime_ns] for f in files}
    known = _read(folder / _FILE)
    if known.get("files") == stamp:
        return str(known["sha256"])
    digest = hashlib.sha256(_PREFIX)
    for name, values in sorted(_entries(folder, load_ted(folder)), key=itemgetter(0)):
        digest.update(f"{name.as_posix()} {values.numel() * values.element_size()}\n".encode())
        rows = max(1, BLOCK_BYTES // max(1, values[:1].numel() * values.element_size()))
        for first in range(0, len(values), rows):
            digest.update(values[first : first + rows].contiguous().numpy().data)
    try:
        with atomic_write(folder / _FILE) as written:
            written.write(json.dumps({"sha256": digest.hexdigest(), "files": stamp}).encode())
    except OSError:
        pass  # a cache that others own: computed again next time
    return digest.hexdigest()


def _entries(folder: Path, data: TensorDictBase) -> Iterator[tuple[Path, Tensor]]:
    """The entries whose content counts, by the files they had when next rows were stored."""
    for key, values in data.items(True, True):
        path = keys.key_path(key)
        now = path[1:] if path[0] == "next" else path
        # Not a state that only repeats the observations.
        if entry_file(folder, path).exists() or entry_file(folder, now).exists():
            yield entry_file(Path(), path), values


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
