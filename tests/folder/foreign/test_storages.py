"""What is stored is counted as it is, in every storage, and nothing is changed by counting."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runstone.core.status import KEYS
from runstone.folder import observe
from runstone.folder.foreign.pipefunc import pickles
from tests.folder.foreign import zarr_layout
from tests.folder.spy import picture

real = pytest.importorskip("tests.folder.foreign.real", reason="pipefunc is not installed")

STORAGES = [
    *real.PLAIN_STORAGES,
    *(
        pytest.param(name, marks=pytest.mark.skipif(find_spec("zarr") is None, reason="zarr is not installed"))
        for name in real.ZARR_STORAGES
    ),
]
OWN_KEYS = ("all_complete", "progress_fraction", "n_outputs", "n_outputs_completed", "run_folder", "status_source")


def agree(folder: Path, status: dict[str, Any]) -> None:
    """Wherever pipefunc's own reader is right, ours says the same."""
    theirs = real.own_answer(folder)
    assert {key: status[key] for key in OWN_KEYS} == {key: theirs[key] for key in OWN_KEYS}
    assert status["last_modified"].rstrip("Z") == theirs["last_modified"].removesuffix("+00:00")
    for name, output in theirs["outputs"].items():
        assert status["outputs"][name]["progress"] == pytest.approx(output["progress"])
        assert (status["outputs"][name]["complete"], status["outputs"][name]["bytes"]) == (
            output["complete"],
            output["bytes"],
        )


def test_a_finished_run_is_what_pipefunc_says_of_it(tmp_path: Path) -> None:
    real.sync(tmp_path / "run", [real.double, real.add, real.both, real.widen, real.note], real.INPUTS)
    before = picture(tmp_path)

    status = observe.status(str(tmp_path / "run"))

    assert picture(tmp_path) == before
    assert tuple(status) == KEYS
    assert (status["status"], status["done"], status["liveness"]) == ("completed", True, "ended")
    assert status["progress"] == {"done": 14, "total": 14, "failed": 0, "unit": "elements"}
    assert status["blocks"] == {"completed": 5}
    agree(tmp_path / "run", status)


def test_a_part_of_an_array_is_counted_by_its_elements(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.both, real.widen], real.INPUTS)
    (folder / "outputs/low/__4__.pickle").unlink()
    (folder / "outputs/wide/__0__.pickle").unlink()

    status = observe.status(str(folder))

    assert {name: output["progress"] for name, output in status["outputs"].items()} == pytest.approx(
        {"low": 5 / 6, "high": 1.0, "wide": 2 / 3}
    )
    assert status["progress"]["done"] == 7
    agree(folder, status)


def test_what_is_no_element_of_the_array_is_not_counted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.double], {"x": [1, 2, 3]})
    array = folder / "outputs/y"
    (array / "__1__.pickle").rename(array / "__3__.pickle")
    for stray in ("__01__.pickle", "__-1__.pickle", "__1__.pickle.tmp", "__\u0661__.pickle", "1.pickle"):
        (array / stray).write_bytes(b"\x80\x05K\x01.")
    (array / "__1__.pickle").mkdir()

    assert observe.status(str(folder))["outputs"]["y"]["progress"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("way", ["sync", "asynchronous"])
def test_a_finished_run_is_completed_in_every_storage(tmp_path: Path, storage: str, way: str) -> None:
    # zarr cannot hold an array whose shape is known only later
    functions = [real.double, real.add, real.both, real.widen] if "zarr" in storage else real.EVERYTHING
    getattr(real, way)(tmp_path / "run", functions, real.INPUTS, storage=storage)
    before = picture(tmp_path)

    status = observe.status(str(tmp_path / "run"))

    assert picture(tmp_path) == before
    assert status["status"] == "completed"
    assert all(output["complete"] and output["bytes"] > 0 for output in status["outputs"].values())
    assert status["progress_fraction"] == 1.0
    assert status["status_source"] == ("heartbeat" if way == "asynchronous" else "disk_heuristic")


@pytest.mark.parametrize("storage", STORAGES)
def test_elements_that_were_left_out_are_missing_in_every_storage(tmp_path: Path, storage: str) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.both], {"x": [1, 2, 3], "z": [1, 2]}, storage=storage, fixed_indices={"i": slice(0, 2)})

    status = observe.status(str(folder))

    assert status["status"] == "running"
    assert status["outputs"]["low"]["progress"] == pytest.approx(4 / 6)
    assert not status["outputs"]["low"]["complete"]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("way", ["sync", "asynchronous"])
