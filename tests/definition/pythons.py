"""Functions whose canonical forms must be the same on every Python, and a program that prints them.

``python pythons.py SOURCE`` loads `definition/source.py` by its path, for other Pythons here have no
dependencies installed, and prints one JSON object: function → hash of its canonical form.
"""

import functools
import importlib.util
import json
import sys
from collections.abc import Callable
from hashlib import blake2b
from typing import Any


def plain(c: Any, e: Any) -> Any:
    """A docstring that leaves no trace."""
    return c + e.amount  # nor does a comment


def annotated(c: int, e: "int") -> "int":
    total: int = c + 1
    return total


def strings(c: Any, e: Any) -> Any:
    name = f"{c!r:>10} and {e.name:{c}}" "joined" r"\raw"
    return name, b"bytes", "old"


def matched(c: Any, e: Any) -> Any:
    match e:
        case {"kind": "a", **rest} if rest:
            return rest
        case [first, *others]:
            return first, others
        case str() | int(real=1):
            return -1
        case _:
            return None


def comprehended(c: Any, e: Any) -> Any:
    pairs = {k: [v for v in vs if v > 0] for k, vs in c.items()}
    return sum(1 for _ in pairs), {*c}, tuple(x for x in c), [*c, *e]


def guarded(c: Any, e: Any, *, limit: int = 3, **more: Any) -> Any:
    try:
        return c[e] if e in c else (lambda x, /, y=2: x * y)(limit)
    except (KeyError, IndexError) as error:
        raise ValueError("no") from error
    finally:
        more.clear()


def walrus(c: Any, e: Any) -> Any:
    if ((n := len(c)) > 10 and not e) or n < -1:
        return n
    with c as d, e as f:
        return d @ f // 2**3 << 1 & ~7
    return ...


two = (lambda c: c.total > 10_000, lambda c: c.total >= 10_000)
wrapped = functools.partial(
    lambda c, e: (
        c.total  # laid out
        + 0x10
        + 1_0.5e1
    ),
    1,
).func
nested = (lambda c: lambda d: [d for d in c if d],)

CORPUS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (plain, annotated, strings, matched, comprehended, guarded, walrus)},
    "first of two": two[0],
    "second of two": two[1],
    "laid out": wrapped,
    "nested": nested[0],
}


def main(source: str) -> None:
    spec = importlib.util.spec_from_file_location("source", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {}
    for name, function in CORPUS.items():
        node = module.locate(function)
        text = node if isinstance(node, str) else module.canonical(node)
        found[name] = blake2b(text.encode(), digest_size=8).hexdigest()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
