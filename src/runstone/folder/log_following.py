"""Following the logs of a run: what is there, then every line as it is written, until the run has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

from runstone.folder import log_lines, observe
from runstone.folder.follow import end_of
from runstone.folder.log_reading import LogFile, log_files, newest, oldest_first
from runstone.folder.log_search import LogQuery, Search
from runstone.folder.logs import LogLine
from runstone.folder.look import Look

_GLANCE_SECONDS = 0.05
_STATUS_SECONDS = 0.5
_SORTED = 10_000
"""So many new lines of several blocks are brought into the order of time at once."""


def follow_logs(
    folder: str, query: LogQuery, *, count: int | None = None, block: str | None = None
) -> Iterator[LogLine]:
    """Yield the wanted lines that are there (the last `count`, or all), then new ones until the run has ended.

    block: end with this block. A line comes as soon as it is complete; a torn one at the end, as far as it is there.
    """
    positions: dict[str, int] = {}
    with Look(folder) as look:
        files = [_up_to_the_last_line(look, file) for file in log_files(look, query)]
        positions.update((file.name, file.size) for file in files)
        yield from oldest_first(look, files, query) if count is None else newest(look, files, query, count)
    looked_at = -_STATUS_SECONDS
    while True:
        ended = False
        if time.monotonic() - looked_at >= _STATUS_SECONDS:
            # before the lines: what was said before the end is read after it was seen
            ended = end_of(observe.status(folder, block)) is not None
            looked_at = time.monotonic()
        yield from _new_lines(folder, query, positions, torn=ended)
        if ended:
            return
        time.sleep(_GLANCE_SECONDS)


def _up_to_the_last_line(look: Look, file: LogFile) -> LogFile:
    """The file without a line that is still being written."""
    for piece in log_lines.backwards(look, file.name, file.size):
        begun = len(piece.last()) if piece.torn else 0
        return LogFile(file.name, file.block, file.epoch, piece.behind - begun)
    return file


def _new_lines(folder: str, query: LogQuery, positions: dict[str, int], *, torn: bool) -> Iterator[LogLine]:
    search = Search(query)
    found: list[LogLine] = []
    try:
        # opened anew: the folder of the logs may not have been there before
        look = Look(folder)
    except OSError:
        return
    with look:
        for file in log_files(look, query):
            start = positions.get(file.name, 0)
            if file.size <= start:
                continue
            for piece in log_lines.forwards(look, file.name, start, file.size):
                if piece.torn and not torn:
                    break
                positions[file.name] = piece.behind
                found.extend(search.lines(piece))
                if len(found) > _SORTED:
                    yield from sorted(found, key=lambda line: line.at)
                    found.clear()
    yield from sorted(found, key=lambda line: line.at)
