"""How hard a text is to read: Flesch's reading ease, from sentences, words and syllables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypedDict

_WORD = re.compile(r"[A-Za-zÀ-ÿ']+")
_SENTENCE = re.compile(r"[.!?:]+(?:\s|$)")
_VOWELS = re.compile(r"[aeiouyà-ÿ]+", re.IGNORECASE)
_STEPS = ((90, "very easy"), (70, "easy"), (60, "plain"), (50, "fairly hard"), (30, "hard"))


class Measured(TypedDict):
    """Counts of a text. ease: 100 is easy, 0 hard; it may be beyond both."""

    sentences: int
    words: int
    syllables: int
    ease: float


def measure(lines: Sequence[str]) -> Measured:
    """Count what stands in these lines."""
    text = "\n".join(lines)
    words = _WORD.findall(text)
    return _measured(len(_SENTENCE.findall(text)), len(words), sum(map(syllables, words)))


def together(parts: Sequence[Measured]) -> Measured:
    """What several parts of a text are as a whole."""
    return _measured(*(sum(part[name] for part in parts) for name in ("sentences", "words", "syllables")))


def syllables(word: str) -> int:
    """About how many syllables an English word has: groups of vowels, without a silent e at its end."""
    silent = word.lower().endswith("e") and not word.lower().endswith("le")
    return max(1, len(_VOWELS.findall(word)) - silent)


def in_words(ease: float) -> str:
    """What a reading ease means."""
    return next((told for least, told in _STEPS if ease >= least), "very hard")


def _measured(sentences: int, words: int, syllables: int) -> Measured:
    # Source: Flesch: A new readability yardstick, 1948.
    length, weight = words / max(1, sentences), syllables / max(1, words)
    ease = round(206.835 - 1.015 * length - 84.6 * weight, 1)
    return Measured(sentences=sentences, words=words, syllables=syllables, ease=ease)
