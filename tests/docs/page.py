"""A page of the documents: its fenced examples, its links, its headings, its tables."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(
    r"(?:^<!-- example: (?P<note>[^\n]+?) -->\n)?"
    r"^```(?P<language>\w+)(?: (?P<file>[^\n]+))?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_WORD = re.compile(r"`([^`]+)`")


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """A fenced block. file: what stands behind the language; note: what a comment just above says to the test."""

    language: str
    file: str | None
    note: str | None
    text: str
    line: int
    behind: int
    """Offset in the page just behind the fence."""


class Page:
    """One Markdown page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()

    def fences(self) -> list[Fence]:
        """All fenced blocks, in order."""
        return [
            Fence(
                language=match["language"],
                file=match["file"],
                note=match["note"],
                text=match["text"],
                line=self.text.count("\n", 0, match.start("language")) + 1,
                behind=match.end(),
            )
            for match in _FENCE.finditer(self.text)
        ]

    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def links(self) -> list[str]:
        """Where its links lead."""
        return [match["target"] for match in _LINK.finditer(self.prose())]

    def anchors(self) -> set[str]:
        """What links can lead to within the page, as code hosts name it."""
        titles = _HEADING.findall(self.prose())
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """The text below a heading, up to the next one of the same or a higher level."""
        match = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        assert match is not None, f"{self.path.name} has no section {title!r}"
        behind = self.text[match.end() :]
        end = re.search(rf"^#{{1,{len(match[1])}}} ", behind, re.MULTILINE)
        return behind[: end.start()] if end else behind


def words(text: str) -> set[str]:
    """Everything that is written as code in a piece of a page."""
    return set(_WORD.findall(text))


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in a piece of a page, without heads and rules."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        behind = lines[number + 1] if number + 1 < len(lines) else ""
        if line.startswith("|") and not line.startswith("|--") and not behind.startswith("|--"):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))])
    return found
