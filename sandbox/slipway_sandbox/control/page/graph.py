"""A graph of steps, and what of it is worth drawing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Edge:
    """One step that needs another. `label` is the condition's outcome that it waits for, if it does."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """Steps, and the edges between them.

    Args:
        types: Each step's type, by its name.
        edges: Only between those steps, and without circles.
    """

    types: Mapping[str, str]
    edges: tuple[Edge, ...] = ()

    @cached_property
    def order(self) -> list[str]:
        """The steps, each after what it needs.

        Raises:
            graphlib.CycleError: There is a circle.
        """
        sorter = TopologicalSorter({name: set[str]() for name in self.types})
        for edge in self.edges:
            sorter.add(edge.target, edge.source)
        return list(sorter.static_order())

    @cached_property
    def depths(self) -> dict[str, int]:
        """How many steps come before each, on the longest way."""
        needed: dict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            needed[edge.target].append(edge.source)
        depths: dict[str, int] = {}
        for name in self.order:
            depths[name] = max((depths[source] + 1 for source in needed[name]), default=0)
        return depths

    def reduced(self) -> Graph:
        """The same graph without edges that go without saying, because a longer way leads there, too."""
        following: dict[str, set[str]] = defaultdict(set)
        for edge in self.edges:
            following[edge.source].add(edge.target)
        reached: dict[str, set[str]] = {}
        for name in reversed(self.order):
            reached[name] = set(following[name]).union(*(reached[after] for after in following[name]))
        needless = {
            edge
            for edge in self.edges
            if any(edge.target in reached[other] for other in following[edge.source] if other != edge.target)
        }
        return Graph(self.types, tuple(edge for edge in self.edges if edge not in needless))
