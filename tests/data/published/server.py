"""A small file server that misbehaves on request, for the tests of downloads."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field

from omiga_torchrl.data.published import transfer

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)


@dataclass
class Behaviour:
    """What the server does; tests change it between requests.

    Attributes:
        files: contents by path.
        ranges: whether parts of files are sent.
        cuts: bytes after which the next answers break off; one is used up per answer.
        statuses: error codes of the next answers; one is used up per answer.
        headers: sent with every file.
        length: whether the length of files is announced.
        shift: how many bytes later than asked for a part begins.
        requests: headers of the requests that came, in order.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    length: bool = True
    shift: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)


class FileServer:
    """Runs in a thread of its own between ``__enter__`` and ``__exit__``."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        behaviour = self.behaviour

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _answer(self, behaviour)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.address = f"{self.url}/file"

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _answer(request: http.server.BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
    behaviour.requests.append({"path": request.path, **request.headers})
    if behaviour.statuses:
        return _refuse(request, behaviour.statuses.pop(0))
    if request.path in behaviour.redirects:
        request.send_response(302)
        request.send_header("Location", behaviour.redirects[request.path])
        return request.end_headers()
    content = behaviour.files.get(request.path.partition("?")[0])
    if content is None:
        return _refuse(request, 404)
    start = _start(request, behaviour)
    if start > 0 and start >= len(content):
        return _refuse(request, 416)
    request.send_response(206 if start else 200)
    body = content[start + behaviour.shift :] if start else content
    if start:
        first = start + behaviour.shift
        request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
    if behaviour.length:
        request.send_header("Content-Length", str(len(body)))
    for name, value in {"Content-Type": "application/octet-stream", **behaviour.headers}.items():
        request.send_header(name, value)
    request.end_headers()
    cut = behaviour.cuts.pop(0) if behaviour.cuts else len(body)
    request.wfile.write(body[:cut])
    return None


def _start(request: http.server.BaseHTTPRequestHandler, behaviour: Behaviour) -> int:
    wanted = request.headers.get("Range")
    if not wanted or not behaviour.ranges:
        return 0
    condition = request.headers.get("If-Range")
    if condition is not None and condition != behaviour.headers.get("ETag"):
        return 0
    return int(wanted.removeprefix("bytes=").removesuffix("-"))


def _refuse(request: http.server.BaseHTTPRequestHandler, status: int) -> None:
    request.send_response(status)
    request.send_header("Content-Length", "0")
    request.end_headers()


@contextmanager
def running_server(monkeypatch):
    """A server that may be used without https, and without waiting between attempts."""
    monkeypatch.setattr(transfer, "_SCHEMES", ("http",))
    monkeypatch.setattr(transfer, "_pause", lambda failures: 0.0)
    monkeypatch.setenv("no_proxy", "*")
    with FileServer() as server:
        yield server


def is_whole(target):
    """Right, and nothing else beside it."""
    return target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]


def make_zip(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path
