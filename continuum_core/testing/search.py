"""What a machine can do with its examples: a graph of situations, found by driving runs of it.

Every run is real, every move is tried. Of the situations that wait, one whose states were met least often
goes next: a context that counts or collects would otherwise fill the search before it has left a state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Any

from attrs import define, field, frozen

from continuum_core.definition.chart import Chart
from continuum_core.errors import ContinuumError
from continuum_core.journal.records import ENDED
from continuum_core.testing.drive import Drive
from continuum_core.testing.moves import Examples, Move, moves

__all__ = ["Passage", "Search"]

Run = Drive[Any, Any, Any]


@frozen
class Passage:
    """One move in one situation: the edges it took, and the situation after it."""

    source: int
    move: Any  # a Move; of the start, the input
    taken: tuple[int, ...]
    target: int


@define
class Search:
    """The situations met so far; number 0 is before the start.

    :ivar leaves: the innermost states of each situation.
    :ivar cut: whether it ended with situations that nothing went on from.
    """

    chart: Chart
    examples: Examples
    limit: int
    leaves: list[frozenset[str]] = field(factory=lambda: [frozenset[str]()])
    passages: list[Passage] = field(factory=list[Passage])
    cut: bool = False
    _numbers: dict[Hashable, int] = field(factory=dict[Hashable, int])
    _alike: Counter[frozenset[str]] = field(factory=Counter[frozenset[str]])
    _waiting: list[tuple[int, int, Run]] = field(factory=list[Any])  # numbers differ: no runs are compared

    def begin(self, machine: Any, value: Any) -> None:
        """Start a run with an input."""
        self._meet(0, value, Drive(machine, value), 0)

    def go_on(self) -> None:
        """Make every move in every situation, up to the limit."""
        for _ in range(self.limit):
            if not self._waiting:
                return
            _, number, run = heappop(self._waiting)
            for move in moves(run, self.chart, self.examples):
                self._meet(number, move, _moved(run, move), len(run.taken))
        self.cut = bool(self._waiting)

    def _meet(self, source: int, move: Any, run: Run, before: int) -> None:
        situation = (run.situation, run.status)
        number = self._numbers.get(situation)
        if number is None:
            number = self._numbers[situation] = len(self.leaves)
            states = frozenset(run.states)
            self.leaves.append(states)
            if run.status not in ENDED:
                heappush(self._waiting, (self._alike[states], number, run))
                self._alike[states] += 1
        self.passages.append(Passage(source, move, tuple(run.taken[before:]), number))


def _moved(run: Run, move: Move) -> Run:
    after = run.fork()
    try:
        move.do(after)
    except ContinuumError as error:
        error.add_note(f"explore came here by {run.path}, and tried {move!r}")
        raise
    return after
