"""The edges, timers and invokes of a declaration become those of the chart."""

from __future__ import annotations

import ast
import typing
from collections.abc import Mapping
from datetime import timedelta
from types import NoneType
from typing import Any, TypeGuard, cast

from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, function, shown
from continuum_core.definition.chart import (
    Action,
    ActionKind,
    Compensation,
    Edge,
    Function,
    Invoke,
    Kind,
    Place,
    Timer,
    Trigger,
    TriggerKind,
)
from continuum_core.definition.crews import crew_words, result_type
from continuum_core.definition.draft import ActionDraft, EdgeDraft, InvokeDraft, Node, TimerDraft
from continuum_core.definition.event import AnyEvent, is_event, reply_type, takes_none
from continuum_core.definition.failure import Failure
from continuum_core.definition.memory import WORDS
from continuum_core.definition.purity import plain_function
from continuum_core.definition.source import locate

__all__ = [
    "actions",
    "anew",
    "compensation",
    "deadline",
    "edge",
    "errors",
    "invokes",
    "memory",
    "targets",
    "timers",
]

_KEYWORDS = {"assign": "assign=", "raise": "raise_=", "send": "send=", "reply": "reply"}
_VERBS = {
    TriggerKind.COMPENSATED: "compensate",
    TriggerKind.CANCEL: "on_cancel",
    TriggerKind.DEADLINE: "on_deadline",
}
_ERRORS = (TriggerKind.INVOKE_ERROR, TriggerKind.CREW_ERROR)
_OF_CREWS = (TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR)
_NO_DELAY = timedelta(microseconds=1)


def words(node: Node, draft: EdgeDraft) -> str:
    """An edge in the words of the declaration."""
    source = shown(node)
    if draft.kind is TriggerKind.EVENT:
        return f"{source}.on({_name(draft.event)})"
    if draft.kind is TriggerKind.AFTER:
        delay = node.timers[draft.slot].delay
        return f"{source}.after({delay if isinstance(delay, timedelta) else '...'})"
    if draft.kind in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR):
        call = f"{source}.invoke({_activity_name(node.invokes[draft.slot].activity)})"
        return call if draft.kind is TriggerKind.INVOKE_DONE else f"{call} error={_name(draft.error)}"
    if draft.kind in _OF_CREWS:
        call = crew_words(node, node.crews[draft.slot])
        return call if draft.kind is TriggerKind.CREW_DONE else f"{call} error={_name(draft.error)}"
    return f"{source}.{_VERBS.get(draft.kind, draft.kind.value)}()"


def _is_exception(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseException)


def _name(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) else repr(thing)


def _activity_name(activity: Any) -> str:
    return activity.name if isinstance(activity, Activity) else _name(activity)


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
        within=_length(bench, draft.within, f"{where} within=", draft.place),
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
        what = f"{_name(draft.event)} is no question"
        remedy = f"Say what it is answered with, class {_name(draft.event)}(Question[Reply]), or use on()"
        bench.fault("C231", where, what, remedy, draft.place)
    if not replies and given is not None and not takes_none(given):
        what = f"whoever asks {_name(draft.event)} is told nothing"
        remedy = f"Use answer() with a reply that gives a {_name(given)}, or make it a Question[None]"
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


# --- timers and invokes --------------------------------------------------------------------------


def timers(bench: Bench, node: Node) -> tuple[Timer, ...]:
    """The timers of a state."""
    return tuple(_timer(bench, node, draft) for draft in node.timers)


def _timer(bench: Bench, node: Node, draft: TimerDraft) -> Timer:
    given = draft.delay
    where = f"{shown(node)}.after({'...' if callable(given) else repr(given)})"
    if isinstance(given, timedelta) and given <= timedelta():
        remedy = "Give a delay longer than zero, or use always() to go on at once"
        bench.fault("C212", where, f"a delay of {given} never passes", remedy, draft.place)
        return Timer(draft.slot, _NO_DELAY)
    return Timer(draft.slot, _span(bench, given, where, draft.place))


def deadline(bench: Bench, top: Node) -> timedelta | Function | None:
    """How long a run may take."""
    for extra in top.deadlines[1:]:
        what = f"it was said before: {top.deadlines[0].length!r}"
        bench.fault("C233", f"{shown(top)}.deadline()", what, "Keep one of the two", extra.place)
    draft = next(iter(top.deadlines), None)
    return None if draft is None else _length(bench, draft.length, f"{shown(top)}.deadline()", draft.place)


def _length(bench: Bench, given: Any, where: str, place: Place) -> timedelta | Function | None:
    """How long something may take; None where nothing was given."""
    if isinstance(given, timedelta) and given <= timedelta():
        remedy = "Give a length longer than zero; for no time at all, leave the state at once"
        bench.fault("C212", where, f"{given} is over as soon as it begins", remedy, place)
        return _NO_DELAY
    return None if given is None else _span(bench, given, where, place)


def _span(bench: Bench, given: Any, where: str, place: Place) -> timedelta | Function:
    """A length of time, or the function that gives it."""
    if isinstance(given, timedelta):
        return given
    if not callable(given):
        remedy = "Give a timedelta, such as timedelta(minutes=30), or a function of the context giving one"
        bench.fault("C212", where, f"{given!r} is not a length of time", remedy, place)
        return _NO_DELAY
    return function(bench, given, where, place, (bench.header.context_type,)) or _NO_DELAY


