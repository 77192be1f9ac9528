"""The small language that says over which axes a block is mapped: `"x[i], y[j] -> z[i, j]"`.

    spec    := side "->" side
    side    := "..." | array { "," array }          "..." only on the left
    array   := name "[" axis { "," axis } "]"
    name    := identifier [ "." identifier ]
    axis    := identifier | ":"                     ":" only on the left

A parameter that is not named receives its whole value in every call.
"""

from __future__ import annotations

import re
from typing import NoReturn

import msgspec

from runstone.errors import MapSpecError


class ArraySpec(msgspec.Struct, frozen=True):
    """An array and what is done with each of its axes: a name maps over it, None (written ":") takes it whole."""

    name: str
    axes: tuple[str | None, ...]

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(axis or ':' for axis in self.axes)}]"


class MapSpec(msgspec.Struct, frozen=True):
    """What a block maps over, and the axes of its outputs. All outputs have the same axes."""

    inputs: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs)) or '...'} -> {', '.join(map(str, self.outputs))}"

    @property
    def output_axes(self) -> tuple[str, ...]:
        """The axes that every output has, outermost first."""
        return tuple(axis for axis in self.outputs[0].axes if axis is not None)

    @property
    def external_axes(self) -> tuple[str, ...]:
        """The axes the block is mapped over, in the order of the outputs: one call for each cell of them."""
        mapped = {axis for array in self.inputs for axis in array.axes}
        return tuple(axis for axis in self.output_axes if axis in mapped)

    @property
    def internal_axes(self) -> tuple[str, ...]:
        """The axes that come out of the value of each call, in the order of the outputs."""
        mapped = {axis for array in self.inputs for axis in array.axes}
        return tuple(axis for axis in self.output_axes if axis not in mapped)

    @property
    def is_generator(self) -> bool:
        """Whether there is only one call, whose value gives all the axes (`... -> x[i]`)."""
        return not self.external_axes

    def input_spec(self, name: str) -> ArraySpec | None:
        """How the array of this name is taken, or None if the mapspec does not name it on the left."""
        for array in self.inputs:
            if array.name == name:
                return array
        return None


def parse_mapspec(text: str) -> MapSpec:
    """Read a mapspec. Raises MapSpecError with the place of the first mistake."""
    return _Parser(text).mapspec()


class _Token(msgspec.Struct, frozen=True):
    text: str
    position: int

    @property
    def is_name(self) -> bool:
        return self.text.isidentifier()


class _Array(msgspec.Struct, frozen=True):
    """An array as read, still with the places of its parts."""

    spec: ArraySpec
    position: int
    axis_positions: tuple[int, ...]


