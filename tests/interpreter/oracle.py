"""SCXML's appendix D once more, slow and plain: sets of states, nothing compiled, nothing remembered.

Written from the Recommendation's pseudo-code, name for name, to compare the interpreter with. It knows
what random charts use: users' events, eventless edges, timers, completion, histories, assign and raise.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, field

from continuum_core.definition.chart import ActionKind, Chart, Edge, Kind, State, TriggerKind

HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)
ATOMIC = (Kind.ATOMIC, Kind.FINAL, Kind.CHOICE)


@define
class Completed:
    """done.state.<number>"""

    number: int


@define
class Elapsed:
    """The timer of a state."""

    number: int
    slot: int


@define(eq=False)
class Oracle:
    """A run of a chart."""

    chart: Chart
    context: Any = ()
    configuration: set[int] = field(factory=set)
    history: dict[int, set[int]] = field(factory=dict)
    domain: int = 0  # of the edge whose targets are entered
    queue: deque[Any] = field(factory=deque)
    taken: list[tuple[int, ...]] = field(factory=list)
    event: Any = None

    def start(self) -> None:
        self.taken = []
        to_enter: set[int] = set()
        self.add_descendant_states_to_enter(0, to_enter)
        self.enter(to_enter)
        self.complete_macrostep()

    def send(self, event: object) -> None:
        self.taken = []
        self.event = event
        enabled = self.select_transitions(event)
        if enabled:
            self.microstep(enabled)
            self.complete_macrostep()

    def complete_macrostep(self) -> None:
        while True:
            enabled = self.select_transitions(None)
            if not enabled:
                if not self.queue:
                    return
                self.event = self.queue.popleft()
                enabled = self.select_transitions(self.event)
            if enabled:
                self.microstep(enabled)

    def state(self, number: int) -> State:
        return self.chart.states[number]

    def proper_ancestors(self, number: int, upto: int | None) -> list[int]:
        found = []
        parent = self.state(number).parent
        while parent is not None and parent != upto:
            found.append(parent)
            parent = self.state(parent).parent
        return found

    def is_descendant(self, number: int, of: int) -> bool:
        return of in self.proper_ancestors(number, None)

    # selection

    def matches(self, edge: Edge, event: object) -> bool:
        trigger = edge.trigger
        match event:
            case None:
                return trigger.kind is TriggerKind.ALWAYS
            case Completed():
                return trigger.kind is TriggerKind.DONE and edge.source == event.number
            case Elapsed():
                timer = (edge.source, trigger.slot) == (event.number, event.slot)
                return trigger.kind is TriggerKind.AFTER and timer
            case _:
                return trigger.kind is TriggerKind.ANY or (
                    trigger.kind is TriggerKind.EVENT and trigger.event is type(event)
                )

    def holds(self, edge: Edge) -> bool:
        return edge.guard is None or edge.guard.call(self.context)

    def select_transitions(self, event: object) -> list[Edge]:
        enabled: list[Edge] = []
        for atomic in sorted(n for n in self.configuration if self.state(n).kind in ATOMIC):
            edges = [e for n in (atomic, *self.proper_ancestors(atomic, None)) for e in self.state(n).edges]
            first = next((edge for edge in edges if self.matches(edge, event) and self.holds(edge)), None)
            if first is not None and first not in enabled:
                enabled.append(first)
        return self.remove_conflicting_transitions(enabled)

    def remove_conflicting_transitions(self, enabled: list[Edge]) -> list[Edge]:
        filtered: list[Edge] = []
        for t1 in enabled:
            preempted = False
            to_remove: list[Edge] = []
            for t2 in filtered:
                if self.exit_set([t1]) & self.exit_set([t2]):
                    if self.is_descendant(t1.source, t2.source):
                        to_remove.append(t2)
                    else:
                        preempted = True
                        break
            if not preempted:
                filtered = [edge for edge in filtered if edge not in to_remove]
                filtered.append(t1)
        return filtered

    def exit_set(self, edges: list[Edge]) -> set[int]:
        found: set[int] = set()
        for edge in edges:
            if edge.targets:
                domain = self.transition_domain(edge)
                found |= {number for number in self.configuration if self.is_descendant(number, domain)}
        return found

    def transition_domain(self, edge: Edge) -> int:
        targets = self.effective_targets(edge.targets)
        compound = self.state(edge.source).kind is Kind.COMPOUND
        if edge.internal and compound and all(self.is_descendant(n, edge.source) for n in targets):
            return edge.source
        for ancestor in self.proper_ancestors(edge.source, None):
            compound = self.state(ancestor).kind is Kind.COMPOUND
            if compound and all(self.is_descendant(number, ancestor) for number in targets):
                return ancestor
        return 0

    def effective_targets(self, targets: tuple[int, ...]) -> set[int]:
        found: set[int] = set()
        for number in targets:
            if self.state(number).kind in HISTORIES:
                recorded = self.history.get(number)
                found |= recorded or self.effective_targets(self.state(number).default)
            else:
                found.add(number)
        return found

    # a microstep

    def microstep(self, edges: list[Edge]) -> None:
        self.taken.append(tuple(edge.number for edge in edges))
        self.exit_states(edges)
        for edge in edges:
            self.execute(edge.actions)
        to_enter: set[int] = set()
        for edge in edges:
            if edge.targets:
                self.domain = domain = self.transition_domain(edge)
                for target in edge.targets:
                    self.add_descendant_states_to_enter(target, to_enter)
                for target in self.effective_targets(edge.targets):
                    self.add_ancestor_states_to_enter(target, domain, to_enter)
        self.enter(to_enter)

    def exit_states(self, edges: list[Edge]) -> None:
        to_exit = sorted(self.exit_set(edges), reverse=True)
        recorded: dict[int, set[int]] = {}
        for number in to_exit:
            for child in self.state(number).children:
                if self.state(child).kind is Kind.DEEP_HISTORY:
                    recorded[child] = {
                        n
                        for n in self.configuration
                        if self.state(n).kind in ATOMIC and self.is_descendant(n, number)
                    }
                elif self.state(child).kind is Kind.SHALLOW_HISTORY:
                    recorded[child] = {n for n in self.configuration if self.state(n).parent == number}
        for number in to_exit:
            self.execute(self.state(number).exit)
            self.configuration.remove(number)
        self.history.update(recorded)

    def enter(self, to_enter: set[int]) -> None:
        for number in sorted(to_enter):
            state = self.state(number)
            self.configuration.add(number)
            self.execute(state.entry)
            if state.kind is Kind.FINAL and state.parent is not None:
                self.queue.append(Completed(state.parent))
                above = self.state(state.parent).parent
                while above is not None and self.state(above).kind is Kind.PARALLEL:
                    if not self.is_in_final_state(above):
                        break
                    self.queue.append(Completed(above))
                    above = self.state(above).parent

    def is_in_final_state(self, number: int) -> bool:
        children = [n for n in self.state(number).children if self.state(n).kind not in HISTORIES]
        if self.state(number).kind is Kind.COMPOUND:
            return any(self.state(n).kind is Kind.FINAL and n in self.configuration for n in children)
        if self.state(number).kind is Kind.PARALLEL:
            return all(self.is_in_final_state(child) for child in children)
        return False

    def add_descendant_states_to_enter(self, number: int, to_enter: set[int]) -> None:
        state = self.state(number)
        if state.kind in HISTORIES:
            assert state.parent is not None
            targets = self.history.get(number) or set(state.default)
            for target in targets:
                self.add_descendant_states_to_enter(target, to_enter)
            # Here we differ from the recommendation, which would enter what is active and was not exited.
            upto = self.domain if self.is_descendant(self.domain, state.parent) else state.parent
            for target in targets:
                self.add_ancestor_states_to_enter(target, upto, to_enter)
            return
        to_enter.add(number)
        if state.kind is Kind.COMPOUND:
            for target in state.initial:
                self.add_descendant_states_to_enter(target, to_enter)
            for target in state.initial:
                self.add_ancestor_states_to_enter(target, number, to_enter)
        elif state.kind is Kind.PARALLEL:
            self.add_regions(state, to_enter)

    def add_ancestor_states_to_enter(self, number: int, upto: int, to_enter: set[int]) -> None:
        for ancestor in self.proper_ancestors(number, upto):
            to_enter.add(ancestor)
            if self.state(ancestor).kind is Kind.PARALLEL:
                self.add_regions(self.state(ancestor), to_enter)

    def add_regions(self, state: State, to_enter: set[int]) -> None:
        for child in state.children:
            if self.state(child).kind in HISTORIES:
                continue
            if not any(self.is_descendant(number, child) for number in to_enter):
                self.add_descendant_states_to_enter(child, to_enter)

    def execute(self, actions: tuple[Any, ...]) -> None:
        for action in actions:
            value = action.function.call(self.context)
            if action.kind is ActionKind.ASSIGN:
                self.context = value
            elif value is not None:
                self.queue.append(value)
