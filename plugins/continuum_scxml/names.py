"""Names from files as names in Python: every one becomes a plain identifier, unique, and shadows nothing.

What a file says is a stranger's text. Where it stands in generated code it is an identifier made here, or a
literal in a comment or a call, written by `literal`; it is never code.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["Names", "literal", "machine_name", "string"]

_LONGEST = 60
_SHOWN = 200
# What the code of a skeleton itself uses; a state may well be called `open` or `type`.
_USED = ("bool", "object", "staticmethod", "str", "tuple")
_RESERVED = frozenset(
    {*keyword.kwlist, *_USED, *(name for name in dir(builtins) if name[0].isupper()), "annotations"}
)


class Names:
    """Hands out identifiers, each once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {*_RESERVED, *taken}
        self._numbers: dict[str, int] = {}  # how far a name was counted: a file may have a thousand of one

    def state(self, text: str) -> str:
        """A name as the text has it: of states, functions, activities."""
        return self._free(_identifier(text) or "state")

    def type(self, text: str) -> str:
        """A name with capitals, such as ``OrderPaid`` for ``order.paid``: of classes."""
        plain = _identifier(text)
        if plain == text and plain[:1].isupper():
            return self._free(plain)
        joined = "".join(word[:1].upper() + word[1:] for word in plain.split("_") if word)
        return self._free(_identifier(joined) or "Event")

    def _free(self, name: str) -> str:
        free, number = name, self._numbers.get(name, 1)
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._numbers[name] = number
        self._taken.add(free)
        return free


def _identifier(text: str) -> str:
    """The characters of a text that an identifier may have, others as underscores; "" where none is left.

    Normalised, as Python itself reads names: two that differ before would be one after.
    """
    if text.isidentifier() and text[0] != "_" and len(text) <= _LONGEST and text.isascii():
        return text
    kept = "".join(c if f"a{c}".isidentifier() else "_" for c in unicodedata.normalize("NFKC", text[:500]))
    name = re.sub("__+", "_", kept).strip("_")[:_LONGEST].strip("_")
    return f"s_{name}" if name and not name.isidentifier() else name


def literal(text: str) -> str:
    """A text as a literal of one line, shortened: nothing in it can end a comment or a string."""
    return string(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def string(text: str) -> str:
    """A text as a literal, whole; in double quotes where that needs no escapes."""
    made = repr(text)
    return f'"{made[1:-1]}"' if made[0] == "'" and '"' not in made else made


def machine_name(text: str) -> str:
    """A text as the stored name of a machine."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")
    return kept[:100] or "machine"
