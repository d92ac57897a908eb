"""One microstep as a plan: what is exited, done and entered, in which order.

A plan follows from the configuration, the edges taken and (where a target is a history) what was
recorded; it runs nothing. SCXML, appendix D: computeExitSet, exitStates, computeEntrySet,
addDescendantStatesToEnter, addAncestorStatesToEnter, enterStates.

One difference: when a parallel state completes that is itself a region of a parallel state, that
one is looked at as well. The Rec. looks one level up only, and the outer state would wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from continuum_core.definition.chart import ROOT, Action, ActionKind, Function, Kind
from continuum_core.interpreter.layout import Layout, PlanKey
from continuum_core.interpreter.program import HISTORIES, Arc, Program, ascending, descending, mask
from continuum_core.interpreter.select import domain_of, effective_targets, exits_of, unconflicted

__all__ = ["Op", "Plan", "arrival", "birth", "farewell", "plan_of"]

_KEPT = 256
_BIRTH = "birth"
_FAREWELL = "farewell"


@frozen(eq=False)
class Op:
    """One piece of content to run, or (`function` is None) the completion of `state` to announce."""

    kind: ActionKind | None
    function: Function | None
    configuration: int  # the states active at that moment
    site: str  # where it stands, for a fault's text
    state: int = ROOT  # of a completion: the state that is complete
    final: int | None = None  # of a completion: its final child, None for a parallel state


@frozen(eq=False)
class Plan:
    """A microstep, decided."""

    edges: tuple[int, ...]
    configuration: int  # after it
    recorded: tuple[tuple[int, int], ...]  # what histories remember: history, states
    closed: tuple[int, ...]  # states with timers or activities that are exited, in exit order
    opened: int  # mask of states with timers or activities that are entered
    ops: tuple[Op, ...]
    final: int | None  # the final child of the root that is entered: the run ends


def plan_of(program: Program, layout: Layout, chosen: tuple[Arc, ...], history: Mapping[int, int]) -> Plan:
    """The plan for taking these edges, of which conflicting ones are dropped first."""
    key: PlanKey = chosen[0].number if len(chosen) == 1 else tuple(arc.number for arc in chosen)
    plan = layout.plans.get(key)
    if plan is not None:
        return plan
    arcs = unconflicted(program, layout.configuration, chosen, history) if len(chosen) > 1 else chosen
    exits = 0
    for arc in arcs:
        exits |= exits_of(program, layout.configuration, arc, history)
    recorded = _recorded(program, layout.configuration, exits)
    # What this very microstep leaves is remembered before anything is entered.
    entering = _Entering(program, {**history, **dict(recorded)})
    for arc in arcs:
        entering.take(arc)
    ops = _exit_ops(program, layout.configuration, exits)
    after = layout.configuration & ~exits
    for arc in arcs:
        ops += _ops(arc.edge.actions, after, _edge_site(program, arc))
    plan = _plan(program, layout.configuration, exits, entering, ops, tuple(arc.number for arc in arcs))
    if not entering.remembered and not any(arc.domain is None for arc in chosen):
        if len(layout.plans) >= _KEPT:
            layout.plans.clear()
        layout.plans[key] = plan
    return plan


def birth(program: Program, layout: Layout) -> Plan:
    """The plan for entering a chart that has just been started."""
    plan = layout.plans.get(_BIRTH)
    if plan is None:
        entering = _Entering(program, {})
        entering.descend(ROOT)
        plan = layout.plans[_BIRTH] = _plan(program, 0, 0, entering, [], ())
    return plan


def farewell(program: Program, layout: Layout) -> Plan:
    """The plan for exiting everything, the root and a final state reached included."""
    plan = layout.plans.get(_FAREWELL)
    if plan is None:
        active = layout.configuration
        ops = _exit_ops(program, active, active)
        plan = layout.plans[_FAREWELL] = _plan(program, active, active, _Entering(program, {}), ops, ())
    return plan


def arrival(program: Program, targets: tuple[int, ...], history: Mapping[int, int], ended: int) -> Plan:
    """The plan for a run that comes to stand in these states without an edge: nothing is run on entry.

    :param ended: mask of final states that were reached before; others complete their parents now.
    """
    entering = _Entering(program, history)
    entering.arrive(targets)
    configuration = entering.states | 1 << ROOT
    states = program.chart.states
    ops: list[Op] = []
    final = None
    for number in ascending(configuration & ~ended):
        if states[number].kind is Kind.FINAL and states[number].parent == ROOT:
            final = number
        elif states[number].kind is Kind.FINAL:
            ops += _completions(program, number, configuration)
    opened = configuration & program.owners
    return Plan((), configuration, (), (), opened, tuple(ops), final)


def _plan(
    program: Program,
    before: int,
    exits: int,
    entering: _Entering,
    ops: list[Op],
    edges: tuple[int, ...],
) -> Plan:
    configuration = before & ~exits
    final = None
    for number in ascending(entering.states):
        state = program.chart.states[number]
        configuration |= 1 << number
        ops += _ops(state.entry, configuration, f"entry of {_name(program, number)}")
        for opening in entering.openings.get(number, ()):
            site = f"default entry into {_name(program, opening)}"
            ops += _ops(program.chart.states[opening].opening, configuration, site)
        if state.kind is Kind.FINAL and state.parent == ROOT:
            final = number
        elif state.kind is Kind.FINAL:
            ops += _completions(program, number, configuration)
    return Plan(
        edges=edges,
        configuration=configuration,
        recorded=_recorded(program, before, exits),
        closed=tuple(descending(exits & program.owners)),
        opened=entering.states & program.owners,
        ops=tuple(ops),
        final=final,
    )


@define(eq=False)
class _Entering:
    """The entry set, while it is computed."""

    program: Program
    history: Mapping[int, int]
    states: int = 0
    openings: dict[int, list[int]] = field(factory=dict[int, list[int]])  # state → whose default content
    # follows its entry
    remembered: bool = False  # a history was asked, so that another time the answer may differ
    domain: int = ROOT  # of the edge at hand: it is not left, nor is what is around it

    def take(self, arc: Arc) -> None:
        """Add what this edge enters."""
        if not arc.edge.targets:
            return
        self.domain = domain = domain_of(self.program, arc, self.history)
        for target in arc.edge.targets:
            self.descend(target)
        for target in ascending(effective_targets(self.program, arc.edge.targets, self.history)):
            self.ascend(target, domain)

    def arrive(self, targets: tuple[int, ...]) -> None:
        """Add states that no edge leads to, with all that is around them."""
        self._reach(targets, ROOT)

    def descend(self, number: int) -> None:
        """Add a state and what is entered with it by default."""
        state = self.program.chart.states[number]
        if state.kind in HISTORIES:
            self._recall(number)
            return
        self.states |= 1 << number
        if state.kind is Kind.COMPOUND:
            if state.opening:
                self._open(number, number)
            self._reach(state.initial, number)
        elif state.kind is Kind.PARALLEL:
            self._complete(state.children)

    def ascend(self, number: int, ancestor: int) -> None:
        """Add the ancestors of a state, up to `ancestor` and without it, and their other regions."""
        for above in descending(self.program.ancestors[number] & self.program.descendants[ancestor]):
            self.states |= 1 << above
            state = self.program.chart.states[above]
            if state.kind is Kind.PARALLEL:
                self._complete(state.children)

    def _complete(self, regions: tuple[int, ...]) -> None:
        for region in regions:
            kind = self.program.chart.states[region].kind
            if kind not in HISTORIES and not self.states & self.program.descendants[region]:
                self.descend(region)

    def _recall(self, number: int) -> None:
        state = self.program.chart.states[number]
        parent = state.parent if state.parent is not None else ROOT
        # What was recorded may lie deeper, in a state that stays active. The standard's algorithm would enter
        # that one again, and all up to the history's parent.
        within = self.domain if self.program.descendants[parent] >> self.domain & 1 else parent
        self.remembered = True
        recorded = self.history.get(number)
        if recorded:
            self._reach(tuple(ascending(recorded)), within)
        else:
            if state.opening:
                self._open(parent, number)
            self._reach(state.default, within)

    def _open(self, after: int, opening: int) -> None:
        openings = self.openings.setdefault(after, [])
        if opening not in openings:
            openings.append(opening)

    def _reach(self, targets: tuple[int, ...], ancestor: int) -> None:
        for target in targets:
            self.descend(target)
        for target in ascending(effective_targets(self.program, targets, self.history)):
            self.ascend(target, ancestor)


def _exit_ops(program: Program, configuration: int, exits: int) -> list[Op]:
    ops: list[Op] = []
    for number in descending(exits):
        actions = program.chart.states[number].exit
        ops += _ops(actions, configuration, f"exit of {_name(program, number)}")
        configuration &= ~(1 << number)
    return ops


def _ops(actions: tuple[Action, ...], configuration: int, site: str) -> list[Op]:
    return [
        Op(action.kind, action.function, configuration, f"{action.kind.value} in the {site}")
        for action in actions
    ]


def _recorded(program: Program, before: int, exits: int) -> tuple[tuple[int, int], ...]:
    states = program.chart.states
    recorded: list[tuple[int, int]] = []
    for number in ascending(exits):
        for child in states[number].children:
            if states[child].kind is Kind.SHALLOW_HISTORY:
                recorded.append((child, before & mask(states[number].children)))
            elif states[child].kind is Kind.DEEP_HISTORY:
                recorded.append((child, before & program.descendants[number] & program.leaves))
    return tuple(recorded)


def _completions(program: Program, final: int, configuration: int) -> list[Op]:
    """The states that are complete because `final` was entered, from the inside out."""
    states = program.chart.states
    parent = states[final].parent
    assert parent is not None, "the root is no final state"
    ops = [Op(None, None, configuration, "", parent, final)]
    above = states[parent].parent
    while above is not None and states[above].kind is Kind.PARALLEL:
        if not _complete(program, above, configuration):
            break
        ops.append(Op(None, None, configuration, "", above, None))
        above = states[above].parent
    return ops


def _complete(program: Program, number: int, configuration: int) -> bool:
    states = program.chart.states
    state = states[number]
    if state.kind is Kind.COMPOUND:
        return any(
            states[child].kind is Kind.FINAL and configuration >> child & 1 for child in state.children
        )
    if state.kind is Kind.PARALLEL:
        regions = [child for child in state.children if states[child].kind not in HISTORIES]
        return all(_complete(program, child, configuration) for child in regions)
    return False


def _name(program: Program, number: int) -> str:
    return program.chart.states[number].path or program.chart.name


def _edge_site(program: Program, arc: Arc) -> str:
    return f"edge {arc.number} of {_name(program, arc.source)}"
