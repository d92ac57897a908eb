"""Reads one function of a machine, statement by statement: every name it refers to, every change it makes.

What a name stands for is looked up, never run. What is called is handed to the trail, which judges it and
follows it into other functions.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, Protocol, TypeGuard, get_origin

import attrs

from continuum_core.definition.chart import Place
from continuum_core.definition.finding import Finding, Rules, Scan, known_finding
from continuum_core.definition.known import MUTATORS, impurity, method_impurity
from continuum_core.definition.scope import LOCAL, MISSING, UNKNOWN, Scope, root_name
from continuum_core.definition.sharing import Sharing
from continuum_core.definition.source import plain_function
from continuum_core.deterministic import patched

__all__ = ["Reader", "Trail"]

_MUTABLE = (list, dict, set, bytearray, deque)
_BINDING = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete, ast.For, ast.comprehension)
_AWAITS = "Write a plain function; what awaits is an activity"
_RETURN_NEW = "Return a new value: attrs.evolve(c, ...), dataclasses.replace(c, ...), (*c.items, item)"
_PASS_IN = "Keep it in the context, or make it a constant: a tuple, a frozenset, a frozen class"


class Trail(Protocol):
    """One scan under way: what is done with the things that a function refers to."""

    rules: Rules
    scan: Scan

    def judge(self, value: Any, place: Place, text: str, tainted: frozenset[str] | None) -> Iterator[Finding]:
        """What is wrong with something callable, used as `text`."""
        ...

    def owns(self, thing: object) -> bool:
        """Whether a function or class is of the machine's own package, whose code is read."""
        ...

    def follow(
        self, function: FunctionType, tainted: frozenset[str] | None, types: tuple[Any, ...] = ()
    ) -> None:
        """Read a function that is called; `tainted` names the parameters that hold values others see."""
        ...


