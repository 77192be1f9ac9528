"""Who imports whom."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import TypedDict

from survey.syntax import Module, is_test, module_name


class Imports(TypedDict):
    """most: a module or package, how many files of the library import it, how many of the tests. cycles: the modules
    along each way from a module back to itself, by what is imported at once."""

    most: list[tuple[str, int, int]]
    cycles: list[list[str]]


def survey(modules: Iterable[Module]) -> Imports:
    """Rank what is imported by the number of its importers, and find the cycles in the library."""
    modules = list(modules)
    library: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for module in modules:
        packages = {name.partition(".")[0] for name in (*module["imports"], *module["deferred"])}
        packages -= {module_name(module["path"]).partition(".")[0]}
        (tests if is_test(module["path"]) else library).update(packages & sys.stdlib_module_names)
    ranked = sorted(library, key=lambda name: (-library[name], name))
    return Imports(most=[(name, library[name], tests[name]) for name in ranked[:50]], cycles=_cycles(_graph(modules)))


def _graph(modules: Iterable[Module]) -> dict[str, set[str]]:
    """What each module of the library imports at once."""
    of = {module_name(module["path"]): module["imports"] for module in modules if not is_test(module["path"])}
    return {importer: {_module(name, of) for name in names} - {"", importer} for importer, names in of.items()}


def _module(name: str, known: Mapping[str, object]) -> str:
    """The module that a dotted name is in: `json.decoder.JSONDecoder` is in `json.decoder`."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def _cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """For every module that imports itself by way of others, a shortest way round; each way once, shortest first."""
    cycles: dict[frozenset[str], list[str]] = {}
    for start in graph:
        if way := _way_back(graph, start):
            cycles.setdefault(frozenset(way), way)
    return sorted(cycles.values(), key=lambda way: (len(way), way))


def _way_back(graph: Mapping[str, set[str]], start: str) -> list[str]:
    came_from: dict[str, str] = {}
    todo = deque([start])
    while todo:
        here = todo.popleft()
        for there in sorted(graph[here]):
            if there == start:
                way = [here]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if there not in came_from:
                came_from[there] = here
                todo.append(there)
    return []
