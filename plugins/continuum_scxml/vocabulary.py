"""What things of an outline are called in code: one identifier for each state, class and activity."""

from __future__ import annotations

import builtins
from collections.abc import Iterable

from attrs import define, field

from continuum_core.definition.chart import TriggerKind
from continuum_scxml.names import Names
from continuum_scxml.outline import Invoke, Outline

__all__ = ["IMPORTED", "OTHERS", "Vocabulary", "is_builtin_error"]

OTHERS = ("frozen", "timedelta")
"""What a skeleton imports from elsewhere."""

IMPORTED = ("AnyEvent", "Failure", "Machine", "Message", "activity", "event", "root", "to", *OTHERS)
"""What a skeleton may import."""

_OWN = ("Context", "Input", "Result", "chart", "init", "result", "verdict")


@define(eq=False)
class Vocabulary:
    """The identifiers of one skeleton.

    :ivar states: id → attribute of the machine. Events, errors, activities, machines of child runs: stored
        name → class or function.
    :ivar undos: activity → the one that undoes it, which stands before it here, as it must in code.
    """

    names: Names
    machine: str
    states: dict[str, str] = field(factory=dict[str, str])
    events: dict[str, str] = field(factory=dict[str, str])
    errors: dict[str, str] = field(factory=dict[str, str])
    activities: dict[str, str] = field(factory=dict[str, str])
    machines: dict[str, str] = field(factory=dict[str, str])
    undos: dict[str, str | None] = field(factory=dict[str, "str | None"])

    @classmethod
    def of(cls, outline: Outline) -> Vocabulary:
        """The identifiers of everything in an outline. States come first: theirs are kept most faithfully."""
        names, parts = Names((*IMPORTED, *_OWN)), list(outline.root.walk())
        edges = [edge for part in parts for edge in part.edges]
        states = {part.id: names.state("s" if part.name == "root" else part.name) for part in parts}
        made = cls(names, names.type(outline.name), states)
        actions = [each for part in parts for each in (*part.entry, *part.exit, *part.opening)]
        actions += [each for edge in edges for each in edge.actions]
        events = [edge.event for edge in edges if edge.trigger is TriggerKind.EVENT]
        events += [name for part in parts for name in part.deferred]
        events += [action.event for action in actions if action.event is not None]
        made.events = {name: names.type(name) for name in dict.fromkeys(events)}
        errors = dict.fromkeys(e.error for e in edges if e.trigger is TriggerKind.INVOKE_ERROR)
        made.errors = {name: name if is_builtin_error(name) else names.type(name) for name in errors}
        invokes = [invoke for part in parts for invoke in part.invokes]
        started = dict.fromkeys(invoke.activity for invoke in invokes if invoke.machine)
        made.machines = {name: names.type(name) for name in started}
        made.undos = _undos(invoke for invoke in invokes if not invoke.machine)
        made.activities = {name: names.state(name) for name in made.undos}
        return made

    def targets(self, targets: Iterable[str]) -> str:
        """Targets as an argument: one state, or a tuple of several or none."""
        named = [self.states[target] for target in targets]
        return named[0] if len(named) == 1 else f"({', '.join(named)})"


def _undos(invokes: Iterable[Invoke]) -> dict[str, str | None]:
    """Every activity with its undo, the undo first. The first word on an activity holds; circles are cut."""
    asked: dict[str, str | None] = {}
    for invoke in invokes:
        asked[invoke.activity] = asked.get(invoke.activity) or invoke.undo
    found: dict[str, str | None] = {}
    for activity in asked:
        chain: dict[str, None] = {}
        name: str | None = activity
        while name is not None and name not in chain and name not in found:
            chain[name] = None
            name = asked.get(name)
        for each in reversed(chain):
            undo = asked.get(each)
            found[each] = undo if undo in found else None
    return found


def is_builtin_error(name: str) -> bool:
    """Whether an exception of this name needs no class of its own."""
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)
