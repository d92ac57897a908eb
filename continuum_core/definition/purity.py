"""The purity scan: reads the source of guards, reducers and other functions, and runs none of it.

A machine's function is pure when its value follows from its arguments alone and nothing else happens.
The scan looks at every name a function refers to, through the function's own globals and closure. It
follows calls into plain functions and methods of the machine's own package; for other code it asks
the tables of `known`. It lets pass what it cannot see: it is a safety net with few holes, not a proof.
"""

from __future__ import annotations

import ast
import enum
import functools
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any, TypeGuard, get_origin, get_type_hints

import attrs
import msgspec
from attrs import define, evolve, field, frozen

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Place
from continuum_core.definition.known import (
    MUTATORS,
    PURE_MODULES,
    Impurity,
    home,
    impurity,
    is_marked,
    method_impurity,
    within,
)
from continuum_core.definition.scope import LOCAL, MISSING, UNKNOWN, Scope, root_name
from continuum_core.definition.source import Definition, canonical, locate
from continuum_core.deterministic import patched

__all__ = ["Finding", "Rules", "Scan", "plain_function", "scan"]

_MUTABLE = (list, dict, set, bytearray, deque)
_BINDING = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete, ast.For, ast.comprehension)
_AWAITS = "Write a plain function; what awaits is an activity"
_RETURN_NEW = "Return a new value: attrs.evolve(c, ...), dataclasses.replace(c, ...), (*c.items, item)"
_PASS_IN = "Keep it in the context, or make it a constant: a tuple, a frozenset, a frozen class"


@frozen
class Finding:
    """Something impure: code, sentence, remedy, and where it stands."""

    code: str
    what: str
    remedy: str
    place: Place


@frozen
class Rules:
    """What the scan of one machine goes by.

    :ivar package: the top-level package whose code is followed.
    :ivar trusted: modules whose functions are taken to be pure.
    :ivar members: names bound in the machine's class body, which its functions cannot see.
    """

    package: str
    trusted: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()


@define
class Scan:
    """What a scan brought to light.

    :ivar helpers: normalised sources of what the function calls, which belong to what it does.
    :ivar unread: why the source of something was not to be had.
    :ivar patches: the names that `patched` is asked for.
    """

    findings: list[Finding] = field(factory=list[Finding])
    helpers: set[str] = field(factory=set[str])
    unread: set[str] = field(factory=set[str])
    patches: set[str] = field(factory=set[str])


@define
class _Trail:
    """One scan under way: the rules, the results, and what was visited, so that recursion ends."""

    rules: Rules
    scan: Scan
    seen: set[tuple[int, frozenset[str]]] = field(factory=set[tuple[int, frozenset[str]]])


def plain_function(thing: object) -> FunctionType | None:
    """The Python function behind a callable: itself, a method's, a partial's, a wrapped one."""
    if isinstance(thing, functools.partial):
        return plain_function(thing.func)
    if isinstance(thing, MethodType):
        return plain_function(thing.__func__)
    if isinstance(thing, FunctionType):
        return thing
    wrapped = getattr(thing, "__wrapped__", None)
    if wrapped is not None:
        return plain_function(wrapped)
    return None


def scan(call: object, rules: Rules, types: tuple[Any, ...] = ()) -> Scan:
    """Judge one function of a machine.

    :param types: the types of its arguments, as far as known.
    """
    result = Scan()
    trail = _Trail(rules, result)
    if is_marked(call):
        return result
    function = plain_function(call)
    if function is None:
        place = Place("", 0)
        if isinstance(call, type) or callable(call):
            result.findings.extend(_thing(call, place, getattr(call, "__name__", repr(call)), trail, None))
        return result
    _function(function, trail, None, types)
    return result


