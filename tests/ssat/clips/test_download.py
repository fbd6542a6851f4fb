from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssat.clips.download import DownloadSettings, download, is_youtube
from ssat.clips.egress import Pacer
from ssat.clips.failures import ClipFailure
from ssat.clips.settings import CollectSettings
from ssat.clips.sources import Stopped
from ssat.errors import InputError

SETTINGS = DownloadSettings(min_side=256, max_bytes=10 << 20, socket_timeout=5)


def test_a_file_arrives_byte_for_byte(make_video: Callable[..., Path], site: Any, tmp_path: Path) -> None:
    video = make_video()
    site.add(video)
    got = download(f"{site.url}/video.mp4", tmp_path / "folder with % sign", SETTINGS)
    assert got.read_bytes() == video.read_bytes()


def test_loopback_is_reached_past_any_proxy(
    make_video: Callable[..., Path], site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.add(make_video())
    settings = DownloadSettings(min_side=256, max_bytes=10 << 20, socket_timeout=5, proxy="http://u:pw@127.0.0.1:1")
    assert download(f"{site.url}/video.mp4", tmp_path / "d", settings).stat().st_size > 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (404, "GONE"),
        (410, "GONE"),
        (429, "RATE"),
        (403, "TOOL"),
        (401, "AUTH"),
        (451, "GEO"),
        (500, "NET"),
        (503, "NET"),
    ],
)
def test_status_codes(site: Any, tmp_path: Path, code: int, expected: str) -> None:
    with pytest.raises(ClipFailure) as caught:
        download(f"{site.url}/status/{code}/x.mp4", tmp_path / "d", SETTINGS)
    assert (caught.value.failure_class, caught.value.http_status) == (expected, code)
    assert str(code) in caught.value.message


def test_other_ways_to_fail(make_video: Callable[..., Path], site: Any, tmp_path: Path) -> None:
    (site.folder / "zero.mp4").touch()
    (site.folder / "page.html").write_text("<html><title>no video here</title></html>")
    site.add(make_video("large.mp4", frames=300, size=(640, 384)))
    site.fail["short.mp4"] = 9
    small = DownloadSettings(min_side=256, max_bytes=10_000, socket_timeout=5)
    for url, settings, expected in (
        (f"{site.url}/zero.mp4", SETTINGS, "MEDIA"),
        (f"{site.url}/page.html", SETTINGS, "MEDIA"),
        (f"{site.url}/large.mp4", small, "MEDIA"),
        (f"{site.url}/short.mp4", SETTINGS, "NET"),
        ("http://127.0.0.1:1/refused.mp4", SETTINGS, "NET"),
        ("http://no-such-host.invalid/x.mp4", SETTINGS, "NET"),
    ):
        with pytest.raises(ClipFailure) as caught:
            download(url, tmp_path / "got" / url.rsplit("/", 1)[-1], settings)
        assert caught.value.failure_class == expected, (url, caught.value.message)


def test_secrets_are_used_and_shown_nowhere(
    make_video: Callable[..., Path], site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookies = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tCOOKIEVALUE\n"
    cookies.write_text(text)
    monkeypatch.setenv("SSAT_COOKIES", str(cookies))
    monkeypatch.setenv("SSAT_PROXY", "http://user:PROXYPASSWORD@127.0.0.1:1")
    stage = CollectSettings(user_agent="AGENTNAME/1")
    settings = DownloadSettings.of(stage)
    site.add(make_video())
    download(f"{site.url}/video.mp4", tmp_path / "d", settings)
    assert "AGENTNAME/1" in site.agents
    assert "session=COOKIEVALUE" in site.cookies
    assert cookies.read_text() == text
    # A host that only the (dead) proxy could reach.
    with pytest.raises(ClipFailure) as caught:
        download("http://198.51.100.1/video.mp4", tmp_path / "e", settings)
    shown = f"{caught.value} {settings!r} {stage!r} {stage.model_dump_json()} {stage.model_dump(mode='json')}"
    for secret in ("PROXYPASSWORD", "COOKIEVALUE", "AGENTNAME", str(cookies)):
        assert secret not in shown


def test_a_missing_cookie_file_is_named_by_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAT_COOKIES", "/nowhere/cookies.txt")
    with pytest.raises(InputError, match="SSAT_COOKIES"):
        DownloadSettings.of(CollectSettings())


def test_a_download_can_be_broken_off(make_video: Callable[..., Path], site: Any, tmp_path: Path) -> None:
    site.add(make_video())
    with pytest.raises(Stopped):
        download(f"{site.url}/video.mp4", tmp_path / "d", SETTINGS, stopped=lambda: True)


def test_youtube_is_told_from_mirrors() -> None:
    assert is_youtube("https://www.youtube.com/watch?v=LAcSOxdNrmI")
    assert is_youtube("https://youtu.be/LAcSOxdNrmI")
    assert not is_youtube("http://127.0.0.1:8000/youtube.com/LAcSOxdNrmI.mp4")


def test_the_pacer_spaces_its_callers() -> None:
    import threading
    import time

    pacer = Pacer(per_hour=36_000)  # every 0.1 s
    started = time.monotonic()
    for _ in range(4):
        pacer.wait(threading.Event())
    assert 0.3 <= time.monotonic() - started < 1.0
