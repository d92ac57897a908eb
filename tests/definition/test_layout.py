"""What a picture promises, on random charts: nothing overlaps, nothing is missing, all is reproducible."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core.definition.chart import Chart, Kind
from continuum_core.definition.layout import Box, Picture, Shape, arrange
from continuum_core.definition.layout.glyphs import text_width, wrapped
from continuum_core.definition.layout.route import Piece, assign_tracks
from continuum_core.definition.layout.simplex import Arc, solve
from tests.definition.sketch import FIXTURES, Sketch

Frame = tuple[int, int, int, int]


def frame(box: Box) -> Frame:
    return (box.x, box.y, box.x + box.width, box.y + box.height)


def overlap(one: Frame, two: Frame) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def ancestors(picture: Picture, item: int) -> set[int]:
    parents = {box.item: box.parent for box in picture.boxes}
    found: set[int] = set()
    while item in parents:
        item = parents[item]
        found.add(item)
    return found


def check(chart: Chart) -> None:
    picture = arrange(chart)
    boxes = {box.item: box for box in picture.boxes}
    foreign(picture)
    for box in picture.boxes:
        outer = (0, 0, picture.width, picture.height)
        if box.parent in boxes:
            outer = frame(boxes[box.parent])
        left, top, right, bottom = frame(box)
        assert outer[0] <= left <= right <= outer[2], box
        assert outer[1] <= top <= bottom <= outer[3], box
    drawn = {edge for line in picture.lines for edge in line.edges}
    assert drawn == {edge.number for state in chart.states for edge in state.edges if edge.targets}
    assert {box.state for box in picture.boxes} >= {state.number for state in chart.states}
    lines(picture)
    labels(picture)
    apart(picture)
    assert arrange(chart) == picture


def foreign(picture: Picture) -> None:
    for one, two in combinations(picture.boxes, 2):
        kin = one.item in ancestors(picture, two.item) or two.item in ancestors(picture, one.item)
        assert kin or not overlap(frame(one), frame(two)), (one, two)


def lines(picture: Picture) -> None:
    boxes = {box.item: box for box in picture.boxes}
    for line in picture.lines:
        ends = (line.source, line.target)
        related = {*ends, *(number for end in ends for number in ancestors(picture, end))}
        for (x0, y0), (x1, y1) in pairwise(line.points):
            assert x0 == x1 or y0 == y1, "a line runs along the axes"
            part = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            for box in picture.boxes:
                if box.item not in related:
                    assert not overlap(part, frame(box)), (line, box)
        for (x, y), item in ((line.points[0], line.source), (line.points[-1], line.target)):
            left, top, right, bottom = frame(boxes[item])
            assert left <= x <= right, (line, "does not reach its end")
            assert top <= y <= bottom, (line, "does not reach its end")


def apart(picture: Picture) -> None:
    """No line lies on another, but where they meet in the middle of a small round shape."""
    round_ones = (Shape.FINAL, Shape.HISTORY, Shape.INITIAL)
    meeting = {box.item for box in picture.boxes if box.shape in round_ones}
    for one, two in combinations(picture.lines, 2):
        if {one.source, one.target} & {two.source, two.target} & meeting:
            continue
        for first in pairwise(one.points):
            for second in pairwise(two.points):
                assert not along(first, second), (one, two)


Part = tuple[tuple[int, int], tuple[int, int]]


def along(one: Part, two: Part) -> bool:
    """Whether two parts on the same axis share more than a point."""
    for axis in (0, 1):
        places = {point[axis] for point in (*one, *two)}
        ranges = [sorted(point[1 - axis] for point in part) for part in (one, two)]
        if len(places) == 1 and max(ranges[0][0], ranges[1][0]) < min(ranges[0][1], ranges[1][1]):
            return True
    return False


def labels(picture: Picture) -> None:
    frames = [(one.x, one.y, one.x + one.block.width, one.y + one.block.height) for one in picture.labels]
    for one, two in combinations(frames, 2):
        assert not overlap(one, two)
    leaves = [box for box in picture.boxes if box.shape not in (Shape.COMPOUND, Shape.PARALLEL, Shape.CELL)]
    for label in frames:
        for box in leaves:
            assert not overlap(label, frame(box)), (label, box)
    # No line runs through the text of a label or of a heading; beside it, at its left, is its own.
    texts = [
        (box.x + text.x, box.y + text.y - 9, box.x + text.x + text.width, box.y + text.y)
        for box in picture.boxes
        if box.shape in (Shape.COMPOUND, Shape.PARALLEL)
        for text in box.block.texts
    ]
    texts += [
        (one.x + text.x, one.y + text.y - 9, one.x + text.x + text.width, one.y + text.y)
        for one in picture.labels
        for text in one.block.texts
    ]
    for line in picture.lines:
        for (x0, y0), (x1, y1) in pairwise(line.points):
            part = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            for text in texts:
                assert not overlap(part, text), (line, text)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_fixture_keeps_every_promise(name: str) -> None:
    check(FIXTURES[name]())


def test_the_history_of_a_parallel_state_stands_beside_it() -> None:
    picture = arrange(FIXTURES["resuming"]())
    boxes = {box.state: box for box in picture.boxes if box.state is not None}
    [history] = [box for box in boxes.values() if box.shape is Shape.HISTORY]
    [working] = [box for box in boxes.values() if box.shape is Shape.PARALLEL]
    assert not overlap(frame(history), frame(working))
    assert len([box for box in picture.boxes if box.parent == working.item]) == 2, "its regions alone"
    assert [line.target for line in picture.lines if line.source == history.item] == [working.item]


NAMES = st.sampled_from(["a", "paying", "waiting_for_the_customer", "x" * 60, "ñandú", "支払い"])


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    """Up to three levels deep, with regions, histories, choices, loops and edges between any two states."""
    sketch = Sketch(draw(NAMES), root=draw(st.sampled_from([Kind.COMPOUND, Kind.COMPOUND, Kind.PARALLEL])))
    grow(draw, sketch, "", 3)
    paths = list(sketch.states)
    kinds = {path: sketch.states[path]["kind"] for path in paths}
    sources = [path for path in paths if kinds[path] not in (Kind.FINAL, Kind.SHALLOW_HISTORY)]
    targets = [path for path in paths if path]
    for _ in range(draw(st.integers(0, 12))):
        source = draw(st.sampled_from(sources))
        goal = draw(st.sampled_from(targets))
        event = draw(st.sampled_from(["Go", "Stop", "SomethingRatherLongHappened", None]))
        guard = draw(st.sampled_from([None, "ready", "c.total > 100 and c.paid"]))
        sketch.on(source, event, goal, when=guard)
    return sketch.chart()


def grow(draw: st.DrawFn, sketch: Sketch, path: str, depth: int) -> None:
    parallel = sketch.states[path]["kind"] is Kind.PARALLEL
    for number in range(draw(st.integers(2 if parallel else 1, 3))):
        child = f"{path}.s{number}".lstrip(".")
        kinds = [Kind.ATOMIC, Kind.ATOMIC]
        kinds += [Kind.COMPOUND, Kind.PARALLEL] if depth > 1 else []
        kinds += [] if parallel or not number else [Kind.FINAL, Kind.CHOICE, Kind.SHALLOW_HISTORY]
        kinds += [Kind.SHALLOW_HISTORY] if parallel and number > 1 else []
        kind = draw(st.sampled_from(kinds))
        if kind is Kind.SHALLOW_HISTORY:
            sketch.state(child, kind, default=(f"{path}.s0".lstrip("."),))
        else:
            sketch.state(child, kind)
        if kind in (Kind.COMPOUND, Kind.PARALLEL):
            grow(draw, sketch, child, depth - 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(charts())
def test_any_chart_keeps_every_promise(chart: Chart) -> None:
    check(chart)


def test_tracks_cross_no_more_than_needed() -> None:
    """The inner of two lines that go the same way turns first at the far side."""
    tracks = assign_tracks([Piece((0, 0), 0, 100), Piece((1, 0), 40, 140)])
    assert tracks.of == {(0, 0): 1, (1, 0): 0}
    tracks = assign_tracks([Piece((0, 0), 100, 0), Piece((1, 0), 140, 40)])
    assert tracks.of == {(0, 0): 0, (1, 0): 1}


def test_tracks_keep_verticals_off_one_another() -> None:
    """The first ends where the second begins: above it, they would share a vertical."""
    tracks = assign_tracks([Piece((0, 0), 0, 50), Piece((1, 0), 50, 100)])
    assert tracks.of[1, 0] < tracks.of[0, 0]
    tracks = assign_tracks([Piece((0, 0), 0, 50), Piece((1, 0), 54, 20)])
    assert tracks.of[1, 0] < tracks.of[0, 0]


def test_lines_far_from_each_other_share_a_track() -> None:
    assert assign_tracks([Piece((0, 0), 0, 50), Piece((1, 0), 90, 140)]).count == 1


def test_simplex_moves_what_hangs_on_dearer_arcs() -> None:
    arcs = [Arc(0, 1, 1, 1), Arc(0, 2, 3, 1), Arc(1, 2, 1, 5)]
    assert solve(3, arcs) == [0, 2, 3]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_simplex_finds_the_cheapest_values(data: st.DataObject) -> None:
    """Against all legal values in a small range."""
    count = data.draw(st.integers(2, 4))
    small = st.integers(0, 3)
    arcs = [Arc(0, head, data.draw(small) % 2, data.draw(small)) for head in range(1, count)]
    for tail, head in combinations(range(1, count), 2):
        if data.draw(st.booleans()):
            arcs.append(Arc(tail, head, data.draw(st.integers(-1, 2)), data.draw(st.integers(0, 5))))

    def cost(values: list[int]) -> int:
        return sum(arc.weight * (values[arc.head] - values[arc.tail]) for arc in arcs)

    def legal(values: list[int]) -> bool:
        return all(values[arc.head] - values[arc.tail] >= arc.length for arc in arcs)

    found = solve(count, arcs)
    assert legal(found)
    top = 7
    every: list[list[int]] = [[]]
    for _ in range(count):
        every = [[*values, value] for values in every for value in range(top)]
    assert cost(found) == min(cost(values) for values in every if legal(values))


def test_text_is_wrapped_to_its_room_and_cut_at_its_last_row() -> None:
    rows = wrapped("one two three " + "four" * 40, 12, 80, 2)
    assert len(rows) == 2
    assert rows[-1].endswith("…")
    assert all(text_width(row, 12) <= 80 for row in rows)