def _function(
    function: FunctionType, trail: _Trail, tainted: frozenset[str] | None, types: tuple[Any, ...] = ()
) -> str | None:
    """Scan one function; `tainted` names the parameters that hold values which others see (None: all)."""
    node = locate(function)
    if isinstance(node, str):
        trail.scan.unread.add(f"{function.__qualname__} ({node})")
        return None
    scope = Scope(function, node, _types(function, node, types))
    shared = frozenset(scope.parameters) if tainted is None else tainted
    key = (id(function.__code__), shared)
    if key not in trail.seen:
        inside = f", in {function.__qualname__}" if trail.seen else ""
        trail.seen.add(key)
        for finding in _Reader(scope, set(shared), trail).read():
            trail.scan.findings.append(evolve(finding, what=finding.what + inside))
    return canonical(node)


def _types(function: FunctionType, node: Definition, given: tuple[Any, ...]) -> dict[str, Any]:
    try:
        hints = {name: hint for name, hint in get_type_hints(function).items() if name != "return"}
    except (NameError, TypeError, AttributeError):
        hints = {}
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    return {**dict(zip(names, given, strict=False)), **hints}


class _Reader:
    """Reads one function's tree. `shared` are names whose values the caller, or everybody, sees."""

    def __init__(self, scope: Scope, shared: set[str], trail: _Trail) -> None:
        self.scope = scope
        self.shared = shared
        self.trail = trail
        self.file = scope.function.__code__.co_filename

    def read(self) -> Iterator[Finding]:
        if isinstance(self.scope.node, ast.AsyncFunctionDef):
            yield self._finding(
                self.scope.node,
                "C509",
                "is a coroutine",
                "Write a plain function; what awaits is an activity",
            )
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
            yield _known(known, text, place)
        elif callable(value) or isinstance(value, type):
            yield from _thing(value, place, text, self.trail, self._taint(value, call))

    def _taint(self, value: Any, call: ast.Call | None, skip: int = 0) -> frozenset[str] | None:
        """The parameters of a called function that receive values which others see; None: not called."""
        function = plain_function(value)
        if call is None or function is None or any(isinstance(each, ast.Starred) for each in call.args):
            return None
        bound = 1 if isinstance(value, MethodType) else skip
        names = function.__code__.co_varnames[bound : function.__code__.co_argcount]
        given = [*zip(names, call.args, strict=False), *((each.arg, each.value) for each in call.keywords)]
        return frozenset(name for name, argument in given if name and self._is_shared(argument))

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
            yield _known(known, ast.unparse(node), Place(self.file, node.lineno))
            return
        found = getattr(cls, node.attr, None) if isinstance(cls, type) else None
        function = plain_function(found)
        if function is not None and _followed(function, self.trail.rules):
            first = function.__code__.co_varnames[:1]
            own = frozenset(first) if self._is_shared(node.value) else frozenset[str]()
            tainted = (self._taint(function, call, skip=1) or frozenset()) | own
            _follow(function, self.trail, tainted, (cls,))
        elif node.attr in MUTATORS and function is None and self._is_shared(node.value):
            # A method that the type has and that is not a builtin container's says itself what it does.
            yield self._change(node, node.value, f"calls {ast.unparse(node)}()")

    def _property(self, node: ast.Attribute) -> None:
        """A property of a value of the machine's own package runs a function, too."""
        declared = self.scope.type_of(node.value)
        cls = get_origin(declared) or declared
        found = getattr(cls, node.attr, None) if isinstance(cls, type) else None
        function = plain_function(found.fget) if isinstance(found, property) else None
        if function is not None and _followed(function, self.trail.rules):
            tainted = None if self._is_shared(node.value) else frozenset[str]()
            _follow(function, self.trail, tainted, (cls,))

    def _binding(self, node: ast.AST) -> Iterator[Finding]:
        """Assignments: what changes a shared value, and which locals become other names of one."""
        if isinstance(node, ast.For | ast.comprehension):
            self._alias(node.target, node.iter)
            return
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [getattr(node, "target")]  # noqa: B009
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                if isinstance(part, ast.Attribute | ast.Subscript) and self._is_shared(part.value):
                    verb = "deletes" if isinstance(node, ast.Delete) else "assigns to"
                    yield self._change(node, part, f"{verb} {ast.unparse(part)}")
        value = getattr(node, "value", None)
        if isinstance(value, ast.expr) and not isinstance(node, ast.AugAssign):
            for target in targets:
                self._alias(target, value)

    def _alias(self, target: ast.expr, value: ast.expr) -> None:
        names = [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]
        if self._is_shared(value):
            self.shared.update(names)
        else:
            self.shared.difference_update(names)
        if isinstance(target, ast.Name):
            self.scope.types[target.id] = self.scope.type_of(value)

    def _is_shared(self, node: ast.expr) -> bool:
        name = root_name(node)
        if name is None:
            return False
        return name in self.shared or self.scope.lookup(name) is not LOCAL

    def _change(self, node: ast.AST, changed: ast.expr, what: str) -> Finding:
        name = root_name(changed) or ""
        if name in self.shared:
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


