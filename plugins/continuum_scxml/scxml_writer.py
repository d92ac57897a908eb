"""An outline as an SCXML document (W3C Recommendation, 2015).

Structure is written in SCXML's own elements. What SCXML has no word for stands in attributes and elements
of a namespace of ours, which other tools pass over: the machine's version, ``ok=False``, choices,
deferrals, undoing, and the labels of Python functions. The datamodel is ``continuum``: conditions are labels,
nothing to evaluate.

SCXML lets the document itself have no transitions. A root that has any, or actions or invokes of its own,
becomes a state around all others but the final ones, which must stay outside of it to end the session.
"""

from __future__ import annotations

import re
from itertools import count
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from attrs import define, field

from continuum_core.definition.chart import ActionKind, Kind, TriggerKind
from continuum_scxml.document import SCXML
from continuum_scxml.outline import Action, Edge, FormatRefused, Invoke, Outline, Part
from continuum_scxml.words import (
    CANCEL,
    DEADLINE,
    compensation_text,
    crew_words,
    delay_text,
    length_text,
    quoted,
)

__all__ = ["ACTIVITY", "MACHINE", "OWN", "after_event", "invoke_id", "scxml_text"]

OWN = "urn:continuum-core:scxml"
"""The namespace of what SCXML has no word for."""

ACTIVITY = "urn:continuum-core:activity"
"""The type of an <invoke> that stands for an activity."""

MACHINE = "urn:continuum-core:machine"
"""The type of an <invoke> that stands for child runs: `src` is the name of their machine."""

_ID = re.compile(r"[^\W\d][\w.-]*")
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {
    Kind.PARALLEL: "parallel",
    Kind.FINAL: "final",
    Kind.SHALLOW_HISTORY: "history",
    Kind.DEEP_HISTORY: "history",
}


def scxml_text(outline: Outline) -> str:
    """The document. Raises FormatRefused for a state whose name cannot be an XML id."""
    for part in outline.root.walk():
        if not _ID.fullmatch(part.id):
            raise FormatRefused(f"state {part.id!r} cannot be written: its name is no XML id")
    ElementTree.register_namespace("", SCXML)
    ElementTree.register_namespace("continuum", OWN)
    top = _Writing(outline).document()
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=False) + "\n"


def invoke_id(state: str, slot: int) -> str:
    """What the <invoke> number `slot` of a state is called."""
    return f"{state}.{slot}"


def after_event(state: str, slot: int) -> str:
    """The event that the timer number `slot` of a state sends."""
    return f"after.{state}.{slot}"


def _own(name: str) -> str:
    return f"{{{OWN}}}{name}"


def _sc(name: str) -> str:
    return f"{{{SCXML}}}{name}"


def _text(value: str) -> str:
    """A text without the characters that no XML document may hold."""
    return _UNFIT.sub("\ufffd", value)


