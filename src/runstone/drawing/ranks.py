"""Ranks: on which level each node of a graph stands, so that all edges point down and are short in total.

Source: the network simplex of Gansner, Koutsofios, North and Vo, "A technique for drawing directed graphs", 1993.
"""

from __future__ import annotations

from collections.abc import Sequence

Link = tuple[int, int, int]
"""(source, target, weight): weight 2 counts as if the edge were there twice."""


def ranks(order: Sequence[int], links: Sequence[Link]) -> dict[int, int]:
    """The level of each node of one connected graph, the highest is 0.

    order: the nodes, every source before its targets.
    """
    level = _longest_paths(order, links)
    if links:
        tree = _tight_tree(order, links, level)
        _exchange(order, links, level, tree)
    top = min(level.values())
    return {node: number - top for node, number in level.items()}


def _longest_paths(order: Sequence[int], links: Sequence[Link]) -> dict[int, int]:
    """A first answer: everything as high as it goes, then what feeds others as low as it goes."""
    below: dict[int, list[int]] = {node: [] for node in order}
    for source, target, _ in links:
        below[source].append(target)
    level = dict.fromkeys(order, 0)
    for node in order:
        for target in below[node]:
            level[target] = max(level[target], level[node] + 1)
    for node in reversed(order):
        if below[node]:
            level[node] = min(level[target] for target in below[node]) - 1
    return level


def _tight_tree(order: Sequence[int], links: Sequence[Link], level: dict[int, int]) -> set[int]:
    """Move levels until a tree of edges of length 1 spans the graph; the positions of these edges in `links`."""
    touching: dict[int, list[int]] = {node: [] for node in order}
    for number, (source, target, _) in enumerate(links):
        touching[source].append(number)
        touching[target].append(number)

    tree: set[int] = set()
    reached = {order[0]}
    fresh = [order[0]]
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
        if len(reached) == len(order):
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


def _exchange(order: Sequence[int], links: Sequence[Link], level: dict[int, int], tree: set[int]) -> None:
    """Exchange edges of the tree as long as that shortens the whole; changes `level` and `tree`.

    The value of cutting a tree edge is the weight that leaves its upper side less the weight that enters it, and inside
    a side each edge counts once for and once against: so it is a sum over the nodes of one side.
    """
    pull = dict.fromkeys(order, 0)
    for source, target, weight in links:
        pull[source] += weight
        pull[target] -= weight

    # Each exchange shortens the whole or, rarely, only turns it over: the bound ends such a dance.
    for _ in range(2 * len(order)):
        walk, parent = _rooted(order[0], links, tree)
        total = dict(pull)
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


def _rooted(root: int, links: Sequence[Link], tree: set[int]) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """The nodes of the tree from its root on, and for each but the root the node above it and the edge between."""
    touching: dict[int, list[tuple[int, int]]] = {}
    for number in tree:
        source, target, _ = links[number]
        touching.setdefault(source, []).append((target, number))
        touching.setdefault(target, []).append((source, number))
    walk = [root]
    parent: dict[int, tuple[int, int]] = {}
    for node in walk:
        for other, number in touching[node]:
            if other != root and other not in parent:
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
