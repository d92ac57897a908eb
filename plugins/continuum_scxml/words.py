"""The small languages inside attributes: event descriptors, lengths, kinds of states, ways to undo."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import quote, unquote

from attrs import evolve

from continuum_core.definition.chart import LARGEST_WINDOW, Closing, Compensation, Kind
from continuum_scxml.document import Node
from continuum_scxml.outline import FormatRefused, Invoke

__all__ = [
    "CANCEL",
    "DEADLINE",
    "STATES",
    "EventNames",
    "compensation_of",
    "compensation_text",
    "crew_words",
    "crewed",
    "delay_text",
    "fits",
    "kind_of",
    "length_code",
    "length_of",
    "length_text",
    "micros",
    "quoted",
    "unquoted",
]

STATES = ("state", "parallel", "final", "history")
"""The elements that are states."""

_LENGTH = re.compile(r"\+?(\d{0,12}(?:\.\d{0,9})?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_LONGEST_NAME = 300
_OWN = ("done.", "error.", "after.", "compensated.")  # names that mean something of their own in SCXML

CANCEL = "cancel"
"""The event of an SCXML document that stands for a cancel of the run; an event of this name is quoted."""

DEADLINE = "after.run"
"""The event that stands for the run's deadline; no timer's is called so."""

_HOWS = ("invoke", "spawn", "each", "collect")
_CLOSINGS = tuple(closing.value for closing in Closing)
_COMPENSATIONS = {"newest-first": Compensation(), "parallel": Compensation(parallel=True)}


class EventNames:
    """The names of events that a document knows, and which of them a pattern matches.

    Kept by prefix, so that many patterns over many names take no more time than what they find.
    """

    def __init__(self) -> None:
        self._fitting: dict[str, dict[str, None]] = {}

    def add(self, name: str) -> None:
        """Know one more name. Raises FormatRefused for one that is longer than any name should be."""
        if len(name) > _LONGEST_NAME:
            raise FormatRefused(f"the event {name[:40]!r}… has a name of {len(name):,} characters")
        words = name.split(".")
        for count in range(1, len(words) + 1):
            self._fitting.setdefault(".".join(words[:count]), {})[name] = None

    def matching(self, descriptor: str) -> list[str]:
        """The known names that a descriptor matches; it is a name itself where it matches none."""
        plain = descriptor.removesuffix(".*").removesuffix(".")
        return list(self._fitting.get(plain, ())) or [plain or descriptor]


def fits(descriptor: str, name: str) -> bool:
    """Whether an event descriptor matches an event's name: token by token, from the left."""
    if descriptor == "*":
        return True
    descriptor = descriptor.removesuffix(".*").removesuffix(".")
    return bool(descriptor) and (name == descriptor or name.startswith(descriptor + "."))


def kind_of(node: Node) -> Kind:
    """What the element of a state says it is."""
    if node.tag == "history":
        return Kind.DEEP_HISTORY if node.get("type") == "deep" else Kind.SHALLOW_HISTORY
    if node.tag in ("parallel", "final"):
        return Kind(node.tag)
    return Kind.COMPOUND if node.named("state", "parallel", "final") else Kind.ATOMIC


def compensation_text(compensation: Compensation) -> str:
    """How a state undoes, in a word."""
    return next(word for word, each in _COMPENSATIONS.items() if each == compensation)


def compensation_of(word: str | None, where: str) -> Compensation | None:
    """How a state undoes, by the word; None for none. Raises FormatRefused for one that there is not."""
    if word is None:
        return None
    if word not in _COMPENSATIONS:
        known = " or ".join(map(repr, _COMPENSATIONS))
        raise FormatRefused(f"{where}: compensate is {word[:40]!r}, and must be {known}")
    return _COMPENSATIONS[word]


def crewed(invoke: Invoke, how: str | None, limit: str | None, closing: str | None, where: str) -> Invoke:
    """An invoke as one of child runs or of members, by the words that stand beside it.

    Raises FormatRefused for words that there are not.
    """
    how = how or "invoke"
    several = how in ("each", "collect")
    if how not in _HOWS:
        raise FormatRefused(f"{where}: how is {how[:40]!r}, and must be {' or '.join(map(repr, _HOWS))}")
    if closing is not None and closing not in _CLOSINGS:
        known = " or ".join(map(repr, _CLOSINGS))
        raise FormatRefused(f"{where}: closing is {closing[:40]!r}, and must be {known}")
    if how != "invoke" and not several and not invoke.machine:
        raise FormatRefused(f"{where}: an activity is not forgotten: {how} takes a machine")
    number = 0
    if several:
        plain = (limit or "100").isascii() and (limit or "100").isdigit() and len(limit or "") < 8
        number = int(limit or "100") if plain else 0
        if not 1 <= number <= LARGEST_WINDOW:
            raise FormatRefused(
                f"{where}: limit is {(limit or '')[:40]!r}, and must be 1 to {LARGEST_WINDOW}"
            )
    usual = "abandon" if how == "spawn" else "cancel"
    return evolve(invoke, how=how, limit=number, closing=closing or usual)


def crew_words(invoke: Invoke) -> dict[str, str]:
    """What stands beside an invoke of child runs or members, as far as it is not the usual."""
    words = {"how": invoke.how} if invoke.how != "invoke" else {}
    words |= {"limit": str(invoke.limit)} if invoke.limit else {}
    usual = "abandon" if invoke.how == "spawn" else "cancel"
    return words | ({"closing": invoke.closing} if invoke.closing != usual else {})


def micros(text: str) -> int | None:
    """Microseconds of a length such as ``1.5s`` or ``.5s``; None for what is none."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None or match[1] in ("", "."):
        return None
    return round(Decimal(match[1]) * _UNITS[match[2]])


def delay_text(length: int) -> str:
    """Microseconds as ``2s``, ``1500ms`` or ``0.5ms``: exactly."""
    if length % 1_000_000 == 0:
        return f"{length // 1_000_000}s"
    return f"{Decimal(length).scaleb(-3).normalize():f}ms"


def length_text(length: int | str) -> str:
    """A length as an attribute: microseconds as `delay_text` has them, or the label of a function."""
    return delay_text(length) if isinstance(length, int) else length


def length_of(text: object) -> int | str | None:
    """What `length_text` was given; None for nothing."""
    if not isinstance(text, str) or not text:
        return None
    length = micros(text)
    return text if length is None else max(length, 1)


def length_code(length: int) -> str:
    """Microseconds as Python code, in the largest unit that gives a whole number."""
    units = {"days": "d", "hours": "h", "minutes": "m", "seconds": "s", "milliseconds": "ms"}
    word = next((word for word, unit in units.items() if length % _UNITS[unit] == 0), None)
    if word is None:
        return f"timedelta(microseconds={length})"
    return f"timedelta({word}={length // _UNITS[units[word]]})"


def quoted(name: str) -> str:
    """An event's name as one token that no reader takes for a pattern or for an event of SCXML's own."""
    token = "".join(
        c if c.isprintable() and c not in " %*" else quote(c, safe="", errors="replace") for c in name
    )
    if token == CANCEL:
        return f"%{ord(token[0]):02X}{token[1:]}"
    if token.startswith(_OWN):
        token = token.replace(".", "%2E", 1)
    return token[:-1] + "%2E" if token.endswith(".") else token


def unquoted(token: str) -> str:
    """The name that `quoted` was given."""
    return unquote(token)
