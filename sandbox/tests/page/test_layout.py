"""Where the boxes and arrows of a graph go."""

from __future__ import annotations

import re
from graphlib import CycleError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway_sandbox.control.page.graph import Edge, Graph
from slipway_sandbox.control.page.layout import layout


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs without circles: each edge leads to a later step."""
    names = [f"Step{number}" for number in range(draw(st.integers(1, 9)))]
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
    chosen = draw(st.sets(st.sampled_from(pairs))) if pairs else set[tuple[str, str]]()
    order = draw(st.permutations(names))
    return Graph(dict.fromkeys(order, "Training"), tuple(Edge(a, b) for a, b in sorted(chosen)))


def reached(graph: Graph) -> set[tuple[str, str]]:
    """Every pair of which the second needs the first, directly or not."""
    found = {(edge.source, edge.target) for edge in graph.edges}
    while True:
        more = found | {(a, d) for a, b in found for c, d in found if b == c}
        if more == found:
            return found
        found = more


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_given_any_graph_when_it_is_laid_out_then_every_step_appears_once_and_no_boxes_overlap(graph: Graph) -> None:
    boxes = layout(graph)["boxes"]
    assert sorted(box["name"] for box in boxes) == sorted(graph.types)
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = abs(one["x"] - other["x"]) >= one["width"] or abs(one["y"] - other["y"]) >= one["height"]
            assert apart, (one, other)


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_given_any_graph_when_it_is_laid_out_then_arrows_lead_downward_from_box_to_box_inside_the_picture(graph: Graph) -> None:
    drawing = layout(graph)
    boxes = {box["name"]: box for box in drawing["boxes"]}
    for arrow in drawing["arrows"]:
        source, target = boxes[arrow["source"]], boxes[arrow["target"]]
        assert source["y"] + source["height"] < target["y"]
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arrow["path"])]
        assert (numbers[0], numbers[1]) == (source["x"] + source["width"] / 2, source["y"] + source["height"])
        assert (numbers[-2], numbers[-1]) == (target["x"] + target["width"] / 2, target["y"])
    for box in boxes.values():
        assert 0 <= box["x"] <= drawing["width"] - box["width"]
        assert 0 <= box["y"] <= drawing["height"] - box["height"]


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_given_any_graph_when_it_is_reduced_then_the_same_steps_need_each_other_and_no_edge_is_needless(graph: Graph) -> None:
    reduced = graph.reduced()
    assert reached(reduced) == reached(graph)
    for edge in reduced.edges:
        without = Graph(graph.types, tuple(other for other in reduced.edges if other != edge))
        assert (edge.source, edge.target) not in reached(without)


def test_given_a_long_edge_when_it_is_laid_out_then_it_passes_beside_the_boxes_in_between() -> None:
    # The long edge does not go without saying, because the other way is another branch.
    steps = Graph(
        dict.fromkeys(["Load", "Clean", "Train", "Report", "Join"], "Processing"),
        (Edge("Load", "Clean"), Edge("Clean", "Train"), Edge("Report", "Join"), Edge("Train", "Join")),
    )
    drawing = layout(steps)
    path = next(arrow["path"] for arrow in drawing["arrows"] if arrow["source"] == "Report")
    assert path.count("C") == 3
    bends = [float(x) for x in re.findall(r"([\d.]+) [\d.]+V", path)]
    between = [box for box in drawing["boxes"] if box["name"] in ("Clean", "Train")]
    assert all(not box["x"] <= bend <= box["x"] + box["width"] for bend in bends for box in between)


def test_given_a_circle_when_it_is_laid_out_then_it_is_refused() -> None:
    with pytest.raises(CycleError):
        layout(Graph({"A": "Fail", "B": "Fail"}, (Edge("A", "B"), Edge("B", "A"))))


def test_given_no_steps_when_they_are_laid_out_then_the_picture_is_empty() -> None:
    drawing = layout(Graph({}))
    assert (drawing["boxes"], drawing["arrows"]) == ([], [])