def test_errors_that_are_values_make_a_run_degraded_in_every_storage(tmp_path: Path, storage: str, way: str) -> None:
    getattr(real, way)(tmp_path / "run", real.FRAGILE, {"x": [1, 2, 3]}, storage=storage, error_handling="continue")
    before = picture(tmp_path)

    status = observe.status(str(tmp_path / "run"))

    assert picture(tmp_path) == before
    assert (status["status"], status["done"], status["reason"]) == ("degraded", True, "elements_failed")
    assert status["message"] == ("after: 1 of 3 values are errors; broken is an error; y: 1 of 3 values are errors")
    assert status["progress"] == {"done": 7, "total": 7, "failed": 2, "unit": "elements"}
    assert status["progress_fraction"] == 1.0
    assert not status["all_complete"]
    told = {error["type"]: (error["element"], error["index"], error["message"]) for error in status["errors"]}
    assert told == {"ValueError": (1, [1], "two is\nbad"), "KeyError": (None, None, "'nope'")}
    assert all(error["occurred_at"].endswith("Z") for error in status["errors"])


def test_an_error_of_a_function_with_several_outputs_is_one_error(tmp_path: Path) -> None:
    real.sync(tmp_path / "run", [real.fragile_pair], {"x": [1, 2, 3]}, error_handling="continue")

    status = observe.status(str(tmp_path / "run"))

    assert [(error["block"], error["element"]) for error in status["errors"]] == [("one,other", 1)]
    assert status["progress"]["failed"] == 1
    assert status["blocks"] == {"degraded": 1}


def test_values_that_only_speak_of_errors_are_values(tmp_path: Path) -> None:
    real.sync(tmp_path / "run", [real.quote], {"x": [1, 2, 3]}, error_handling="continue")

    assert observe.status(str(tmp_path / "run"))["status"] == "completed"


