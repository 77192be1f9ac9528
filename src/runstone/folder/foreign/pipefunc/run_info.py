"""`run_info.json`: what pipefunc says about a run before its first function is called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from math import prod
from typing import Any

import msgspec

from runstone.errors import FolderError
from runstone.folder.foreign.pipefunc import layout
from runstone.folder.look import Look

_ARRAY = re.compile(r"([\w.]+)\s*\[")
_AXES = 64
_OUTPUTS = 5_000
_ELEMENTS = 2**62


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One output. storage: the name of its storage, "" if none is named for it; None for a plain value.

    shape: the lengths of its mapped axes, None for one that is not known yet; () for a plain value.
    mapped: for each axis of the array whether it is one of these, or lies inside the values.
    """

    name: str
    storage: str | None = None
    shape: tuple[int | None, ...] = ()
    mapped: tuple[bool, ...] = ()

    @property
    def total(self) -> int | None:
        """How many elements it has, None as long as that is unknown."""
        return None if None in self.shape else prod(length for length in self.shape if length is not None)

    def has(self, index: tuple[int, ...]) -> bool:
        """Whether it can have an element there."""
        return len(index) == len(self.shape) and all(
            at >= 0 and (length is None or at < length) for at, length in zip(index, self.shape, strict=True)
        )

    def number(self, index: tuple[int, ...]) -> int:
        """The flat number of an element, row by row."""
        number = 0
        for at, length in zip(index, self.shape, strict=True):
            number = number * (length or 1) + at
        return number


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function as far as the file lets it be known: what it makes, and from which arrays."""

    outputs: list[str]
    inputs: list[str] = []
    mapspec: str | None = None


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run. tolerant: errors are kept as values and the run goes on. place: the folder, as the run called it."""

    outputs: dict[str, Output]
    functions: list[Function]
    inputs: list[str]
    tolerant: bool
    version: str
    place: str


class _File(msgspec.Struct):
    all_output_names: list[str]
    resolved_shapes: dict[str, list[int | str]]
    shape_masks: dict[str, list[bool]]
    storage: str | dict[str, str]
    run_folder: str
    defaults_path: str
    mapspecs_as_strings: list[str] = []
    error_handling: str = "raise"
    pipefunc_version: str = "unknown"
    input_paths: dict[str, str] = {}


_decode = msgspec.json.Decoder(_File).decode


def read(look: Look) -> RunInfo:
    """The description of the run. Raises FileNotFoundError if there is none, FolderError if it is damaged."""
    data = look.read(layout.RUN, layout.LIMIT)
    if data is None:
        raise FileNotFoundError(f"no run in {look.path}: {layout.RUN} is not there")
    try:
        found = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FolderError(f"{layout.RUN} is damaged: {error}") from None
    if len(found.all_output_names) > _OUTPUTS:
        raise FolderError(f"{layout.RUN} names {len(found.all_output_names):,} outputs; at most {_OUTPUTS:,} are read")
    keys = _Keys(found)
    functions = _functions(found, keys)
    mapped = {name for function in functions if function.inputs for name in function.outputs}
    return RunInfo(
        outputs={
            name: _output(name, found, keys, is_array=name in mapped) for name in sorted(set(found.all_output_names))
        },
        functions=functions,
        inputs=sorted(found.input_paths),
        tolerant=found.error_handling == "continue",
        version=found.pipefunc_version,
        place=found.run_folder,
    )


class _Keys:
    """Under which key a name stands: its own, or the one that joins all outputs of a function by commas."""

    def __init__(self, found: _File) -> None:
        self.of_shapes = _joined(found.resolved_shapes)
        self.of_storages = _joined(found.storage if isinstance(found.storage, dict) else ())

    def together(self, name: str) -> list[str]:
        """The outputs of the same function."""
        return (self.of_shapes.get(name) or self.of_storages.get(name) or name).split(",")


def _joined(keys: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in keys:
        if "," in key:
            for name in key.split(","):
                found.setdefault(name, key)
    return found


def raw(look: Look) -> Any:
    """The content of the file, older forms mended as pipefunc does; None if it cannot be read.

    Up to 0.86.0 the paths began with the run folder as the user gave it; before 0.89.0 there was no `error_handling`.
    """
    try:
        content = msgspec.json.decode(look.read(layout.RUN, layout.LIMIT) or b"null")
    except (OSError, FolderError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(content, dict):
        return content
    content.setdefault("error_handling", "raise")
    before, defaults, inputs = (content.get(key) for key in ("run_folder", "defaults_path", "input_paths"))
    if isinstance(before, str) and isinstance(defaults, str) and before and defaults.startswith(before):
        content["run_folder"] = os.path.realpath(look.path).encode(errors="backslashreplace").decode()
        content["defaults_path"] = _below(before, defaults)
        if isinstance(inputs, dict):
            content["input_paths"] = {
                name: _below(before, path) if isinstance(path, str) else path for name, path in inputs.items()
            }
    return content


def _below(folder: str, path: str) -> str:
    return path.removeprefix(folder).lstrip("/\\")


def _functions(found: _File, keys: _Keys) -> list[Function]:
    """The functions in topological order as far as it is known: those with a mapspec, then those without."""
    functions: list[Function] = []
    left = dict.fromkeys(sorted(found.all_output_names))

    def add(outputs: list[str], inputs: list[str], mapspec: str | None) -> None:
        functions.append(Function(outputs=outputs, inputs=inputs, mapspec=mapspec))
        for name in outputs:
            del left[name]

    for mapspec in found.mapspecs_as_strings:
        before, _, after = mapspec.partition("->")
        outputs = [name for name in dict.fromkeys(_ARRAY.findall(after)) if name in left]
        if outputs:
            add(outputs, _ARRAY.findall(before), mapspec)
    for name in list(left):
        if name in left:
            add([other for other in dict.fromkeys(keys.together(name)) if other in left] or [name], [], None)
    return functions


def _output(name: str, found: _File, keys: _Keys, *, is_array: bool) -> Output:
    if not layout.is_name(name):
        raise FolderError(f"{layout.RUN} is damaged: no output can be called {name[:80]!r}")
    key = name if name in found.resolved_shapes else keys.of_shapes.get(name, name)
    shape, mapped = found.resolved_shapes.get(key), found.shape_masks.get(key)
    if shape is None or not is_array:
        return Output(name=name)
    if mapped is None or len(mapped) != len(shape) or len(shape) > _AXES:
        raise FolderError(f"{layout.RUN} is damaged: shape and mask of {name} do not fit")
    lengths = tuple(
        length if isinstance(length, int) else None for length, outer in zip(shape, mapped, strict=True) if outer
    )
    known = [length for length in lengths if length is not None]
    if min(known, default=0) < 0 or prod(known) > _ELEMENTS:
        raise FolderError(f"{layout.RUN} is damaged: no array is as large as {name}")
    return Output(name=name, storage=_storage(name, found.storage, keys), shape=lengths, mapped=tuple(mapped))


def _storage(name: str, storage: str | dict[str, str], keys: _Keys) -> str:
    if isinstance(storage, str):
        return storage
    return storage.get(name) or storage.get(keys.of_storages.get(name, "")) or storage.get("", "")