def invokes(bench: Bench, node: Node) -> tuple[Invoke, ...]:
    """The invokes of a state; those without an activity are left out."""
    made = [_invoke(bench, node, draft) for draft in node.invokes]
    return tuple(each for each in made if each is not None)


def _invoke(bench: Bench, node: Node, draft: InvokeDraft) -> Invoke | None:
    activity = draft.activity
    where = f"{shown(node)}.invoke({_activity_name(activity)})"
    errors(bench, draft.error, where, draft.place)
    types = (bench.header.context_type,)
    feed = function(bench, draft.input, f"{where} input", draft.place, types)
    key = None
    if draft.key is not None:
        key = function(bench, draft.key, f"{where} key=", draft.place, types)
    if not _is_activity(activity):
        given = getattr(activity, "__name__", repr(activity))
        remedy = "Put @activity() on the function, and give the activity itself, not a call of it"
        bench.broken("C219", where, f"{given} is not an activity", remedy, draft.place)
        return None
    if activity.output_type is NoneType and _uses_second(draft.assign):
        what = f"assign= uses the output of {activity.name}, which gives None"
        remedy = "Annotate and return the output, or let the reducer ignore it"
        bench.fault("C221", where, what, remedy, draft.place)
    if feed is None:
        bench.whole = False
        return None
    return Invoke(draft.slot, activity, feed, key, draft.place)


def compensation(bench: Bench, node: Node) -> Compensation | None:
    """Whether and how a state undoes what the run has done."""
    for draft in node.compensations:
        edge = next(e for e in node.edges if e.kind is TriggerKind.COMPENSATED and e.place == draft.place)
        if not edge.targets:
            remedy = "Say where to go when all is undone: compensate(done=...)"
            bench.fault("C224", f"{shown(node)}.compensate()", "it leads nowhere", remedy, draft.place)
    first = next(iter(node.compensations), None)
    return None if first is None else Compensation(first.parallel)


def memory(bench: Bench, node: Node) -> str | None:
    """What a state says of its records."""
    where = f"{shown(node)}.remember()"
    for word, place in node.memories:
        if word not in WORDS:
            remedy = f"Give one of {', '.join(repr(each) for each in WORDS)}"
            bench.fault("C230", where, f"{word!r} is no word for what is remembered", remedy, place)
    said = [word for word, _ in node.memories if word in WORDS]
    if len(said) > 1:
        place = node.memories[-1][1]
        bench.fault("C230", where, f"it was said before: {said[0]!r}", "Keep one of the two", place)
    return said[0] if said else None


def anew(bench: Bench, node: Node) -> Function | None:
    """What makes the input of a run that continues as new."""
    where = f"{shown(node)}.continue_as_new()"
    made = function(bench, node.anew, f"{where} input", node.place, (bench.header.context_type,))
    gives = _gives(node.anew)
    wanted = bench.header.types[1] if bench.header.typed else Any
    if made is not None and gives is not None and Any not in (gives, wanted) and gives != wanted:
        what = f"it makes a {_name(gives)}, and the machine's input is a {_name(wanted)}"
        remedy = "Give a function that makes the input of the next generation"
        bench.fault("C229", where, what, remedy, node.place)
    return made


def _gives(call: Any) -> Any:
    """The return type that a function states; None where it states none."""
    try:
        return typing.get_type_hints(call).get("return")
    except (NameError, TypeError):
        return None


def _is_activity(thing: Any) -> TypeGuard[Activity[Any, Any]]:
    return isinstance(thing, Activity)


def errors(bench: Bench, error: Any, where: str, place: Place, of: str = "the activity") -> None:
    """Whether every error leads somewhere, and each key of the mapping can be reached."""
    mapping: dict[Any, Any] = dict(error) if isinstance(error, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType]  # whatever was given
    caught = [each for each in mapping if isinstance(each, type)]
    every = any(issubclass(Exception, each) for each in caught) or not (error is None or mapping)
    if not every:
        remedy = "Add Exception: state to error=, or the run would wait for ever after another error"
        bench.fault("C208", where, f"not every error of {of} leads somewhere", remedy, place)
    for index, later in enumerate(caught):
        for earlier in caught[:index]:
            guarded = getattr(mapping[earlier], "when", None) is not None
            if issubclass(later, earlier) and not guarded:
                what = f"{later.__name__} is never reached, for {earlier.__name__} before it catches it"
                remedy = f"Put {later.__name__} before {earlier.__name__}"
                bench.fault("C207", where, what, remedy, place)


def _uses_second(assign: Any) -> bool:
    """Whether a reducer reads its second parameter."""
    plain = plain_function(assign)
    node = locate(plain) if plain is not None else None
    if node is None or isinstance(node, str):
        return False
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    body = node.body if isinstance(node.body, list) else [node.body]
    read = (each for part in body for each in ast.walk(part) if isinstance(each, ast.Name))
    return len(names) > 1 and any(each.id == names[1] for each in read)
