"""Who imports whom."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import TypedDict

from survey.syntax import Module, module_name


class Imports(TypedDict):
    """most: name, importers in the library, importers in its tests. cycles: each as the modules along it."""

    most: list[tuple[str, int, int]]
    cycles: list[list[str]]


def is_test(path: str) -> bool:
    """Whether a file belongs to the tests of the library."""
    return bool({"test", "tests", "idle_test"} & set(path.split("/")))


def survey(modules: Iterable[Module]) -> Imports:
    """Rank the modules by their importers, and find the circles among what the library imports while it is imported."""
    modules = list(modules)
    known = {module_name(module["path"]) for module in modules} | sys.stdlib_module_names
    library: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    graph: dict[str, list[str]] = {}
    for module in modules:
        name = module_name(module["path"])
        at_once = _resolved(name, module["imports"], known)
        (tests if is_test(module["path"]) else library).update(at_once | _resolved(name, module["deferred"], known))
        if not is_test(module["path"]):
            graph[name] = sorted(at_once)
    ranked = sorted(library, key=lambda name: (-library[name], name))
    return Imports(most=[(name, library[name], tests[name]) for name in ranked[:50]], cycles=_cycles(graph))


def _resolved(importer: str, names: Iterable[str], known: set[str] | frozenset[str]) -> set[str]:
    """The modules that dotted names mean: `json.decoder.JSONDecoder` is a name in `json.decoder`."""
    found = set()
    for name in names:
        while name and name not in known:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {"", importer}


def _cycles(graph: Mapping[str, list[str]]) -> list[list[str]]:
    """For every module that imports itself by way of others, a shortest way round; each circle once, shortest first."""
    circles = {}
    for start in graph:
        if way := _way_back(graph, start):
            circles.setdefault(frozenset(way), way)
    return sorted(circles.values(), key=lambda way: (len(way), way))


def _way_back(graph: Mapping[str, list[str]], start: str) -> list[str]:
    came_from: dict[str, str] = {}
    todo = deque([start])
    while todo:
        here = todo.popleft()
        for there in graph.get(here, ()):
            if there == start:
                way = [here]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if there not in came_from:
                came_from[there] = here
                todo.append(there)
    return []
