"""The figures of many modules together."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TypedDict

from survey.syntax import Function, Module

LIMIT = 10
"""The complexity above which McCabe advised to split a function."""


class Figures(TypedDict):
    """documented: functions with a docstring. too_complex: functions above LIMIT. median_lines: of a function."""

    files: int
    lines: int
    classes: int
    functions: int
    documented: int
    too_complex: int
    median_lines: float
    most_complex: list[Function]
    deepest: list[Function]


def add_up(modules: Sequence[Module]) -> Figures:
    """Add up and rank."""
    functions = functions_of(modules)
    return Figures(
        files=len(modules),
        lines=sum(module["lines"] for module in modules),
        classes=sum(module["classes"] for module in modules),
        functions=len(functions),
        documented=sum(each["documented"] for each in functions),
        too_complex=sum(each["complexity"] > LIMIT for each in functions),
        median_lines=median(each["lines"] for each in functions) if functions else 0.0,
        most_complex=sorted(functions, key=lambda each: (-each["complexity"], each["place"]))[:15],
        deepest=sorted(functions, key=lambda each: (-each["nesting"], each["place"]))[:5],
    )


def functions_of(modules: Sequence[Module]) -> list[Function]:
    """All their functions."""
    return [function for module in modules for function in module["functions"]]


def share(part: int, whole: int) -> str:
    """A percentage for people: "4.7 %"."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