class Reader:
    """Reads one function's tree. `shared` are its parameters whose values its caller sees."""

    def __init__(self, scope: Scope, shared: frozenset[str], trail: Trail) -> None:
        self.scope = scope
        self.sharing = Sharing(scope, shared)
        self.trail = trail
        self.file = scope.function.__code__.co_filename

    def read(self) -> Iterator[Finding]:
        if isinstance(self.scope.node, ast.AsyncFunctionDef):
            yield self._finding(self.scope.node, "C509", "is a coroutine", _AWAITS)
        yield from self._captures()
        body = self.scope.node.body
        for node in body if isinstance(body, list) else [body]:
            yield from self._visit(node)

    def _finding(self, node: ast.AST, code: str, what: str, remedy: str) -> Finding:
        return Finding(code, what, remedy, Place(self.file, getattr(node, "lineno", 0)))

    def _captures(self) -> Iterator[Finding]:
        for name, value in self.scope.captured.items():
            if _is_mutable(value):
                what = f"captures {name!r}, a {type(value).__name__} that can change"
                yield self._finding(self.scope.node, "C513", what, _PASS_IN)
        keywords: dict[str, Any] = self.scope.function.__kwdefaults__ or {}
        for value in (*(self.scope.function.__defaults__ or ()), *keywords.values()):
            if _is_mutable(value):
                what = f"has a default value, a {type(value).__name__}, that can change"
                yield self._finding(self.scope.node, "C513", what, _PASS_IN)

    def _visit(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Global | ast.Nonlocal):
            word = "global" if isinstance(node, ast.Global) else "nonlocal"
            yield self._finding(node, "C510", f"declares {word} {', '.join(node.names)}", _RETURN_NEW)
        elif isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield self._finding(node, "C509", "awaits", _AWAITS)
        elif isinstance(node, ast.Yield | ast.YieldFrom):
            yield self._finding(node, "C509", "is a generator", "Return one value")
        elif isinstance(node, ast.Call):
            yield from self._call(node)
            return
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from self._reference(node, None)
            return
        elif isinstance(node, _BINDING):
            yield from self._binding(node)
        for child in _children(node):
            yield from self._visit(child)

    # --- names -------------------------------------------------------------------------------------

    def _reference(self, node: ast.Name | ast.Attribute, call: ast.Call | None) -> Iterator[Finding]:
        """A name or a chain of attributes that is read, or called."""
        value = self.scope.resolve(node)
        if value is MISSING:
            yield from self._missing(node)
        elif value is not LOCAL and value is not UNKNOWN:
            owner = self.scope.resolve(node.value) if isinstance(node, ast.Attribute) else None
            yield from self._value(node, value, owner, call)
        elif isinstance(node, ast.Attribute):
            found = list(self._method(node, call)) if call is not None else []
            if call is None:
                self._property(node)
            yield from found
            if not found:
                yield from self._visit(node.value)

    def _missing(self, node: ast.AST) -> Iterator[Finding]:
        name = getattr(node, "id", "?")
        if name in self.trail.rules.members:
            what = f"uses {name!r}, which is bound in the class body, where functions do not look"
            remedy = "Move it above the class, to the module"
        elif self.scope.function.__module__ == "builtins" or name.startswith("__"):
            return
        else:
            what = f"uses {name!r}, which its module does not have (yet)"
            remedy = "Define or import it above the machine's class"
        yield self._finding(node, "C516", what, remedy)

    def _value(self, node: ast.AST, value: Any, owner: Any, call: ast.Call | None) -> Iterator[Finding]:
        text = ast.unparse(node)
        place = Place(self.file, getattr(node, "lineno", 0))
        if isinstance(value, ModuleType):
            return
        known = impurity(owner) if isinstance(owner, ModuleType) else None
        if known is not None and not callable(value) and not isinstance(value, str | int | float | None):
            yield known_finding(known, text, place)
        elif callable(value) or isinstance(value, type):
            yield from self.trail.judge(value, place, text, self.sharing.tainted(value, call))

    # --- calls and changes --------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        if isinstance(node.func, ast.Name | ast.Attribute):
            yield from self._reference(node.func, node)
            if self.scope.resolve(node.func) is patched:
                yield from self._patch(node)
        else:
            yield from self._visit(node.func)
        for argument in (*node.args, *(each.value for each in node.keywords)):
            yield from self._visit(argument)

    def _patch(self, call: ast.Call) -> Iterator[Finding]:
        """The name that `patched` is asked for: runs are told at their beginning which there are."""
        given = [*call.args, *(each.value for each in call.keywords)]
        name = given[0].value if len(given) == 1 and isinstance(given[0], ast.Constant) else None
        if isinstance(name, str) and name:
            self.trail.scan.patches.add(name)
        else:
            what = f"asks {ast.unparse(call)}, whose name is not written out"
            yield self._finding(call, "C518", what, 'Write the name there: patched("new-discount")')

    def _method(self, node: ast.Attribute, call: ast.Call) -> Iterator[Finding]:
        """A method of a value: the value's type decides, where it is known."""
        declared = self.scope.type_of(node.value)
        cls = get_origin(declared) or declared
        known = method_impurity(cls, node.attr) if isinstance(cls, type) else None
        if known is not None:
            yield known_finding(known, ast.unparse(node), Place(self.file, node.lineno))
            return
        found = getattr(cls, node.attr, None) if isinstance(cls, type) else None
        function = plain_function(found)
        if function is not None and self.trail.owns(function):
            first = function.__code__.co_varnames[:1]
            own = frozenset(first) if self.sharing.holds(node.value) else frozenset[str]()
            tainted = (self.sharing.tainted(function, call, skip=1) or frozenset()) | own
            self.trail.follow(function, tainted, (cls,))
        elif node.attr in MUTATORS and function is None and self.sharing.holds(node.value):
            # A method that the type has and that is not a builtin container's says itself what it does.
            yield self._change(node, node.value, f"calls {ast.unparse(node)}()")

    def _property(self, node: ast.Attribute) -> None:
        """A property of a value of the machine's own package runs a function, too."""
        declared = self.scope.type_of(node.value)
        cls = get_origin(declared) or declared
        found = getattr(cls, node.attr, None) if isinstance(cls, type) else None
        function = plain_function(found.fget) if isinstance(found, property) else None
        if function is not None and self.trail.owns(function):
            tainted = None if self.sharing.holds(node.value) else frozenset[str]()
            self.trail.follow(function, tainted, (cls,))

    def _binding(self, node: ast.AST) -> Iterator[Finding]:
        """Assignments: what changes a shared value, and which locals become other names of one."""
        if isinstance(node, ast.For | ast.comprehension):
            self.sharing.alias(node.target, node.iter)
            return
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [getattr(node, "target")]  # noqa: B009
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                if isinstance(part, ast.Attribute | ast.Subscript) and self.sharing.holds(part.value):
                    verb = "deletes" if isinstance(node, ast.Delete) else "assigns to"
                    yield self._change(node, part, f"{verb} {ast.unparse(part)}")
        value = getattr(node, "value", None)
        if isinstance(value, ast.expr) and not isinstance(node, ast.AugAssign):
            for target in targets:
                self.sharing.alias(target, value)

    def _change(self, node: ast.AST, changed: ast.expr, what: str) -> Finding:
        name = root_name(changed) or ""
        if name in self.sharing.names:
            return self._finding(node, "C512", f"{what}, which changes its argument", _RETURN_NEW)
        return self._finding(node, "C511", f"{what}, which changes captured state", _PASS_IN)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What belongs to the running of a node: not annotations, and targets only where they are read."""
    # Of a comprehension, what it iterates over comes first: it decides what the names in it stand for.
    fields = sorted(ast.iter_fields(node), key=lambda each: each[0] != "generators")
    for name, value in fields:
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(value, ast.AST):
            yield value
        elif _is_list(value):
            yield from (each for each in value if isinstance(each, ast.AST))


def _is_mutable(value: object) -> bool:
    if isinstance(value, _MUTABLE):
        return True
    parameters = getattr(type(value), "__dataclass_params__", None)
    if parameters is not None:
        return not parameters.frozen
    if isinstance(value, type) or not attrs.has(type(value)):
        return False
    # A frozen attrs class raises on assignment; its own __setattr__ says so.
    return type(value).__setattr__ is object.__setattr__
