"""The edges, actions and invokes of a skeleton, one call each."""

from __future__ import annotations

from attrs import define, evolve, field

from continuum_core.definition.chart import TriggerKind
from continuum_scxml.gaps import Gaps
from continuum_scxml.names import literal, string
from continuum_scxml.outline import Edge, Invoke, Part
from continuum_scxml.state_code import Branch
from continuum_scxml.vocabulary import Vocabulary
from continuum_scxml.words import length_code

__all__ = ["EdgeCode"]

_WIDTH = 100
_BEHIND = {
    TriggerKind.COMPENSATED: "undone",
    TriggerKind.CANCEL: "cancelled",
    TriggerKind.DEADLINE: "overdue",
}

_OUTCOMES = {"each": "tuple[None, ...]", "collect": "tuple[Failure | None, ...]"}
"""What functions of `done` are given of members."""

_CAN_STAY = (TriggerKind.EVENT, TriggerKind.ANY)
"""What kinds of edges can be declared as internal."""


@define(eq=False)
class EdgeCode:
    """Writes what states do.

    :ivar branches: choices that decide behind an invoke: they are yet to be written, as states of the root.
    """

    words: Vocabulary
    gaps: Gaps
    branches: list[Branch] = field(factory=list[Branch])

    def lines(self, part: Part) -> list[str]:
        """The code of everything that a state does: its actions, deferrals, edges and invokes."""
        me = self.words.states[part.id]
        lines: list[str] = []
        for verb, actions in (("entry", part.entry), ("exit", part.exit)):
            words = self.gaps.actions(f"{me}_{verb}", actions, ())
            if words:
                lines += _call(f"{me}.{verb}", words)
        if part.deferred:
            lines += _call(f"{me}.defer", [self.words.events[name] for name in part.deferred])
        written: set[int] = set()
        for edge in part.edges:
            if edge.trigger in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR):
                if edge.invoke not in written:
                    lines += self._invoke(part, edge.invoke)
                    written.add(edge.invoke)
                continue
            lines += [f"# {literal(note)}" for note in edge.notes]
            if edge.internal and edge.trigger not in _CAN_STAY:
                lines.append(f"# GAP: the document stays inside {me} here; this edge leaves and enters it")
            lines += self._edge(part, edge)
        if part.compensation is not None and all(
            e.trigger is not TriggerKind.COMPENSATED for e in part.edges
        ):
            lines += ["# GAP: where to go when all is undone", *self._compensate(part, "None")]
        for slot in range(len(part.invokes)):
            if slot not in written:
                lines += self._invoke(part, slot)
        return lines

    def branch(self, branch: Branch) -> list[str]:
        """The code of the edges of a choice; their functions are given the context alone."""
        name, edges = branch
        ways = [evolve(edge, trigger=TriggerKind.ALWAYS, internal=False) for edge in edges]
        return [line for way in ways for line in _call(f"{name}.always", self._arguments(name, way))]

    def _edge(self, part: Part, edge: Edge) -> list[str]:
        me = self.words.states[part.id]
        match edge.trigger:
            case TriggerKind.EVENT:
                return _call(f"{me}.on", self._arguments(me, edge, self.words.events[edge.event]))
            case TriggerKind.ANY:
                return _call(f"{me}.on", self._arguments(me, edge, "AnyEvent"))
            case TriggerKind.AFTER:
                return _call(f"{me}.after", self._arguments(me, edge, self.length(me, edge.delay)))
            case TriggerKind.COMPENSATED | TriggerKind.CANCEL | TriggerKind.DEADLINE:
                return self._unguarded(part, edge)
            case _:
                return _call(f"{me}.{edge.trigger.value}", self._arguments(me, edge))

    def _compensate(self, part: Part, *words: str) -> list[str]:
        parallel = part.compensation is not None and part.compensation.parallel
        how = ["parallel=True"] if parallel else []
        return _call(f"{self.words.states[part.id]}.compensate", [*words, *how])

    def _unguarded(self, part: Part, edge: Edge) -> list[str]:
        """A call that takes no guard: where a file has one, a choice behind it decides on all such edges."""
        me, compensated = self.words.states[part.id], edge.trigger is TriggerKind.COMPENSATED
        ways = [each for each in part.edges if each.trigger is edge.trigger]
        if all(way.guard is None for way in ways):
            words = self._arguments(me, edge, *(["None"] if compensated and not edge.targets else []))
        elif edge is ways[0]:
            words = [self._behind(f"{me}_{_BEHIND[edge.trigger]}", ways)]
        else:
            return []
        if edge.within is not None:
            words.append(f"within={self.length(me, edge.within)}")
        return (
            self._compensate(part, *words) if compensated else _call(f"{me}.on_{edge.trigger.value}", words)
        )

    def length(self, place: str, length: int | str) -> str:
        """The code of a length of time: itself, or the name of a function that gives it."""
        return length_code(length) if isinstance(length, int) else self.gaps.delay(place, length)

    def _arguments(self, me: str, edge: Edge, *first: str) -> list[str]:
        words = list(first)
        if edge.targets:
            words.append(self.words.targets(edge.targets))
        given = self._given(edge)
        if edge.guard is not None:
            words.append(f"when={self.gaps.guard(me, edge.guard, given)}")
        words += self.gaps.actions(me, edge.actions, given, keywords=True)
        if edge.internal and edge.trigger in _CAN_STAY:
            words.append("internal=True")
        return words

    def _given(self, edge: Edge, invoke: Invoke | None = None) -> tuple[str, ...]:
        """The type of what a function of the edge is given beside the context."""
        outcome = "None" if invoke is None else _OUTCOMES.get(invoke.how, "None")
        types = {
            TriggerKind.EVENT: self.words.events.get(edge.event, ""),
            TriggerKind.ANY: "object",
            TriggerKind.INVOKE_DONE: outcome,
            TriggerKind.INVOKE_ERROR: "Failure",
        }
        return (types[edge.trigger],) if edge.trigger in types else ()

    # --- invokes --------------------------------------------------------------------------------------

    def _invoke(self, part: Part, slot: int) -> list[str]:
        me, invoke = self.words.states[part.id], part.invokes[slot]
        ends = [edge for edge in part.edges if edge.invoke == slot]
        done = [edge for edge in ends if edge.trigger is TriggerKind.INVOKE_DONE]
        errors = [edge for edge in ends if edge.trigger is TriggerKind.INVOKE_ERROR]
        several = invoke.how in _OUTCOMES
        named = self.words.machines if invoke.machine else self.words.activities
        words = [named[invoke.activity], "lambda c: (c,)" if several else "lambda c: c"]
        words += [f"limit={invoke.limit}"] if several else []
        words += self._done(me, invoke, done)
        lines = [f"# {literal(note)}" for edge in ends for note in edge.notes]
        lines += [f"# {literal(note)}" for note in invoke.notes]
        if invoke.undo is not None and invoke.undo != self.words.undos[invoke.activity]:
            lines.append(f"# GAP: here the document undoes it by {literal(invoke.undo)}, elsewhere otherwise")
        if invoke.input:
            what = "members are" if several else "input is"
            lines.append(f"# GAP: the {what} {literal(invoke.input)}")
        if errors:
            words.append(f"error={self._errors(me, errors)}")
        caught = any(edge.error == "Exception" and edge.guard is None for edge in errors)
        if invoke.how in ("invoke", "each") and not caught:
            lines.append("# GAP: error= must say where every other Exception leads")
        if invoke.key is not None:
            words.append(f"key={self.gaps.key(me, invoke.key)}")
        if invoke.closing != ("abandon" if invoke.how == "spawn" else "cancel"):
            words.append(f"closing={string(invoke.closing)}")
        return [*lines, *_call(f"{me}.{invoke.how}", words)]

    def _done(self, me: str, invoke: Invoke, edges: list[Edge]) -> list[str]:
        """What `done=` is. Guards on it have no place in an invoke: a choice decides behind it."""
        if not edges:
            return []
        if len(edges) == 1 and edges[0].guard is None:
            words = [f"done={self.words.targets(edges[0].targets)}"] if edges[0].targets else []
            given = self._given(edges[0], invoke)
            return [*words, *self.gaps.actions(me, edges[0].actions, given, keywords=True)]
        return [f"done={self._behind(f'{me}_done', edges)}"]

    def _errors(self, me: str, edges: list[Edge]) -> str:
        pairs: list[str] = []
        for name in dict.fromkeys(edge.error for edge in edges):
            ways = [edge for edge in edges if edge.error == name]
            if len(ways) > 1:
                pairs.append(f"{self.words.errors[name]}: {self._behind(f'{me}_failed', ways)}")
                continue
            (way,) = ways
            target = self.words.targets(way.targets) if way.targets else "None"
            single = len(way.targets) == 1 and way.guard is None and not way.actions
            words = self._arguments(me, evolve(way, targets=()))
            whole = target if single else f"to({', '.join([target, *words])})"
            pairs.append(f"{self.words.errors[name]}: {whole}")
        return "{" + ", ".join(pairs) + "}"

    def _behind(self, name: str, edges: list[Edge]) -> str:
        """A choice behind an invoke, for what an invoke cannot decide itself."""
        start = self.words.names.state(name)
        self.branches.append((start, tuple(edges)))
        return start


def _call(name: str, words: list[str]) -> list[str]:
    """A call on one line, or with a line for each argument."""
    line = f"{name}({', '.join(words)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name}(", *(f"    {word}," for word in words), ")"]
