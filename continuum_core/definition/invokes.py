"""What a state says besides its edges and timers: invokes, undoing, memory, continuing as new.

An invoke leads somewhere whatever comes of it: every error has an edge, and every edge an error that can
reach it.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeGuard

from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, function, named, shown
from continuum_core.definition.chart import Compensation, Function, Invoke, Place, TriggerKind
from continuum_core.definition.draft import InvokeDraft, Node
from continuum_core.definition.memory import WORDS
from continuum_core.definition.source import locate, plain_function

__all__ = ["anew", "compensation", "errors", "invokes", "memory"]


def invokes(bench: Bench, node: Node) -> tuple[Invoke, ...]:
    """The invokes of a state; those without an activity are left out."""
    made = [_invoke(bench, node, draft) for draft in node.invokes]
    return tuple(each for each in made if each is not None)


def _invoke(bench: Bench, node: Node, draft: InvokeDraft) -> Invoke | None:
    activity = draft.activity
    where = f"{shown(node)}.invoke({named(activity)})"
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
        what = f"it makes a {named(gives)}, and the machine's input is a {named(wanted)}"
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
