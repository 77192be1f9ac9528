"""What a graph is put together from: blocks, their parameters, and how these are fed."""

from __future__ import annotations

import enum
from typing import Any, Final

import msgspec

from runstone.core.mapspec import MapSpec
from runstone.core.settings import Missing, OnError


class NoDefault(enum.Enum):
    """The type of NO_DEFAULT: None is a default like any other."""

    NO_DEFAULT = "no default"


NO_DEFAULT: Final = NoDefault.NO_DEFAULT


class Use(enum.StrEnum):
    """How a parameter of a block is fed."""

    CONSTANT = "constant"
    """The value as it is, the same in every call."""
    ELEMENT = "element"
    """One element of an array a call: `x[i]`."""
    SLICE = "slice"
    """Part of an array a call: `x[i, :]`."""
    ARRAY = "array"
    """All that a mapped block made: the whole array."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One parameter of a function. name: as the graph calls it; python_name: as the function does.

    annotation: as far as it could be resolved; text if it could not, Any if there is none. secret: it says so.
    """

    name: str
    python_name: str
    keyword_only: bool = False
    default: Any = NO_DEFAULT
    annotation: Any = Any
    secret: bool = False


class GraphBlock(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the graph has to know of a block.

    parameters: in the order of the signature. takes_extra: has `**kwargs`.
    condition: the parameters of its `when` function. returns: the annotation of each output, Any if unknown.
    """

    name: str
    outputs: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    takes_extra: bool = False
    mapspec: MapSpec | None = None
    on_error: OnError = OnError.FAIL
    missing: Missing | None = None
    condition: tuple[Parameter, ...] = ()
    returns: dict[str, Any] = {}

    @property
    def is_mapped(self) -> bool:
        """Whether it is called once for each element, and not just once."""
        return self.mapspec is not None and not self.mapspec.is_generator


class Consumption(msgspec.Struct, frozen=True, kw_only=True):
    """How a block takes one of its parameters. axes: None for what is taken whole; () unless element or slice.

    source: the block that makes it, None if it is a parameter of the run.
    """

    parameter: str
    use: Use
    axes: tuple[str | None, ...] = ()
    source: str | None = None


class RunParameter(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Something that no block makes. annotation: what a whole value should be, Any if unknown. secret: whoever asks
    for it says that it is one."""

    name: str
    default: Any = NO_DEFAULT
    consumers: tuple[str, ...] = ()
    annotation: Any = Any
    secret: bool = False

    @property
    def required(self) -> bool:
        """Whether a run must be given it."""
        return self.default is NO_DEFAULT
