"""As much ECMAScript as the suites use: expressions, assignment, var, if, return, functions.

Source becomes closures over a scope; nothing is translated to Python source. `null` is None,
`undefined` is `UNDEFINED`, objects are dicts, arrays lists. What is not known is a syntax error.
"""

from __future__ import annotations

import json
import math
import re
from collections import ChainMap
from collections.abc import Callable, MutableMapping
from typing import Any

import attrs

Scope = MutableMapping[str, Any]
Code = Callable[[Scope], Any]


class ScriptError(Exception):
    """A syntax, reference or type error of a script."""


class _Undefined:
    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED = _Undefined()


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*|/\*.*?\*/)*(?:
      (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<name>[A-Za-z_$][\w$]*)
    | (?P<mark>===|!==|==|!=|<=|>=|&&|\|\||\+\+|--|\+=|-=|[-+*/%<>!?:.,;(){}\[\]=])
    | (?P<end>$))""",
    re.VERBOSE | re.DOTALL,
)
_LEVELS = (
    ("||",),
    ("&&",),
    ("===", "!==", "==", "!="),
    ("<", ">", "<=", ">=", "instanceof"),
    ("+", "-"),
    ("*", "/", "%"),
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_CONSTANTS = {"true": True, "false": False, "null": None, "undefined": UNDEFINED, "NaN": math.nan}


def expression(source: str) -> Code:
    """The code of one expression. Raises ScriptError."""
    parser = _Parser(source)
    code = parser.comma()
    parser.expect("")
    return code


def program(source: str) -> Code:
    """The code of statements. Raises ScriptError."""
    parser = _Parser(source)
    body = []
    while parser.peek() != "":
        body.append(parser.statement())
    return _sequence(body)


def truthy(value: Any) -> bool:
    """ECMAScript's ToBoolean."""
    if isinstance(value, list | dict):
        return True
    return bool(value) and value == value


