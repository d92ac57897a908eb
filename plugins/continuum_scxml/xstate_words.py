"""What XState's functions are called: actions, guards, invokes and delays by name, in any of their forms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from attrs import evolve

from continuum_core.definition.chart import ActionKind, TriggerKind
from continuum_scxml.outline import Action, Edge, FormatRefused, Invoke
from continuum_scxml.words import crewed
from continuum_scxml.xstate_writer import FAILED

__all__ = [
    "actions",
    "data",
    "delay",
    "guarded",
    "invoke",
    "is_map",
    "listed",
    "name",
    "notes",
    "ordered",
    "short",
]

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,6})?", re.ASCII)
_LONGEST = 200
_CENTURY = 100 * 366 * 86_400_000_000  # microseconds
_KINDS = {"xstate.raise": ActionKind.RAISE, "xstate.sendTo": ActionKind.SEND, "xstate.send": ActionKind.SEND}
_OWN = {kind.value: kind for kind in ActionKind}


def is_map(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object of JSON."""
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def listed(value: Any) -> list[Any]:
    """One or several: XState takes either in most places."""
    if value is None:
        return []
    return value if _is_list(value) else [value]


def short(value: Any) -> str:
    """A value as a text of one line, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def name(value: Any) -> str:
    """A name, whole; anything else as `short` has it."""
    return value if isinstance(value, str) else short(value)


def actions(value: Any) -> tuple[Action, ...]:
    """The actions of one place."""
    return tuple(_action(each) for each in listed(value))


def _action(value: Any) -> Action:
    if not is_map(value):
        return Action(ActionKind.ASSIGN, short(value))
    params, said = value.get("params"), value.get("type")
    own: dict[str, Any] = params if is_map(params) else {}
    kind = own.get("kind")
    if set(own) <= {"kind", "event"} and isinstance(kind, str) and kind in _OWN:
        event = own.get("event")
        return Action(_OWN[kind], name(said), event if isinstance(event, str) else None)
    if not isinstance(said, str):
        return Action(ActionKind.ASSIGN, short(value))
    return Action(_KINDS.get(said, ActionKind.ASSIGN), said if set(value) <= {"type"} else short(value))


def guarded(edge: Edge, value: dict[str, Any]) -> Edge:
    """The edge with the guard that its object names; `cond` is what version 4 called it."""
    guard = value.get("guard", value.get("cond"))
    if guard is None:
        return edge
    params = guard.get("params") if is_map(guard) else None
    if edge.trigger is TriggerKind.INVOKE_ERROR and is_map(guard) and guard.get("type") == FAILED:
        given: dict[str, Any] = params if is_map(params) else {}
        when = given.get("when")
        error = name(given.get("error") or "Exception")
        return evolve(edge, error=error, guard=when if isinstance(when, str) else None)
    plain = is_map(guard) and list(guard) == ["type"]
    return evolve(edge, guard=name(guard["type"]) if plain else short(guard))


def invoke(value: Any, where: str, given: dict[str, Any]) -> Invoke:
    """An invoke. `given`: what this library wrote beside it."""
    if not is_map(value):
        raise FormatRefused(f"{where}: {short(value)} is no invoke")
    source = value.get("src") or value.get("id") or "invoked"
    if is_map(source):  # version 4
        source = source.get("type") or "invoked"
    key, undo = given.get("key"), given.get("undo")
    said = [f"input: {short(value['input'])}"] if "input" in value else []
    made = Invoke(
        activity=name(source),
        input=name(given.get("input") or ""),
        key=None if key is None else name(key),
        undo=name(undo) if undo else None,
        machine=given.get("machine") is True,
        notes=tuple(said),
    )
    beside = {word: name(given[word]) for word in ("how", "limit", "closing") if given.get(word) is not None}
    return crewed(made, beside.get("how"), beside.get("limit"), beside.get("closing"), where)


def delay(key: str, where: str) -> int | str:
    """A key of ``after``: microseconds, or the name of a delay. Raises FormatRefused beyond a century."""
    if not _NUMBER.fullmatch(key):
        return key
    whole, _, rest = key.partition(".")
    length = int(whole) * 1000 + int((rest + "000")[:3])
    if length > _CENTURY:
        raise FormatRefused(f"{where}: a delay of {key} milliseconds is longer than a century")
    return max(length, 1)


def ordered(edges: tuple[Edge, ...], order: Any) -> tuple[Edge, ...]:
    """Edges in the order of their declaration, where the document kept it."""
    numbers = listed(order)
    if not all(isinstance(n, int) for n in numbers) or sorted(numbers) != list(range(len(edges))):
        return edges
    placed = sorted(zip(numbers, edges, strict=True), key=lambda pair: pair[0])
    return tuple(edge for _, edge in placed)


def notes(value: dict[str, Any]) -> Iterable[str]:
    """What a state says and has no counterpart."""
    for key in ("description", "output", "tags"):
        if key in value:
            yield f"{key}: {short(value[key])}"


def data(value: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The names of a machine's context, with their first values as texts."""
    context = value.get("context")
    return tuple((key, short(each)) for key, each in context.items()) if is_map(context) else ()
