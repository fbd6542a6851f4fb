"""Remove credentials and other secrets from addresses and messages before they are shown or stored."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?")
_ADDRESS_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
# The one query that is kept: it names the video and holds no secret.
_YOUTUBE_VIDEO = re.compile(r"(?:^|[?&])(v=[\w{}-]+)")


def without_credentials(address: str) -> str:
    """Return an address without user, password and fragment; `?…` stands for its query.

    Of a YouTube address `?v=ID` is kept. A path of the file system is returned as it is; bytes of its name that are
    not UTF-8 become `\\xNN`, so that the result can always be printed and stored.
    """
    match = _ADDRESS.match(address)
    if match is None:
        # host:port, perhaps behind a user; a path may hold an @ as well, but behind a slash.
        return printable(re.sub(r"^[^/\s]*@", "", address))
    if match["scheme"].split("+")[0] in ("sqlite", "file") and not match["host"]:
        return printable(address)  # a path, in which ? and # are ordinary characters
    host, path = match["host"], match["path"]
    if re.search(r":(?!\d*$)[^@]*$", host) and "@" in path and not host.startswith("["):
        # A password with a slash in it: what follows the colon is no port.
        host, path = "", path.rpartition("@")[2]
    query = match["query"] or ""
    if query:
        video = _YOUTUBE_VIDEO.search(query) if "youtube.com/watch" in f"{host}{path}" else None
        query = f"?{video[1]}" if video else "?…"
    return printable(f"{match['scheme']}://{host.rpartition('@')[2]}{path}{query}")


def secrets_of(address: str | None) -> tuple[str, ...]:
    """Return the parts of an address that no message may repeat: user info, password, query."""
    if not address:
        return ()
    try:
        parts = urlsplit(address)
    except ValueError:
        return (address,)
    userinfo = parts.netloc.rpartition("@")[0]
    return tuple(secret for secret in (userinfo, parts.password, parts.query) if secret)


def redacted(text: str, *secrets: str | None) -> str:
    """Return a message on one line, with `secrets` replaced by `***` and its addresses without credentials."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _ADDRESS_IN_TEXT.sub(lambda match: without_credentials(match[0]), text)
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return text that UTF-8 can hold: bytes that were not UTF-8 when it was read become `\\xNN`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:  # half of a surrogate pair, which no file name has
            return text.encode("utf-8", "backslashreplace").decode()
    return text
