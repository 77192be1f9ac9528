"""Zarr arrays as pipefunc has them on disk, written without the library: version 2 up to 0.87, version 3 since.

Only what tells that an element is there is as the library writes it: the names of the files, none of them empty.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

Index = tuple[int, ...]


def indexes(shape: Index) -> list[Index]:
    """Every element of an array."""
    return list(itertools.product(*map(range, shape)))


def write_run(
    folder: Path, shape: Index, *, version: int, error_handling: str = "raise", value: bytes = b"a value"
) -> None:
    """A finished run with one output `y` of this shape."""
    axes = [f"i{axis}" for axis in range(len(shape))] or [":"]
    info = {
        "all_output_names": ["y"],
        "shapes": {"y": shape},
        "resolved_shapes": {"y": shape},
        "internal_shapes": None,
        "shape_masks": {"y": [True] * len(shape)},
        "run_folder": str(folder),
        "mapspecs_as_strings": [f"x[{', '.join(axes)}] -> y[{', '.join(axes)}]"],
        "storage": "zarr_file_array",
        "error_handling": error_handling,
        "pipefunc_version": "0.87.0" if version == 2 else "0.93.2",
        "input_paths": {"x": "inputs/x.cloudpickle"},
        "defaults_path": "defaults/defaults.cloudpickle",
    }
    array = folder / "outputs/y"
    array.mkdir(parents=True)
    (folder / "run_info.json").write_text(json.dumps(info))
    for name in (".zgroup", "array/.zarray", "mask/.zarray") if version == 2 else (
        "zarr.json", "array/zarr.json", "mask/zarr.json"
    ):  # fmt: skip
        (array / name).parent.mkdir(exist_ok=True)
        (array / name).write_text("{}")
    for index in indexes(shape):
        for part, content in (("array", value), ("mask", b"\0")):
            path = chunk(folder, part, index, version=version)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def chunk(folder: Path, part: str, index: Index, *, version: int) -> Path:
    """The file of one element, or of its mark in the mask."""
    place = folder / "outputs/y" / part
    if version == 2:
        return place / (".".join(map(str, index)) or "0")
    return place.joinpath("c", *map(str, index))


def remove_mask(folder: Path, index: Index, *, version: int) -> None:
    """Make an element missing, though its value lies there still."""
    chunk(folder, "mask", index, version=version).unlink()
