"""Executable content as actions: what it says becomes the label of a gap, and is run by nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from continuum_core.definition.chart import ActionKind
from continuum_scxml.document import Node
from continuum_scxml.outline import Action
from continuum_scxml.scxml_writer import OWN

if TYPE_CHECKING:
    from continuum_scxml.scxml_events import Events, TimerSend

__all__ = ["actions_of", "told"]

_LONGEST = 200


def actions_of(block: Node, timers: Iterable[TimerSend], events: Events) -> tuple[Action, ...]:
    """The actions of a block, without the parts of it that are timers."""
    skipped = {id(each) for timer in timers for each in (timer.send, *timer.cancels)}
    return tuple(_action(node, events) for node in block.children if id(node) not in skipped)


def _action(node: Node, events: Events) -> Action:
    if node.namespace == OWN and node.tag in ("assign", "raise", "send"):
        return Action(ActionKind(node.tag), node.attributes.get("function", ""))
    name = node.get("event")
    if node.tag == "raise" and name is not None:
        return Action(ActionKind.RAISE, told(node), events.name(name))
    if node.tag == "send":
        internal = node.get("target") == "#_internal"
        return Action(ActionKind.RAISE if internal else ActionKind.SEND, told(node))
    return Action(ActionKind.ASSIGN, told(node))


def told(node: Node) -> str:
    """An element as one line of a person's reading, shortened; never read again."""
    attributes = "".join(f' {name}="{value}"' for name, value in node.attributes.items())
    inner = " ".join([node.text.strip(), *(told(child) for child in node.children[:5])]).strip()
    text = f"<{node.tag}{attributes}>{inner}</{node.tag}>" if inner else f"<{node.tag}{attributes}/>"
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
