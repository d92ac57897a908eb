"""Shortest ways over a graph of situations: to each state, edge, and pair of edges."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from attrs import define, field

from continuum_core.definition.chart import ROOT, Chart, Edge, Kind
from continuum_core.definition.reach import ancestors, entered
from continuum_core.testing.search import Passage

__all__ = ["Ways", "adjacent", "edges_of", "taken_on", "walk"]

Way = tuple[Passage, ...]


@define
class Ways:
    """The first way, and so a shortest one, to each state by its path, each edge and each pair of edges."""

    states: dict[str, Way] = field(factory=dict[str, Any])
    edges: dict[int, Way] = field(factory=dict[int, Any])
    pairs: dict[tuple[int, int], Way] = field(factory=dict[Any, Any])


_At = tuple[int, int | None]  # a situation, and the edge taken last


def walk(passages: Iterable[Passage], leaves: tuple[frozenset[str], ...]) -> Ways:
    """Breadth first over situations and the edge that led there: for pairs that edge matters."""
    onward: dict[int, list[Passage]] = {}
    for passage in passages:
        onward.setdefault(passage.source, []).append(passage)
    ways = Ways()
    came: dict[_At, tuple[_At, Passage] | None] = {(0, None): None}
    waiting: deque[_At] = deque([(0, None)])
    while waiting:
        at = waiting.popleft()
        for passage in onward.get(at[0], ()):
            new = _news(ways, at[1], passage, leaves)
            after = (passage.target, passage.taken[-1] if passage.taken else at[1])
            if new:
                way = (*_back(came, at), passage)
                for table, key in new:
                    table.setdefault(key, way)
            if after not in came:
                came[after] = (at, passage)
                waiting.append(after)
    return ways


def _news(
    ways: Ways, last: int | None, passage: Passage, leaves: tuple[frozenset[str], ...]
) -> list[tuple[dict[Any, Any], Any]]:
    """What this passage reaches first."""
    line = passage.taken if last is None else (last, *passage.taken)
    reached: list[tuple[dict[Any, Any], Any]] = [
        (ways.states, path) for path in sorted(leaves[passage.target])
    ]
    reached += [(ways.edges, number) for number in passage.taken]
    reached += [(ways.pairs, pair) for pair in pairwise(line)]
    return [(table, key) for table, key in reached if key not in table]


def _back(came: Mapping[_At, tuple[_At, Passage] | None], at: _At) -> tuple[Passage, ...]:
    line: list[Passage] = []
    while (step := came[at]) is not None:
        at, passage = step
        line.append(passage)
    return tuple(reversed(line))


def taken_on(way: Iterable[Passage]) -> tuple[int, ...]:
    """The edges on a way."""
    return tuple(number for passage in way for number in passage.taken)


def edges_of(chart: Chart) -> Iterator[Edge]:
    """All edges of a chart, in document order."""
    return (edge for state in chart.states for edge in state.edges)


def adjacent(chart: Chart) -> Iterator[tuple[int, int]]:
    """The pairs of edges that the graph has: the second begins in a state where the first may lead."""
    for first in edges_of(chart):
        ends = [
            chart.states[target]
            for target in first.targets
            if chart.states[target].parent == ROOT and chart.states[target].kind is Kind.FINAL
        ]
        if any(state.anew is None for state in ends):
            continue  # the run is over
        if ends:  # it continues as new: what follows begins where the run does
            inside = entered(chart, chart.states[ROOT].initial)
            yield from _following(chart, first, inside)
            continue
        inside = entered(chart, first.targets) | set(
            ancestors(chart, first.source) if not first.targets else ()
        )
        yield from _following(chart, first, inside)


def _following(chart: Chart, first: Edge, inside: set[int]) -> Iterator[tuple[int, int]]:
    choices = {number for number in inside if chart.states[number].kind is Kind.CHOICE}
    for second in edges_of(chart):
        if second.source in (choices or inside):
            yield first.number, second.number
