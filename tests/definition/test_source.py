"""Functions are found exactly, and their normalised source says what they do and nothing else."""

import ast
import linecache
from types import FunctionType
from typing import Any

import pytest

from continuum_core.definition.source import canonical, label, locate
from tests.definition import twins


def body(function: Any) -> str:
    node = locate(function)
    assert isinstance(node, ast.Lambda)
    return ast.unparse(node.body)


@pytest.mark.parametrize(
    ("functions", "bodies"),
    [
        (twins.PAIR, ["c.value > 1", "c.value > 2"]),
        (twins.NESTED, ["(lambda d: d.value)(c)", "c.value"]),
        (twins.SAME, ["c.value", "c.value"]),
        (twins.PARENTHESISED, ["c.value", "c.value + 1"]),
        (twins.CONSTANT, ["True", "False"]),
    ],
)
def test_lambdas_on_one_line_are_told_apart(functions: tuple[Any, ...], bodies: list[str]) -> None:
    assert [body(each) for each in functions] == bodies


def test_without_columns_nothing_is_guessed() -> None:
    code = twins.PAIR[0].__code__
    bare = FunctionType(code.replace(co_linetable=b""), vars(twins))
    assert isinstance(locate(bare), str)


def test_a_function_without_source_says_so() -> None:
    names: dict[str, Any] = {}
    exec("f = lambda c: c", names)  # noqa: S102  # stands for a prompt
    assert locate(names["f"]) == "there is no source text for <string>"
    assert label(names["f"]) == "λ"


def test_a_changed_file_is_noticed() -> None:
    name = "<made up>"
    linecache.cache[name] = (1, None, ["f = lambda c: c\n"], name)
    names: dict[str, Any] = {}
    exec(compile("f = lambda c: c", name, "exec"), names)  # noqa: S102
    assert not isinstance(locate(names["f"]), str)
    linecache.cache[name] = (1, None, ["f = lambda other: 1\n"], name)
    assert "no longer shows it" in str(locate(names["f"]))
    del linecache.cache[name]


def test_labels_are_short() -> None:
    assert label(twins.PAIR[0]) == "c.value > 1"
    assert label(twins.documented) == "documented"
    long = lambda c: c.value + c.value + c.value + c.value + c.value + c.value + c.value  # noqa: E731
    assert label(long) == "c.value + c.value + c.value + c.value + c.value + c.value +…"


def test_the_normal_form_is_pinned() -> None:
    """Stored fingerprints hang on it: a change here makes every stored definition another one."""
    assert isinstance(twins.documented, FunctionType)
    node = locate(twins.documented)
    assert not isinstance(node, str)
    assert canonical(node) == (
        "FunctionDef(name='documented',args=arguments(args=[arg(arg='c')]),body=[Return(value=Compare("
        "left=Attribute(value=Name(id='c'),attr='value'),ops=[Gt()],comparators=[Constant(value=1)]))])"
    )


@pytest.mark.parametrize(
    "text", ["f'{c!r:>{n}} {n}'", "(c, *c)", "{**c}", "c[1:2, ...]", "-1.5j", "b'x' or u'x'", "x := 1"]
)
def test_layout_leaves_no_trace(text: str) -> None:
    plain = ast.parse(f"({text})", mode="eval")
    spread = ast.parse(f"(\n  # said\n  ({text})\n)", mode="eval")
    assert canonical(plain) == canonical(spread)