def _known(known: Impurity, text: str, place: Place) -> Finding:
    code, does, remedy = known
    return Finding(code, f"uses {text}, which {does}", remedy, place)


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


def _followed(function: FunctionType, rules: Rules) -> bool:
    return home(function).split(".")[0] == rules.package


def _follow(
    function: FunctionType, trail: _Trail, tainted: frozenset[str] | None, types: tuple[Any, ...] = ()
) -> None:
    if is_marked(function):
        return
    text = _function(function, trail, tainted, types)
    if text is not None:
        trail.scan.helpers.add(f"{function.__qualname__}={text}")


def _thing(
    value: Any, place: Place, text: str, trail: _Trail, tainted: frozenset[str] | None
) -> Iterator[Finding]:
    """Something callable that a function refers to."""
    rules = trail.rules
    if is_marked(value):
        return
    if isinstance(value, Activity):
        remedy = "Invoke it: state.invoke(activity, input, done=..., error=...)"
        yield Finding("C506", f"uses {text}, which is an activity", remedy, place)
        return
    known = impurity(value)
    if known is not None:
        yield _known(known, text, place)
        return
    module = home(value)
    if within(module, PURE_MODULES) or within(module, rules.trusted):
        return
    function = plain_function(value)
    if function is not None and _followed(function, rules):
        _follow(function, trail, tainted)
    elif isinstance(value, type):
        yield from _class(value, place, text, trail)
    elif function is not None or not _is_data(value, rules):
        yield _foreign(text, module, place)


def _is_data(value: object, rules: Rules) -> bool:
    """A callable object that is a value of the user's own package, such as an enum member."""
    return home(type(value)).split(".")[0] == rules.package


def _foreign(text: str, module: str, place: Place) -> Finding:
    what = f"uses {text} of {module}, for which nobody vouches"
    remedy = f'Mark it with @pure if it is yours, or give trusted_modules=("{module}",) to the machine'
    return Finding("C514", what, remedy, place)


def _class(cls: type, place: Place, text: str, trail: _Trail) -> Iterator[Finding]:
    """A class that may be instantiated: what it runs when it is."""
    for factory in _factories(cls):
        known = impurity(factory)
        function = plain_function(factory)
        if known is not None:
            yield _known(known, f"{text}, whose default {getattr(factory, '__name__', factory)}", place)
        elif function is not None and _followed(function, trail.rules):
            _follow(function, trail, frozenset())
    own = home(cls).split(".")[0] == trail.rules.package
    for name in ("__init__", "__attrs_post_init__", "__post_init__", "__new__"):
        function = plain_function(vars(cls).get(name))
        generated = function is None or function.__code__.co_filename.startswith("<")
        if own and function is not None and not generated:
            code = function.__code__
            _follow(function, trail, frozenset(code.co_varnames[1 : code.co_argcount]))
    if not own and not _only_data(cls):
        yield _foreign(text, home(cls), place)


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
