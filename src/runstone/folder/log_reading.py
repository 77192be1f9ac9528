"""Reading the logs of a run: all of them or the newest lines, the blocks together in the order of time.

The lines of a block come in the order of its files, epoch after epoch. Whatever the size of the logs, the first lines
come at once and memory is bounded: files are read in pieces, side by side.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter

import msgspec

from runstone.folder import layout, log_lines
from runstone.folder.log_search import LogQuery, Search
from runstone.folder.logs import LogLine
from runstone.folder.look import Look

_MEMORY = 16 * 1024 * 1024
"""What the pieces of all blocks together may take, in bytes."""

_Step = tuple[str, LogLine | None]


class LogFile(msgspec.Struct, frozen=True):
    """One log of a run. block: None for what was said outside of blocks. size: in bytes, when it was listed."""

    name: str
    block: str | None
    epoch: int
    size: int


def read_logs(folder: str, query: LogQuery) -> Iterator[LogLine]:
    """All wanted lines of a run, oldest first; see `oldest_first`. Raises FolderError if they may not be read."""
    with Look(folder) as look:
        yield from oldest_first(look, log_files(look, query), query)


def log_files(look: Look, query: LogQuery) -> list[LogFile]:
    """The logs in which there may be wanted lines, those of each block in the order of epochs."""
    found = []
    for name in look.names(layout.LOGS):
        known = layout.log_block(name)
        if known is not None and query.wants_file(known[0]):
            path = f"{layout.LOGS}/{name}"
            found.append(LogFile(path, *known, log_lines.size_of(look, path)))
    return sorted(found, key=lambda file: (file.block or "", file.epoch))


def oldest_first(look: Look, files: Iterable[LogFile], query: LogQuery) -> Iterator[LogLine]:
    """All wanted lines of these files, as far as they were written when they were listed."""
    chains = _by_block(files)
    search, largest = Search(query), _piece(chains)
    steps = [_forwards(look, chain, search, largest) for chain in chains]
    for _, line in heapq.merge(*steps, key=itemgetter(0)):
        if line is not None:
            yield line


def newest(look: Look, files: Iterable[LogFile], query: LogQuery, count: int) -> list[LogLine]:
    """The last `count` wanted lines of these files, oldest first."""
    chains = _by_block(files)
    search, largest = Search(query), _piece(chains)
    steps = [_backwards(look, chain, search, largest) for chain in chains]
    merged = heapq.merge(*steps, key=itemgetter(0), reverse=True)
    return list(islice((line for _, line in merged if line is not None), count))[::-1]


def _by_block(files: Iterable[LogFile]) -> list[list[LogFile]]:
    chains: dict[str | None, list[LogFile]] = {}
    for file in files:
        chains.setdefault(file.block, []).append(file)
    return list(chains.values())


def _piece(chains: list[list[LogFile]]) -> int:
    return max(4096, min(log_lines.LARGEST_PIECE, _MEMORY // max(1, len(chains))))


# A step is a wanted line with its time, or only the time up to which a chain has been searched: so a chain without
# wanted lines holds the others up for one piece, not for all of its files.


def _forwards(look: Look, files: list[LogFile], search: Search, largest: int) -> Iterator[_Step]:
    reached = ""
    for file in files:
        for piece in log_lines.forwards(look, file.name, 0, file.size, largest):
            for line in search.lines(piece):
                reached = max(reached, line.at)
                yield reached, line
            reached = max(reached, log_lines.parse(piece.last()).at)
            yield reached, None


def _backwards(look: Look, files: list[LogFile], search: Search, largest: int) -> Iterator[_Step]:
    reached = "~"
    for file in reversed(files):
        for piece in log_lines.backwards(look, file.name, file.size, largest):
            for line in search.lines_backwards(piece):
                reached = min(reached, line.at or reached)
                yield reached, line
            reached = min(reached, log_lines.parse(piece.first()).at or reached)
            yield reached, None
