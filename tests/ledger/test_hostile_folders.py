"""Folders made by someone hostile: whatever they say, the ledger takes it or refuses the folder, and goes on."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.errors import FolderError
from runstone.folder.sealed import seal
from runstone.ledger.of_folder import project
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome
from tests.harness.postgres import Server
from tests.ledger.stories import contents

AT = "2026-03-01T12:00:00.000001Z"
DRIVER = {"host": "h", "pid": 1, "start_ticks": 1}
HUGE = "9" * 400
RUN = {
    "id": "the-run",
    "created_at": AT,
    "pipeline": {"name": "p"},
    "blocks": [{"name": "b", "outputs": ["o"]}, {"name": "c", "outputs": ["d"]}],
    "params": {},
}

LONE = "\ud800 \udfff"
"""No JSON may say this: a folder with it is refused, a line with it is damaged."""

ODD_TEXTS = {
    "nul": "\0",
    "nuls": "a\0b\\u0000\\\\u0000",
    "surrogate": LONE,
    "huge": "x" * 50_000,
    "wide": "🪨" * 10_000,
    "quotes": "'\"`;--",
    "percent": "%(name)s %s %",
    "colons": ":name ::cast $1 $$",
    "bidi": "\u202e\x1b[31m\r\n",
}
ODD_TIMES = [
    "",
    "yesterday",
    "infinity",
    "now",
    "0000-00-00T00:00:00.000000Z",
    "0001-01-01T00:00:00+23:59",
    "0999-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999-23:59",
    "9999-12-31T23:59:59.999999+00:00",
    "2026-02-30T00:00:00.000000Z",
    "2026-01-01T24:00:00.000000Z",
    "2026-01-01T23:59:60.000000Z",
    "2026-01-01\x0000:00:00.000000Z",
    "2026-01-01 00:00:00.000000Z",
    "20260101T000000.0000000000Z",
    "2026-W01-1T00:00:00.000000Z",
    "2026-01-01T00:00:00,000000Z",
    "٢٠٢٦-01-01T00:00:00.000000Z",
    "2026-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00",
]
ODD_NUMBERS = [
    "-1",
    "0",
    str(2**63 - 1),
    str(2**63),
    str(2**64 - 1),
    str(2**64),
    HUGE,
    "-" + HUGE,
    "1e400",
    "0.5",
    "null",
    '"1"',
]

NO_SECONDS = ("1e400", "null", '"1"', HUGE, "-" + HUGE)

Maker = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Makes a folder. run: what `run.json` says besides or instead; lines: what the journal says, as text."""

    def make(*lines: str, run: dict[str, Any] | str | None = None) -> Path:
        folder = tmp_path / "hostile"
        (folder / "journal").mkdir(parents=True, exist_ok=True)
        said = run if isinstance(run, str) else json.dumps({**RUN, **(run or {})})
        (folder / "run.json").write_text(said, "utf-8")
        with (folder / "journal" / "0001.jsonl").open("wb") as journal:
            for line in lines or (event("run.started", driver=DRIVER),):
                journal.write(seal(line.encode("utf-8", "surrogatepass")) + b"\n")
        return folder

    return make


def event(kind: str, seq: int = 1, at: str = AT, raw: str = "", **fields: Any) -> str:
    """A line of a journal. raw: put into it as it is."""
    said = json.dumps({"event": kind, "seq": seq, "at": at, **fields})
    return said[:-1] + raw + "}"


def started(*more: str) -> tuple[str, ...]:
    """The lines of a run that has begun with both of its blocks."""
    return (
        event("run.started", 1, driver=DRIVER),
        event("block.started", 2, block="b"),
        event("block.started", 3, block="c"),
        *more,
    )


