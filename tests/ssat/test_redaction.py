import os

import pytest

from ssat.redaction import printable, redacted, secrets_of, without_credentials


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:s3cret@host:4200/api?key=s3cret#x", "https://host:4200/api?…"),
        ("http://u:p%40x@[::1]:80/a", "http://[::1]:80/a"),
        ("http://[::1]:80/@user/a", "http://[::1]:80/@user/a"),
        ("http://u:s3/cret@host/v.mp4", "http://host/v.mp4"),
        ("http://host:8080/@user/v.mp4", "http://host:8080/@user/v.mp4"),
        ("https://www.youtube.com/watch?v=LAcSOxdNrmI&pp=s3cret", "https://www.youtube.com/watch?v=LAcSOxdNrmI"),
        ("https://www.youtube.com/watch?v={clip_id}", "https://www.youtube.com/watch?v={clip_id}"),
        ("https://host/youtube?v=s3cret", "https://host/youtube?…"),
        ("u:s3cret@host:6379", "host:6379"),
        ("host:6379", "host:6379"),
        ("/data/a@b?c.tar", "/data/a@b?c.tar"),
        ("sqlite:////tmp/a@b#c?d.db", "sqlite:////tmp/a@b#c?d.db"),
    ],
)
def test_addresses_lose_user_password_and_query(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


def test_messages_lose_named_secrets_and_those_of_their_addresses() -> None:
    proxy = "http://user:pass%20word@proxy:3128"
    text = f"cannot connect to {proxy}\n(user:pass%20word): see 'ftp://a:b@h/x?token=t', agent Moz/1"
    shown = redacted(text, "Moz/1", *secrets_of(proxy), None)
    assert shown == "cannot connect to http://proxy:3128 (***): see 'ftp://h/x?…', agent ***"
    assert secrets_of(None) == secrets_of("http://host:80/a") == ()


def test_names_that_are_not_utf_8_can_be_printed_and_stored() -> None:
    path = os.fsdecode(b"/videos/caf\xe9.mp4")
    assert without_credentials(path) == "/videos/caf\\xe9.mp4"
    assert printable("ä\u2028") == "ä\u2028"
    assert printable("\ud800") == "\\ud800"
