"""Which names statements may read before they have bound them themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterable

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def read_first(body: Iterable[ast.stmt]) -> set[str]:
    """The names of which the value from before matters; rather one too many than one too few."""
    found: set[str] = set()
    _walk(body, set(), found)
    return found


def _walk(body: Iterable[ast.stmt], bound: set[str], found: set[str]) -> set[str] | None:
    """Note in `found` what is read; returns what is bound behind these statements, None if nothing comes behind."""
    for statement in body:
        after = _step(statement, bound, found)
        if after is None:
            return None
        bound = after
    return bound


def _step(statement: ast.stmt, bound: set[str], found: set[str]) -> set[str] | None:
    if isinstance(statement, ast.If):
        bound = _expression(statement.test, bound, found)
        ways = [_walk(statement.body, bound, found), _walk(statement.orelse, bound, found)]
        left = [each for each in ways if each is not None]
        return set.intersection(*left) if left else None
    if isinstance(statement, ast.With | ast.AsyncWith):
        for item in statement.items:
            bound = _expression(item, bound, found)
        after = _walk(statement.body, bound, found)
        return bound if any(map(_may_swallow, statement.items)) else after
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        return _expression(statement, _expression(statement.value, bound, found), found)
    if isinstance(statement, ast.AugAssign):
        if isinstance(statement.target, ast.Name) and statement.target.id not in bound:
            found.add(statement.target.id)
        return _expression(statement, bound, found)
    if isinstance(statement, ast.For | ast.AsyncFor):
        within = _expression(statement.iter, bound, found)
        _walk(statement.body, _expression(statement.target, within, found), found)
        _walk(statement.orelse, within, found)
        # it may have no turn at all
        return within
    if isinstance(statement, ast.While | ast.Try | ast.TryStar | ast.Match):
        # what is bound on the way may not be
        _every(statement, bound, found)
        return bound
    after = _expression(statement, bound, found)
    return None if isinstance(statement, _LEAVES) else after


def _every(statement: ast.stmt, bound: set[str], found: set[str]) -> None:
    """Each list of statements in a statement by itself, and all that is no statement."""
    for name, part in ast.iter_fields(statement):
        parts = part if isinstance(part, list) else [part]
        if name in ("body", "orelse", "finalbody") and all(isinstance(each, ast.stmt) for each in parts):
            _walk(parts, bound, found)
            continue
        for each in parts:
            if isinstance(each, ast.ExceptHandler | ast.match_case):
                own = {each.name} if isinstance(each, ast.ExceptHandler) and each.name else set()
                own |= _bound(each.pattern) if isinstance(each, ast.match_case) else set()
                for inner in (getattr(each, "type", None), getattr(each, "guard", None)):
                    if inner is not None:
                        _expression(inner, bound | own, found)
                _walk(each.body, bound | own, found)
            elif isinstance(each, ast.AST):
                _expression(each, bound, found)


def _expression(node: ast.AST, bound: set[str], found: set[str]) -> set[str]:
    """All names in it: what is read is read before anything of it is bound."""
    loaded = (each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load))
    found.update(name for name in loaded if name not in bound)
    return bound | _made(node)


def _made(node: ast.AST) -> set[str]:
    """The names that are bound around it whenever it is executed."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).partition(".")[0]}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    return set().union(*map(_made, _executed(node)))


def _executed(node: ast.AST) -> list[ast.AST]:
    """The parts of it that are executed whenever it is, and not with names of their own."""
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Assert):
        return []
    if isinstance(node, ast.AnnAssign) and node.value is None:
        # says of what type the name is, no more
        return []
    if isinstance(node, ast.IfExp):
        return [node.test]
    if isinstance(node, ast.BoolOp):
        return [node.values[0]]
    if isinstance(node, ast.Compare):
        return [node.left, node.comparators[0]]
    return list(ast.iter_child_nodes(node))


_SWALLOWING = frozenset({"suppress", "ExitStack", "AsyncExitStack"})


def _may_swallow(item: ast.withitem) -> bool:
    """Whether the code behind `with` may be come to though that inside has raised, as far as a name tells."""
    called = item.context_expr.func if isinstance(item.context_expr, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
    return name in _SWALLOWING


def _bound(pattern: ast.AST) -> set[str]:
    """What a pattern of `match` binds."""
    found = (getattr(each, field, None) for each in ast.walk(pattern) for field in ("name", "rest"))
    return {name for name in found if isinstance(name, str)}