def text_of(value: Any) -> str:
    """ECMAScript's ToString."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class _Parser:
    def __init__(self, source: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while True:
            match = _TOKEN.match(source, at)
            if match is None:
                raise ScriptError(f"unexpected character at {at} of {source!r}")
            kind = match.lastgroup or "end"
            self.tokens.append((kind, match.group(kind)))
            if kind == "end":
                break
            at = match.end()
        self.at = 0

    def peek(self) -> str:
        kind, text = self.tokens[self.at]
        return "'" if kind == "string" else text

    def take(self) -> tuple[str, str]:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, *marks: str) -> str | None:
        if self.tokens[self.at][0] in ("mark", "name") and self.tokens[self.at][1] in marks:
            return self.take()[1]
        return None

    def expect(self, mark: str) -> None:
        if self.tokens[self.at][1] != mark or self.tokens[self.at][0] == "string":
            raise ScriptError(f"expected {mark!r}, found {self.tokens[self.at][1]!r}")
        if mark:
            self.at += 1

    def name(self) -> str:
        kind, text = self.take()
        if kind != "name" or text in _CONSTANTS:
            raise ScriptError(f"expected a name, found {text!r}")
        return text

    # statements

    def statement(self) -> Code:
        if self.accept(";"):
            return lambda _: UNDEFINED
        if self.accept("var"):
            return self._var()
        if self.accept("function"):
            return self._function()
        if self.accept("if"):
            return self._if()
        if self.accept("return"):
            value = self.comma()
            self.accept(";")
            return _return(value)
        if self.accept("{"):
            return self._block()
        code = self.comma()
        self.accept(";")
        return code

    def _block(self) -> Code:
        body = []
        while not self.accept("}"):
            body.append(self.statement())
        return _sequence(body)

    def _var(self) -> Code:
        name = self.name()
        value = self.assignment() if self.accept("=") else None
        self.accept(";")

        def run(scope: Scope) -> Any:
            # A fresh binding in the innermost scope, which hides outer ones.
            made = UNDEFINED if value is None else value(scope)
            (scope.maps[0] if isinstance(scope, ChainMap) else scope)[name] = made
            return made

        return run

    def _if(self) -> Code:
        self.expect("(")
        condition = self.comma()
        self.expect(")")
        then = self.statement()
        other = self.statement() if self.accept("else") else None

        def run(scope: Scope) -> Any:
            if truthy(condition(scope)):
                return then(scope)
            return other(scope) if other else UNDEFINED

        return run

    def _function(self) -> Code:
        name = self.name()
        self.expect("(")
        parameters = []
        while not self.accept(")"):
            parameters.append(self.name())
            self.accept(",")
        self.expect("{")
        body = self._block()

        def declare(scope: Scope) -> Any:
            def call(*arguments: Any) -> Any:
                given = dict.fromkeys(parameters, UNDEFINED) | dict(zip(parameters, arguments, strict=False))
                try:
                    body(ChainMap(given, scope))
                except _Return as returned:
                    return returned.value
                return UNDEFINED

            scope[name] = call
            return call

        return declare

    # expressions

    def comma(self) -> Code:
        code = self.assignment()
        while self.accept(","):
            code = _sequence([code, self.assignment()])
        return code

    def assignment(self) -> Code:
        start = self.at
        left = self._conditional()
        if self.accept("="):
            target = self.tokens[start : self.at - 1]
            value = self.assignment()
            if len(target) != 1 or target[0][0] != "name" or target[0][1] in _CONSTANTS:
                raise ScriptError("invalid assignment target")
            return _assign(target[0][1], value)
        return left

    def _conditional(self) -> Code:
        condition = self._binary(0)
        if not self.accept("?"):
            return condition
        then = self.assignment()
        self.expect(":")
        other = self.assignment()
        return lambda scope: then(scope) if truthy(condition(scope)) else other(scope)

    def _binary(self, level: int) -> Code:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while operator := self.accept(*_LEVELS[level]):
            left = _operation(operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> Code:
        operator = self.accept("!", "-", "+", "typeof")
        if operator is None:
            return self._postfix()
        operand = self._unary()
        if operator == "!":
            return lambda scope: not truthy(operand(scope))
        if operator == "typeof":
            return lambda scope: _type_name(operand(scope))
        return (lambda scope: -operand(scope)) if operator == "-" else operand

    def _postfix(self) -> Code:
        code = self._primary()
        while mark := self.accept(".", "[", "("):
            if mark == ".":
                code = _member(code, _constant(self.name()))
            elif mark == "[":
                code = _member(code, self.comma())
                self.expect("]")
            else:
                code = _call(code, self._list(")"))
        return code

    def _list(self, end: str) -> list[Code]:
        items = []
        while not self.accept(end):
            items.append(self.assignment())
            if self.peek() != end:
                self.expect(",")
        return items

    def _primary(self) -> Code:
        kind, text = self.take()
        if kind == "number":
            return _constant(float(text) if re.search(r"[.eE]", text) else int(text))
        if kind == "string":
            return _constant(_unquote(text))
        if text == "(":
            code = self.comma()
            self.expect(")")
            return code
        if text == "[":
            items = self._list("]")
            return lambda scope: [item(scope) for item in items]
        if text == "{":
            return self._object()
        if kind == "name" and text in _CONSTANTS:
            return _constant(_CONSTANTS[text])
        if kind == "name":
            return _lookup(text)
        raise ScriptError(f"unexpected {text!r}")

    def _object(self) -> Code:
        members: list[tuple[str, Code]] = []
        while not self.accept("}"):
            kind, text = self.take()
            key = _unquote(text) if kind == "string" else text
            self.expect(":")
            members.append((key, self.assignment()))
            if self.peek() != "}":
                self.expect(",")
        return lambda scope: {key: value(scope) for key, value in members}


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match.group(1), match.group(1)), text[1:-1])


def _sequence(body: list[Code]) -> Code:
    def run(scope: Scope) -> Any:
        value: Any = UNDEFINED
        for code in body:
            value = code(scope)
        return value

    return run


def _constant(value: Any) -> Code:
    return lambda _: value


def _return(value: Code) -> Code:
    def run(scope: Scope) -> Any:
        raise _Return(value(scope))

    return run


def _assign(name: str, value: Code) -> Code:
    def run(scope: Scope) -> Any:
        made = value(scope)
        owner = scope
        if isinstance(scope, ChainMap):
            owner = next((inner for inner in scope.maps if name in inner), scope.maps[-1])
        owner[name] = made
        return made

    return run


def _lookup(name: str) -> Code:
    def run(scope: Scope) -> Any:
        if name in scope:
            return scope[name]
        if name in _GLOBALS:
            return _GLOBALS[name]
        raise ScriptError(f"{name} is not defined")

    return run


def _member(owner: Code, key: Code) -> Code:
    def run(scope: Scope) -> Any:
        value, name = owner(scope), key(scope)
        if value is None or value is UNDEFINED:
            raise ScriptError(f"cannot read {name!r} of {value!r}")
        if isinstance(value, dict):
            return value.get(name, UNDEFINED)
        if isinstance(value, list) and isinstance(name, int):
            return value[name] if 0 <= name < len(value) else UNDEFINED
        if name == "length" and isinstance(value, list | str):
            return len(value)
        if attrs.has(type(value)) and name in attrs.fields_dict(type(value)):
            return getattr(value, name)
        return UNDEFINED

    return run


def _call(function: Code, arguments: list[Code]) -> Code:
    def run(scope: Scope) -> Any:
        called = function(scope)
        if not callable(called):
            raise ScriptError(f"{called!r} is not a function")
        return called(*[argument(scope) for argument in arguments])

    return run


def _operation(operator: str, left: Code, right: Code) -> Code:
    if operator == "||":
        return lambda scope: value if truthy(value := left(scope)) else right(scope)
    if operator == "&&":
        return lambda scope: right(scope) if truthy(value := left(scope)) else value
    if operator == "instanceof":
        return lambda scope: isinstance(left(scope), right(scope))
    compute = _OPERATIONS[operator]
    return lambda scope: compute(left(scope), right(scope))


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left) + text_of(right)
    return left + right


def _divide(left: Any, right: Any) -> Any:
    return left / right if right else math.nan


def _strict(left: Any, right: Any) -> bool:
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        return left is right
    return _type_name(left) == _type_name(right) and bool(left == right)


def _loose(left: Any, right: Any) -> bool:
    empty = (None, UNDEFINED)
    if left in empty or right in empty:
        return left in empty and right in empty
    if isinstance(left, str) != isinstance(right, str):
        try:
            return float(left) == float(right)
        except (TypeError, ValueError):
            return False
    return bool(left == right)


def _type_name(value: Any) -> str:
    if value is UNDEFINED:
        return "undefined"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "function" if callable(value) else "object"


def _is_nan(value: Any) -> bool:
    try:
        return math.isnan(float(value))
    except (TypeError, ValueError):
        return True


def _stringify(value: Any) -> str:
    return json.dumps(value, default=lambda other: attrs.asdict(other) if attrs.has(type(other)) else None)


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": lambda left, right: math.fmod(left, right),
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "===": _strict,
    "!==": lambda left, right: not _strict(left, right),
    "==": _loose,
    "!=": lambda left, right: not _loose(left, right),
}
_GLOBALS: dict[str, Any] = {
    "Math": {"pow": lambda base, exponent: base**exponent, "floor": math.floor, "abs": abs},
    "JSON": {"stringify": _stringify},
    "isNaN": _is_nan,
    "Array": list,
    "Object": dict,
}
