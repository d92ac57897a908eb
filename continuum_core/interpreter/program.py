"""A chart compiled for the interpreter: relations between states as bit masks, edges by what they wait for.

`Program` is the authority for the chart's geometry (ancestors, descendants, domains); what depends on
a configuration is `layout`'s. A set of states is an int with bit *n* for state *n*; as states are
numbered in document order, ascending bits are entry order and descending bits exit order.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from continuum_core.definition.chart import ROOT, Chart, Edge, Function, Kind, State, TriggerKind
from continuum_core.definition.naming import qualified_name
from continuum_core.errors import UsageError
from continuum_core.interpreter.dialect import Dialect

if TYPE_CHECKING:
    from continuum_core.interpreter.layout import Layout

__all__ = [
    "HISTORIES",
    "Arc",
    "Key",
    "Program",
    "ascending",
    "compile_chart",
    "descending",
    "mask",
    "program_of",
]

Key = type[Any] | TriggerKind | tuple[TriggerKind, int] | tuple[TriggerKind, int, int]
"""What an edge waits for: an event class; `ALWAYS`, `ANY`, `CANCEL` or `DEADLINE`; or a kind with state and
slot."""

_MASKS = 4096  # masks whose numbers are kept: a chart in use meets the same few again and again
_KEPT = 256  # compiled charts kept; a process has a handful, a property test makes thousands
_LEAVES = (Kind.ATOMIC, Kind.FINAL, Kind.CHOICE)
HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)


@lru_cache(maxsize=_MASKS)
def ascending(states: int) -> tuple[int, ...]:
    """The numbers of the states in a mask, in entry (document) order."""
    numbers: list[int] = []
    while states:
        lowest = states & -states
        numbers.append(lowest.bit_length() - 1)
        states ^= lowest
    return tuple(numbers)


def descending(states: int) -> tuple[int, ...]:
    """The numbers of the states in a mask, in exit (reversed document) order."""
    return ascending(states)[::-1]


def mask(states: Iterable[int]) -> int:
    """The mask of some states."""
    bits = 0
    for state in states:
        bits |= 1 << state
    return bits


@frozen(eq=False)
class Arc:
    """An edge, ready to be selected. `domain` is None where recorded history decides it."""

    number: int
    edge: Edge
    source: int
    key: Key
    guard: Function | None
    error: str | None  # the qualified name of the exception class it catches
    free: bool  # neither guard nor error: it is enabled whenever its key fits
    domain: int | None  # the state inside which states are exited and entered; -1: none (targetless)


@frozen(eq=False)
class Program:
    """A compiled chart. Made by `compile_chart`; `layouts` fills up as configurations are met."""

    chart: Chart
    dialect: Dialect | None
    ancestors: tuple[int, ...]  # of each state, proper
    descendants: tuple[int, ...]  # of each state, proper, without histories
    leaves: int  # atomic, choice and final states
    owners: int  # states with timers, activities, crews or something to undo
    compensators: int  # states that undo
    arcs: tuple[tuple[Arc, ...], ...]  # of each state, in document order
    known: frozenset[Key]  # every key that some arc waits for
    layouts: dict[int, Layout] = field(factory=dict[int, "Layout"], init=False)

    def kind(self, state: int) -> Kind:
        """What a state is."""
        return self.chart.states[state].kind

    def domain(self, edge: Edge, targets: int) -> int:
        """The state inside which `edge` exits and enters, for these effective `targets` (a mask)."""
        if edge.internal and self.kind(edge.source) is Kind.COMPOUND and self._inside(targets, edge.source):
            return edge.source
        for ancestor in descending(self.ancestors[edge.source]):
            if self.kind(ancestor) is Kind.COMPOUND and self._inside(targets, ancestor):
                return ancestor
        return ROOT

    def wants(self, state: int, slot: int) -> bool:
        """Whether a function of the done edges of this crew is given what came of its members."""
        return any(
            function.arity > 1
            for edge in self.chart.states[state].edges
            if edge.trigger.kind is TriggerKind.CREW_DONE and edge.trigger.slot == slot
            for function in (*(action.function for action in edge.actions), edge.guard)
            if function is not None
        )

    def _inside(self, targets: int, ancestor: int) -> bool:
        return not targets & ~self.descendants[ancestor]


_programs: dict[int, Program] = {}


def program_of(machine: Any) -> Program:
    """The program of a Program, a Chart, or a class with a `chart`. Raises UsageError for anything else."""
    if isinstance(machine, Program):
        return machine
    chart = machine if isinstance(machine, Chart) else getattr(machine, "chart", None)
    # A kept program holds its chart, so that the chart's id cannot come to mean another one.
    program = _programs.get(id(chart))
    if program is not None:
        return program
    if not isinstance(chart, Chart):
        raise UsageError(f"{machine!r} is no machine: pass a Machine subclass, a Chart or a Program")
    return compile_chart(chart)


def compile_chart(chart: Chart, dialect: Dialect | None = None) -> Program:
    """The program of a chart, compiled once.

    :param dialect: SCXML's differences, for conformance; such programs are the caller's to keep.
    """
    if dialect is not None:
        return _compile(chart, dialect)
    program = _programs.get(id(chart))
    if program is None:
        program = _compile(chart, None)
        while len(_programs) >= _KEPT:
            _programs.pop(next(iter(_programs)), None)
        _programs[id(chart)] = program
    return program


def _compile(chart: Chart, dialect: Dialect | None) -> Program:
    states = chart.states
    ancestors = [0] * len(states)
    descendants = [0] * len(states)
    for state in states:
        if state.parent is not None:  # parents come first in document order
            ancestors[state.number] = ancestors[state.parent] | 1 << state.parent
        if state.kind not in HISTORIES:
            for ancestor in ascending(ancestors[state.number]):
                descendants[ancestor] |= 1 << state.number
    bare = Program(
        chart=chart,
        dialect=dialect,
        ancestors=tuple(ancestors),
        descendants=tuple(descendants),
        leaves=mask(state.number for state in states if state.kind in _LEAVES),
        owners=mask(
            s.number for s in states if s.timers or s.invokes or s.crews or s.compensation is not None
        ),
        compensators=mask(state.number for state in states if state.compensation is not None),
        arcs=(),
        known=frozenset(),
    )
    arcs = tuple(tuple(_arc(bare, edge) for edge in state.edges) for state in states)
    return evolve(bare, arcs=arcs, known=frozenset(arc.key for of_state in arcs for arc in of_state))


def _arc(program: Program, edge: Edge) -> Arc:
    states = program.chart.states
    if not edge.targets:
        domain: int | None = -1
    elif any(states[target].kind in HISTORIES for target in edge.targets):
        domain = None
    else:
        domain = program.domain(edge, mask(edge.targets))
    error = edge.trigger.error
    return Arc(
        number=edge.number,
        edge=edge,
        source=edge.source,
        key=_key(states[edge.source], edge),
        guard=edge.guard,
        error=None if error is None else qualified_name(error),
        free=edge.guard is None and error is None,
        domain=domain,
    )


def _key(source: State, edge: Edge) -> Key:
    trigger = edge.trigger
    match trigger.kind:
        case TriggerKind.EVENT:
            assert trigger.event is not None, "an EVENT trigger names its class"
            return trigger.event
        case TriggerKind.ANY | TriggerKind.ALWAYS | TriggerKind.CANCEL | TriggerKind.DEADLINE:
            return trigger.kind
        case TriggerKind.DONE | TriggerKind.COMPENSATED:
            return (trigger.kind, source.number)
        case _:
            return (trigger.kind, source.number, trigger.slot)
