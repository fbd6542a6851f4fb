"""The reporter that the library calls; the layers above implement it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Reporter(Protocol):
    """Interface for the reports of a stage; the layers above implement it for a tracking server and the terminal."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Named numbers at a training step or epoch."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Report a named table; every row has the same columns."""

    def file(self, path: Path, folder: str = "") -> None:
        """Report a finished file (picture, video, model card), filed under `folder`."""

    def progress(self, done: int, total: int, what: str, note: str = "") -> None:
        """`done` of `total` units of `what` are finished; `note` says how well it goes."""


class NullReporter:
    """Reporter that does nothing: the default, and that of every rank but the first."""

    def scalars(self, values: Mapping[str, float], step: int) -> None: ...

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None: ...

    def file(self, path: Path, folder: str = "") -> None: ...

    def progress(self, done: int, total: int, what: str, note: str = "") -> None: ...
