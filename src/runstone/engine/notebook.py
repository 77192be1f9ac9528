"""A run in the output of a notebook's cell: one small table that changes in place."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from html import escape
from typing import Any

from runstone.core.figures import coarse, duration
from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import showable
from runstone.engine.bars import FINAL_ROWS, LIVE_ROWS, chosen, lines, rest
from runstone.engine.glance import Glance, Row

# Readable on light and on dark pages; everything else takes the page's own colours.
_COLOURS = {
    Tone.GOOD: "#2da05f",
    Tone.BUSY: "#2f81f7",
    Tone.WARNED: "#c68a1a",
    Tone.BAD: "#e5484d",
    Tone.HIT: "#c9787a",
    Tone.IDLE: "#8b95a1",
}
_CELL = "padding:1px 14px 1px 0;text-align:left;white-space:nowrap;border:none;background:none"
_NUMBER = "padding:1px 14px 1px 0;text-align:right;white-space:nowrap;border:none;font-variant-numeric:tabular-nums"


def shell() -> Any:
    """The shell of the notebook that this process serves, None if there is none."""
    ipython = sys.modules.get("IPython")
    found = ipython.get_ipython() if ipython is not None and "ipykernel" in sys.modules else None
    return found if getattr(found, "kernel", None) is not None else None


class Notebook:
    """Shows runs where the cell that runs them shows its output."""

    seconds = 0.25
    """Between two looks."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}
        self._shown: dict[str, str] = {}

    def open(self) -> None:
        """Nothing has to be prepared."""

    def close(self) -> None:
        """Nothing has to be put back."""

    def begin(self, glance: Glance) -> None:
        """Take a place in the output of the cell that is running now."""
        self._put(glance, final=False)

    def show(self, glances: Sequence[Glance]) -> None:
        """Bring what is shown up to date."""
        for glance in glances:
            self._put(glance, final=False)

    def settle(self, glance: Glance, others: Sequence[Glance]) -> None:
        """Leave this run as it is now for good."""
        self._put(glance, final=True)
        self._handles.pop(glance.id)
        self._shown.pop(glance.id)

    def _put(self, glance: Glance, *, final: bool) -> None:
        page = html(glance, final=final)
        if self._shown.get(glance.id) == page:
            return
        self._shown[glance.id] = page
        text = "\n".join(
            "".join(piece for piece, _ in line).rstrip() for line in lines(glance, 100, sys.maxsize, final=final)
        )
        bundle = {"text/html": page, "text/plain": text}
        if glance.id in self._handles:
            self._handles[glance.id].update(bundle, raw=True)
        else:
            display: Any = importlib.import_module("IPython.display").display
            self._handles[glance.id] = display(bundle, raw=True, display_id=True)


def html(glance: Glance, *, final: bool = False) -> str:
    """The run as a piece of HTML."""
    shown = chosen(glance, FINAL_ROWS if final else LIVE_ROWS, final=final)
    count, done = len(glance.rows), glance.blocks_done
    told = f"{done:,} of {count:,} blocks" if done < count else f"{count:,} block{'s' * (count != 1)}"
    more = "" if len(shown) == len(glance.rows) else f'<div style="opacity:.65">{_text(rest(glance, shown))}</div>'
    return (
        '<div style="font-size:13px;line-height:1.5">'
        f'<div><b>{_text(glance.pipeline)}</b> <span style="opacity:.6">{_text(glance.id[:8])}</span>&ensp;'
        f"{_word(glance.status)}&ensp;{told}&ensp;{duration(glance.seconds)}</div>"
        '<table style="border-collapse:collapse;margin:2px 0;font-size:13px">'
        f"{''.join(map(_row, shown))}</table>{more}</div>"
    )


def _row(row: Row) -> str:
    count = "" if row.total is None else f"{row.ended:,}/{row.total:,}"
    failed = f'<span style="color:{_COLOURS[Tone.BAD]}">{row.failed:,} failed</span>' if row.failed else ""
    seconds = "" if row.seconds is None else duration(row.seconds)
    left = "" if row.left is None else f'<span style="opacity:.65">~{coarse(row.left)} left</span>'
    cells = ((_CELL, _text(row.name)), (_CELL, _word(row.status)), (_CELL, _bar(row)))
    numbers = ((_NUMBER, count), (_NUMBER, failed), (_NUMBER, seconds), (_CELL, left))
    told = "".join(f'<td style="{style}">{text}</td>' for style, text in cells + numbers)
    return f'<tr style="background:none">{told}</tr>'


def _bar(row: Row) -> str:
    tone = tone_of(row.status)
    total = row.total or 1
    ended = row.ended if row.total else int(row.done and row.seconds is not None)
    bad = max(3.0, 100 * row.failed / total) if row.failed else 0.0
    good = max(0.0, 100 * ended / total - bad)
    if row.failed and row.done:
        tone = Tone.GOOD
    pieces = ((good, _COLOURS[tone]), (bad, _COLOURS[Tone.BAD]))
    return (
        '<div style="display:flex;width:160px;height:7px;border-radius:4px;overflow:hidden;'
        'background:rgba(128,128,128,.22)">'
        + "".join(f'<div style="width:{part:.1f}%;background:{colour}"></div>' for part, colour in pieces if part)
        + "</div>"
    )


def _word(status: str) -> str:
    return f'<span style="color:{_COLOURS[tone_of(status)]};font-weight:600">{_text(status)}</span>'


def _text(text: str) -> str:
    return escape(showable(text))
