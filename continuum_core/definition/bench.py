"""What building one machine works with: its header, the faults so far, and how its functions are read."""

from __future__ import annotations

from hashlib import blake2b
from inspect import Parameter, signature
from typing import Any, TypeVar, cast

from attrs import define, field, frozen

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Function, Place
from continuum_core.definition.draft import Node
from continuum_core.definition.event import is_event
from continuum_core.definition.fault import Fault
from continuum_core.definition.finding import Finding, Rules, Scan
from continuum_core.definition.known import is_marked
from continuum_core.definition.message import Message
from continuum_core.definition.purity import scan
from continuum_core.definition.source import canonical, label, locate, plain_function

__all__ = ["Bench", "Header", "function", "named", "shown"]


@frozen
class Header:
    """The class statement of a machine: its keywords, its type arguments, its place.

    :ivar members: the names that the class body binds.
    """

    cls: type
    name: str
    version: int
    types: tuple[Any, ...]
    trusted: tuple[str, ...]
    strict: bool
    place: Place
    members: frozenset[str]

    @property
    def typed(self) -> bool:
        """Whether the three types are stated."""
        return len(self.types) == 3 and not any(isinstance(each, TypeVar) for each in self.types)

    @property
    def context_type(self) -> Any:
        return self.types[0] if self.typed else Any


@define
class Bench:
    """One machine being built.

    :ivar numbers: id of a node → its number in document order.
    :ivar words: what each edge was in the declaration, by edge number.
    :ivar whole: False once something had to be replaced or left out.
    """

    header: Header
    faults: list[Fault] = field(factory=list[Any])
    numbers: dict[int, int] = field(factory=dict[int, int])
    words: list[str] = field(factory=list[Any])
    unread: set[str] = field(factory=set[str])
    patches: set[str] = field(factory=set[str])
    whole: bool = True

    def fault(self, code: str, where: str, what: str, remedy: str, place: Place | None = None) -> None:
        """Note a fault."""
        strict = self.header.strict and code == "C514"
        fault = Fault(code, where, what, remedy, place or self.header.place, strict=strict)
        if fault not in self.faults:
            self.faults.append(fault)

    def broken(self, code: str, where: str, what: str, remedy: str, place: Place | None = None) -> None:
        """Note a fault after which the graph is not what its author meant."""
        self.fault(code, where, what, remedy, place)
        self.whole = False


def shown(node: Node) -> str:
    """A state in the words of the declaration."""
    return node.name or f"the {node.kind.value} state of line {node.place.line}"


def named(thing: Any) -> str:
    """A class, an activity, or whatever was given in its place, in the words of the declaration."""
    if isinstance(thing, Activity):
        return thing.name
    return thing.__name__ if isinstance(thing, type) else repr(thing)


def function(bench: Bench, call: Any, where: str, place: Place, types: tuple[Any, ...]) -> Function | None:
    """A user's function as a value, scanned.

    :param types: the types of the arguments it may be given, as far as known: one or two.
    """
    if not callable(call):
        what = f"{call!r} is not a function"
        made = is_event(cast("object", type(call))) or isinstance(call, Message)
        form = _form(types)
        remedy = (
            f"Give a function that makes it: {form}" if made else "Give the function itself, not a call of it"
        )
        bench.fault("C215", where, what, remedy, place)
        return None
    arity = _arity(call, len(types))
    if arity is None:
        offered = "the context" if len(types) == 1 else "the context and what happened (or the context alone)"
        what = f"{label(call)} cannot be called with {offered}"
        remedy = f"Write it with {len(types)} positional parameter(s), such as {_form(types)}"
        bench.fault("C215", where, what, remedy, place)
        return None
    seen = scan(call, _rules(bench.header), types)
    for finding in seen.findings:
        _note(bench, finding, where, call, place)
    bench.unread |= seen.unread
    bench.patches |= seen.patches
    plain = plain_function(call)
    stands = Place(plain.__code__.co_filename, plain.__code__.co_firstlineno) if plain is not None else None
    return Function(call, arity, label(call), _source(call, seen), stands)


def _form(types: tuple[Any, ...]) -> str:
    return "lambda c: ..." if len(types) == 1 else "lambda c, e: ..."


def _rules(header: Header) -> Rules:
    return Rules(header.cls.__module__.split(".")[0], header.trusted, header.members)


def _note(bench: Bench, finding: Finding, where: str, call: Any, place: Place) -> None:
    stands = finding.place if finding.place.line else place
    bench.fault(finding.code, where, f"{label(call)} {finding.what}", finding.remedy, stands)


def _arity(call: Any, offered: int) -> int | None:
    """How many arguments it is given; None where it takes neither all nor the context alone."""
    try:
        parameters = list(signature(call).parameters.values())
    except (TypeError, ValueError):  # some built-in callables have no signature: trust the author
        return offered
    if any(each.kind is Parameter.KEYWORD_ONLY and each.default is Parameter.empty for each in parameters):
        return None
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    plain = [each for each in parameters if each.kind in positional]
    required = sum(1 for each in plain if each.default is Parameter.empty)
    if any(each.kind is Parameter.VAR_POSITIONAL for each in parameters):
        return offered if required <= offered else None
    # A second parameter with a default is a captured constant (lambda c, n=n: ...), not the event.
    if 0 < required <= offered:
        return required
    return 1 if plain and required == 0 else None


def _source(call: Any, seen: Scan) -> str | None:
    """Normalised source of a function and, as a digest, of all it calls and the constants it captured."""
    plain = plain_function(call)
    node = locate(plain) if plain is not None else None
    if plain is None or not hasattr(node, "body"):
        return None if plain is not None else getattr(call, "__qualname__", None)
    text = canonical(node)  # type: ignore[arg-type]  # a node with a body, not a sentence
    rest = [*sorted(seen.helpers), *_captured(plain)]
    if not rest:
        return text
    return f"{text}#{blake2b(chr(10).join(rest).encode(), digest_size=8).hexdigest()}"


def _captured(plain: Any) -> list[str]:
    cells = zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True)
    return [f"{name}={_constant(cell)}" for name, cell in cells]


def _constant(cell: Any) -> str:
    try:
        value = cell.cell_contents
    except ValueError:
        return "?"
    if isinstance(value, str | int | float | bytes | bool | None):
        return repr(value)
    inner = plain_function(value)
    node = locate(inner) if inner is not None and not is_marked(inner) else None
    return canonical(node) if node is not None and not isinstance(node, str) else type(value).__qualname__
