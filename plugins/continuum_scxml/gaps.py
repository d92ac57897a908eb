"""The functions of a skeleton: one gap for each guard, reducer, raise, send, delay and key of the outline."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from continuum_core.definition.chart import ActionKind
from continuum_scxml.names import Names, literal
from continuum_scxml.outline import Action

__all__ = ["Gaps"]

_WORDS = {ActionKind.ASSIGN: "assign", ActionKind.RAISE: "raise_", ActionKind.SEND: "send"}
_GIVES = {
    ActionKind.ASSIGN: "Context",
    ActionKind.RAISE: "object",
    ActionKind.SEND: "Message | tuple[Message, ...] | None",
}


@define(eq=False)
class Gaps:
    """Collects the code of gaps; what is asked for twice with the same words is written once.

    :ivar lines: the code, for the place above the machine.
    """

    names: Names
    events: Mapping[str, str]
    lines: list[str] = field(factory=list[str])
    known: dict[tuple[str, ...], str] = field(factory=dict[tuple[str, ...], str])

    def guard(self, place: str, label: str, given: tuple[str, ...]) -> str:
        """The name of a guard."""
        return self._gap("when", place, (label,), given, "bool")

    def delay(self, place: str, label: str) -> str:
        """The name of a function that gives a length of time."""
        return self._gap("delay", place, (label,), (), "timedelta")

    def key(self, place: str, label: str) -> str:
        """The name of a function that gives a key."""
        return self._gap("key", place, (label,), (), "str")

    def actions(
        self, place: str, actions: tuple[Action, ...], given: tuple[str, ...], *, keywords: bool = False
    ) -> list[str]:
        """The arguments for the actions of one place, one for each kind, in the order they are run in.

        :param keywords: whether `assign` has to be named, as it has on edges.
        """
        words: list[str] = []
        for kind in ActionKind:
            of_kind = [action for action in actions if action.kind is kind]
            if not of_kind:
                continue
            value = self._raised(of_kind) or self._gap(
                _WORDS[kind].strip("_"), place, tuple(a.label for a in of_kind), given, _GIVES[kind]
            )
            plain = kind is ActionKind.ASSIGN and not keywords
            words.append(value if plain else f"{_WORDS[kind]}={value}")
        return words

    def _raised(self, actions: list[Action]) -> str | None:
        """Events that are known by name need no gap."""
        if not all(action.event is not None for action in actions):
            return None
        made = [f"{self.events[action.event]}()" for action in actions if action.event is not None]
        return f"lambda c: {made[0]}" if len(made) == 1 else f"lambda c: ({', '.join(made)})"

    def _gap(self, word: str, place: str, labels: tuple[str, ...], given: tuple[str, ...], gives: str) -> str:
        identity = (word, *labels, "", *given)
        if labels != ("",) and identity in self.known:
            return self.known[identity]
        plain = labels[0] if len(labels) == 1 and labels[0].isidentifier() else f"{place}_{word}"
        name = self.known[identity] = self.names.state(plain)
        second = {"None": "output", "Failure": "failure", "tuple[None, ...]": "outputs"}
        second["tuple[Failure | None, ...]"] = "ends"
        parameters = ["c: Context", *(f"{second.get(each, 'e')}: {each}" for each in given)]
        self.lines += ["", "", f"def {name}({', '.join(parameters)}) -> {gives}:"]
        self.lines += [f"    # GAP, in the document: {literal(label)}" for label in labels]
        self.lines.append(f'    raise NotImplementedError("{name}")')
        return name
