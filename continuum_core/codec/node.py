"""What every kind of type can do: judge a value, lower it to JSON's terms, lift it back.

A type is planned once into a graph of nodes (`plan`). Judging is always ours, because msgspec writes
without looking at the declared type (NaN becomes null, a UUID fits a `str` field). Writing and reading
are msgspec's wherever it does them exactly; `lowers` and `lifts` say where a node must do it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import msgspec

from continuum_core.errors import PayloadRefused

__all__ = ["Node", "Refusal", "class_of", "convert", "mismatch", "reachable", "read_error", "refuse_depth"]


class_of: Callable[[Any], type[Any]] = type
"""`type` as a function: it narrows nothing, so what is inside a value stays Any to the type checker."""


class Refusal(Exception):
    """A value does not fit; every container it passes on the way up adds its part of the path."""

    def __init__(self, reason: str, version: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.version = version  # stored by code that knows more classes than this process
        self.pieces: list[str] = []

    def at(self, piece: str) -> Refusal:
        """The same refusal, one container further out."""
        self.pieces.append(piece)
        return self

    @property
    def path(self) -> str:
        return "$" + "".join(reversed(self.pieces))

    def refused(self) -> PayloadRefused:
        """What the caller of the codec sees."""
        return PayloadRefused(self.path, self.reason)


class Node:
    """One type of a plan.

    :ivar tp: the type as msgspec is given it.
    :ivar name: how sentences call it.
    :ivar types: the exact classes its values may have.
    :ivar kinds: the JSON kinds it is written as: null, bool, int, float, str, array, object.
    :ivar settled: the class of a value says all there is to check.
    :ivar lowers: msgspec's own writing of it would not be exact.
    :ivar lifts: msgspec's own reading of it would not be exact.
    :ivar hashable: its values may be members of a set.
    :ivar whole_writes: no node reachable from here lowers (set when the plan is complete).
    :ivar whole_reads: no node reachable from here lifts (set when the plan is complete).
    """

    settled: ClassVar[bool] = False
    lowers: bool = False
    lifts: bool = False
    hashable: bool = True
    whole_writes: bool = True
    whole_reads: bool = True

    def __init__(self, tp: Any, name: str, types: tuple[type, ...], kinds: frozenset[str]) -> None:
        self.tp = tp
        self.name = name
        self.types = types
        self.kinds = kinds

    def parts(self) -> tuple[Node, ...]:
        """The nodes directly inside this one."""
        return ()

    def check(self, value: Any, left: int) -> None:
        """Refuse a value that would not come back equal; `left` is how many levels may still follow."""
        if type(value) not in self.types:
            raise mismatch(self.name, value)

    def lower(self, value: Any) -> Any:
        """The checked value in terms that msgspec writes exactly."""
        return value

    def lift(self, found: Any, strict: bool) -> Any:
        """The value of parsed JSON; `strict` refuses fields that no class declares."""
        return convert(found, self.tp)


def reachable(root: Node) -> Iterator[Node]:
    """Every node of the plan, each once; recursive types make it a graph."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        for part in node.parts():
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)


def mismatch(expected: str, value: Any) -> Refusal:
    """The sentence for a value of another class."""
    found = class_of(value)
    names = {base.__name__ for base in found.__mro__[1:]}
    if expected in names:
        return Refusal(
            f"expected {expected} itself, got its subclass {found.__name__}, which would come back as "
            f"{expected}; convert it, or declare {found.__name__}"
        )
    return Refusal(f"expected {expected}, got {found.__name__}")


def refuse_depth() -> Refusal:
    return Refusal("nested deeper than the limit (or the value contains itself)")


def convert(found: Any, tp: Any) -> Any:
    """msgspec's reading of parsed JSON, with its error as ours."""
    try:
        return msgspec.convert(found, tp, str_keys=True)
    except msgspec.ValidationError as error:
        raise read_error(error) from error


def read_error(error: msgspec.ValidationError) -> Refusal:
    """msgspec's error taken apart: it says where only in its text."""
    # A number with a point reaches `convert` as Decimal, so that none of its digits is lost.
    reason, _, where = str(error).replace("got `decimal`", "got `float`").partition(" - at `$")
    refusal = Refusal(reason)
    if where:
        refusal.at(where.rstrip("`"))
    return refusal
