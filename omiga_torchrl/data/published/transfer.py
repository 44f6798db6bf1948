"""Transfer of one large file: resumable, checksummed, and never half there."""

from __future__ import annotations

import errno
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from omiga_torchrl.data.published.partial_file import PartialFile
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import file_sha256

_SCHEMES: Final = ("https",)
_BLOCK: Final = 1 << 20
_TIMEOUT: Final = 30.0
_ATTEMPTS: Final = 5
# Whatever else a server answers may be over in a minute.
_FINAL_STATUS: Final = (400, 401, 403, 404, 405, 410, 451)
_RANGE_NOT_SATISFIABLE: Final = 416


def fetch(
    url: str, file: Path, *, sha256: str | None = None, size: int | None = None, progress: bool = False
) -> None:
    """Fetch one file; it appears whole and right, or not at all.

    What has arrived is kept beside it as ``.part`` and is used by a later call, if the server
    can send the rest of the same file.

    Args:
        url: its address; https only, redirections included.
        file: where it goes; missing folders are made.
        sha256: the checksum that it must have; ``None`` checks none.
        size: the bytes that it must have.
        progress: show a progress bar (needs tqdm).

    Raises:
        DataError: the address is not https, or what it leads to is another file.
        OSError: the network, the server or the disk failed, several times without progress.
    """
    _require_secure(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = PartialFile(file, checked=sha256 is not None)
    _transfer_patiently(url, part, size, progress)
    if not is_right(part.path, sha256, size):
        found = f"sha256 {file_sha256(part.path)}, {part.size} bytes"
        part.remove()
        raise DataError(
            f"download: {url} gave {found}, expected sha256 {sha256}, {size} bytes; it was damaged on "
            "its way or replaced. Nothing was kept."
        )
    part.finish(file)


def _transfer_patiently(url: str, part: PartialFile, size: int | None, progress: bool) -> None:
    failures = 0
    while True:
        before = part.size
        try:
            _transfer(url, part, size, progress)
            return
        except (OSError, HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == _RANGE_NOT_SATISFIABLE:
                part.remove()
            reason = _reason(error, url)
            failures = 0 if part.size > before else failures + 1
            if failures >= _ATTEMPTS:
                raise OSError(
                    f"download: {url} failed {failures} times in a row: {reason}. {part.size} bytes "
                    "are kept; call it again to go on."
                ) from error
        time.sleep(_pause(failures))


def _pause(failures: int) -> float:
    """Seconds until the next attempt."""
    return min(2.0**failures, 30.0)


def _reason(error: Exception, url: str) -> str:
    """Reason of a failed transfer; raises if trying again is in vain."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in _FINAL_STATUS:
            raise _GivenUp(f"download: {url} answered {error.code} {error.reason}.") from error
        return f"status {error.code}"
    if isinstance(error, _GivenUp) or getattr(error, "errno", None) == errno.ENOSPC:
        raise error
    return f"{type(error).__name__}: {error}"


class _GivenUp(OSError):
    """A failure that trying again would not mend."""


def _transfer(url: str, part: PartialFile, size: int | None, progress: bool) -> None:
    """One attempt to fetch what is missing."""
    if size is not None and part.size > size:
        part.remove()
    start = part.size
    if start and start == size:
        return
    with _open(url, start, part.tag) as response:
        start = start if response.status == 206 else 0
        total = _total(response, start, url)
        if size is not None and total not in (None, size):
            raise DataError(f"download: {url} has {total} bytes, the published file {size}; it was replaced.")
        total = size if total is None else total
        if total is not None and (free := shutil.disk_usage(part.path.parent).free) < total - start:
            raise _GivenUp(
                errno.ENOSPC, f"download: {url} needs {total - start} bytes, the disk has {free} free"
            )
        if not start:
            part.begin(response.headers)
        with open(part.path, "ab" if start else "wb") as file, _bar(part.path, start, total, progress) as bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar(len(block))
    if total is not None and part.size < total:
        raise ConnectionError(f"the connection ended after {part.size} of {total} bytes")
    if total is not None and part.size > total:
        part.remove()
        raise ConnectionError(f"more than the announced {total} bytes arrived")


@contextmanager
def _open(url: str, start: int, tag: str) -> Iterator[HTTPResponse]:
    headers = {"User-Agent": "omiga-torchrl", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag:
            headers["If-Range"] = tag
    opener = urllib.request.build_opener(_SecureRedirects)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
        yield response


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _require_secure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _total(response: HTTPResponse, start: int, url: str) -> int | None:
    """Bytes of the whole file, if the server says how many.

    Raises:
        DataError: it sends a web page or a compressed form.
        ConnectionError: it sends another part than the one that was asked for.
    """
    kind = response.headers.get_content_type()
    coding = response.headers.get("Content-Encoding", "identity")
    if kind == "text/html" or coding != "identity":
        raise DataError(
            f"download: {url} gives {kind} ({coding}), expected the file; look at it in a browser."
        )
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            raise ConnectionError(
                f"the server sent {response.headers.get('Content-Range')} from byte {start}"
            )
        return int(match[2])
    length = response.headers.get("Content-Length")
    return None if length is None else int(length)


def _require_secure(url: str) -> None:
    if urlsplit(url).scheme not in _SCHEMES:
        raise DataError(f"download: {url} is not an https address; nothing was fetched from it.")


def is_right(file: Path, sha256: str | None, size: int | None) -> bool:
    """Whether a file has the size and the checksum that are known.

    Args:
        file: an existing file.
        sha256: its checksum; ``None`` checks none.
        size: its bytes; ``None`` checks none.
    """
    if size is not None and file.stat().st_size != size:
        return False
    return sha256 is None or file_sha256(file) == sha256


@contextmanager
def _bar(part: Path, start: int, total: int | None, progress: bool) -> Iterator[Callable[[int], object]]:
    if not progress:
        yield lambda _: None
        return
    try:
        from tqdm import tqdm
    except ImportError:  # the core works without it
        yield lambda _: None
        return
    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "delay": 1.0}
    with tqdm(desc=part.stem, initial=start, total=total, **options) as bar:
        yield bar.update
