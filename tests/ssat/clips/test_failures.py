import errno
import pickle

import pytest
from yt_dlp.networking.exceptions import CertificateVerifyError, IncompleteRead, ProxyError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    RegexNotFoundError,
    UnsupportedError,
)

from ssat.clips.failures import ClipFailure, FailureClass, classify


def _reported(error: Exception) -> DownloadError:
    """As YoutubeDL hands an extractor's error on: wrapped, with exc_info."""
    try:
        raise error
    except Exception as caught:  # noqa: BLE001
        return DownloadError(f"ERROR: {caught}", (type(caught), caught, caught.__traceback__))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GeoRestrictedError("The uploader has not made this video available in your country"), "GEO"),
        (ExtractorError("Unable to download", cause=TransportError("connection reset")), "NET"),
        (ExtractorError("Unable to download", cause=ProxyError("refused")), "NET"),
        (ExtractorError("Unable to download", cause=CertificateVerifyError("self-signed")), "TOOL"),
        (IncompleteRead(10, 20), "NET"),
        (ContentTooShortError(10, 20), "NET"),
        (TimeoutError("timed out"), "NET"),
        (RegexNotFoundError("Unable to extract player version"), "TOOL"),
        (ExtractorError("KeyError('streamingData')", expected=False), "TOOL"),
        (UnsupportedError("http://example.org/page"), "MEDIA"),
    ],
)
def test_exception_types_decide(error: Exception, expected: str) -> None:
    assert classify(_reported(error)).failure_class == expected


# What YouTube says, word for word.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Private video. Sign in if you've been granted access to this video", "GONE"),
        ("Video unavailable. This video has been removed by the uploader", "GONE"),
        ("Video unavailable. This video is no longer available because the YouTube account associated with this video "
         "has been terminated.", "GONE"),
        ("Video unavailable", "GONE"),
        ("This video is DRM protected", "GONE"),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies", "RATE"),
        ("Please complete this. YouTube is requiring a captcha challenge before playback", "RATE"),
        ("This content isn't available, try again later. The current session has been rate-limited by YouTube", "RATE"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "AUTH"),
        ("Join this channel to get access to members-only content like this video", "AUTH"),
        ("The uploader has not made this video available in your country", "GEO"),
        ("Requested format is not available. Use --list-formats for a list", "MEDIA"),
        ("Premieres in 5 hours", "MEDIA"),
    ],
)  # fmt: skip
def test_words_decide_where_yt_dlp_has_no_type(text: str, expected: str) -> None:
    error = ExtractorError(text, expected=True, video_id="LAcSOxdNrmI", ie="youtube")
    assert classify(_reported(error)).failure_class == expected


def test_a_fault_of_this_machine_is_no_failure_of_a_clip() -> None:
    with pytest.raises(OSError, match="No space left"):
        classify(_reported(OSError(errno.ENOSPC, "No space left on device")))


def test_messages_carry_no_credentials_and_no_advice_to_report_bugs() -> None:
    error = ExtractorError(
        "\x1b[31mUnable to download http://user:secret@example.org/v.mp4?token=secret\x1b[0m", cause=TransportError("x")
    )
    message = classify(_reported(error)).message
    assert "secret" not in message
    assert "\x1b" not in message
    assert "please report" not in message
    assert message == "Unable to download http://example.org/v.mp4?…"


_REPORT = (
    "please report this issue on  https://github.com/yt-dlp/yt-dlp/issues?q= , filling out the appropriate issue "
    "template. Confirm you are on the latest version using  yt-dlp -U"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"[Foo] x: Unable to extract title; {_REPORT}", "[Foo] x: Unable to extract title"),
        (f"The extension ('php') is unusual. If you believe this is an error, {_REPORT}",
         "The extension ('php') is unusual."),
        (_REPORT.capitalize(), "DownloadError"),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the authentication. See  "
         "https://github.com/yt-dlp/yt-dlp/wiki/FAQ#x  for how to manually pass cookies.",
         "Sign in to confirm you’re not a bot."),
        ("Got HTTP Error 403 caused by a challenge; see  https://github.com/yt-dlp/yt-dlp#impersonation  for how to "
         "install the required dependency, and try again with  --extractor-args \"generic:impersonate\"",
         "Got HTTP Error 403 caused by a challenge"),
        ("Not in your country\nYou might want to use a VPN or a proxy server (with --proxy) to workaround.",
         "Not in your country"),
        ("File a.b.mp4 is missing; it was moved", "File a.b.mp4 is missing; it was moved"),
    ],
)  # fmt: skip
def test_messages_carry_no_advice_for_the_users_of_the_downloader(text: str, shown: str) -> None:
    assert classify(DownloadError(f"ERROR: {text}")).message == shown


def test_a_fault_in_an_extractor_costs_its_clip_alone() -> None:
    failure = classify(KeyError("formats"))
    assert (failure.failure_class, failure.message) == ("TOOL", "the downloader broke off: KeyError: 'formats'")


def test_a_failure_survives_the_way_between_processes() -> None:
    failure = ClipFailure(FailureClass.RATE, "slow down", 429, 12.0)
    copy = pickle.loads(pickle.dumps(failure))  # noqa: S301 - what multiprocessing does
    assert (copy.failure_class, copy.message, copy.http_status, copy.retry_after_s) == ("RATE", "slow down", 429, 12.0)
