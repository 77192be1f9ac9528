"""The facts of runs in their folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from runstone import Pipeline, block
from runstone.core.compare import Comparison, Entry
from runstone.folder import inputs
from runstone.folder.compare import compare_folders, facts
from runstone.folder.value_facts import of_value
from tests.samples import Trap, run_survey


def compare(tmp_path: Path, function: Callable[..., Any], *params: dict[str, Any], **how: bool) -> Comparison:
    """Runs of one block with these parameters, compared."""
    pipeline = Pipeline("p", [block(function)])
    folders = []
    for number, each in enumerate(params):
        folders.append(str(tmp_path / str(number)))
        pipeline.run(each, run_folder=folders[-1], show_progress=False, raise_on_error=False)
    return compare_folders(folders, **how)


def differing(compared: Comparison, section: str) -> dict[str, Entry]:
    return {entry.subject: entry for entry in compared.sections[section] if not entry.same}


def test_a_run_is_the_same_as_itself_and_as_a_run_of_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_survey(tmp_path / name, tmp_path)
    compared = compare_folders([str(tmp_path / "a"), str(tmp_path / "b")])
    assert {name: differing(compared, name) for name in compared.sections if differing(compared, name)} == {}
    assert compared.diverges is None
    assert compared.unsure == []


def test_parameters_differ_by_value_and_large_ones_by_digest(tmp_path: Path) -> None:
    def size(n: int, data: bytes) -> int:
        return n + len(data)

    compared = compare(tmp_path, size, {"n": 1, "data": b"a" * 9000}, {"n": 2, "data": b"b" * 9000})
    assert differing(compared, "parameters")["n"].values == ["1", "2"]
    assert list(differing(compared, "inputs")) == ["data"]
    assert differing(compared, "outputs")["size"].detail == ["+1 (+0.0111 %)"]
    assert compared.diverges is not None
    assert compared.diverges.because == ["parameter n", "parameter data"]


def test_a_parameter_that_is_small_in_one_run_and_large_in_another_is_one(tmp_path: Path) -> None:
    def size(data: str) -> int:
        return 1

    compared = compare(tmp_path, size, {"data": "short"}, {"data": "x" * 9000})
    ((name, entry),) = differing(compared, "parameters").items()
    assert name == "data"
    assert entry.values[0] == "'short'"
    assert (entry.values[1] or "").startswith("'xxx")
    assert compared.sections["inputs"] == []


def test_a_small_parameter_for_which_the_record_had_no_room_is_the_same_as_where_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(data: str, other: int) -> int:
        return 1

    pipeline = Pipeline("p", [block(size)])
    for name, room in (("roomy", inputs.ROOM), ("full", 0)):
        monkeypatch.setattr(inputs, "ROOM", room)
        pipeline.run({"data": "x", "other": 5 if room else 6}, run_folder=tmp_path / name, show_progress=False)
    assert (tmp_path / "full" / "inputs" / "inputs.pack").exists()
    compared = compare_folders([str(tmp_path / "roomy"), str(tmp_path / "full")])
    assert {entry.subject: (entry.same, entry.values) for entry in compared.sections["parameters"]} == {
        "data": (True, ["'x'", "'x'"]),
        "other": (False, ["5", "6"]),
    }
    assert compared.sections["inputs"] == []


def test_code_differs_by_its_parts(tmp_path: Path) -> None:
    def one(n: int) -> int:
        return n

    before = compare(tmp_path / "a", one, {"n": 1})

    def one(n: int) -> int:  # type: ignore[no-redef]
        return n + 0

    after = compare(tmp_path / "b", one, {"n": 1})
    compared = compare_folders([before.runs[0].folder, after.runs[0].folder])
    assert list(differing(compared, "code")) == ["one: function"]
    assert compared.diverges is None


def test_a_dict_is_told_key_by_key(tmp_path: Path) -> None:
    def metrics(n: int) -> dict[str, Any]:
        return {"loss": n / 2, "name": "x", **({"extra": 1} if n > 1 else {})}

    compared = compare(tmp_path, metrics, {"n": 1}, {"n": 2})
    found = differing(compared, "outputs")
    assert {name: entry.values for name, entry in found.items()} == {
        "metrics.loss": ["0.5", "1.0"],
        "metrics.extra": [None, "1"],
    }
    assert compared.diverges is not None
    assert compared.diverges.outputs == ["metrics.loss", "metrics.extra"]


def test_tables_differ_by_schema_and_figures(tmp_path: Path) -> None:
    def frame(n: int) -> pandas.DataFrame:
        return pandas.DataFrame({"a": [1, n], "b": ["x", None], **({"c": [0.5, 1.5]} if n > 2 else {})})

    (entry,) = differing(compare(tmp_path, frame, {"n": 2}, {"n": 3}), "outputs").values()
    assert entry.values == ["table of 2 rows, 2 columns", "table of 2 rows, 3 columns"]
    assert "-a: int64, 1 to 2, mean 1.5" in entry.detail
    assert "+a: int64, 1 to 3, mean 2" in entry.detail
    assert "+c: double, 0.5 to 1.5, mean 1" in entry.detail


def test_arrays_differ_by_shape_type_and_figures(tmp_path: Path) -> None:
    def array(n: int) -> Any:
        return numpy.array([1.0, numpy.nan, n])

    (entry,) = differing(compare(tmp_path, array, {"n": 2}, {"n": 3}), "outputs").values()
    assert entry.values == [
        "float64 3, 1 to 2, mean 1.5, 1 not finite",
        "float64 3, 1 to 3, mean 2, 1 not finite",
    ]


def test_mapped_outputs_differ_by_their_elements(tmp_path: Path) -> None:
    @block(mapspec="xs[i] -> ys[i]", on_error="continue")
    def ys(xs: int, power: int) -> int:
        if xs == 3 and power == 3:
            raise ValueError("three")
        return int(xs**power)

    pipeline = Pipeline("p", [ys])
    for power in (2, 3):
        pipeline.run({"xs": list(range(5)), "power": power}, run_folder=tmp_path / str(power), show_progress=False)
    compared = compare_folders([str(tmp_path / "2"), str(tmp_path / "3")])
    entry = differing(compared, "outputs")["ys"]
    assert entry.values == ["5 elements, 0 to 16, mean 6", "5 elements, 1 failed, 0 to 64, mean 18.25"]
    assert entry.detail == ["3 of 5 elements differ: 2, 3, 4"]
    assert differing(compared, "metrics")["elements failed"].values == ["0", "1"]


def test_pickles_stay_closed_and_only_look_alike(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    def trap(canary: str, n: int) -> object:
        return Trap(canary, "x" * n)

    compared = compare(tmp_path / "same", trap, {"canary": str(canary), "n": 1}, {"canary": str(canary), "n": 1})
    assert (compared.unsure, canary.exists()) == (["trap"], False)
    compared = compare(tmp_path / "other", trap, {"canary": str(canary), "n": 1}, {"canary": str(canary), "n": 2})
    assert list(differing(compared, "outputs")) == ["trap"]
    assert not canary.exists()
    facts(str(tmp_path / "other" / "0"), trust=True)
    assert canary.exists()


def test_what_failed_or_is_gone_has_no_value(tmp_path: Path) -> None:
    def maybe(n: int) -> int:
        if n > 1:
            raise ValueError("too much")
        return n

    compared = compare(tmp_path, maybe, {"n": 1}, {"n": 2})
    assert differing(compared, "outputs")["maybe"].values == ["1", None]
    assert differing(compared, "run")["error"].values == [None, "maybe: ValueError: too much"]
    assert differing(compared, "run")["status"].values == ["completed", "failed"]

    def large(n: int) -> bytes:
        return bytes(n) * 10_000

    compared = compare(tmp_path / "gone", large, {"n": 1}, {"n": 1})
    (tmp_path / "gone" / "1" / "outputs" / "large.0001.pack").unlink()
    compared = compare_folders([str(tmp_path / "gone" / "0"), str(tmp_path / "gone" / "1")])
    assert "cannot be read" in str(differing(compared, "outputs")["large"].values[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([None], [float("nan")]),
        ([float("inf")], [float("nan")]),
        (1, True),
        (1, 1.0),
        ("1", 1),
        ([1, 2], (1, 2)),
        ({"a": 1}, {"a": 2}),
        (b"a", "a"),
        (numpy.zeros(3), numpy.zeros((3, 1))),
        (numpy.zeros(3), numpy.zeros(3, "float32")),
        (pandas.DataFrame({"a": [1.0, None]}), pandas.DataFrame({"a": [1.0, 0.0]})),
        ("a" * 1000 + "b", "a" * 1000 + "c"),
    ],
    ids=range(12),
)
def test_what_is_not_the_same_has_another_mark(one: Any, other: Any) -> None:
    assert of_value(one).mark != of_value(other).mark
    assert of_value(one).mark == of_value(one).mark is not None
