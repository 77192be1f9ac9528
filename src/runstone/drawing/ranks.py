"""Ranks: on which level each node of a graph stands, so that all edges point down and are short in total.

Source: the network simplex of Gansner, Koutsofios, North and Vo, "A technique for drawing directed graphs", 1993.
"""

from __future__ import annotations

from collections.abc import Sequence

Link = tuple[int, int, int]
"""(source, target, weight): weight 2 counts as if the edge were there twice."""


def ranks(size: int, links: Sequence[Link]) -> list[int]:
    """The level of each node of one connected graph, the highest is 0.

    size: how many nodes there are, numbered so that every source comes before its targets.
    """
    level = _longest_paths(size, links)
    if links:
        tree = _tight_tree(links, level)
        _exchange(links, level, tree)
    top = min(level)
    return [number - top for number in level]


def _longest_paths(size: int, links: Sequence[Link]) -> list[int]:
    """A first answer: everything as high as it goes, then what feeds others as low as it goes."""
    below: list[list[int]] = [[] for _ in range(size)]
    for source, target, _ in links:
        below[source].append(target)
    level = [0] * size
    for node in range(size):
        for target in below[node]:
            level[target] = max(level[target], level[node] + 1)
    for node in reversed(range(size)):
        if below[node]:
            level[node] = min(level[target] for target in below[node]) - 1
    return level


def _tight_tree(links: Sequence[Link], level: list[int]) -> set[int]:
    """Move levels until a tree of edges of length 1 spans the graph; the positions of these edges in `links`."""
    touching: list[list[int]] = [[] for _ in level]
    for number, (source, target, _) in enumerate(links):
        touching[source].append(number)
        touching[target].append(number)

    tree: set[int] = set()
    reached = {0}
    fresh = [0]
    while True:
        while fresh:
            node = fresh.pop()
            for number in touching[node]:
                source, target, _ = links[number]
                other = target if source == node else source
                if other not in reached and level[target] - level[source] == 1:
                    tree.add(number)
                    reached.add(other)
                    fresh.append(other)
        if len(reached) == len(level):
            return tree
        # The shortest edge that leaves the tree becomes tight when the whole tree moves towards its other end.
        slack, leads_out, number = min(
            (level[target] - level[source] - 1, source in reached, number)
            for number, (source, target, _) in enumerate(links)
            if (source in reached) != (target in reached)
        )
        for node in reached:
            level[node] += slack if leads_out else -slack
        fresh.append(links[number][0] if leads_out else links[number][1])


def _exchange(links: Sequence[Link], level: list[int], tree: set[int]) -> None:
    """Exchange edges of the tree as long as that shortens the whole; changes `level` and `tree`.

    The value of cutting a tree edge is the weight that leaves its upper side less the weight that enters it, and inside
    a side each edge counts once for and once against: so it is a sum over the nodes of one side.
    """
    pull = [0] * len(level)
    for source, target, weight in links:
        pull[source] += weight
        pull[target] -= weight

    # Each exchange shortens the whole or, rarely, only turns it over: the bound ends such a dance.
    for _ in range(2 * len(level)):
        walk, parent = _rooted(links, tree)
        total = list(pull)
        worst, leaving, below = 0, -1, -1
        for node in reversed(walk):
            if node not in parent:
                continue
            above, number = parent[node]
            total[above] += total[node]
            value = total[node] if links[number][0] == node else -total[node]
            if value < worst:
                worst, leaving, below = value, number, node
        if leaving < 0:
            return

        side = _below(below, walk, parent)
        side_is_upper = links[leaving][0] == below
        slack, entering = min(
            (level[target] - level[source] - 1, number)
            for number, (source, target, _) in enumerate(links)
            if (source in side) != (target in side) and (target in side) == side_is_upper
        )
        for node in side:
            level[node] += -slack if side_is_upper else slack
        tree.remove(leaving)
        tree.add(entering)


def _rooted(links: Sequence[Link], tree: set[int]) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """The nodes of the tree from node 0 on, and for each but the root the node above it and the edge between."""
    touching: dict[int, list[tuple[int, int]]] = {}
    for number in tree:
        source, target, _ = links[number]
        touching.setdefault(source, []).append((target, number))
        touching.setdefault(target, []).append((source, number))
    walk = [0]
    parent: dict[int, tuple[int, int]] = {}
    for node in walk:
        for other, number in touching[node]:
            if other and other not in parent:
                parent[other] = (node, number)
                walk.append(other)
    return walk, parent


def _below(top: int, walk: Sequence[int], parent: dict[int, tuple[int, int]]) -> set[int]:
    """A node of the tree and all that hang from it."""
    found = {top}
    for node in walk:
        if node in parent and parent[node][0] in found:
            found.add(node)
    return found
