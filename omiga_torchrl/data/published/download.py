"""Download of published datasets that have a direct link."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from omiga_torchrl.data.published.card import PublishedDataset
from omiga_torchrl.data.published.registry import published_dataset
from omiga_torchrl.data.published.transfer import fetch, is_right
from omiga_torchrl.data.published.unpacking import require_absent, unpack_member
from omiga_torchrl.errors import DataError


def download(name: str, root: str | Path | None = None, progress: bool = True) -> Path:
    """Fetch a published dataset that has a direct link, unless it is there already.

    An interrupted download goes on where it stopped, also in a later call. The file appears
    under its name only once it is whole and has the published size and checksum, if there are
    any. Archives are unpacked and deleted.

    Args:
        name: e.g. ``"d4rl:hopper-medium-v2"``; see
            :func:`omiga_torchrl.data.published_datasets`.
        root: folder of the downloads; see :func:`omiga_torchrl.data.cache_root`.
        progress: show a progress bar (needs tqdm).

    Returns:
        The dataset's file or folder.

    Raises:
        ValueError: unknown name.
        FileNotFoundError: it has no direct link; says where to get it by hand.
        DataError: what the links lead to is not the published file.
        OSError: the network, the server or the disk failed.
    """
    published = published_dataset(name)
    links = published.direct_links
    try:
        return published.locate(root)
    except FileNotFoundError:
        if not links:
            raise
    archive, folder = published.archive, published.folder(root)
    if archive is None:
        _fetch_from_any(published, folder / published.file, progress)
    else:
        file = folder / archive.into / PurePosixPath(urlsplit(links[0]).path).name
        member = str(PurePosixPath(published.file).relative_to(archive.into))
        require_absent(file, member)
        _fetch_from_any(published, file, progress)
        unpack_member(file, member)
        file.unlink()
    return published.locate(root)


def _fetch_from_any(published: PublishedDataset, file: Path, progress: bool) -> None:
    """Fetch what the direct links lead to, from the first of them that works."""
    whole = published.archive or published
    if file.exists() and is_right(file, whole.sha256, whole.size):
        return
    problems: list[Exception] = []
    for link in published.direct_links:
        try:
            fetch(link, file, sha256=whole.sha256, size=whole.size, progress=progress)
            return
        except (DataError, OSError) as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    kind = OSError if any(isinstance(one, OSError) for one in problems) else DataError
    all_of_them = "; ".join(map(str, problems))
    raise kind(
        f"download: no link to {published.name} works: {all_of_them}. Fetch it in a browser and put it at "
        f"{file}."
    ) from problems[-1]
