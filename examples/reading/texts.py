"""Finding texts, and what stands in them: sentences, names, and words that are written like code."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TypedDict

ENDINGS = (".md", ".rst", ".txt")
LONGEST = 300  # letters of a sentence; what is longer is a table or a list

_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_TABLE_LINE = re.compile(r"^\s*\|.*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} .*$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"(])|\n\s*\n|^\s*[-*] ", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]{2,40})`")
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)\b([A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*)\b")
_PLAIN = re.compile(r"[\w.]+(?:\(\))?")


class Mentions(TypedDict):
    """What a document says. counts: how often it mentions each thing."""

    path: str
    sentences: list[str]
    counts: dict[str, int]


def documents(root: str) -> list[str]:
    """The texts below a folder, by their paths from there; the longest first."""
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [Path(folder, name) for name in names if name.endswith(ENDINGS)]
    found.sort(key=lambda path: (-path.stat().st_size, path))
    return [path.relative_to(root).as_posix() for path in found]


def mentions(path: str, text: str) -> Mentions:
    """Take a document apart."""
    found = sentences(text)
    counts: Counter[str] = Counter()
    for sentence in found:
        counts.update(name for name in _CODE.findall(sentence) if _PLAIN.fullmatch(name))
        counts.update(_NAME.findall(_CODE.sub(" ", sentence)))
    return Mentions(path=path, sentences=found, counts=dict(counts))


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order; without code, tables and headings."""
    prose = _HEADING.sub("\n\n", _TABLE_LINE.sub("", _FENCED.sub("\n\n", text)))
    parts = (" ".join(part.split()) for part in _END.split(_LINK.sub(r"\1", prose)))
    return [part for part in parts if 20 <= len(part) <= LONGEST]
