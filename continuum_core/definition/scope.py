"""What the names in a function stand for: its parameters and locals, its closure, its module, the builtins.

Names are looked up where Python would look them up, so that ``from time import time as t`` hides
nothing. Nothing is executed: attributes are read from modules and classes only.
"""

from __future__ import annotations

import ast
import builtins
import sys
import typing
from collections.abc import Mapping
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

from attrs import define, field

from continuum_core.definition.source import Definition

__all__ = ["LOCAL", "MISSING", "UNKNOWN", "Scope", "attribute_type", "root_name"]

_NAMING = (
    ast.ExceptHandler,
    ast.MatchAs,
    ast.MatchStar,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)

LOCAL = object()
"""The name is a parameter or is bound inside the function."""
UNKNOWN = object()
"""It cannot be told without running something."""
MISSING = object()
"""Python would not find the name, either."""


@define(slots=False)
class Scope:
    """The names of one function. `types` holds what is known of parameters and locals."""

    function: Any  # a FunctionType; as a field, checkers would take that for a method
    node: Definition
    types: dict[str, Any] = field(factory=dict[str, Any])

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        arguments = self.node.args
        plain = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        return (*plain, *(each.arg for each in (arguments.vararg, arguments.kwarg) if each is not None))

    @cached_property
    def captured(self) -> dict[str, Any]:
        """The closure's names and values; an empty cell is UNKNOWN."""
        cells = self.function.__closure__ or ()
        found: dict[str, Any] = {}
        for name, cell in zip(self.function.__code__.co_freevars, cells, strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:
                found[name] = UNKNOWN
        return found

    @cached_property
    def local(self) -> frozenset[str]:
        names = set(self.parameters)
        for node in ast.walk(self.node):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, _NAMING) and node.name and node is not self.node:
                names.add(node.name)
        return frozenset(names - self.imported.keys())

    @cached_property
    def imported(self) -> dict[str, Any]:
        """Names bound by imports inside the function, as far as those modules are loaded."""
        found: dict[str, Any] = {}
        for node in ast.walk(self.node):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    shown = alias.name if alias.asname else alias.name.split(".")[0]
                    found[alias.asname or shown] = sys.modules.get(shown, UNKNOWN)
            elif isinstance(node, ast.ImportFrom):
                module = sys.modules.get(node.module or "")
                for alias in node.names:
                    found[alias.asname or alias.name] = getattr(module, alias.name, UNKNOWN)
        return found

    def lookup(self, name: str) -> Any:
        """The value of a name, or LOCAL, UNKNOWN or MISSING."""
        if name in self.imported:
            return self.imported[name]
        if name in self.local:
            return LOCAL
        if name in self.captured:
            return self.captured[name]
        if name in self.function.__globals__:
            return self.function.__globals__[name]
        return getattr(builtins, name, MISSING)

    def resolve(self, node: ast.expr) -> Any:
        """What a name or a chain of attributes stands for, or LOCAL, UNKNOWN or MISSING."""
        if isinstance(node, ast.Name):
            return self.lookup(node.id)
        if not isinstance(node, ast.Attribute):
            return UNKNOWN
        owner = self.resolve(node.value)
        if owner is LOCAL or owner is MISSING:
            return owner if owner is LOCAL else UNKNOWN
        if isinstance(owner, ModuleType | type):
            return getattr(owner, node.attr, UNKNOWN)
        return UNKNOWN

    def type_of(self, node: ast.expr) -> Any:
        """The declared type of an expression, as far as annotations tell; else None."""
        if isinstance(node, ast.Name):
            if node.id in self.types:
                return self.types[node.id]
            value = self.lookup(node.id)
            return None if _is_open(value) else _class_of(value)
        if isinstance(node, ast.Attribute):
            value = self.resolve(node)
            if not _is_open(value):
                return _class_of(value)
            return attribute_type(self.type_of(node.value), node.attr)
        if isinstance(node, ast.Call):
            made = self.resolve(node.func)
            found: Any = made if isinstance(made, type) else None
            return found
        if isinstance(node, ast.Constant):
            return _class_of(node.value)
        return None


def _is_open(value: object) -> bool:
    return value is LOCAL or value is UNKNOWN or value is MISSING


def _class_of(value: object) -> Any:
    return type(value)


def attribute_type(owner: Any, name: str) -> Any:
    """The annotated type of an attribute of a class; None where there is none."""
    cls = typing.get_origin(owner) or owner
    if not isinstance(cls, type):
        return None
    try:
        hints: Mapping[str, Any] = typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        return None
    if name in hints:
        return hints[name]
    found = getattr(cls, name, None)
    if isinstance(found, property) and isinstance(found.fget, FunctionType):
        return found.fget.__annotations__.get("return")
    return None


def root_name(node: ast.expr) -> str | None:
    """The name that a chain of attributes and subscripts begins with: `c` in ``c.items[0].name``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
