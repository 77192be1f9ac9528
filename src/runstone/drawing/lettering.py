"""Letters: which may be shown, and how much room they take, in a picture or in a terminal."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"

# Advance widths of semibold letters in hundredths of the font size, rounded up over the faces that a system font stack
# ends in (DejaVu Sans is the widest of them), so that text measured here fits whatever the viewer has.
_HUNDREDTHS = {
    letter: width
    for width, letters in {
        35: " 'ijl",
        40: ",.:;I",
        45: "/\\f",
        50: "!()-[]`rt",
        55: '"*',
        60: "J_csz|",
        65: "?Lx",
        70: "$0123456789EFTaekovy",
        75: "CPSYZbdghnpqu{}",
        80: "ABKRVX",
        85: "#+<=>DGHNOQU^~",
        95: "&w",
        105: "%@Mm",
        115: "W",
    }.items()
    for letter in letters
}
_OTHER_LETTER = 80
_WIDE_LETTER = 115
_REGULAR_TO_SEMIBOLD = 0.93
_MONOSPACED = 61

# Control characters, halves of surrogate pairs, private and unassigned code points, line and paragraph separators:
# not allowed in XML, able to command a terminal, or shown by nobody in the same way.
_UNSHOWABLE = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_SPACES = "\t\n\r\v\f"
# Turn the direction of the text around them, also beyond the name that holds them.
_TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def showable(text: str) -> str:
    """The text on one line, with a replacement character for what must not reach a picture or a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " "
        if letter in _SPACES
        else "\ufffd"
        if letter in _TURNING or unicodedata.category(letter) in _UNSHOWABLE
        else letter
        for letter in text
    )


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(letter) for letter in text)


def _cells_of(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def pixels(text: str, size: float, *, semibold: bool = False, monospaced: bool = False) -> float:
    """The most room that the text takes in a picture, in px, at a font size in px."""
    hundredths = 0
    for letter in text:
        if _cells_of(letter) == 2:
            hundredths += _WIDE_LETTER if not monospaced else 2 * _MONOSPACED
        elif monospaced:
            hundredths += _MONOSPACED * _cells_of(letter)
        else:
            hundredths += _HUNDREDTHS.get(letter, _OTHER_LETTER * _cells_of(letter))
    face = 1.0 if semibold or monospaced else _REGULAR_TO_SEMIBOLD
    return hundredths / 100 * size * face


def shortened(text: str, most: float, *, size: float, semibold: bool = False, monospaced: bool = False) -> str:
    """The text, or as much of its start as fits `most` px, with an ellipsis."""
    if pixels(text, size, semibold=semibold, monospaced=monospaced) <= most:
        return text
    room = most - pixels(ELLIPSIS, size, semibold=semibold, monospaced=monospaced)
    end = 0
    for letter in text:
        room -= pixels(letter, size, semibold=semibold, monospaced=monospaced)
        if room < 0:
            break
        end += 1
    return text[:end].rstrip() + ELLIPSIS


def shortened_to_cells(text: str, most: int, ellipsis: str = ELLIPSIS) -> str:
    """The text, or as much of its start as fits `most` columns of a terminal, with an ellipsis."""
    if cells(text) <= most:
        return text
    room = most - cells(ellipsis)
    end = 0
    for letter in text:
        room -= _cells_of(letter)
        if room < 0:
            break
        end += 1
    return (text[:end].rstrip() + ellipsis) if most >= cells(ellipsis) else ""


def wrapped_to_cells(text: str, most: int) -> list[str]:
    """The text in lines of at most `most` columns of a terminal, broken at spaces where there are any."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and cells(lines[-1]) + 1 + cells(word) <= most:
            lines[-1] += " " + word
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if cells(lines[-1]) + _cells_of(letter) > most:
                lines.append("")
            lines[-1] += letter
    return lines
