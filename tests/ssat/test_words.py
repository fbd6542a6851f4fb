"""The library says nothing of the layers above it: no orchestrator, no cluster, no tracking server, no option."""

import re
from pathlib import Path

import ssat

_FOLDER = Path(ssat.__file__).parent
_WORDS = re.compile(r"\b(prefect|ray|mlflow)\b|--[a-z]", re.IGNORECASE)
# A folder of the workspace.
_ALLOWED = {("workspace.py", "mlflow")}


def test_the_library_names_nothing_above_it() -> None:
    found = {
        (path.relative_to(_FOLDER).as_posix(), match[0].lower())
        for path in _FOLDER.rglob("*.py")
        for match in _WORDS.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == _ALLOWED
