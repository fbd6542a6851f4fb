"""A message to people: one HTTP POST to a webhook whose address is a secret.

The address is SSAT_WEBHOOK_URL or, where that is not set, the `url` of the Prefect block webhook/ssat, which
`ssat deploy` makes. It is never printed, logged or written into the workspace.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from ssat.errors import InputError

VARIABLE = "SSAT_WEBHOOK_URL"
BLOCK = "ssat"
_TIMEOUT_S = 10.0
_TRIES = 3
_LOG = logging.getLogger(__name__)


def webhook_url() -> str | None:
    """Return the address, or None if no notifications are configured.

    Raises:
        InputError: the variable holds something else than an http(s) address. Its value is not repeated.
    """
    url = os.environ.get(VARIABLE)
    if url:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise InputError(f"{VARIABLE}: expected an address that begins with http:// or https://")
        return url
    from prefect.blocks.webhook import Webhook

    try:
        block: Any = Webhook.load(BLOCK, _sync=True)  # type: ignore[call-arg]  # taken by the decorator of load
    except ValueError:  # raised by Prefect if there is no such block
        return None
    return str(block.url.get_secret_value())


def notify(event: str, text: str, **facts: Any) -> bool:
    """Notify the webhook of `event` (failed, breaker-open, new-champion, stopped); return whether it accepted.

    The message is JSON: "text", which Slack, Mattermost and Teams show as it is, "event" and `facts`. A webhook that
    does not answer is a warning: it must not fail work that is done.
    """
    try:
        url = webhook_url()
    except Exception as error:  # noqa: BLE001 - whatever Prefect's server says, the work matters more
        _LOG.warning("no notification was sent of %s: %s", event, type(error).__name__)
        return False
    if url is None:
        return False
    body = json.dumps({"text": f"ssat: {text}", "event": event, **facts}, default=str).encode()
    request = urllib.request.Request(  # noqa: S310 - webhook_url lets http(s) through alone
        url, data=body, method="POST", headers={"Content-Type": "application/json", "User-Agent": "ssat"}
    )
    for attempt in range(1, _TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            reason, final = f"HTTP {error.code}", error.code < 500
        except (OSError, ValueError) as error:
            # Some errors repeat the address: their kind is enough.
            reason, final = type(error).__name__, False
        if final or attempt == _TRIES:
            break
        time.sleep(attempt)
    _LOG.warning("the webhook did not accept the notification of %s: %s", event, reason)
    return False
