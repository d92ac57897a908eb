"""The edges of a declaration become those of the chart: trigger, guard, actions, targets.

What is wrong with a part is noted and left out, so that one edge tells all its faults at once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, function, named, shown
from continuum_core.definition.chart import Action, ActionKind, Edge, Kind, Place, Trigger, TriggerKind
from continuum_core.definition.crews import crew_words, result_type
from continuum_core.definition.draft import ActionDraft, EdgeDraft, Node
from continuum_core.definition.event import AnyEvent, is_event, reply_type, takes_none
from continuum_core.definition.failure import Failure
from continuum_core.definition.lengths import length

__all__ = ["actions", "edge", "event_class", "targets"]

_KEYWORDS = {"assign": "assign=", "raise": "raise_=", "send": "send=", "reply": "reply"}
_VERBS = {
    TriggerKind.COMPENSATED: "compensate",
    TriggerKind.CANCEL: "on_cancel",
    TriggerKind.DEADLINE: "on_deadline",
}
_ERRORS = (TriggerKind.INVOKE_ERROR, TriggerKind.CREW_ERROR)
_OF_CREWS = (TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR)


def words(node: Node, draft: EdgeDraft) -> str:
    """An edge in the words of the declaration."""
    source = shown(node)
    if draft.kind is TriggerKind.EVENT:
        return f"{source}.on({named(draft.event)})"
    if draft.kind is TriggerKind.AFTER:
        delay = node.timers[draft.slot].delay
        return f"{source}.after({delay if isinstance(delay, timedelta) else '...'})"
    if draft.kind in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR):
        call = f"{source}.invoke({named(node.invokes[draft.slot].activity)})"
        return call if draft.kind is TriggerKind.INVOKE_DONE else f"{call} error={named(draft.error)}"
    if draft.kind in _OF_CREWS:
        call = crew_words(node, node.crews[draft.slot])
        return call if draft.kind is TriggerKind.CREW_DONE else f"{call} error={named(draft.error)}"
    return f"{source}.{_VERBS.get(draft.kind, draft.kind.value)}()"


def _is_exception(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseException)


def edge(bench: Bench, node: Node, draft: EdgeDraft, number: int) -> Edge:
    """One edge; what is wrong with it is noted and left out."""
    where = words(node, draft)
    bench.words.append(where)
    trigger = _trigger(bench, node, draft, where)
    _answered(bench, draft, trigger, where)
    types = _arguments(bench, node, draft)
    guard = None
    if draft.when is not None:
        guard = function(bench, draft.when, f"{where} when=", draft.place, types)
    return Edge(
        number=number,
        source=bench.numbers[id(node)],
        trigger=trigger,
        targets=targets(bench, node, draft.targets, where, draft.place),
        guard=guard,
        actions=actions(bench, draft.actions, where, draft.place, types),
        internal=draft.internal,
        checkpoint=draft.checkpoint,
        within=length(bench, draft.within, f"{where} within=", draft.place),
        place=draft.place,
    )


def _trigger(bench: Bench, node: Node, draft: EdgeDraft, where: str) -> Trigger:
    kind, event, error = draft.kind, draft.event, draft.error
    if kind is TriggerKind.EVENT and event is AnyEvent:
        return Trigger(TriggerKind.ANY)
    if kind is TriggerKind.EVENT:
        event_class(bench, event, where, draft.place)
        return Trigger(kind, event=event if isinstance(event, type) else None)
    if kind in _ERRORS and not _is_exception(error):
        remedy = "Use exception classes as keys: error={Declined: paying, Exception: failed}"
        bench.broken("C220", where, f"{error!r} is not an exception class", remedy, draft.place)
        error = Exception
    if kind is TriggerKind.DONE and not _completes(node):
        what, remedy = _never_done(node)
        bench.fault("C216", where, what, remedy, draft.place)
    return Trigger(kind, slot=draft.slot, error=error)


def _answered(bench: Bench, draft: EdgeDraft, trigger: Trigger, where: str) -> None:
    """Whether an edge says what a question is told, and nothing where none is asked."""
    replies = any(action.kind is ActionKind.REPLY for action in draft.actions)
    given = None if trigger.event is None else reply_type(trigger.event)
    if replies and given is None:
        what = f"{named(draft.event)} is no question"
        remedy = f"Say what it is answered with, class {named(draft.event)}(Question[Reply]), or use on()"
        bench.fault("C231", where, what, remedy, draft.place)
    if not replies and given is not None and not takes_none(given):
        what = f"whoever asks {named(draft.event)} is told nothing"
        remedy = f"Use answer() with a reply that gives a {named(given)}, or make it a Question[None]"
        bench.fault("C232", where, what, remedy, draft.place)


def event_class(bench: Bench, event: Any, where: str, place: Place) -> None:
    """Note what is wrong with something given as an event class."""
    if not isinstance(event, type):
        cls = cast("Any", type(event))
        known = f"{cls.__name__} itself" if is_event(cls) else "a class marked with @event"
        bench.broken("C213", where, f"{event!r} is not an event class", f"Give {known}, not a value", place)
    elif not is_event(event):
        remedy = f"Put @event on class {event.__name__}"
        bench.fault("C214", where, f"class {event.__name__} is not marked as an event", remedy, place)


def _completes(node: Node) -> bool:
    if node.kind is Kind.PARALLEL:
        return all(_completes(child) for child in node.children if not _is_history(child))
    return node.parent is not None and any(child.kind is Kind.FINAL for child in node.children)


def _is_history(node: Node) -> bool:
    return node.kind in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)


def _never_done(node: Node) -> tuple[str, str]:
    if node.parent is None:
        return "the root is done when the run ends", "Put what is left to do into the final state's entry"
    if node.kind is Kind.PARALLEL:
        return "not every region has a final state", "Give each region a final child, or leave it by an event"
    if node.children:
        return "none of its children is final", f"Add {node.name}.final(), or leave it by an event"
    return "it has no children", "Use always() for an edge at once, or on(), after() or invoke() to wait"


def _arguments(bench: Bench, node: Node, draft: EdgeDraft) -> tuple[Any, ...]:
    context = bench.header.context_type
    if not draft.pair:
        return (context,)
    if draft.kind in _ERRORS:
        return (context, Failure)
    if draft.kind is TriggerKind.CREW_DONE:
        return (context, result_type(node.crews[draft.slot]))
    if draft.kind is TriggerKind.INVOKE_DONE:
        activity = node.invokes[draft.slot].activity
        return (context, activity.output_type if isinstance(activity, Activity) else None)
    return (context, draft.event)


def actions(
    bench: Bench,
    drafts: list[ActionDraft] | tuple[ActionDraft, ...],
    where: str,
    place: Place,
    types: tuple[Any, ...],
) -> tuple[Action, ...]:
    """The actions of an edge, an entry or an exit."""
    made: list[Action] = []
    for draft in drafts:
        call = function(bench, draft.call, f"{where} {_KEYWORDS[draft.kind.value]}", place, types)
        if call is not None:
            made.append(Action(draft.kind, call))
    return tuple(made)


# --- targets -------------------------------------------------------------------------------------


def targets(bench: Bench, node: Node, given: tuple[Any, ...], where: str, place: Place) -> tuple[int, ...]:
    """The numbers of what was given as targets."""
    nodes = [each for each in given if _is_target(bench, node, each, where, place)]
    for index, one in enumerate(nodes):
        for other in nodes[index + 1 :]:
            if not _orthogonal(one, other):
                what = f"{shown(one)} and {shown(other)} cannot be active together"
                remedy = "Give one target, or one in each of several regions of a parallel state"
                bench.broken("C204", where, what, remedy, place)
                return (bench.numbers[id(one)],)
    return tuple(bench.numbers[id(each)] for each in nodes)


def _is_target(bench: Bench, node: Node, given: Any, where: str, place: Place) -> bool:
    if not isinstance(given, Node):
        bench.broken("C201", where, f"{given!r} is not a state", _meant(bench, given), place)
        return False
    if id(given) not in bench.numbers:
        owner = given.owners[0].__name__ if given.owners else "another machine"
        what = f"{shown(given)} is a state of {owner}"
        remedy = "An edge stays inside its machine; to reach another run use send=lambda c, e: Message(...)"
        bench.broken("C202", where, what, remedy, place)
        return False
    if given.parent is None:
        remedy = "Name the state to go to; the initial one begins anew"
        bench.broken("C203", where, "the root itself is not a target", remedy, place)
        return False
    return True


def _meant(bench: Bench, given: Any) -> str:
    if isinstance(given, str) and given in bench.header.members:
        return f"Write the state itself, without quotes: {given}"
    if isinstance(given, list | set):
        return "Write several targets as a tuple"
    if callable(given):
        return "Targets are fixed; to choose at run time, go to a choice state with guarded always() edges"
    return "Give a state of this machine, made by state(), choice(), final(), parallel() or history()"


def _orthogonal(one: Node, other: Node) -> bool:
    above = _ancestors(one)
    shared = next(each for each in _ancestors(other) if any(each is up for up in above))
    return shared.kind is Kind.PARALLEL and shared is not one and shared is not other


def _ancestors(node: Node) -> list[Node]:
    """The node and what it is in, innermost first."""
    line = [node]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line
