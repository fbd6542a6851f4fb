"""Fetching a small generated archive from a local HTTP server, which breaks off, forgets and lies."""

from __future__ import annotations

import io
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.download import download_sequences
from ssat.mot.find import find_sequences
from ssat.workspace import sha256_of


class _Server(ThreadingHTTPServer):
    """Serves `content` at every address; the first `breaks` answers end half way."""

    content = b""
    breaks = 0
    ranges = True
    etag = '"one"'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/data/MOT17.zip"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked, server = self.headers.get("Range"), self.server
        server.asked.append(asked)
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") in (None, server.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setattr("ssat.mot.download._PAUSE_S", 0.0)
    with _Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def archive(make_sequence: Callable[..., Path], tmp_path: Path) -> bytes:
    """MOT17/train/WALK-01-FRCNN and a test sequence, as the publisher packs them."""
    for part, name in (("train", "WALK-01-FRCNN"), ("test", "WALK-02-FRCNN")):
        make_sequence(tmp_path / "made" / "MOT17" / part, name, n_frames=4)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((tmp_path / "made").rglob("*")):
            packed.write(path, path.relative_to(tmp_path / "made").as_posix())
    return content.getvalue()


def test_an_interrupted_download_goes_on_where_it_was(server: _Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.breaks = archive, 2
    told: list[tuple[int, int | None]] = []
    folder = download_sequences(tmp_path / "data", server.url, progress=lambda *both: told.append(both))
    assert folder == tmp_path / "data" / "MOT17"
    assert [one.name for one in find_sequences(folder)] == ["WALK-01-FRCNN"]
    assert [one.name for one in find_sequences(folder, part="test")] == ["WALK-02-FRCNN"]
    half = len(archive) // 2
    assert server.asked == [None, f"bytes={half}-", f"bytes={half + (len(archive) - half) // 2}-"]
    assert told[-1] == (len(archive), len(archive))
    record = json.loads((folder / "download.json").read_text())
    assert record["sha256"] == sha256_of(tmp_path / "data" / "MOT17.zip")
    assert (record["bytes"], record["url"], record["etag"]) == (len(archive), server.url, '"one"')
    # The second time nothing is asked for.
    assert download_sequences(tmp_path / "data", server.url, sha256=record["sha256"]) == folder
    assert len(server.asked) == 3
    with pytest.raises(InputError, match="was unpacked from sha256"):
        download_sequences(tmp_path / "data", server.url, sha256="0" * 64)


def test_an_archive_that_was_replaced_is_fetched_from_the_beginning(
    server: _Server, archive: bytes, tmp_path: Path
) -> None:
    server.content, server.breaks = np.random.default_rng(0).bytes(len(archive)), 9
    with pytest.raises(InputError, match=r"HTTP 503, 5 times without progress"):
        _give_up(server, tmp_path)
    server.content, server.breaks, server.etag = archive, 0, '"two"'
    assert find_sequences(download_sequences(tmp_path / "data", server.url))


def _give_up(server: _Server, tmp_path: Path) -> None:
    """Fetches half, then meets a server that is down."""
    handler = _Handler.do_GET

    def fail(self: _Handler) -> None:
        if self.server.asked:
            self.send_error(503)
        else:
            handler(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Handler, "do_GET", fail)
        download_sequences(tmp_path / "data", server.url)


def test_a_full_disk_is_reported_before_anything_is_fetched(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = bytes(8 << 20)
    usage = shutil.disk_usage(tmp_path)._replace(free=12 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="12 MiB free, expected 16 MiB to fetch and unpack 8 MiB; make room"):
        download_sequences(tmp_path / "data", server.url)
    assert not [path for path in (tmp_path / "data").iterdir() if path.stat().st_size > 100]


def test_a_server_without_ranges_starts_over(server: _Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.breaks, server.ranges = archive, 1, False
    assert find_sequences(download_sequences(tmp_path / "data", server.url))
    assert server.asked[1] == f"bytes={len(archive) // 2}-"


def test_what_is_not_to_be_had(server: _Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    with pytest.raises(InputError, match=r"its sha256 is .*, expected 0000"):
        download_sequences(tmp_path / "other", server.url, sha256="0" * 64)
    for url in ("ftp://127.0.0.1/MOT17.zip", "http://127.0.0.1/MOT17", "file:///etc/passwd"):
        with pytest.raises(InputError, match="address of a zip"):
            download_sequences(tmp_path, url)
    (tmp_path / "mine" / "MOT17").mkdir(parents=True)
    with pytest.raises(InputError, match="exists already, and not from a download"):
        download_sequences(tmp_path / "mine", server.url)
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="times without progress"):
        download_sequences(tmp_path / "none", server.url)


def _packed(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in (("MOT17/readme.txt", b"text"), *members):
            packed.writestr(name, data)
    return content.getvalue()


def _link(name: str) -> zipfile.ZipInfo:
    link = zipfile.ZipInfo(name)
    link.external_attr = 0o120777 << 16
    return link


def _altered() -> bytes:
    """An archive in which a byte of a member is another one than was packed."""
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as packed:
        packed.writestr("MOT17/gt.txt", b"1,1,2,3,4,5")
    return stored.getvalue().replace(b"1,1,2,3,4,5", b"1,1,2,3,4,6")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_packed(("../escaped.txt", b"x")), r"member '../escaped.txt' leads out of the folder: refused"),
        (_packed(("MOT17/../../escaped.txt", b"x")), "leads out of the folder"),
        (_packed(("/srv/escaped.txt", b"x")), "has an absolute path"),
        (_packed(("C:/escaped.txt", b"x")), "has an absolute path, a backslash or a colon"),
        (_packed((_link("MOT17/train"), b"/tmp")), "is a link or a device"),
        (_packed(("MOT17/bomb.txt", bytes(40 << 20))), r"member 'MOT17/bomb.txt' unpacks \d+ bytes to 41943040"),
        (_packed()[:-30], "damaged or no zip archive"),
        (b"<html>not found</html>", "damaged or no zip archive"),
        (_altered(), "Bad CRC-32"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(content: bytes, message: str, server: _Server, tmp_path: Path) -> None:
    server.content = content
    folder = tmp_path / "deep" / "data"
    with pytest.raises(InputError, match=message):
        download_sequences(folder, server.url)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["MOT17.zip"]
    assert not list(tmp_path.rglob("escaped.txt"))
