"""Words that must not come back: CONTRIBUTING.md asks for plain English and the words of docs/glossary.md."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_CODE = sorted(path for folder in ("ssat", "tasks", "flows") for path in (_ROOT / folder).rglob("*.py"))
_PAGES = sorted([_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *(_ROOT / "docs").glob("*.md")])

# Whole words of identifiers and prose → what to write instead.
_WORDS = {
    "faceless": "missing appearance",
    "by_look": "appearance cost",
    "by_box": "box cost",
    "off_the_shelf": "torchvision_detector",
    "ShelfDetector": "TorchvisionDetector",
    "Refiner": "CenterTrackDetector",
    "TrackWishes": "TrackOptions",
    "[Ww]hoever": "name the person or process",
    "[Nn]obody": "no person, no process",
    "[Ss]omebody": "a person",
    "[Ee]verybody": "all people",
}
# Parts of identifiers → what to write instead.
_PARTS = {"MOST_": "MAX_", "LEAST_": "MIN_", "FEWEST_": "MIN_", "WORTH_": "MIN_"}
# Phrases of messages and prose.
_PHRASES = {
    "not to be had": "not available",
    "to the letter": "exact",
    "vouches for": "trusts",
    "a hair of": "tolerance for",
    "clip of rank": "clip with class id",
    "tells people apart": "distinguishes people",
    "tell people apart": "distinguish people",
    "thrown away": "discarded",
    "learnt": "learned",
    "unless told": "by default",
    "beside each other": "concurrently",
    "looks at": "uses, processes",
    "looked at": "used, processed",
    "goes on": "continues",
    "rightly": "correctly",
    "told apart": "distinguished",
}
_LOOP_VARIABLES = {"one", "it", "found", "given", "made"}


def _named(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def test_words_of_the_field() -> None:
    problems = []
    for path in [*_PAGES, *_CODE]:
        text = path.read_text(encoding="utf-8")
        prose = " ".join(text.split()).lower()
        found = [(word, better) for word, better in _WORDS.items() if re.search(rf"\b{word}\b", text)]
        found += [(part, better) for part, better in _PARTS.items() if re.search(rf"(?<![A-Z]){part}[A-Z]", text)]
        found += [(phrase, better) for phrase, better in _PHRASES.items() if phrase in prose]
        problems += [f"{_named(path)}: {word!r}, write {better!r}" for word, better in found]
    assert not problems, "\n".join(problems)


def test_loop_variables_are_nouns() -> None:
    problems = []
    for path in _CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.For | ast.comprehension):
                names = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)} & _LOOP_VARIABLES
                problems += [f"{_named(path)}:{node.target.lineno}: {name}" for name in names]
    assert not problems, "\n".join(problems)


def test_links_of_the_pages_lead_somewhere() -> None:
    anchors = {path: _anchors(path.read_text(encoding="utf-8")) for path in _PAGES}
    for page in _PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            assert path.exists(), f"{_named(page)}: link to {target}, which is missing"
            assert not anchor or anchor in anchors[path], f"{_named(page)}: link to {target}, no such heading"


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
