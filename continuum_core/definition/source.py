"""A function's own source: found exactly, shortened for drawings, normalised for the fingerprint.

Two lambdas on one line have the same first line; they are told apart by the columns that the
compiler left in the code object. Where that is not to be had (a prompt, byte code only, columns
switched off), `locate` says why, and nothing is guessed.
"""

from __future__ import annotations

import ast
import functools
import linecache
from types import CodeType, FunctionType, MethodType
from typing import cast

__all__ = ["Definition", "canonical", "label", "locate", "plain_function"]

Definition = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef
Position = tuple[int, int]  # line and column

_LONGEST_LABEL = 60
_LAMBDA = "<lambda>"
# Fields that say how something was written, or that only newer Pythons know, and not what it does.
_SILENT = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params", "annotation", "returns"})


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


def locate(function: FunctionType) -> Definition | str:
    """The syntax tree of a function's definition, or a sentence on why it is not to be had."""
    code = function.__code__
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    if not text:
        return f"there is no source text for {code.co_filename}"
    try:
        lines = _definitions(text)
    except SyntaxError:
        return f"the source text of {code.co_filename} is not Python"
    fitting = [node for node in lines.get(code.co_firstlineno, ()) if _fits(node, code)]
    if len(fitting) > 1:
        fitting = _innermost(fitting, *_span(code))
    if len(fitting) != 1:
        return f"{code.co_filename}:{code.co_firstlineno} no longer shows it, or shows several like it"
    return fitting[0]


@functools.lru_cache(maxsize=64)
def _definitions(text: str) -> dict[int, list[Definition]]:
    """All functions of a module, by the line on which their code object says that they begin."""
    found: dict[int, list[Definition]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Lambda):
            found.setdefault(node.lineno, []).append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found.setdefault(first, []).append(node)
    return found


def _fits(node: Definition, code: CodeType) -> bool:
    name = _LAMBDA if isinstance(node, ast.Lambda) else node.name
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    return name == code.co_name and tuple(names) == code.co_varnames[:count]


def _innermost(nodes: list[Definition], start: Position, end: Position) -> list[Definition]:
    """The smallest function around a span; branches that were folded away make spans shorter."""
    around = [node for node in nodes if _extent(node)[0] <= start and end <= _extent(node)[1]]
    first = max((_extent(node)[0] for node in around), default=start)
    return [node for node in around if _extent(node)[0] == first]


def _extent(node: Definition) -> tuple[Position, Position]:
    first = node.body if isinstance(node, ast.Lambda) else node.body[0]
    last = node.body if isinstance(node, ast.Lambda) else node.body[-1]
    end = (last.end_lineno or last.lineno, last.end_col_offset or last.col_offset)
    return (first.lineno, first.col_offset), end


def _span(code: CodeType) -> tuple[Position, Position]:
    """First and last position of the body's instructions; those of the prologue have no width."""
    starts: list[Position] = []
    ends: list[Position] = []
    for line, end_line, column, end_column in code.co_positions():
        if line is None or end_line is None or column is None or end_column is None:
            continue
        if (line, column) != (end_line, end_column):
            starts.append((line, column))
            ends.append((end_line, end_column))
    return (min(starts), max(ends)) if starts else ((0, 0), (0, 0))


def label(function: object) -> str:
    """A short text for drawings: the body of a lambda, the name of anything else."""
    name = str(getattr(function, "__name__", type(function).__name__))
    if not isinstance(function, FunctionType) or name != _LAMBDA:
        return name
    node = locate(function)
    if not isinstance(node, ast.Lambda):
        return "λ"
    text = ast.unparse(node.body)
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1].rstrip() + "…"


def canonical(node: ast.AST) -> str:
    """The syntax tree as text: the same for every layout, comment, annotation and Python version.

    Empty and absent fields are left out, so that a field that a newer Python adds changes nothing.
    """
    parts: list[str] = []
    for name, value in ast.iter_fields(node):
        if name in _SILENT or (name == "decorator_list" and not value):
            continue
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            value = _without_docstring(node.body)
        if isinstance(node, ast.JoinedStr):
            value = [each for each in node.values if not _is_empty(each)]
        text = _field(value)
        if text:
            parts.append(f"{name}={text}")
    return f"{type(node).__name__}({','.join(parts)})"


def _field(value: object) -> str:
    if isinstance(value, ast.AST):
        return canonical(value)
    if isinstance(value, list):
        items = cast("list[object]", value)
        return f"[{','.join(_field(each) or '-' for each in items)}]" if items else ""
    return "" if value is None else repr(value)


def _is_empty(part: ast.expr) -> bool:
    """Whether a part of an f-string is no text at all: Python 3.12 ends nested formats with such."""
    return isinstance(part, ast.Constant) and part.value == ""


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return body[1:] if isinstance(first.value.value, str) else body
    return body
