"""Pens: the signs of which a drawing in text is made."""

from __future__ import annotations

import msgspec

# Signs for a crossing by the sides that it joins: up, down, left, right. Of the four, the second and the fourth have
# double lines up and down, the third and the fourth across.
_JOINTS = {
    "ud": "│║│║",
    "udr": "├╟╞╠",
    "udl": "┤╢╡╣",
    "udlr": "┼╫╪╬",
    "ur": "╰╙╘╚",
    "ul": "╯╜╛╝",
    "ulr": "┴╨╧╩",
    "dr": "╭╓╒╔",
    "dl": "╮╖╕╗",
    "dlr": "┬╥╤╦",
}


class Pen(msgspec.Struct, frozen=True, kw_only=True):
    """The signs of a drawing. Of two, the second is for arrays whose elements go one by one, or are gathered."""

    parameter: str
    block: str
    mapped: str
    across: str
    down: str
    takes: str
    ellipsis: str
    only_ascii: bool

    def joint(self, sides: str, *, many_down: bool, many_across: bool) -> str:
        """The sign that joins these sides: some of u, d, l and r, in this order."""
        if sides == "ud":
            return self.down[many_down]
        return "+" if self.only_ascii else _JOINTS[sides][many_down + 2 * many_across]

    def written(self, text: str) -> str:
        """A text with nothing in it that this pen cannot write."""
        return text.encode("ascii", "backslashreplace").decode("ascii") if self.only_ascii else text


BOX_DRAWING = Pen(
    parameter="○", block="■", mapped="▣", across="─═", down="│║", takes="←", ellipsis="…", only_ascii=False
)
ASCII = Pen(parameter="o", block="#", mapped="@", across="-=", down="|:", takes="<-", ellipsis="...", only_ascii=True)
