"""How far a deep watch reaches: all things that can be got to from its root in so many steps, each from a thing to one
that it contains.

A reach knows of each thing in it the fewest steps that lead there, its level. When what things contain changes, levels
are mended from there on (the way of Ramalingam and Reps: An incremental algorithm for a generalization of the
shortest-path problem, 1996): that costs what is proportional to the change, not to the reach. What things contain is
read once for all reaches and kept (`Graph`). Tests: tests/watch/test_deep.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from engine.contents import contents

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.values.thing import Thing
    from watch.audience import Subscriber

__all__ = ["Edges", "Graph", "Node", "Reach"]

Edges: TypeAlias = "tuple[int, list[int], list[int]]"
"""A thing, those that it contains no more, and those that it contains now and did not before."""

_BEYOND = 1 << 30


class Node:
    """A thing that is in a reach, or contained in one that is looked into.

    `children` is what it contains, None while no reach looks into it, and `names` the properties that hold them;
    `parents` are those looked into that contain it; `reaches` are those that it is in, and `lookers` how many of them
    look into it, which they do but at their last level.
    """

    __slots__ = ("children", "lookers", "names", "parents", "reaches")

    def __init__(self) -> None:
        self.children: dict[int, None] | None = None
        self.names: frozenset[str] = frozenset()
        self.parents: set[int] = set()
        self.reaches: dict[Reach, None] = {}
        self.lookers = 0


class Graph:
    """What things contain, as far as reaches look into them."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}

    def node(self, thing_id: int) -> Node:
        """The node of a thing, made if there is none."""
        node = self.nodes.get(thing_id)
        if node is None:
            node = self.nodes[thing_id] = Node()
        return node

    def read(self, thing_id: int, thing: Thing | None) -> Edges:
        """Look at what a thing contains now; one that is gone contains nothing."""
        node = self.node(thing_id)
        old = node.children or {}
        found, node.names = ({}, frozenset()) if thing is None else contents(thing)
        node.children = found
        removed = list(old.keys() - found.keys())
        new = found.keys() - old.keys()
        added = [child for child in found if child in new] if new else []
        for child in removed:
            self._part(thing_id, child)
        for child in added:
            self.node(child).parents.add(thing_id)
        return thing_id, removed, added

    def add(self, thing_id: int, children: Iterable[int], names: Iterable[str]) -> Edges:
        """A thing that is looked into contains these too, in properties of these names."""
        node = self.nodes[thing_id]
        held = node.children
        assert held is not None
        new = [child for child in children if child not in held]
        for child in new:
            held[child] = None
            self.node(child).parents.add(thing_id)
        if not node.names.issuperset(names):
            node.names = node.names.union(names)
        return thing_id, [], new

    def forget(self, thing_id: int) -> None:
        """Look into a thing no more if no reach does, and let go of it if none has it."""
        node = self.nodes.get(thing_id)
        if node is None:
            return
        if not node.lookers and node.children is not None:
            children, node.children = node.children, None
            for child in children:
                self._part(thing_id, child)
        self._let_go(thing_id, node)

    def _part(self, parent: int, child: int) -> None:
        node = self.nodes[child]
        node.parents.discard(parent)
        self._let_go(child, node)

    def _let_go(self, thing_id: int, node: Node) -> None:
        if not node.reaches and not node.parents and node.children is None:
            self.nodes.pop(thing_id, None)


