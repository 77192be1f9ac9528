"""A server that goes away and comes back: runs go on meanwhile, and nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone import Pipeline, Run, block
from runstone.ledger import behind, projector
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from tests.harness.postgres import Server
from tests.ledger.stories import contents

AWAY = 3.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(projector, "_projectors", {})
    yield
    for each in projector._projectors.values():
        each.close()


@block
def numbers(size: int) -> list[int]:
    return list(range(size))


@block(mapspec="numbers[i] -> slow[i]", on_error="continue")
def slow(numbers: int, pause: float) -> int:
    time.sleep(pause)
    if numbers % 4 == 1:
        raise ValueError(f"not {numbers}")
    return numbers


def run(size: int = 8, pause: float = 0.0) -> Run:
    made = Pipeline("patient", [numbers, slow], tags=["through it"])
    return made.run({"size": size, "pause": pause}, show_progress=False)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shut down", "crashed"])
def test_runs_go_on_through_an_outage_and_all_come_into_the_ledger(
    own_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    assert through_an_outage(own_server, monkeypatch, capfd, tmp_path, how) > 5


def through_an_outage(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    how: signal.Signals,
) -> int:
    """Stop a server that way for AWAY seconds while runs go on; returns how many did, after having compared them."""
    url = server.new_schema()
    monkeypatch.setenv("RUNSTONE_LEDGER", url)
    done = [run()]
    away = threading.Event()

    def outage() -> None:
        time.sleep(0.3)
        server.stop(how)
        away.set()
        time.sleep(AWAY)

    spans = threading.Thread(target=outage)
    spans.start()
    # one that begins before and ends after it, and as many as there is time for in between
    across = threading.Thread(target=lambda: done.append(run(16, (AWAY + 2.0) / 16)))
    across.start()
    assert away.wait(20)
    longest = 0.0
    while spans.is_alive():
        began = time.monotonic()
        done.append(run())
        longest = max(longest, time.monotonic() - began)
        time.sleep(AWAY / 200)
    spans.join()
    server.start()
    across.join()
    assert longest < 2.0
    deadline = time.monotonic() + 60 + AWAY
    while behind.waiting():
        assert time.monotonic() < deadline, "the ledger does not catch up"
        time.sleep(0.05)
    (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("runstone: ")]
    assert "the ledger postgresql://" in said
    place = Place("postgres", url)
    store = open_ledger(place)
    other = open_ledger(Place("sqlite", str(tmp_path / "other.db")))
    for each in done:
        project(other, str(each.run_folder))
    assert contents(store) == contents(other)
    store.close()
    other.close()
    return len(done)
