"""The picture of a run's moves, drawn from the table; `python -m tests.docs.moves_picture` puts it into its page."""

from __future__ import annotations

import re

from runstone.core.moves import DONE, RUN_MOVES
from runstone.core.statuses import RunStatus
from tests.docs.page import ROOT

PAGE = ROOT / "docs" / "life-of-a-run.md"
_PLACE = re.compile(r"(?<=moves_picture` -->\n).*?(?=<!-- moves end -->)", re.DOTALL)


def picture() -> str:
    """The moves as a state diagram in Mermaid, which code hosts draw."""
    order = list(RunStatus)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {order[0].value}", f"    [*] --> {order[1].value}"]
    for status in order:
        lines += [f"    {status.value} --> {to.value}" for to in sorted(RUN_MOVES[status], key=order.index)]
    lines += [f"    {status.value} --> [*]" for status in order if status in DONE]
    return "\n".join([*lines, "```", ""])


def shown() -> str:
    """What the page shows now."""
    found = _PLACE.search(PAGE.read_text())
    assert found is not None, f"{PAGE.name} has no place for the picture"
    return found[0]


if __name__ == "__main__":
    PAGE.write_text(_PLACE.sub(lambda _: picture(), PAGE.read_text()))