@define
class _Writing:
    outline: Outline
    timers: dict[str, list[Edge]] = field(factory=dict[str, list[Edge]])

    def document(self) -> Element:
        outline, root = self.outline, self.outline.root
        top = Element(_sc("scxml"), {"version": "1.0", "datamodel": "continuum", "name": _text(outline.name)})
        top.set(_own("version"), str(outline.version))
        if outline.deadline is not None:
            top.set(_own("deadline"), _text(length_text(outline.deadline)))
        if not (root.edges or root.entry or root.exit or root.invokes or root.deferred or root.compensation):
            top.set(_own("root"), root.id)
            self._initial(top, root)
            for child in root.children:
                self._part(top, child)
            return top
        finals = [child for child in root.children if child.kind is Kind.FINAL]
        ended = {final.id for final in finals}
        holder = SubElement(top, _sc("state"), {"id": root.id, _own("kind"): "root"})
        if set(root.initial) & ended:
            self._initial(top, root)
        else:
            top.set("initial", root.id)
            self._initial(holder, root)
        self._inside(holder, root, [child for child in root.children if child.id not in ended])
        for final in finals:
            self._part(top, final).set(_own("place"), str(root.children.index(final)))
        return top

    def _part(self, above: Element, part: Part) -> Element:
        element = SubElement(above, _sc(_TAGS.get(part.kind, "state")), {"id": part.id})
        if part.name != part.id:
            element.set(_own("name"), _text(part.name))
        if part.kind is Kind.CHOICE:
            element.set(_own("kind"), "choice")
        if not part.ok:
            element.set(_own("ok"), "false")
        if part.anew is not None:
            element.set(_own("continue-as-new"), _text(part.anew))
        if part.kind in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY):
            element.set("type", "deep" if part.kind is Kind.DEEP_HISTORY else "shallow")
            way = SubElement(element, _sc("transition"), {"target": " ".join(part.default)})
            self._actions(way, part.opening)
        if part.kind is Kind.COMPOUND:
            self._initial(element, part)
        self._inside(element, part, list(part.children))
        return element

    def _initial(self, element: Element, part: Part) -> None:
        if not part.opening:
            element.set("initial", " ".join(part.initial))
            return
        way = SubElement(SubElement(element, _sc("initial")), _sc("transition"))
        way.set("target", " ".join(part.initial))
        self._actions(way, part.opening)

    def _inside(self, element: Element, part: Part, children: list[Part]) -> None:
        if part.deferred:
            element.set(_own("defer"), " ".join(quoted(name) for name in part.deferred))
        if part.compensation is not None:
            element.set(_own("compensate"), compensation_text(part.compensation))
        timers = [edge for edge in part.edges if edge.trigger is TriggerKind.AFTER]
        if part.entry or timers:
            entry = SubElement(element, _sc("onentry"))
            self._actions(entry, part.entry)
            for slot, timer in enumerate(timers):
                name = after_event(part.id, slot)
                send = SubElement(entry, _sc("send"), {"event": name, "id": name})
                if isinstance(timer.delay, int):
                    send.set("delay", delay_text(timer.delay))
                else:
                    send.set("delayexpr", _text(timer.delay))
        if part.exit or timers:
            leaving = SubElement(element, _sc("onexit"))
            self._actions(leaving, part.exit)
            for slot in range(len(timers)):
                SubElement(leaving, _sc("cancel"), {"sendid": after_event(part.id, slot)})
        for slot, invoke in enumerate(part.invokes):
            self._invoke(element, part, slot, invoke)
        numbers = count()
        for edge in part.edges:
            self._edge(element, part, edge, next(numbers) if edge.trigger is TriggerKind.AFTER else 0)
        for child in children:
            self._part(element, child)

    def _invoke(self, element: Element, part: Part, slot: int, invoke: Invoke) -> None:
        kind = MACHINE if invoke.machine else ACTIVITY
        made = SubElement(element, _sc("invoke"), {"type": kind, "src": _text(invoke.activity)})
        made.set("id", invoke_id(part.id, slot))
        for word, value in crew_words(invoke).items():
            made.set(_own(word), value)
        if invoke.key is not None:
            made.set(_own("key"), _text(invoke.key))
        if invoke.undo is not None:
            made.set(_own("undo"), _text(invoke.undo))
        if invoke.input:
            SubElement(made, _sc("param"), {"name": "input", "expr": _text(invoke.input)})

    def _edge(self, element: Element, part: Part, edge: Edge, timer: int) -> None:
        way = SubElement(element, _sc("transition"))
        event = _descriptor(part, edge, timer)
        if event:
            way.set("event", event)
        if edge.guard is not None:
            way.set("cond", _text(edge.guard))
        if edge.within is not None:
            way.set(_own("within"), _text(length_text(edge.within)))
        if edge.targets:
            way.set("target", " ".join(edge.targets))
            # The root is left by nothing but the end; as a state of SCXML, an external edge would leave it.
            if edge.internal or part is self.outline.root:
                way.set("type", "internal")
        self._actions(way, edge.actions)

    def _actions(self, element: Element, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if action.kind is ActionKind.RAISE and action.event is not None:
                SubElement(element, _sc("raise"), {"event": quoted(action.event)})
            else:
                SubElement(element, _own(action.kind.value), {"function": _text(action.label)})


def _descriptor(part: Part, edge: Edge, timer: int) -> str:
    match edge.trigger:
        case TriggerKind.EVENT:
            return quoted(edge.event)
        case TriggerKind.ANY:
            return "*"
        case TriggerKind.ALWAYS:
            return ""
        case TriggerKind.AFTER:
            return after_event(part.id, timer)
        case TriggerKind.DONE:
            return f"done.state.{part.id}"
        case TriggerKind.INVOKE_DONE | TriggerKind.CREW_DONE:
            return f"done.invoke.{invoke_id(part.id, edge.invoke)}"
        case TriggerKind.INVOKE_ERROR | TriggerKind.CREW_ERROR:
            # By prefix, as SCXML matches: the error alone is every error, with a class it is that one.
            every = f"error.invoke.{invoke_id(part.id, edge.invoke)}"
            return every if edge.error == "Exception" else f"{every}.{quoted(edge.error).replace('.', '%2E')}"
        case TriggerKind.COMPENSATED:
            return f"compensated.{part.id}"
        case TriggerKind.CANCEL:
            return CANCEL
        case TriggerKind.DEADLINE:
            return DEADLINE
