"""The library's messages with the command line's words: it names settings, a command has options."""

from __future__ import annotations

import re

_SETTING = re.compile(r"setting `([a-z_.]+)`")
_SWITCHED_OFF = re.compile(r"switch setting `([a-z_.]+)` off")


def with_options(message: str) -> str:
    """Return `message` with every setting that it names in backquotes as the option that sets it."""
    switched = _SWITCHED_OFF.sub(lambda match: f"use --no-{_dashed(match[1])}", message)
    return _SETTING.sub(lambda match: f"--{_dashed(match[1])}", switched)


def _dashed(setting: str) -> str:
    return setting.replace(".", "-").replace("_", "-")
