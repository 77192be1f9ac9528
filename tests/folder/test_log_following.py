"""Following logs: what is there first, then every line as it comes, to the end of the run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from runstone import Pipeline, block
from runstone.engine.background import RunHandle
from runstone.folder import layout
from runstone.folder.log_following import follow_logs
from runstone.folder.log_search import LogQuery
from runstone.folder.logs import LogLine
from tests import samples


class Talk:
    """A run of two blocks that says what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"
        self._next = threading.Semaphore(0)
        self._words: list[str] = []

        @block
        def first() -> int:
            self._say_until("")
            return 1

        @block
        def second(first: int) -> int:
            self._say_until("")
            return 2

        pipeline = Pipeline("talk", [first, second])
        self.handle: RunHandle[object] = pipeline.run_async(run_folder=self.folder, show_progress=False)  # type: ignore[assignment]

    def say(self, word: str) -> None:
        """Let the block that is computed print this; "" lets it end."""
        self._words.append(word)
        self._next.release()

    def _say_until(self, end: str) -> None:
        while True:
            assert self._next.acquire(timeout=30)
            word = self._words.pop(0)
            if word == end:
                return
            print(word, end="" if word.endswith("...") else "\n")

    def end(self) -> None:
        self.say("")
        self.say("")
        self.handle.result(30)


@contextlib.contextmanager
def talking(folder: Path) -> Iterator[Talk]:
    # Not a fixture: pytest puts other streams in place between the setting up of a test and the test itself.
    made = Talk(folder)
    try:
        yield made
    finally:
        if not made.handle.done:
            made.end()


def follow(talk: Talk, count: int | None = None, of: str | None = None, **query: str) -> Iterator[LogLine]:
    return follow_logs(str(talk.folder), LogQuery.of(block=of, **query), count=count, block=of)


def test_every_line_comes_as_it_is_said_and_the_end_of_the_run_is_the_end(tmp_path: Path) -> None:
    with talking(tmp_path) as talk:
        talk.say("one")
        lines = follow(talk)
        assert next(lines).message == "one"
        for word in ("two", "three"):
            talk.say(word)
            assert next(lines).message == word
        talk.say("")
        talk.say("four")
        found = next(lines)
        assert (found.message, found.block) == ("four", "second")
        talk.say("no line end ...")
        talk.say("")
        assert [line.message for line in lines] == ["no line end ..."]


def test_what_is_there_comes_first_or_its_last_lines(tmp_path: Path) -> None:
    with talking(tmp_path) as talk:
        lines = follow(talk)
        for word in ("one", "two", "three"):
            talk.say(word)
            next(lines)
        talk.end()
        assert [line.message for line in lines] == []
        assert [line.message for line in follow(talk)] == ["one", "two", "three"]
        assert [line.message for line in follow(talk, 2)] == ["two", "three"]
        assert [line.message for line in follow(talk, 0)] == []


def test_only_wanted_lines_come(tmp_path: Path) -> None:
    with talking(tmp_path) as talk:
        lines = follow(talk, grep="^t")
        for word in ("one", "two", "three"):
            talk.say(word)
        assert [next(lines).message for _ in range(2)] == ["two", "three"]


def test_following_a_block_ends_with_it(tmp_path: Path) -> None:
    with talking(tmp_path) as talk:
        talk.say("one")
        lines = follow(talk, of="first")
        assert next(lines).message == "one"
        talk.say("")
        assert list(lines) == []
        assert not talk.handle.done


def test_a_line_that_is_being_written_comes_when_it_is_whole(tmp_path: Path) -> None:
    with talking(tmp_path) as talk:
        talk.say("one")
        lines = follow(talk)
        assert next(lines).message == "one"
        log = talk.folder / layout.log("first", 1)
        whole = log.read_bytes().replace(b'"one"', b'"torn"')
        with log.open("ab") as file:
            file.write(whole[:-5])
            file.flush()
            late = follow(talk)
            assert next(late).message == "one"
            threading.Timer(0.2, lambda: (file.write(whole[-5:]), file.flush())).start()
            assert next(lines).message == next(late).message == "torn"


def test_a_line_that_was_torn_by_a_death_comes_as_far_as_it_is_there(tmp_path: Path) -> None:
    samples.run_tiny(tmp_path / "run")
    (tmp_path / "run/logs").mkdir()
    (tmp_path / "run/logs/double.0001.jsonl").write_bytes(
        b'{"at":"2026-01-01T00:00:00.000000Z","level":"INFO","stream":"stdout","block":"double","message":"half of'
    )
    (line,) = follow_logs(str(tmp_path / "run"), LogQuery())
    assert (line.message, line.block) == ("half of", "double")


def test_a_run_that_goes_away_meanwhile_is_the_end(tmp_path: Path) -> None:
    with talking(tmp_path) as talk:
        talk.say("one")
        lines = follow(talk)
        next(lines)
        talk.end()
        talk.folder.rename(tmp_path / "elsewhere")
        assert list(lines) == []
