"""What a function's bytecode says: a digest of it, and which names from outside it reaches for.

Comments, white space, positions and docstrings are not in the digest; names and constants are.
"""

from __future__ import annotations

import hashlib
import opcode
from collections.abc import Iterator
from types import CodeType

import msgspec

_NUMBER = opcode.opmap
_EXTENDED, _CACHE = _NUMBER["EXTENDED_ARG"], _NUMBER["CACHE"]
_GLOBAL, _NAME, _ATTRIBUTE = _NUMBER["LOAD_GLOBAL"], _NUMBER["LOAD_NAME"], _NUMBER["LOAD_ATTR"]
_METHOD, _IMPORT, _IMPORT_FROM = _NUMBER.get("LOAD_METHOD", -1), _NUMBER["IMPORT_NAME"], _NUMBER["IMPORT_FROM"]
_CONSTANT, _SMALL_NUMBER = _NUMBER["LOAD_CONST"], _NUMBER.get("LOAD_SMALL_INT", -1)
_TAKES_CONSTANT = frozenset(_NUMBER[name] for name in ("LOAD_CONST", "RETURN_CONST", "KW_NAMES") if name in _NUMBER)

# Where methods have no instruction of their own, the lowest bit of an attribute's argument tells them apart.
_ATTRIBUTE_SHIFT = 0 if "LOAD_METHOD" in _NUMBER else 1

_HAS_DOCSTRING = 0x4000000
_SAYS_DOCSTRING = "LOAD_METHOD" not in _NUMBER and "RETURN_GENERATOR" in _NUMBER and "LOAD_FAST_LOAD_FAST" in _NUMBER
"""From Python 3.13 on a flag says whether there is a docstring; before that, the first constant is it, or None."""


class Import(msgspec.Struct, frozen=True):
    """An import inside of a function: `from <level dots><module> import <names>`, names () for a plain import."""

    module: str
    level: int
    names: tuple[str, ...]


class Scan(msgspec.Struct, frozen=True):
    """reaches: names of globals with the attributes taken from them at once: ("helpers", "clean")."""

    digest: str
    reaches: tuple[tuple[str, ...], ...]
    imports: tuple[Import, ...]
    names: frozenset[str]


def scan(code: CodeType) -> Scan:
    """Read a function's code, and that of all functions written inside of it."""
    digest = hashlib.sha256()
    reaches: dict[tuple[str, ...], None] = {}
    imports: dict[Import, None] = {}
    names: set[str] = set()
    stack = [code]
    while stack:
        one = stack.pop()
        documented = _is_documented(one)
        steps = list(_instructions(one.co_code))
        _reach(one, steps, reaches, imports)
        names.update(one.co_names)
        constants = one.co_consts
        if documented:
            # where there is no None in its place, the numbers of all other constants move with it
            constants = constants[1:] if _SAYS_DOCSTRING else (None, *constants[1:])
            if _SAYS_DOCSTRING:
                steps = [(op, value - 1 if op in _TAKES_CONSTANT else value) for op, value in steps]
        shape = (
            steps, one.co_exceptiontable, one.co_names, one.co_varnames, one.co_freevars, one.co_cellvars,
            one.co_flags & ~_HAS_DOCSTRING, one.co_argcount, one.co_posonlyargcount, one.co_kwonlyargcount,
        )  # fmt: skip
        digest.update(repr(shape).encode(errors="backslashreplace"))
        for constant in constants:
            if isinstance(constant, CodeType):
                stack.append(constant)
                digest.update(b"code")
            else:
                # the order in a set differs from process to process
                text = repr(sorted(constant, key=repr)) if isinstance(constant, frozenset) else repr(constant)
                digest.update(f"{type(constant).__name__}:{text}".encode(errors="backslashreplace"))
    return Scan(digest.hexdigest()[:16], tuple(reaches), tuple(imports), frozenset(names))


def _is_documented(code: CodeType) -> bool:
    if _SAYS_DOCSTRING:
        return bool(code.co_flags & _HAS_DOCSTRING)
    # bodies of classes and comprehensions have a first constant of their own
    plain = not code.co_name.startswith("<") and code.co_flags & 0x1
    return bool(plain and code.co_consts and type(code.co_consts[0]) is str)


def _instructions(data: bytes) -> Iterator[tuple[int, int]]:
    """Operation and argument of every instruction; what only fills space is left out."""
    extended = 0
    for at in range(0, len(data), 2):
        op = data[at]
        if op == _CACHE:
            continue
        argument = data[at + 1] | extended
        extended = argument << 8 if op == _EXTENDED else 0
        if op != _EXTENDED:
            yield op, argument


def _reach(
    code: CodeType,
    steps: list[tuple[int, int]],
    reaches: dict[tuple[str, ...], None],
    imports: dict[Import, None],
) -> None:
    chain: tuple[str, ...] = ()
    constants: list[object] = []
    for op, argument in steps:
        if chain and op in (_ATTRIBUTE, _METHOD):
            chain = (*chain, code.co_names[argument >> _ATTRIBUTE_SHIFT if op == _ATTRIBUTE else argument])
            continue
        if chain:
            reaches[chain] = None
            chain = ()
        if op == _GLOBAL:
            chain = (code.co_names[argument >> 1],)
        elif op == _NAME:
            chain = (code.co_names[argument],)
        elif op == _IMPORT:
            level, wanted = (None, None) if len(constants) < 2 else constants[-2:]
            names = wanted if isinstance(wanted, tuple) else ()
            imports[Import(code.co_names[argument], level if isinstance(level, int) else 0, names)] = None
        if op == _CONSTANT:
            constants.append(code.co_consts[argument])
        elif op == _SMALL_NUMBER:
            constants.append(argument)
        else:
            constants.clear()
    if chain:
        reaches[chain] = None
