"""A record without what the fold does not ask for adds up to the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runstone.core import events as ev
from runstone.core import fold, run_state
from runstone.folder import outline, scan
from runstone.folder.journal import decode_lines
from runstone.folder.look import Look
from runstone.folder.read import read_info
from tests import samples

NOT_ASKED_FOR: dict[type, set[str]] = {
    ev.BlockEnded: {"receipts"},
    ev.BlockAdopted: set(),
    ev.ErrorRaised: {"traceback", "params"},
    ev.ArtifactSaved: {"name", "artifact_type", "content_type", "sha256", "block", "element", "metadata"},
    ev.Chunk: {"outcomes", "failures", "from_run"},
}


@pytest.mark.parametrize("kind", NOT_ASKED_FOR, ids=lambda kind: kind.__name__)
def test_a_field_is_left_out_only_on_purpose(kind: type) -> None:
    whole = {field.name: field for field in msgspec.structs.fields(kind)}
    light = {field.name: field for field in msgspec.structs.fields(outline.OUTLINES[kind])}
    assert set(whole) - set(light) == NOT_ASKED_FOR[kind] & set(whole)
    assert set(light) <= set(whole)
    for name, field in light.items():
        assert field.required == whole[name].required, name


def test_every_event_that_is_known_has_an_outline() -> None:
    for kind in ev.JournalEvent.__args__:
        tag = kind.__struct_config__.tag
        if kind not in outline.OUTLINES:
            continue
        assert outline.OUTLINES[kind].__struct_config__.tag == tag
    assert set(NOT_ASKED_FOR) == set(outline.OUTLINES)


def test_outlines_add_up_to_what_whole_records_add_up_to(tmp_path: Path) -> None:
    samples.run_survey(tmp_path / "run", tmp_path)
    whole: list[ev.Record] = []
    light: list[ev.Record] = []
    for path in sorted((tmp_path / "run").glob("journal/*.jsonl")):
        for found, all_of_it in ((whole, True), (light, False)):
            found.extend(event for _, event in decode_lines(path.read_bytes(), whole=all_of_it))  # type: ignore[misc]
    for path in sorted((tmp_path / "run").glob("outputs/*.0001.pack")):
        with path.open("rb") as file:
            size = path.stat().st_size
            whole.extend(frame.chunk for frame in scan.frames(file.fileno(), 0, size, verify_from=0))
            light.extend(scan.scan_pack(file.fileno(), 0, size).records)
    with Look(str(tmp_path / "run")) as look:
        blocks = [block.name for block in read_info(look).blocks]
    states = []
    for records in (whole, light):
        state = run_state.initial(blocks)
        for record in sorted(records, key=lambda record: record.seq):
            fold.apply(state, record)
        states.append(state)
    assert states[0].done
    assert states[0] == states[1]