@pytest.fixture(scope="module")
def stores(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """Both, for the whole module: what is hostile must do no harm to what comes later."""
    path = tmp_path_factory.mktemp("hostile") / "ledger.db"
    stores = [open_ledger(Place("sqlite", str(path))), open_ledger(Place("postgres", postgres_server.new_schema()))]
    yield stores
    for store in stores:
        store.close()


Take = Callable[[Path], dict[str, list[dict[str, Any]]]]


@pytest.fixture
def take(stores: list[Store]) -> Iterator[Take]:
    """Brings a folder into both ledgers; returns what they have then, which must be the same."""

    def take(folder: Path) -> dict[str, list[dict[str, Any]]]:
        outcomes = [project(store, str(folder)) for store in stores]
        assert outcomes == [Outcome.TAKEN] * 2
        found = [contents(store) for store in stores]
        assert found[0] == found[1]
        return found[0]

    yield take
    for store in stores:
        store.rows("DELETE FROM pipeline_run")


def refused_if(damaged: bool) -> contextlib.AbstractContextManager[object]:
    """What is no JSON at all is a damaged folder, and no matter of the ledger."""
    return pytest.raises(FolderError, match=r"run\.json is damaged") if damaged else contextlib.nullcontext()


def one_run(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    [run] = found["pipeline_run"]
    return run


@pytest.mark.parametrize("odd", ODD_TEXTS)
@pytest.mark.parametrize(
    "field", ["job_id", "retry_of", "parent_id", "imported_from", "trigger", "trace_id", "config_hash", "ledger"]
)
def test_odd_texts_about_a_run(make: Maker, take: Take, field: str, odd: str) -> None:
    with refused_if(odd == "surrogate"):
        assert one_run(take(make(run={field: ODD_TEXTS[odd]})))["run_id"] == "the-run"


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_odd_texts_in_names_tags_and_parameters(make: Maker, take: Take, odd: str) -> None:
    text = ODD_TEXTS[odd]
    run = {
        "pipeline": {"name": text, "version": text, "description": text, "code_ref": text, "tags": [text, text]},
        "tags": [text, text + "a", text + "b", ""],
        "params": {text: {"type": text, "value": text}, "b": {"type": "list", "preview": [text, {text: text}]}},
        "started_by": {"commit": text, "host": text, "command": text},
        "settings": {text: text},
    }

    with refused_if(odd == "surrogate"):
        found = take(make(run=run))

        assert found["tag"]
        assert len(one_run(found)["pipeline_name"]) <= 500
        assert len(one_run(found)["variables"]) == 2


HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "said", [HASH, HASH.upper(), HASH[:-1], HASH + "0", "\0" * 64, "🪨" * 64, "x" * 64, HASH + "\n"]
)
def test_a_hash_is_one_or_none(make: Maker, take: Take, said: str) -> None:
    assert one_run(take(make(run={"config_hash": said})))["config_hash"] == (HASH if said == HASH else None)


@pytest.mark.parametrize("field", ["id", "workspace"])
@pytest.mark.parametrize("odd", ["", "x" * 201, *(ODD_TEXTS[name] for name in ("nul", "nuls", "surrogate", "wide"))])
def test_a_run_that_could_not_be_told_from_another_is_refused(
    make: Maker, stores: list[Store], take: Take, field: str, odd: str
) -> None:
    with pytest.raises(FolderError, match=r"run\.json is damaged: .* is no (id of a run|name of a workspace)|JSON"):
        take(make(run={field: odd}))

    assert not any(any(contents(store).values()) for store in stores)


@pytest.mark.parametrize("odd", ["quotes", "percent", "colons", "bidi"])
def test_a_run_may_have_any_name_that_can_be_told_from_others(make: Maker, take: Take, odd: str) -> None:
    found = take(make(run={"id": ODD_TEXTS[odd], "workspace": ODD_TEXTS[odd]}))

    assert one_run(found)["run_id"] == one_run(found)["workspace"] == ODD_TEXTS[odd]


@pytest.mark.parametrize("moment", ODD_TIMES)
def test_odd_times(make: Maker, take: Take, moment: str) -> None:
    lines = (
        event("run.started", 1, moment, driver=DRIVER),
        event("block.started", 2, moment, block="b"),
        event("error", 3, moment, block="b", type="E", message="m"),
        event("artifact", 4, moment, **artifact()),
        event("block.ended", 5, moment, block="b", status="failed"),
        event("run.cancelling", 6, moment, reason="requested", requested_at=moment),
        event("run.ended", 7, moment, status="cancelled"),
    )

    found = take(make(*lines, run={"created_at": moment}))

    assert found["event"]
    for rows in found.values():
        for row in rows:
            for name, value in row.items():
                if (name == "at" or name.endswith("_at")) and value is not None:
                    assert len(value) == 27, (name, value)
                    assert value[10::16] == "TZ"


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_odd_texts_in_events(make: Maker, take: Take, odd: str) -> None:
    text = ODD_TEXTS[odd][:500]
    lines = started(
        event("error", 4, block="b", type=text, message=text, traceback=text, params={text: text}),
        event("artifact", 5, **artifact(path=text, name=text, sha256=text, block=text, metadata={text: [text]})),
        event("warning", 6, code=text, message=text, block=text),
        event("block.ended", 7, block="b", status="failed", message=text),
        event("run.cancelling", 8, reason="requested", message=text, requested_by=text),
    )

    found = take(make(*lines))

    # a line that is no JSON is no event
    assert len(found["artifact"]) == len(found["error"]) == (odd != "surrogate")


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("field", ["element", "attempt", "index"])
def test_odd_numbers_of_errors(make: Maker, take: Take, field: str, number: str) -> None:
    value = f"[{number}]" if field == "index" else number
    line = event("error", 4, block="b", type="E", message="m", raw=f',"{field}":{value}')
    take(make(*started(line)))


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("block.started", "attempt"),
        ("block.retrying", "attempt"),
        ("block.retrying", "delay"),
        ("block.ended", "duration"),
        ("block.ended", "cpu_seconds"),
        ("block.ended", "peak_memory"),
        ("run.taken_over", "epoch"),
        ("run.taken_over", "more"),
    ],
)
def test_odd_numbers_of_blocks(make: Maker, take: Take, kind: str, field: str, number: str) -> None:
    more = {"run.taken_over": {"driver": DRIVER, "files": {}}, "block.ended": {"block": "b", "status": "completed"}}
    fields = more.get(kind, {"block": "b"})
    if kind == "run.taken_over" and field != "epoch":
        fields["epoch"] = 2
    take(make(*started(event(kind, 4, raw=f',"{field}":{number}', **fields))))


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_odd_numbers_of_artifacts_and_of_the_lease(make: Maker, take: Take, number: str) -> None:
    said = artifact()
    del said["size_bytes"]
    run = json.dumps(dict(RUN.items()))[:-1] + f', "lease_seconds": {number}}}'
    lines = started(
        event("artifact", 4, raw=f',"size_bytes":{number}', **said),
        event("artifact", 5, raw=f',"element":{number}', **artifact()),
        event("artifact", 6, raw=f',"metadata":{{"n":{number}}}', **artifact()),
    )
    with refused_if(number in NO_SECONDS):
        take(make(*lines, run=run))


