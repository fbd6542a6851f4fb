from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssat.clips.download import DownloadSettings, download, has_extractor, is_youtube
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


@pytest.mark.parametrize(
    ("address", "stated"),
    [
        ("video.php?id=7", "video/mp4"),
        ("get.aspx?id=7&key=s3cret", "application/octet-stream"),
        ("watch.html", "text/html; charset=utf-8"),
        ("song.mp3", "audio/mpeg"),
        ("list.m3u8", "application/vnd.apple.mpegurl"),
        ("manifest.mpd", "application/dash+xml"),
        ("page.exe", "video/mp4"),
        ("7", "binary/octet-stream"),
        ("a.tar.gz", "audio/mp4"),
        (".mp4", "image/png"),
    ],
)
def test_the_content_decides_not_the_name_or_the_stated_type(
    make_video: Callable[..., Path], site: Any, tmp_path: Path, address: str, stated: str
) -> None:
    video = make_video()
    name = address.split("?")[0]
    site.add(video, name)
    site.types[name] = stated
    assert download(f"{site.url}/{address}", tmp_path / "d", SETTINGS).read_bytes() == video.read_bytes()


def test_pages_and_playlists_lead_to_their_video_whatever_they_are_called(
    make_video: Callable[..., Path], site: Any, tmp_path: Path
) -> None:
    video = make_video()
    site.add(video, "stream.php")
    site.types |= {"stream.php": "video/mp4", "page.php": "text/html", "play.php": "application/x-mpegurl"}
    (site.folder / "page.php").write_text(
        '<!doctype html><html><body><video src="stream.php?id=1" type="video/mp4"></video></body></html>'
    )
    assert download(f"{site.url}/page.php?v=1", tmp_path / "page", SETTINGS).read_bytes() == video.read_bytes()
    segment = make_video("segment.ts")
    site.add(segment)
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", "segment.ts", "#EXT-X-ENDLIST", "")
    (site.folder / "play.php").write_text("\n".join(lines))
    assert download(f"{site.url}/play.php?id=1", tmp_path / "play", SETTINGS).read_bytes() == segment.read_bytes()


@pytest.mark.parametrize(
    ("content", "stated", "words"),
    [
        (b"", "video/mp4", "the server sent an empty file"),
        (b"\xef\xbb\xbf\n <!doctype html><title>log in</title>", "video/mp4", "a page of text as video/mp4"),
        ("<html>gone</html>".encode("utf-16"), "video/webm", "a page of text as video/webm"),
        (b"<html><title>no video here</title></html>", "text/html", "the page at this address shows none"),
    ],
)
def test_what_is_no_video_is_said_in_our_own_words(
    site: Any, tmp_path: Path, content: bytes, stated: str, words: str
) -> None:
    (site.folder / "video.php").write_bytes(content)
    site.types["video.php"] = stated
    with pytest.raises(ClipFailure, match=words) as caught:
        download(f"{site.url}/video.php?id=7", tmp_path / "d", SETTINGS)
    assert caught.value.failure_class == "MEDIA"
    assert "yt-dlp" not in caught.value.message


def test_a_page_that_refuses_is_left_to_the_extractor_of_its_site() -> None:
    assert has_extractor("https://vimeo.com/56015672")
    assert not has_extractor("http://127.0.0.1:9/video.php?id=1")


def test_loopback_is_reached_past_any_proxy(
    make_video: Callable[..., Path], site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    video = make_video()
    site.add(video)
    settings = DownloadSettings(min_side=256, max_bytes=10 << 20, socket_timeout=5, proxy="http://u:pw@127.0.0.1:1")
    assert download(f"{site.url}/video.mp4", tmp_path / "d", settings).read_bytes() == video.read_bytes()


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
