"""What the README and the pages tell people to type: commands and Python, read from their Markdown."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")])
_FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROGRAMS = ("ssat", "make", "prefect", "docker", "ray", "kubectl", "aws", "pytest", "python", "openssl")


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8").replace("\\\n", " ")


def _bare(line: str) -> str:
    """A line without prompt, path of the environment, variables in front and comment behind."""
    line = re.sub(r"^(?:\$ |\.venv/bin/|[A-Z_]+=\S+ )*", "", line.strip())
    return re.sub(r"\s+#\s.*$", "", line)


def block_commands() -> list[tuple[str, str]]:
    """(page, command) of each command that stands in a code block, in the order of the pages; each once on a page."""
    found = []
    for page in PAGES:
        for language, block in _FENCE.findall(_text(page)):
            if language in ("", "sh", "bash"):
                found += [(page.name, _bare(line)) for line in block.splitlines() if _is_command(_bare(line))]
    return list(dict.fromkeys(found))


def mentioned_commands() -> list[tuple[str, str]]:
    """(page, command) of each `ssat …` in a block or between backquotes."""
    found = []
    for page in PAGES:
        text = _text(page)
        lines = [line for _, block in _FENCE.findall(text) for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))
        found += [(page.name, _bare(line)) for line in lines if _bare(line).startswith("ssat ")]
    return sorted(set(found))


def python_blocks() -> list[tuple[str, int, str]]:
    """(page, number on the page from 1, code) of each block of Python."""
    found = []
    for page in PAGES:
        blocks = [block for language, block in _FENCE.findall(page.read_text(encoding="utf-8")) if language == "python"]
        found += [(page.name, number, block) for number, block in enumerate(blocks, 1)]
    return found


def _is_command(line: str) -> bool:
    return line.split(" ")[0] in _PROGRAMS
