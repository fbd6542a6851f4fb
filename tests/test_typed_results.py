"""Results between the layers are classes: no function returns a dictionary of anything."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("tasks", "flows", "ssat/clips")
# Where a result leaves the program as JSON or as columns of a table.
EDGES = {"as_json", "facts", "columns"}
# Not results: settings that name a folder, options of yt-dlp, kept reports to MLflow.
OTHER = {
    "ssat/clips/download.py": {"_file_at", "_options"},
    "tasks/mlflow_reporter.py": {"_kept"},
    "tasks/study.py": {"_chosen_before"},
}
ANYTHING = {"Any", "object"}


def _of_anything(annotation: ast.expr | None) -> bool:
    """Whether a dictionary whose values may be anything is in an annotation."""
    return annotation is not None and any(
        isinstance(part, ast.Subscript)
        and isinstance(part.value, ast.Name)
        and part.value.id in ("dict", "Mapping")
        and isinstance(part.slice, ast.Tuple)
        and ast.unparse(part.slice.elts[-1]) in ANYTHING
        for part in ast.walk(annotation)
    )


def _functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield path.relative_to(ROOT).as_posix(), node


def test_no_function_returns_a_dictionary_of_anything() -> None:
    found = [
        f"{path}:{function.lineno}: {function.name}"
        for path, function in _functions()
        if _of_anything(function.returns) and function.name not in EDGES | OTHER.get(path, set())
    ]
    assert not found, "a result is a frozen dataclass, made JSON by ssat.json_values"


def test_what_is_exempt_is_there() -> None:
    names: dict[str, set[str]] = {}
    for path, function in _functions():
        names.setdefault(path, set()).add(function.name)
    assert all(exempt <= names[path] for path, exempt in OTHER.items())


def test_the_check_sees_dictionaries_inside_other_types() -> None:
    for text in ("dict[str, Any]", "list[dict[str, Any]]", "tuple[int, Mapping[str, object]] | None"):
        assert _of_anything(ast.parse(text, mode="eval").body), text
    for text in ("dict[str, float]", "StudyResult[Any]", "Mapping[str, str | int]"):
        assert not _of_anything(ast.parse(text, mode="eval").body), text
