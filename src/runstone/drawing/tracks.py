"""Tracks: the lanes of a graph drawn as lines beside its rows, a line of text for each row."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runstone.drawing.lanes import Lane, Row
from runstone.drawing.pen import Pen

WIDTH = 2
"""Columns of the terminal that a track takes: its sign and the room, or the line, to the next one."""


class Sketch(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside a row.

    before, after: the lanes that pass, as a line above and as any line below.
    lines: the line with the node, and below it the one in which its further values take their lanes.
    track: where the node stands; is_new: no lane leads down to it there.
    """

    before: str
    lines: tuple[str, ...]
    after: str
    track: int
    is_new: bool


class Tracks:
    """Which lane runs where while the rows are drawn from the top down."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._lanes: list[Lane | None] = []

    @property
    def count(self) -> int:
        """How many tracks were in use side by side until now."""
        return len(self._lanes)

    def sketch(self, row: Row, sign: str) -> Sketch:
        """Draw the next row, its node as `sign`."""
        before = self._passing()
        taken = [track for track, lane in enumerate(self._lanes) if lane in row.takes]
        ending = [track for track in taken if self._ends(track, row)]
        track = ending[0] if ending else self._free(near=taken or [0])
        lines = [self._arrivals(track, sign, [other for other in taken if other != track], row)]
        for other in ending:
            self._lanes[other] = None

        forks = []
        for lane in row.makes:
            place = self._free(near=[track])
            self._lanes[place] = lane
            if place != track:
                forks.append(place)
        if forks:
            lines.append(self._departures(track, forks))
        return Sketch(before=before, lines=tuple(lines), after=self._passing(), track=track, is_new=track not in taken)

    def _ends(self, track: int, row: Row) -> bool:
        lane = self._lanes[track]
        return lane is not None and lane.end == row.number

    def _free(self, near: Sequence[int]) -> int:
        """A track without a lane, the nearest to one of these, rather to the right than to the left."""
        if None not in self._lanes:
            self._lanes.append(None)
        free = [track for track, lane in enumerate(self._lanes) if lane is None]
        return min(free, key=lambda track: min((abs(track - other), track < other) for other in near))

    def _passing(self) -> str:
        return self._line({}, 0, 0, False, False, 0)

    def _arrivals(self, track: int, sign: str, others: Sequence[int], row: Row) -> str:
        """The line of a node: lanes from both sides lead into it."""
        low, high = min([track, *others]), max([track, *others])
        many_left = self._all_many([other for other in others if other < track])
        many_right = self._all_many([other for other in others if other > track])
        signs = {track: sign}
        for other in others:
            sides = ("u" if self._ends(other, row) else "ud") + _reach(other, low, high)
            signs[other] = self._joint(other, sides, many_left if other < track else many_right)
        return self._line(signs, low, high, many_left, many_right, track)

    def _departures(self, track: int, others: Sequence[int]) -> str:
        """The line below a node that makes several values: from its own lane to theirs."""
        low, high = min([track, *others]), max([track, *others])
        many_left = self._all_many([other for other in others if other < track])
        many_right = self._all_many([other for other in others if other > track])
        signs = {track: self._joint(track, "ud" + _reach(track, low, high), many_right if high > track else many_left)}
        for other in others:
            signs[other] = self._joint(
                other, "d" + _reach(other, low, high), many_left if other < track else many_right
            )
        return self._line(signs, low, high, many_left, many_right, track)

    def _all_many(self, tracks: Sequence[int]) -> bool:
        lanes = [self._lanes[track] for track in tracks]
        return bool(lanes) and all(lane is not None and lane.many for lane in lanes)

    def _joint(self, track: int, sides: str, many_across: bool) -> str:
        lane = self._lanes[track]
        return self._pen.joint(sides, many_down=lane is not None and lane.many, many_across=many_across)

    def _line(self, signs: dict[int, str], low: int, high: int, many_left: bool, many_right: bool, middle: int) -> str:
        """A line of text: `signs` where there are any, lines across from `low` to `high`, and the lanes in front."""
        pieces = []
        for track, lane in enumerate(self._lanes):
            across_here = self._pen.across[many_left if track < middle else many_right]
            if track in signs:
                pieces.append(signs[track])
            elif lane is not None:
                pieces.append(self._pen.down[lane.many])
            else:
                pieces.append(across_here if low < track < high else " ")
            pieces.append(across_here if low <= track < high else " ")
        return "".join(pieces)


def _reach(track: int, low: int, high: int) -> str:
    """To which sides a line across from `low` to `high` goes on from a track on it."""
    return ("l" if track > low else "") + ("r" if track < high else "")