@pytest.mark.parametrize("seqs", [[1, 1, 1], [1, 2, 2, 3], [1, 3, 2], [2, 1], [0, 1], [-1, 1], [1, 2**63, 2]])
def test_odd_numbers_of_lines(make: Maker, take: Take, seqs: list[int]) -> None:
    found = take(make(*(event("warning", seq, code="c", message=str(place)) for place, seq in enumerate(seqs))))

    numbers = [row["seq"] for row in found["event"]]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers, default=0) <= one_run(found)["seq"]


@pytest.mark.parametrize("start", [str(-(2**63)), "0", "4", str(2**64 - 2), HUGE])
@pytest.mark.parametrize("stop", ["-5", "5", str(2**64 - 1), HUGE])
def test_odd_ranges_of_what_is_void(make: Maker, take: Take, start: str, stop: str) -> None:
    void = event("records.voided", 6, raw=f',"errors":[[{start},{stop}]],"artifacts":[[{start},{stop}]]')
    lines = started(
        event("error", 4, block="b", type="E", message="m"),
        event("artifact", 5, **artifact()),
        void,
    )
    take(make(*lines))


@pytest.fixture
def patient_python() -> Iterator[None]:
    """As newer ones are, which let C code go far deeper than this limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("patient_python")
@pytest.mark.parametrize("depth", [400, 900, 5000])
def test_what_is_nested_without_end(make: Maker, take: Take, depth: int) -> None:
    nest = "[" * depth + "]" * depth
    run = json.dumps(RUN).replace('"params": {}', f'"params": {{"p": {{"type": "list", "preview": {nest}}}}}')
    lines = started(event("artifact", 4, raw=f',"metadata":{{"a":{nest}}}', **artifact()))

    found = take(make(*lines, run=run))

    assert set(found["artifact"][0]["metadata"]) == ({"a"} if depth < 500 else set())
    assert set(one_run(found)["variables"]) == ({"p"} if depth < 500 else set())


def test_brackets_in_a_text_are_no_depth(make: Maker, take: Take) -> None:
    said = {"a": "[" * 2000 + '"' + "{" * 2000}

    found = take(make(*started(event("artifact", 4, **artifact(metadata=said)))))

    assert found["artifact"][0]["metadata"] == said


def test_a_long_path_is_told_whole(make: Maker, take: Take, tmp_path: Path) -> None:
    folder = make()
    long = tmp_path.joinpath(*["d" * 200] * 4)
    long.parent.mkdir(parents=True)
    folder.rename(long)

    assert one_run(take(long))["run_folder"] == str(long)


def artifact(**fields: Any) -> dict[str, Any]:
    return {
        "artifact_id": "a",
        "path": "artifacts/a",
        "name": "a",
        "artifact_type": "file",
        "content_type": "text/plain",
        "size_bytes": 1,
        "sha256": "",
        **fields,
    }
