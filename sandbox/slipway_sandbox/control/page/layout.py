"""Where a graph's boxes and arrows go: layers by depth, the arrows downward and around the boxes in between.

After Sugiyama: an edge across several layers gets a bend in each, and every layer is sorted by where its neighbours lie.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway_sandbox.control.page.graph import Edge, Graph

BOX_WIDTH = 176
BOX_HEIGHT = 50
BEND_WIDTH = 16
GAP_ACROSS = 28
GAP_DOWN = 46
MARGIN = 6
SWEEPS = 4

Link = tuple["Place", "Place"]


@dataclass(frozen=True)
class Place:
    """A box, or the bend of an edge that passes through a layer."""

    layer: int
    name: str
    bend_of: Edge | None = None

    @property
    def width(self) -> int:
        """How much room it takes."""
        return BEND_WIDTH if self.bend_of else BOX_WIDTH


def layout(graph: Graph) -> dict[str, Any]:
    """Lay a graph out.

    Returns:
        `width`, `height`; `boxes` with name, corner and size; `arrows` with source, target, label, an SVG path, and where the
        label goes. Edges that go without saying are left out.

    Raises:
        graphlib.CycleError: There is a circle.
    """
    graph = graph.reduced()
    boxes = {name: Place(depth, name) for name, depth in graph.depths.items()}
    chains = {edge: chain_of(edge, boxes) for edge in graph.edges}
    layers = sorted_layers([*boxes.values(), *(place for chain in chains.values() for place in chain[1:-1])], chains.values())
    middles = middles_of(layers)
    width = max((row_width(layer) for layer in layers), default=0)
    return {
        "width": width + 2 * MARGIN,
        "height": max(0, len(layers) * (BOX_HEIGHT + GAP_DOWN) - GAP_DOWN) + 2 * MARGIN,
        "boxes": [
            {"name": name, "x": middles[place] - BOX_WIDTH / 2, "y": top_of(place), "width": BOX_WIDTH, "height": BOX_HEIGHT}
            for name, place in boxes.items()
        ],
        "arrows": [arrow(edge, chain, middles) for edge, chain in chains.items()],
    }


def chain_of(edge: Edge, boxes: Mapping[str, Place]) -> list[Place]:
    """The box an edge begins at, its bends, and the box it ends at."""
    source, target = boxes[edge.source], boxes[edge.target]
    bends = [Place(layer, edge.source, edge) for layer in range(source.layer + 1, target.layer)]
    return [source, *bends, target]


def sorted_layers(places: Iterable[Place], chains: Iterable[Sequence[Place]]) -> list[list[Place]]:
    """The places by layer, so that few edges cross: each layer by the average of its neighbours' positions, down and up again."""
    by_layer: dict[int, list[Place]] = defaultdict(list)
    for place in places:
        by_layer[place.layer].append(place)
    layers = [by_layer[number] for number in sorted(by_layer)]
    above: dict[Place, list[Place]] = defaultdict(list)
    below: dict[Place, list[Place]] = defaultdict(list)
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            above[lower].append(upper)
            below[upper].append(lower)
    for sweep in range(SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            middles = middles_of(layers)
            layer.sort(key=lambda place: average([middles[other] for other in neighbours[place]], middles[place]))
    return layers


def average(values: Sequence[float], otherwise: float) -> float:
    """The mean, or something else where there are none."""
    return sum(values) / len(values) if values else otherwise


def row_width(layer: Sequence[Place]) -> int:
    """How wide a layer is."""
    return sum(place.width for place in layer) + GAP_ACROSS * (len(layer) - 1)


def middles_of(layers: Sequence[Sequence[Place]]) -> dict[Place, float]:
    """The middle of each place, from the left; layers are centred."""
    widest = max((row_width(layer) for layer in layers), default=0)
    middles: dict[Place, float] = {}
    for layer in layers:
        left = MARGIN + (widest - row_width(layer)) / 2
        for place in layer:
            middles[place] = left + place.width / 2
            left += place.width + GAP_ACROSS
    return middles


def top_of(place: Place) -> int:
    """The upper edge of a place."""
    return MARGIN + place.layer * (BOX_HEIGHT + GAP_DOWN)


def arrow(edge: Edge, chain: Sequence[Place], middles: Mapping[Place, float]) -> dict[str, Any]:
    """An edge as a smooth path from the source's lower edge to the target's upper one."""
    x, y = middles[chain[0]], top_of(chain[0]) + BOX_HEIGHT
    path = [f"M{x:g} {y:g}"]
    for place in chain[1:]:
        to_x, to_y = middles[place], top_of(place)
        half = (y + to_y) / 2
        path.append(f"C{x:g} {half:g} {to_x:g} {half:g} {to_x:g} {to_y:g}")
        x, y = to_x, to_y
        if place.bend_of:
            y += BOX_HEIGHT
            path.append(f"V{y:g}")
    first = chain[1]
    return {
        "source": edge.source,
        "target": edge.target,
        "label": edge.label,
        "path": "".join(path),
        "label_x": (middles[chain[0]] + middles[first]) / 2,
        "label_y": top_of(first) - GAP_DOWN / 2,
    }