_TOKEN = re.compile(r"\s*(->|\.\.\.|[^\W\d]\w*|\S|$)")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[_Token] = []
        position = 0
        while True:
            match = _TOKEN.match(text, position)
            # The pattern also matches the end of the text and whatever it does not know, so there is always a match.
            assert match is not None
            self._tokens.append(_Token(match[1], match.start(1)))
            position = match.end()
            if not match[1]:
                break
        self._next = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _fail(self, problem: str, position: int | None = None) -> NoReturn:
        raise MapSpecError(problem, self._text, self._token.position if position is None else position)

    def mapspec(self) -> MapSpec:
        if not self._token.text:
            self._fail("nothing is written here")
        inputs = self._inputs()
        if self._token.text != "->":
            self._fail(f"{self._token.text!r} was not expected" if self._token.text else "an arrow '->' was expected")
        self._take()
        outputs = self._arrays("output")
        if self._token.text == "->":
            self._fail("a second arrow; there is only one in a mapspec")
        if self._token.text:
            self._fail(f"{self._token.text!r} was not expected after the outputs")
        self._check_names(inputs, outputs)
        self._check_output_axes(outputs)
        self._check_input_axes(inputs, outputs)
        return MapSpec(tuple(array.spec for array in inputs), tuple(array.spec for array in outputs))

    def _inputs(self) -> list[_Array]:
        if self._token.text == "->":
            self._fail("nothing is before the arrow; write '...' if the block is not mapped")
        if self._token.text != "...":
            return self._arrays("input")
        self._take()
        if self._token.text not in ("->", ""):
            self._fail(
                "'...' stands alone on its side, for a block that is not mapped", self._tokens[self._next - 1].position
            )
        return []

    def _arrays(self, side: str) -> list[_Array]:
        arrays = [self._array(side)]
        while True:
            if self._token.text == ",":
                self._take()
            elif self._token.is_name:
                self._fail(f"a comma is missing before {self._token.text!r}")
            elif self._token.text != "...":
                return arrays
            arrays.append(self._array(side))

    def _array(self, side: str) -> _Array:
        start = self._token
        if start.text == "...":
            if side == "output":
                self._fail("'...' cannot be on the right: name the outputs and their axes")
            self._fail("'...' stands alone on its side, for a block that is not mapped")
        name = self._name(side)
        if self._token.text != "[":
            if side == "output":
                self._fail(f"{name!r} has no axes; write {name}[i]", start.position)
            self._fail(f"{name!r} has no axes; leave it out, and every call receives its whole value", start.position)
        bracket = self._take()
        axes: list[str | None] = []
        positions: list[int] = []
        if self._token.text == "]":
            self._fail(f"{name!r} has no axes between the brackets")
        while True:
            positions.append(self._token.position)
            axes.append(self._axis(name, side, axes, bracket))
            if self._token.text == "]":
                self._take()
                return _Array(ArraySpec(name, tuple(axes)), start.position, tuple(positions))
            if not self._token.text:
                self._fail("the bracket is never closed", bracket.position)
            if self._token.text != ",":
                if self._token.is_name or self._token.text == ":":
                    self._fail(f"a comma is missing before {self._token.text!r}")
                self._fail(f"{self._token.text!r} was not expected between the brackets")
            self._take()

    def _name(self, side: str) -> str:
        if not self._token.is_name:
            found = repr(self._token.text) if self._token.text else "the end"
            self._fail(f"the name of an {side} was expected, not {found}")
        name = self._take().text
        if self._token.text != ".":
            return name
        self._take()
        if not self._token.is_name:
            self._fail(f"a name was expected after '{name}.'")
        name = f"{name}.{self._take().text}"
        if self._token.text == ".":
            self._fail(f"a second dot after {name!r}; a name is 'name' or 'scope.name'")
        return name

    def _axis(self, array: str, side: str, before: list[str | None], bracket: _Token) -> str | None:
        token = self._token
        if token.text == ":":
            if side == "output":
                self._fail(f"':' cannot be on the right; name the axis of {array!r}")
            self._take()
            return None
        if not token.text:
            self._fail("the bracket is never closed", bracket.position)
        if not token.is_name:
            self._fail(
                f"the name of an axis{' or a colon' if side == 'input' else ''} was expected, not {token.text!r}"
            )
        if token.text in before:
            self._fail(f"the axis {token.text!r} is there twice in {array!r}")
        return self._take().text

    def _check_names(self, inputs: list[_Array], outputs: list[_Array]) -> None:
        seen: dict[str, str] = {}
        for side, arrays in (("left", inputs), ("right", outputs)):
            for array in arrays:
                name = array.spec.name
                if name in seen:
                    where = f"twice on the {side}" if seen[name] == side else "on both sides"
                    self._fail(f"{name!r} is there {where}", array.position)
                seen[name] = side

    def _check_output_axes(self, outputs: list[_Array]) -> None:
        first = outputs[0].spec
        for array in outputs[1:]:
            if array.spec.axes != first.axes:
                self._fail(
                    f"{array.spec} and {first} have different axes; all outputs of a block have the same",
                    array.position,
                )

    def _check_input_axes(self, inputs: list[_Array], outputs: list[_Array]) -> None:
        output = outputs[0].spec
        for array in inputs:
            for axis, position in zip(array.spec.axes, array.axis_positions, strict=True):
                if axis is not None and axis not in output.axes:
                    self._fail(
                        f"the axis {axis!r} of {array.spec.name!r} is not in {output}; "
                        f"name it there, or write ':' to take the whole axis",
                        position,
                    )
