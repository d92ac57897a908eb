"""Which names of a function hold values that others see, so that to change them is no affair of its own.

Arguments are such values, and everything captured; a local is one as long as it is another name of one. Names
follow assignments in the order in which they are read.
"""

from __future__ import annotations

import ast
from types import MethodType
from typing import Any

from continuum_core.definition.scope import LOCAL, Scope, root_name
from continuum_core.definition.source import plain_function

__all__ = ["Sharing"]


class Sharing:
    """The names of one function; `names` are those that stand for its caller's values."""

    def __init__(self, scope: Scope, names: frozenset[str]) -> None:
        self._scope = scope
        self.names = set(names)

    def holds(self, node: ast.expr) -> bool:
        """Whether an expression is, or is part of, a value that others see."""
        name = root_name(node)
        if name is None:
            return False
        return name in self.names or self._scope.lookup(name) is not LOCAL

    def alias(self, target: ast.expr, value: ast.expr) -> None:
        """Let the names of a target stand for what a value is."""
        names = [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]
        if self.holds(value):
            self.names.update(names)
        else:
            self.names.difference_update(names)
        if isinstance(target, ast.Name):
            self._scope.types[target.id] = self._scope.type_of(value)

    def tainted(self, value: Any, call: ast.Call | None, skip: int = 0) -> frozenset[str] | None:
        """The parameters of a called function that receive values which others see; None: not called.

        :param skip: how many of its parameters the call does not give: 1 for a method's own.
        """
        function = plain_function(value)
        if call is None or function is None or any(isinstance(each, ast.Starred) for each in call.args):
            return None
        bound = 1 if isinstance(value, MethodType) else skip
        names = function.__code__.co_varnames[bound : function.__code__.co_argcount]
        given = [*zip(names, call.args, strict=False), *((each.arg, each.value) for each in call.keywords)]
        return frozenset(name for name, argument in given if name and self.holds(argument))
