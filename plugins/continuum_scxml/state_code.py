"""The states of a skeleton, each made by its parent; and what must stand beside them to say the rest."""

from __future__ import annotations

from attrs import define, field

from continuum_core.definition.chart import Kind, TriggerKind
from continuum_scxml.names import literal
from continuum_scxml.outline import HISTORIES, Edge, Part, histories_last
from continuum_scxml.vocabulary import Vocabulary

__all__ = ["Branch", "StateCode"]

_METHODS = {
    Kind.PARALLEL: "parallel",
    Kind.FINAL: "final",
    Kind.CHOICE: "choice",
    Kind.SHALLOW_HISTORY: "history",
    Kind.DEEP_HISTORY: "history",
}

Branch = tuple[str, tuple[Edge, ...]]
"""A choice that the document has no state for, and its edges."""


@define(eq=False)
class StateCode:
    """Writes the states.

    :ivar branches: choices that lead into compound states where no mark can; their edges are to be written.
    """

    words: Vocabulary
    branches: list[Branch] = field(factory=list[Branch])

    def lines(self, root: Part) -> list[str]:
        """The code of all states, in document order."""
        return [f"{self.words.states[root.id]} = root(Context)", *self._children(root)]

    def _children(self, above: Part) -> list[str]:
        entered = _entered(above)
        real = tuple(child.id for child in above.children if child.kind not in HISTORIES)
        usual = real if above.kind is Kind.PARALLEL else above.initial
        lines: list[str] = []
        for part in histories_last(above):
            arguments = ["deep=True"] if part.kind is Kind.DEEP_HISTORY else []
            if part.kind in HISTORIES and (part.default != usual or part.id == entered):
                arguments.append(f"default={self.words.targets(part.default)}")
            arguments += ["initial=True"] if part.id == entered else []
            arguments += [] if part.ok else ["ok=False"]
            lines += self._state(above, part, ", ".join(arguments))
        if above.kind is Kind.COMPOUND and entered is None and above.initial:
            lines.append(self._start(above))
        return lines

    def _state(self, above: Part, part: Part, arguments: str) -> list[str]:
        name = self.words.states[part.id]
        lines = [f"# {literal(note)}" for note in part.notes]
        if part.name != name:
            lines.append(f"# {literal(part.name)} in the document")
        if part.kind in HISTORIES and part.opening:
            lines.append("# GAP: what the document does on the way to the default has no place here")
        if part.anew is not None:
            to_be = f"{self.words.states[above.id]}.continue_as_new(...), which makes: {literal(part.anew)}"
            lines.append(f"# GAP: the run continues as new from here; {to_be}")
        made = f"{name} = {self.words.states[above.id]}.{_METHODS.get(part.kind, 'state')}({arguments})"
        return [*lines, made, *self._children(part)]

    def _start(self, part: Part) -> str:
        """A way in that no mark can say: to states further down, to several, or with actions."""
        start = self.words.names.state(f"{part.id}_start")
        way = Edge(TriggerKind.ALWAYS, targets=part.initial, actions=part.opening)
        self.branches.append((start, (way,)))
        return f"{start} = {self.words.states[part.id]}.choice(initial=True)"


def _entered(part: Part) -> str | None:
    """The child that is marked initial; None where a choice of our own has to lead further."""
    if part.kind is not Kind.COMPOUND or len(part.initial) != 1 or part.opening:
        return None
    return part.initial[0] if any(child.id == part.initial[0] for child in part.children) else None
