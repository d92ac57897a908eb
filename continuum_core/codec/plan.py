"""A type becomes a graph of nodes, or a list of what in it cannot be carried.

The rule: what is planned comes back equal and of the same type, or is refused here, before any value
exists. This module is the authority for which types those are.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import msgspec

from continuum_core.codec.annotations import field_types, plain, type_name
from continuum_core.codec.container import Pairs, Series, Tuple
from continuum_core.codec.handled import handled
from continuum_core.codec.node import Node, Refusal, class_of, reachable
from continuum_core.codec.product import Field, Product, Row, Shape
from continuum_core.codec.record_fields import FieldFault, product_fields, row_fields, shape_fields
from continuum_core.codec.scalar import FREE_JSON, SCALARS, Constrained, Enumeration, FreeJson, OneOf, scalar
from continuum_core.codec.union import Union, ambiguity
from continuum_core.errors import CodecError

__all__ = ["plan"]

_CALLABLE: Any = get_origin(typing.Callable[[], None])
_SERIES: Mapping[Any, type] = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_DICTS = (dict, collections.abc.Mapping)
_ABSTRACT: Mapping[Any, str] = {
    collections.abc.Sequence: "tuple[T, ...]",
    collections.abc.Collection: "tuple[T, ...]",
    collections.abc.Iterable: "tuple[T, ...]",
    collections.abc.Set: "frozenset[T]",
    collections.abc.MutableSequence: "list[T]",
    collections.abc.MutableSet: "set[T]",
    collections.abc.MutableMapping: "dict[K, V]",
}
_REPLACED: Mapping[Any, str] = {
    bytearray: "bytes",
    memoryview: "bytes",
    complex: "two floats in an attrs class",
    range: "its start and stop in an attrs class",
}


def plan(tp: Any, path: str) -> tuple[Node | None, list[CodecError]]:
    """The node of `tp` and the faults found in it; with a fault the node must not be used."""
    planner = _Planner()
    node = planner.node(tp, path)
    if node is not None and not planner.faults:
        _complete(node)
        planner.check_defaults()
        if not planner.faults:
            planner.check_reader(node, path)
    return node, planner.faults


def _complete(root: Node) -> None:
    """Tell every node what may be left to msgspec in everything below it."""
    nodes = list(reachable(root))
    for node in nodes:
        below = list(reachable(node))
        node.whole_writes = not any(n.lowers for n in below)
        node.whole_reads = not any(n.lifts for n in below)


class _Planner:
    def __init__(self) -> None:
        self.faults: list[CodecError] = []
        self._classes: dict[Any, tuple[Node, str]] = {}

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(CodecError(path, reason))

    def node(self, tp: Any, path: str) -> Node | None:
        inner, extras = plain(tp)
        if FREE_JSON in extras:
            return FreeJson()
        node = self._plain_node(inner, path)
        if node is not None and any(isinstance(extra, msgspec.Meta) for extra in extras):
            if not set(node.types) <= set(SCALARS):
                self.fault(path, "msgspec.Meta is carried on scalars only; check the rest in a validator")
                return None
            try:
                msgspec.json.Decoder(tp)
            except TypeError as error:  # a limit on a type that msgspec does not limit
                self.fault(path, f"{error}; check it in a validator")
                return None
            return Constrained(tp, node)
        return node

    def _plain_node(self, tp: Any, path: str) -> Node | None:
        anything: object = tp  # the checks below narrow `tp` to what they do not know themselves
        origin = get_origin(tp) or tp
        if isinstance(origin, type) and origin in SCALARS:
            return scalar(origin)
        if isinstance(tp, types.UnionType) or origin is typing.Union:
            return self._union(tp, path)
        if origin is Literal:
            return self._literal(tp, path)
        if origin in _SERIES:
            return self._series(tp, origin, path)
        if origin in _DICTS:
            return self._dict(tp, path)
        if isinstance(tp, type) and issubclass(tp, enum.Enum):
            return self._enum(tp, path)
        if inspect.isclass(origin) and _has_fields(origin):
            return self._class(tp, origin, path)
        taught = handled(anything)
        if taught is not None:
            return taught
        self.fault(path, _remedy(tp, origin))
        return None

    def _union(self, tp: Any, path: str) -> Node | None:
        arguments = get_args(tp)
        planned: list[Node] = []
        for argument in arguments:
            several = len([a for a in arguments if a is not type(None)]) > 1
            node = self.node(argument, f"{path}({type_name(argument)})" if several else path)
            if node is None:
                return None
            planned.append(node)
        reason = ambiguity(planned)
        if reason is not None:
            self.fault(path, reason)
            return None
        return Union(tp, tuple(planned))

    def _literal(self, tp: Any, path: str) -> Node | None:
        values = get_args(tp)
        odd = [value for value in values if type(value) not in (str, int, type(None))]
        if odd:
            self.fault(path, f"Literal[{odd[0]!r}] is not carried; literals are str, int or None")
            return None
        return OneOf(tp, values)

    def _enum(self, tp: type[enum.Enum], path: str) -> Node | None:
        kinds = {class_of(member.value) for member in tp}
        if kinds not in ({str}, {int}):
            self.fault(path, f"the values of enum {tp.__name__} must be all str or all int")
            return None
        return Enumeration(tp)

    def _series(self, tp: Any, cls: type, path: str) -> Node | None:
        arguments = get_args(tp)
        if cls is tuple and tp is not tuple and not (len(arguments) == 2 and arguments[1] is ...):
            return self._tuple(tp, arguments, path)
        if not arguments:
            self.fault(path, f"what this {cls.__name__} holds is not said; write {_example(cls)}")
            return None
        item = self.node(arguments[0], f"{path}[]")
        if item is None:
            return None
        if cls in (set, frozenset) and not item.hashable:
            self.fault(f"{path}[]", f"{item.name} has no hash and cannot be in a set; use a tuple")
            return None
        return Series(tp, cls, item)

    def _tuple(self, tp: Any, arguments: tuple[Any, ...], path: str) -> Node | None:
        if any(get_origin(a) is typing.Unpack or getattr(a, "__unpacked__", False) for a in arguments):
            self.fault(path, "a tuple with a part of any length is not carried; nest that part as a tuple")
            return None
        items = [self.node(argument, f"{path}[{i}]") for i, argument in enumerate(arguments)]
        return Tuple(tp, tuple(item for item in items if item is not None))

    def _dict(self, tp: Any, path: str) -> Node | None:
        arguments = get_args(tp)
        if not arguments:
            self.fault(path, "what this dict holds is not said; write dict[str, T]")
            return None
        key, value = self._key(arguments[0], path), self.node(arguments[1], f"{path}{{}}")
        return Pairs(tp, key, value) if key is not None and value is not None else None

    def _key(self, tp: Any, path: str) -> Node | None:
        where = f"{path} (key)"
        before = len(self.faults)
        key = self.node(tp, where)
        if key is None:
            # A key that is no key gets one sentence, not one for each of its fields.
            del self.faults[before + 1 :]
            return None
        plain_text = isinstance(key, Enumeration) or (
            key.settled and key.types[0] not in (bool, bytes, type(None))
        )
        one_kind = isinstance(key, OneOf) and len(key.types) == 1 and type(None) not in key.types
        if not (plain_text or one_kind) or key.types[0].__name__ == "timedelta":
            self.fault(
                where,
                f"{type_name(tp)} is no key that JSON's text names exactly; use str, int, an enum, UUID or "
                "date, or a tuple of pairs",
            )
            return None
        return key

    def _class(self, tp: Any, cls: Any, path: str) -> Node | None:
        known = self._classes.get(tp)
        if known is not None:
            return known[0]
        try:
            hints = field_types(tp)
        except Exception as error:
            reason = f"the annotations of {cls.__name__} cannot be resolved ({error})"
            self.fault(path, f"{reason}; define what they name at module level")
            return None
        if issubclass(cls, BaseException):
            self.fault(path, f"{cls.__name__} is an exception; carry its facts in an attrs class")
            return None
        return self._fields_of(tp, cls, hints, path)

    def _fields_of(self, tp: Any, cls: type, hints: Mapping[str, Any], path: str) -> Node | None:
        name = type_name(tp)
        node: Product | Row | Shape
        if typing.is_typeddict(cls):
            node, drafts, lowers = Shape(tp, name), shape_fields(cls, hints), False
        elif issubclass(cls, tuple):
            node, drafts, lowers = Row(tp, cls, name), row_fields(cls, hints), False
        else:
            try:
                found = product_fields(cls, hints)
            except FieldFault as fault:
                self.fault(f"{path}{fault.where}", str(fault))
                return None
            node, drafts, lowers = Product(tp, cls, name, found.tag), found.drafts, found.lowers
        self._classes[tp] = (node, path)
        fields: list[Field] = []
        for draft in drafts:
            inner = self.node(draft.tp, f"{path}.{draft.name}")
            if inner is not None:
                fields.append(draft.planned(inner))
        if isinstance(node, Product):
            node.define(tuple(fields), lowers)
        else:
            node.fields = tuple(fields)
        return node

    def check_defaults(self) -> None:
        """A default that does not fit its type would be refused when first written: say so now."""
        for node, where in list(self._classes.values()):
            for field in node.fields if isinstance(node, Product | Row) else ():
                if not field.constant:
                    continue
                try:
                    field.node.check(field.constant[0], 64)
                except Refusal as refusal:
                    self.fault(f"{where}.{field.name}", f"its default does not fit: {refusal.reason}")

    def check_reader(self, root: Node, path: str) -> None:
        """msgspec has the last word on the types it reads by itself."""
        for node in [root] if root.whole_reads else [n for n in reachable(root) if n.whole_reads]:
            try:
                msgspec.json.Decoder(node.tp)
            except Exception as error:
                self.fault(path, f"msgspec cannot read {node.name}: {error}")


def _has_fields(cls: Any) -> bool:
    return (
        attrs.has(cls)
        or dataclasses.is_dataclass(cls)
        or issubclass(cls, msgspec.Struct)
        or typing.is_typeddict(cls)
        or ("_field_defaults" in vars(cls))
    )


def _example(cls: type) -> str:
    return "tuple[T, ...]" if cls is tuple else f"{cls.__name__}[T]"


def _remedy(tp: Any, origin: Any) -> str:
    name = type_name(tp)
    if tp is Any or tp is object:
        return f"{name} does not say what comes back; name the type, or use Json for free JSON"
    if isinstance(tp, TypeVar):
        return f"the type variable {name} is not bound; name its type, as in Box[int]"
    if isinstance(tp, str | typing.ForwardRef):
        return f"{name!r} is a name nobody resolves here; put the class itself"
    if origin in _ABSTRACT:
        return f"{name} could be of several classes; declare {_ABSTRACT[origin]}"
    if origin in _REPLACED:
        return f"{name} is not carried; use {_REPLACED[origin]}"
    if origin is _CALLABLE or isinstance(tp, types.FunctionType):
        return "a function cannot be carried; carry what it would be chosen by (a name, an enum)"
    for base in _known_bases(origin):
        return f"{name} would come back as {base}, its base class; declare {base}, or an attrs class"
    return f"{name} cannot be carried; make it an attrs class (attrs.frozen) with typed fields"


def _known_bases(origin: Any) -> Sequence[str]:
    if not isinstance(origin, type):
        return ()
    carried = {**SCALARS, **_SERIES, dict: dict}
    return [base.__name__ for base in origin.__mro__[1:] if base in carried]
