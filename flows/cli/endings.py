"""Ending of a command whose output pipe was closed by its reader."""

from __future__ import annotations

import os
import sys


def reader_gone() -> int:
    """End after the reader of a pipe (`ssat … | head`) has gone, without Python's complaint when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141  # 128 + SIGPIPE, as a shell reports it
