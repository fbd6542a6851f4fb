"""Names of files stand in one module."""

import ast
from pathlib import Path

from ssat import file_names

ROOT = Path(__file__).resolve().parents[2]
NAMES = {value for name, value in vars(file_names).items() if name.isupper()}
# The same word with another meaning.
OTHER = {("flows/results.py", "trimmed")}


def test_names_of_files_are_spelled_once() -> None:
    found = []
    for layer in ("ssat", "tasks", "flows"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            if path.name == "file_names.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.BinOp)
                    and isinstance(node.op, ast.Div)
                    and isinstance(node.right, ast.Constant)
                ):
                    joined = node.right.value
                elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                    joined = node.value.value
                else:
                    continue
                if joined in NAMES and (path.relative_to(ROOT).as_posix(), joined) not in OTHER:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {joined}")
    assert not found, "import the name from ssat.file_names"


def test_names_are_what_workspaces_of_earlier_versions_have() -> None:
    assert {
        "clips/roster.parquet",
        "trimmed",
        "manifest.json",
        "checkpoints",
        "embedder.safetensors",
        "result.json",
        "benchmark.json",
        "study.json",
        "report.html",
        "submission.zip",
        "seqinfo.ini",
        "gt/gt.txt",
        "det/det.txt",
    } == NAMES
