"""What a program can do from one configuration: candidate edges by event, and plans already made.

A layout is a cache of what SCXML's algorithm finds by walking from each active atomic state to the
root; it decides nothing. Layouts are made when a configuration is first met and thrown away all at
once when they become many (a chart with many regions has more configurations than memory).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from continuum_core.definition.chart import Kind, TriggerKind
from continuum_core.interpreter.program import Arc, Key, Program, ascending, descending

if TYPE_CHECKING:
    from continuum_core.interpreter.microstep import Plan

__all__ = ["Groups", "Layout", "PlanKey", "layout_of", "within_deferral"]

Groups = tuple[tuple[Arc, ...], ...]
"""Candidate edges: a tuple for each active atomic state in document order, innermost edges first."""

PlanKey = int | tuple[int, ...] | str
"""What a plan is found by: the edges' numbers, or a word for entering and leaving the whole chart."""

_KEPT = 4096


@frozen(eq=False)
class Layout:
    """The tables of one configuration."""

    configuration: int
    walks: Groups  # all edges that each active atomic state can see
    always: Groups  # the eventless ones
    any: Groups  # those for any user's event
    choice: int | None  # an active choice, if there is one: the run cannot rest here
    deferred: frozenset[type]
    groups: dict[Key, Groups] = field(factory=dict[Key, Groups], init=False)
    plans: dict[PlanKey, Plan] = field(factory=dict[PlanKey, "Plan"], init=False)

    def candidates(self, program: Program, key: Key) -> Groups:
        """The candidate edges for what has this key."""
        groups = self.groups.get(key)
        if groups is None:
            if key not in program.known:  # a class that the chart never names must not fill the cache
                return self.any if isinstance(key, type) else ()
            groups = _waiting(self.walks, (key, TriggerKind.ANY) if isinstance(key, type) else (key,))
            self.groups[key] = groups
        return groups


def within_deferral(program: Program, layout: Layout, cls: type) -> Groups:
    """The candidates for an event from outside that an active state defers: no edge of its ancestors.

    An inner state's word counts before an outer one's, for deferring as for edges; an edge of another
    region still takes the event. Not kept: a deferral is rare, and leads to a write anyway.
    """
    states = program.chart.states
    walks: list[tuple[Arc, ...]] = []
    for leaf in ascending(layout.configuration & program.leaves):
        walk: tuple[Arc, ...] = ()
        for state in (leaf, *descending(program.ancestors[leaf])):
            walk += program.arcs[state]
            if cls in states[state].deferred:
                break
        walks.append(walk)
    return _waiting(tuple(walks), (cls, TriggerKind.ANY))


def layout_of(program: Program, configuration: int) -> Layout:
    """The layout of a configuration of this program."""
    layout = program.layouts.get(configuration)
    if layout is None:
        if len(program.layouts) >= _KEPT:
            program.layouts.clear()
        layout = program.layouts[configuration] = _make(program, configuration)
    return layout


def _make(program: Program, configuration: int) -> Layout:
    states = program.chart.states
    walks: list[tuple[Arc, ...]] = []
    choice = None
    for leaf in ascending(configuration & program.leaves):
        path = (leaf, *descending(program.ancestors[leaf]))
        walks.append(tuple(arc for state in path for arc in program.arcs[state]))
        if states[leaf].kind is Kind.CHOICE:
            choice = leaf
    groups = tuple(walks)
    return Layout(
        configuration=configuration,
        walks=groups,
        always=_waiting(groups, (TriggerKind.ALWAYS,)),
        any=_waiting(groups, (TriggerKind.ANY,)),
        choice=choice,
        deferred=frozenset(cls for state in ascending(configuration) for cls in states[state].deferred),
    )


def _waiting(walks: Groups, keys: tuple[Key, ...]) -> Groups:
    groups = (tuple(arc for arc in walk if arc.key in keys) for walk in walks)
    return tuple(group for group in groups if group)
