"""The purity scan: reads the source of guards, reducers and other functions, and runs none of it.

A machine's function is pure when its value follows from its arguments alone and nothing else happens.
The scan looks at every name a function refers to, through the function's own globals and closure. It
follows calls into plain functions and methods of the machine's own package; for other code it asks
the tables of `known`. It lets pass what it cannot see: it is a safety net with few holes, not a proof.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from types import FunctionType
from typing import Any, get_type_hints

import attrs
import msgspec
from attrs import define, evolve, field

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Place
from continuum_core.definition.finding import Finding, Rules, Scan, known_finding
from continuum_core.definition.known import PURE_MODULES, home, impurity, is_marked, within
from continuum_core.definition.reading import Reader
from continuum_core.definition.scope import Scope
from continuum_core.definition.source import Definition, canonical, locate, plain_function

__all__ = ["scan"]


def scan(call: object, rules: Rules, types: tuple[Any, ...] = ()) -> Scan:
    """Judge one function of a machine.

    :param types: the types of its arguments, as far as known.
    """
    result = Scan()
    if is_marked(call):
        return result
    trail = _Trail(rules, result)
    function = plain_function(call)
    if function is not None:
        trail.read(function, None, types)
    elif callable(call):
        text = getattr(call, "__name__", repr(call))
        result.findings.extend(trail.judge(call, Place("", 0), text, None))
    return result


@define
class _Trail:
    """One scan under way: the rules, the results, and what was visited, so that recursion ends."""

    rules: Rules
    scan: Scan
    seen: set[tuple[int, frozenset[str]]] = field(factory=set[tuple[int, frozenset[str]]])

    def read(
        self, function: FunctionType, tainted: frozenset[str] | None, types: tuple[Any, ...] = ()
    ) -> str | None:
        """Scan one function; its source, normalised, or None where that is not to be had.

        :param tainted: the parameters that hold values which others see; None: all.
        """
        node = locate(function)
        if isinstance(node, str):
            self.scan.unread.add(f"{function.__qualname__} ({node})")
            return None
        scope = Scope(function, node, _types(function, node, types))
        shared = frozenset(scope.parameters) if tainted is None else tainted
        key = (id(function.__code__), shared)
        if key not in self.seen:
            inside = f", in {function.__qualname__}" if self.seen else ""
            self.seen.add(key)
            for finding in Reader(scope, shared, self).read():
                self.scan.findings.append(evolve(finding, what=finding.what + inside))
        return canonical(node)

    def owns(self, thing: object) -> bool:
        return home(thing).split(".")[0] == self.rules.package

    def follow(
        self, function: FunctionType, tainted: frozenset[str] | None, types: tuple[Any, ...] = ()
    ) -> None:
        if is_marked(function):
            return
        text = self.read(function, tainted, types)
        if text is not None:
            self.scan.helpers.add(f"{function.__qualname__}={text}")

    def judge(self, value: Any, place: Place, text: str, tainted: frozenset[str] | None) -> Iterator[Finding]:
        if is_marked(value):
            return
        if isinstance(value, Activity):
            remedy = "Invoke it: state.invoke(activity, input, done=..., error=...)"
            yield Finding("C506", f"uses {text}, which is an activity", remedy, place)
            return
        known = impurity(value)
        if known is not None:
            yield known_finding(known, text, place)
            return
        module = home(value)
        if within(module, PURE_MODULES) or within(module, self.rules.trusted):
            return
        function = plain_function(value)
        if function is not None and self.owns(function):
            self.follow(function, tainted)
        elif isinstance(value, type):
            yield from self._class(value, place, text)
        elif function is not None or not self._is_data(value):
            yield _foreign(text, module, place)

    def _is_data(self, value: object) -> bool:
        """Whether a callable object is a value of the machine's own package, such as an enum member."""
        return self.owns(type(value))

    def _class(self, cls: type, place: Place, text: str) -> Iterator[Finding]:
        """A class that may be instantiated: what it runs when it is."""
        for factory in _factories(cls):
            known = impurity(factory)
            function = plain_function(factory)
            if known is not None:
                made = f"{text}, whose default {getattr(factory, '__name__', factory)}"
                yield known_finding(known, made, place)
            elif function is not None and self.owns(function):
                self.follow(function, frozenset())
        own = self.owns(cls)
        for name in ("__init__", "__attrs_post_init__", "__post_init__", "__new__"):
            function = plain_function(vars(cls).get(name))
            generated = function is None or function.__code__.co_filename.startswith("<")
            if own and function is not None and not generated:
                code = function.__code__
                self.follow(function, frozenset(code.co_varnames[1 : code.co_argcount]))
        if not own and not _only_data(cls):
            yield _foreign(text, home(cls), place)


def _types(function: FunctionType, node: Definition, given: tuple[Any, ...]) -> dict[str, Any]:
    try:
        hints = {name: hint for name, hint in get_type_hints(function).items() if name != "return"}
    except (NameError, TypeError, AttributeError):
        hints = {}
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    return {**dict(zip(names, given, strict=False)), **hints}


def _foreign(text: str, module: str, place: Place) -> Finding:
    what = f"uses {text} of {module}, for which nobody vouches"
    remedy = f'Mark it with @pure if it is yours, or give trusted_modules=("{module}",) to the machine'
    return Finding("C514", what, remedy, place)


def _only_data(cls: Any) -> bool:
    """Whether making an instance does no more than keep the arguments, as far as one may expect."""
    plain = issubclass(cls, BaseException | enum.Enum | msgspec.Struct | tuple)
    return plain or attrs.has(cls) or hasattr(cls, "__dataclass_fields__")


def _factories(cls: type) -> Iterator[Any]:
    if attrs.has(cls):
        for each in attrs.fields(cls):
            factory = getattr(each.default, "factory", None)
            if factory is not None:
                yield factory
    for each in getattr(cls, "__dataclass_fields__", {}).values():
        if callable(each.default_factory):
            yield each.default_factory
