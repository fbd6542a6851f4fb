"""One HTML file that holds everything but its videos: readable offline, on a phone and on paper."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ssat.errors import InputError
from ssat.workspace import committed

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_SCRIPT = Path(__file__).with_name("report.js")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ReportTable:
    """Rows of one table; all have the columns of the first, which is set as the row's heading."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    links: Mapping[str, Path] = field(default_factory=dict)
    """Text of a cell → the file beside the report that it leads to."""


@dataclass(frozen=True)
class ReportFigure:
    """A PNG, with what it shows in words."""

    title: str
    path: Path
    note: str = ""


@dataclass(frozen=True)
class ReportVideo:
    """A video beside the report; it is linked, not embedded."""

    title: str
    path: Path


def write_report(
    path: Path,
    *,
    title: str,
    tables: Sequence[ReportTable] = (),
    figures: Sequence[ReportFigure] = (),
    notes: Sequence[str] = (),
    videos: Sequence[ReportVideo] = (),
) -> Path:
    """Write the report, whole or not at all, and return `path`.

    Every text is escaped. Pictures are embedded; videos and other files are linked relative to the report, so that the
    workspace can be copied as a whole. A click on a heading sorts a table; the page may run that script and no other.

    Raises:
        InputError: a figure that is missing or not a PNG.
    """
    import jinja2
    from markupsafe import Markup

    # Settings and file names are untrusted: they must be escaped.
    script = _SCRIPT.read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        script=Markup(script),  # noqa: S704 - ours, not from outside
        script_sha256=allowed,
        notes=list(notes),
        tables=[
            {
                "title": table.title,
                "note": table.note,
                "columns": list(table.rows[0]),
                "rows": table.rows,
                "links": {text: _relative_link(target, path.parent) for text, target in table.links.items()},
            }
            for table in tables
            if table.rows
        ],
        figures=[{"title": f.title, "note": f.note, "data": _as_base64(f.path)} for f in figures],
        videos=[{"title": v.title, "link": _relative_link(v.path, path.parent)} for v in videos],
    )
    with committed(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _as_base64(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: figure cannot be read ({error.strerror})") from error
    if not content.startswith(_PNG_SIGNATURE):
        raise InputError(f"{path}: not a PNG; a report embeds PNG pictures")
    return base64.b64encode(content).decode("ascii")


def _relative_link(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