class Reach:
    """The things within `depth` steps of a root, with their levels; empty before the first `begin`. `members` watch
    them, `plans` counts those who are about to.

    It grows to `limit` things and then stops where it is, `overgrown`: it is of no use any more but to be cleared.
    """

    def __init__(self, graph: Graph, collection: Collection, root: int, depth: int, limit: int) -> None:
        self.graph = graph
        self.collection = collection
        self.root = root
        self.depth = depth
        self.limit = limit
        self.levels: dict[int, int] = {}
        self.overgrown = False
        self.members: dict[Subscriber, None] = {}
        self.plans = 0

    def begin(self) -> None:
        """Take in the root and what is within reach."""
        waiting = self._buckets()
        waiting[0].append(self.root)
        before: dict[int, int | None] = {}
        self._spread(waiting, before)
        self._note(before)

    def nearest(self) -> list[int]:
        """The ids of all things in reach, nearest first."""
        return sorted(self.levels, key=self.levels.__getitem__)

    def clear(self) -> None:
        """Let go of everything."""
        before: dict[int, int | None] = dict(self.levels)
        self.levels.clear()
        self._note(before)

    def change(self, changed: Iterable[Edges], root_is_gone: bool = False) -> tuple[list[int], list[int]]:
        """What things contain has changed, as the graph knows: the ids of those that came into reach, nearest first,
        and of those that left it."""
        levels, nodes, depth = self.levels, self.graph.nodes, self.depth
        lost = self._lost(changed, root_is_gone)
        before: dict[int, int | None] = {thing_id: levels.pop(thing_id) for thing_id in lost}
        waiting = self._buckets()
        for thing_id in lost:
            nearest = min((levels.get(parent, _BEYOND) for parent in nodes[thing_id].parents), default=_BEYOND)
            if nearest < depth:
                waiting[nearest + 1].append(thing_id)
        for parent, _, added in changed:
            level = levels.get(parent, _BEYOND)
            if level < depth:
                waiting[level + 1] += added
        self._spread(waiting, before)
        came = [thing_id for thing_id, old in before.items() if old is None]
        left = [thing_id for thing_id in lost if thing_id not in levels]
        self._note(before)
        return came, left

    def _buckets(self) -> list[list[int]]:
        return [[] for _ in range(self.depth + 1)]

    def _lost(self, changed: Iterable[Edges], root_is_gone: bool) -> dict[int, None]:
        """The things that nothing in reach holds at their level any more."""
        levels, nodes, depth = self.levels, self.graph.nodes, self.depth
        doubtful = self._buckets()
        if root_is_gone:
            doubtful[0].append(self.root)
        for parent, removed, _ in changed:
            level = levels.get(parent, _BEYOND)
            if level < depth:
                doubtful[level + 1] += [child for child in removed if levels.get(child) == level + 1]
        lost: dict[int, None] = {}
        for level, ids in enumerate(doubtful):
            for thing_id in ids:
                if thing_id in lost:
                    continue
                node = nodes[thing_id]
                if level and any(levels.get(parent) == level - 1 and parent not in lost for parent in node.parents):
                    continue
                lost[thing_id] = None
                if level < depth:
                    doubtful[level + 1] += [child for child in node.children or () if levels.get(child) == level + 1]
        return lost

    def _spread(self, waiting: list[list[int]], before: dict[int, int | None]) -> None:
        """Give the things in `waiting` those levels, if they have no lower ones, and go on from there. `before` gets
        the levels that change, as they were."""
        levels, graph, depth = self.levels, self.graph, self.depth
        for level, ids in enumerate(waiting):
            for thing_id in ids:
                if levels.get(thing_id, _BEYOND) <= level:
                    continue
                if len(levels) >= self.limit and thing_id not in levels:
                    self.overgrown = True
                    return
                before.setdefault(thing_id, levels.get(thing_id))
                levels[thing_id] = level
                if level < depth:
                    node = graph.node(thing_id)
                    if node.children is None:
                        graph.read(thing_id, self.collection.find(thing_id))
                    assert node.children is not None
                    waiting[level + 1] += [child for child in node.children if levels.get(child, _BEYOND) > level + 1]

    def _note(self, before: dict[int, int | None]) -> None:
        """Tell the graph what has changed about levels, which were these before."""
        graph, levels, depth = self.graph, self.levels, self.depth
        for thing_id, old in before.items():
            new = levels.get(thing_id)
            node = graph.node(thing_id)
            if new is None:
                node.reaches.pop(self, None)
            else:
                node.reaches[self] = None
            node.lookers += (new is not None and new < depth) - (old is not None and old < depth)
        for thing_id in before:
            graph.forget(thing_id)
