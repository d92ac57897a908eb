"""An SCXML document as an outline: its structure, and the texts of its expressions as labels.

Nothing in the document is evaluated and nothing it refers to is opened. What has no counterpart is kept as a
note at its place, never dropped in silence; what would make the structure ambiguous is refused.
"""

from __future__ import annotations

from attrs import define, evolve, field

from continuum_core.definition.chart import Kind
from continuum_scxml.document import SCXML, Node, parse
from continuum_scxml.outline import HISTORIES, FormatRefused, Outline, Part, parents, settled
from continuum_scxml.outline import STATES as LIMIT
from continuum_scxml.scxml_content import actions_of
from continuum_scxml.scxml_events import Events, deferred_of, edges_of, invokes_of, timers_of
from continuum_scxml.scxml_writer import OWN
from continuum_scxml.words import STATES, compensation_of, kind_of, length_of

__all__ = ["read_scxml"]


def read_scxml(text: str | bytes) -> Outline:
    """The outline of an SCXML document. Raises FormatRefused with the line of what cannot be read."""
    node = parse(text)
    if node.tag != "scxml" or node.namespace not in (SCXML, ""):
        raise FormatRefused(f"line {node.line}: the document's element is <{node.tag}>, not SCXML's <scxml>")
    return _Reading(node).outline()


@define(eq=False)
class _Reading:
    top: Node
    ids: dict[int, str] = field(factory=dict[int, str])  # id() of a node → the state's id
    nodes: dict[str, Node] = field(factory=dict[str, Node])
    events: Events = field(init=False)

    def outline(self) -> Outline:
        top = self.top
        holder = next((n for n in top.named("state") if n.get(f"{OWN} kind") == "root"), None)
        self._name(top)
        if holder is not None:  # the root of a document of ours that has edges of its own
            self.ids[id(top)] = self.ids[id(holder)]
            self.nodes[self.ids[id(top)]] = top
        self.events = Events(top, self.ids, own=top.get(f"{OWN} version") is not None)
        root = self._part(top) if holder is None else self._held(holder)
        root = settled(root, parents(root))
        version = top.get(f"{OWN} version") or "1"
        data = tuple(
            (each.get("id") or "", each.get("expr") or each.get("src") or each.text.strip())
            for each in top.all("data")
        )
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 1
        deadline = length_of(top.get(f"{OWN} deadline"))
        return Outline(top.get("name") or "machine", max(number, 1), root, data, self._notes(top), deadline)

    def _name(self, top: Node) -> None:
        """Give every state its id, and those without one an id that no other has."""
        states = [top, *_states(top)]
        if len(states) > LIMIT:
            raise FormatRefused(f"the document has {len(states):,} states; at most {LIMIT:,} are read")
        taken: set[str] = set()
        for node in states[1:]:
            if name := node.get("id"):
                if name in taken:
                    raise FormatRefused(f"line {node.line}: a second state has the id {name!r}")
                taken.add(name)
        for number, node in enumerate(states):
            name = node.get("id") if node is not top else top.get(f"{OWN} root")
            if name is None or (node is top and name in taken):
                name = "root" if node is top else f"{node.tag}_{number}"
                while name in taken:
                    name += "_"
                taken.add(name)
            self.ids[id(node)] = name
            self.nodes[name] = node

    def _held(self, holder: Node) -> Part:
        """The root that was written as a state, with the final states that stand beside it."""
        root = self._part(holder)
        children = list(root.children)
        outside = [node for node in self.top.named(*STATES) if node is not holder]
        for node in outside:
            place = node.get(f"{OWN} place") or ""
            index = int(place) if place.isascii() and place.isdigit() and len(place) < 10 else len(children)
            children.insert(index, self._part(node))
        root = evolve(root, kind=Kind.COMPOUND, children=tuple(children))
        beside = self._compound(self.top, evolve(root, opening=()))
        return root if root.id in beside.initial else beside

    def _part(self, node: Node) -> Part:
        me = self.ids[id(node)]
        kind = Kind.CHOICE if node.get(f"{OWN} kind") == "choice" else kind_of(node)
        if node is self.top and not node.named(*STATES):
            raise FormatRefused(f"line {node.line}: the document has no states")
        children = tuple(self._part(child) for child in node.named(*STATES))
        timers = timers_of(node, self.events)
        part = Part(
            id=me,
            name=node.get(f"{OWN} name") or me,
            kind=kind,
            ok=node.get(f"{OWN} ok") != "false",
            entry=tuple(a for each in node.named("onentry") for a in actions_of(each, timers, self.events)),
            exit=tuple(a for each in node.named("onexit") for a in actions_of(each, timers, self.events)),
            children=children,
            notes=() if node is self.top else self._notes(node),
        )
        if kind in HISTORIES:
            return self._history(node, part)
        if kind is Kind.COMPOUND:
            part = self._compound(node, part)
        return evolve(
            part,
            edges=edges_of(node, timers, self.events, self._targets),
            invokes=invokes_of(node),
            deferred=deferred_of(node),
            compensation=compensation_of(node.get(f"{OWN} compensate"), f"line {node.line}"),
            anew=node.get(f"{OWN} continue-as-new"),
        )

    def _history(self, node: Node, part: Part) -> Part:
        ways = node.named("transition")
        if not ways:
            raise FormatRefused(f"line {node.line}: the history {part.id!r} has no <transition>")
        default = self._targets(ways[0], ways[0].get("target"))
        return evolve(part, default=default, opening=actions_of(ways[0], (), self.events))

    def _compound(self, node: Node, part: Part) -> Part:
        """Its default entry: the element, the attribute, or the first child."""
        element = node.first("initial")
        if element is not None:
            way = element.first("transition")
            if way is None or not way.get("target"):
                raise FormatRefused(f"line {element.line}: <initial> has no transition with a target")
            opening = actions_of(way, (), self.events)
            return evolve(part, initial=self._targets(way, way.get("target")), opening=opening)
        named = self._targets(node, node.get("initial"))
        first = node.named("state", "parallel", "final")
        return evolve(part, initial=named or tuple(self.ids[id(child)] for child in first[:1]))

    def _targets(self, node: Node, names: str | None) -> tuple[str, ...]:
        found = tuple((names or "").split())
        for name in found:
            if name not in self.nodes:
                raise FormatRefused(f"line {node.line}: there is no state {name!r} to go to")
        return found

    def _notes(self, node: Node) -> tuple[str, ...]:
        """What stands in a state and has no counterpart."""
        left = {
            "script": "a <script>",
            "donedata": "a <donedata>: the result is what `result` makes of the context",
        }
        return tuple(f"line {each.line}: {left[each.tag]}" for each in node.named(*left))


def _states(node: Node) -> list[Node]:
    return [found for child in node.named(*STATES) for found in (child, *_states(child))]