def test_tables_are_values(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    real.sync(tmp_path / "run", [real.tabulate, real.tabulate_each], {"x": [1, 2]})
    table = tmp_path / "run/outputs/table.cloudpickle"
    assert table.read_bytes().startswith(b"PAR1")

    assert observe.status(str(tmp_path / "run"))["status"] == "completed"

    table.write_bytes(table.read_bytes()[:-1])
    assert not observe.status(str(tmp_path / "run"))["outputs"]["table"]["complete"]


def test_a_storage_that_nobody_knows_is_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.double], {"x": [1, 2]})
    info = folder / "run_info.json"
    info.write_text(info.read_text().replace('"file_array"', '"bucket"'))

    status = observe.status(str(folder))

    assert status["outputs"]["y"] == {"type": None, "progress": None, "complete": False, "bytes": 10}
    assert "cannot be told: it has storage 'bucket'" in status["message"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_zarr_arrays_are_counted_by_the_names_of_their_chunks(
    tmp_path: Path, version: int, shape: tuple[int, ...]
) -> None:
    folder = tmp_path / "run"
    zarr_layout.write_run(folder, shape, version=version)
    total = len(zarr_layout.indexes(shape))

    whole = observe.status(str(folder))
    assert (whole["status"], whole["progress"]["done"]) == ("completed", total)

    zarr_layout.remove_mask(folder, zarr_layout.indexes(shape)[-1], version=version)
    part = observe.status(str(folder))
    assert part["outputs"]["y"]["progress"] == pytest.approx((total - 1) / total)
    assert not part["outputs"]["y"]["complete"]


def test_a_mark_without_a_value_or_beyond_the_array_counts_for_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    zarr_layout.write_run(folder, (3,), version=3)
    zarr_layout.chunk(folder, "array", (2,), version=3).unlink()
    for part in ("array", "mask"):
        zarr_layout.chunk(folder, part, (3,), version=3).write_bytes(b"x")
        zarr_layout.chunk(folder, part, (0,), version=2).write_bytes(b"x")

    assert observe.status(str(folder))["outputs"]["y"]["progress"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("storage", ["zarr_memory", "zarr_shared_memory"])
def test_a_zarr_array_that_is_still_in_memory_is_unknown(tmp_path: Path, storage: str) -> None:
    folder = tmp_path / "run"
    zarr_layout.write_run(folder, (3,), version=3)
    info = folder / "run_info.json"
    info.write_text(info.read_text().replace("zarr_file_array", storage))
    assert observe.status(str(folder))["status"] == "completed"

    shutil.rmtree(folder / "outputs/y")
    status = observe.status(str(folder))
    assert (status["status"], status["outputs"]["y"]["progress"]) == ("running", None)


def test_errors_that_cannot_be_seen_are_those_that_the_heartbeat_counted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    zarr_layout.write_run(folder, (3,), version=3, error_handling="continue")
    (folder / "pipefunc_status.json").write_text(
        json.dumps(
            {
                "status": "completed",
                "updated_at": datetime.now(UTC).isoformat(),
                "functions": [{"function_name": "f", "output_names": ["y"], "n_completed": 2, "n_failed": 1}],
            }
        )
    )

    status = observe.status(str(folder))

    assert (status["status"], status["message"]) == ("degraded", "the heartbeat counts 1 failed")


@pytest.mark.skipif(find_spec("zarr") is None, reason="zarr is not installed")
def test_the_zarr_layout_of_these_tests_is_that_of_the_library(tmp_path: Path) -> None:
    real.sync(tmp_path / "real", [real.both, real.widen], real.INPUTS, storage="zarr_file_array")
    zarr_layout.write_run(tmp_path / "ours", (3, 2), version=3)

    def names(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert names(tmp_path / "real/outputs/low") == names(tmp_path / "ours/outputs/y")


def test_compressed_errors_are_not_guessed_at_where_no_library_opens_them(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    zarr_layout.write_run(folder, (3,), version=3, error_handling="continue", value=bytes(range(256)))

    code = (
        "import sys; sys.modules.update({'zstandard': None, 'pyarrow': None, 'compression.zstd': None})\n"
        "from runstone.folder import observe; print(observe.status(sys.argv[1])['message'])"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)

    assert "whether values of y are errors cannot be told: they are compressed" in answer.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux tells them")
def test_deep_arrays_need_no_more_open_files_than_a_process_may_have(tmp_path: Path) -> None:
    import resource

    folder = tmp_path / "run"
    zarr_layout.write_run(folder, (60, 2), version=3)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, hard))
    try:
        status = observe.status(str(folder))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert status["status"] == "completed"


def test_keys_of_a_dict_that_are_no_index_of_the_array_count_for_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.double], {"x": [1, 2, 3]}, storage="dict")
    keys = [(0,), (0,), (3,), (-1,), (True,), (0, 0), (), "a", 1, ((1,),), ([1],)]
    # protocol 2 has no frames, and a key is written without what begins and ends a pickle
    entries = b"".join(pickletools.optimize(pickle.dumps(key, 2))[2:-1] + b"N" for key in keys)
    (folder / "outputs/y/dict_array.cloudpickle").write_bytes(b"\x80\x04}(" + entries + b"u.")

    assert observe.status(str(folder))["outputs"]["y"]["progress"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("storage", ["file_array", "dict"])
def test_errors_with_large_arguments_are_counted(tmp_path: Path, storage: str) -> None:
    inputs = {"x": [1, 2], "load": "x" * 600_000}
    real.sync(tmp_path / "run", [real.overload], inputs, storage=storage, error_handling="continue")

    status = observe.status(str(tmp_path / "run"))

    assert status["status"] == "degraded"
    assert status["progress"]["failed"] == 1
    told = {"file_array": ("ErrorSnapshot", "it is too large to be told"), "dict": ("ValueError", "too much")}
    assert [(error["type"], error["message"]) for error in status["errors"]] == [told[storage]]


def test_dicts_that_are_too_large_to_be_read_are_taken_as_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.sync(tmp_path / "run", [real.double, real.keep], {"x": list(range(100))}, storage="dict")
    monkeypatch.setattr(pickles, "_MOST_OPCODES", 800)

    status = observe.status(str(tmp_path / "run"))

    # the two share what may be read, and one of them is too much
    assert status["status"] == "completed"
    assert status["message"] == "y is too large to be counted, and taken to be complete"
