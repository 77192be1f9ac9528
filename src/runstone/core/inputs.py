"""What a run is given: brought into flat form and checked against the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runstone.core.graph import Graph
from runstone.errors import InputError


def check_inputs(graph: Graph, params: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run by their graph names, defaults filled in.

    params: as the user wrote them; `{"foo": {"x": 1}}` is the same as `{"foo.x": 1}` where `foo.x` is a parameter.
    Raises InputError with everything that is unknown, missing or given twice, in one message.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in _flat(graph, params):
        if name in values:
            problems.append(f"{name!r} is given twice")
        elif name in graph.producers:
            problems.append(f"{name!r} cannot be given: block {graph.producers[name]!r} makes it")
        elif name in graph.run_parameters or graph.extra_takers:
            values[name] = value
        else:
            problems.append(f"{name!r} is not a parameter of this pipeline{_suggestion(graph, name)}")
    for parameter in graph.run_parameters.values():
        if parameter.name in values:
            continue
        if parameter.required:
            several = len(parameter.consumers) > 1
            who = f"block{'s' * several} {', '.join(map(repr, parameter.consumers))} need{'s' * (not several)} it"
            problems.append(f"{parameter.name!r} is missing: {who}")
        else:
            values[parameter.name] = parameter.default
    if problems:
        raise InputError("; ".join(problems))
    return values


def extra_inputs(graph: Graph, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those parameters of a run that no block asks for by name; blocks with `**kwargs` receive them."""
    return {name: value for name, value in values.items() if name not in graph.run_parameters}


def _flat(graph: Graph, params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if not isinstance(params, Mapping):
        raise InputError(f"the parameters of a run are a dict from names to values, not {type(params).__name__}")
    known = {*graph.run_parameters, *graph.producers}
    scopes = {name.partition(".")[0] for name in known if "." in name}
    for name, value in params.items():
        if not isinstance(name, str):
            raise InputError(f"the parameters of a run have names; {name!r} is not text")
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise InputError(f"{name!r} cannot be the name of a parameter: it is not text that can be written")
        if name in scopes and name not in known and isinstance(value, Mapping):
            for inner, inner_value in value.items():
                yield f"{name}.{inner}", inner_value
        else:
            yield name, value


def _suggestion(graph: Graph, name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(graph.run_parameters), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it has {', '.join(map(repr, graph.run_parameters))}" if graph.run_parameters else "; it has none"
