"""What runs of a machine can be found by, as declared: names, types and pure functions of the context.

A type is kept as one of four kinds. Values of one kind are compared with each other, whatever machine they
are of: whole, decimal and floating numbers alike.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from continuum_core.definition.bench import Bench, function
from continuum_core.definition.chart import SearchAttribute
from continuum_core.definition.draft import AttributeDraft, Node

__all__ = ["FIELDS", "WORDS", "attributes", "kind_of", "plain"]

FIELDS = frozenset(
    {"fingerprint", "key", "machine", "parent", "root", "started", "state", "status", "updated", "version"}
)
"""What every run can be asked for, without being declared."""

WORDS = frozenset({"and", "asc", "by", "desc", "exists", "false", "in", "not", "now", "or", "sort", "true"})
"""The words of the query language."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_KINDS: dict[type, str] = {
    str: "text",
    int: "number",
    float: "number",
    Decimal: "number",
    bool: "flag",
    datetime: "time",
}


def kind_of(tp: Any) -> str | None:
    """What a type is kept as: text, number, flag or time; None for one that cannot be searched."""
    if isinstance(tp, type) and issubclass(tp, Enum):
        held: list[object] = [plain(member) for member in tp]
        kinds = {_KINDS.get(type(each)) for each in held}
        return kinds.pop() if len(kinds) == 1 else None
    return _KINDS.get(tp) if isinstance(tp, type) else None


def plain(value: Any) -> Any:
    """A value as it is kept: of an Enum's member its value, if that is a text or a number, else its name."""
    if not isinstance(value, Enum):
        return value
    held: Any = value.value
    if isinstance(held, str):
        return str.__str__(held)
    return int(held) if isinstance(held, int) and not isinstance(held, bool) else value.name


def attributes(bench: Bench, top: Node) -> tuple[SearchAttribute, ...]:
    """The declared attributes that can be used; faults of the others are noted."""
    found: dict[str, SearchAttribute] = {}
    for draft in top.attributes:
        where = f"attribute({draft.name!r})"
        if not _named(bench, where, draft):
            continue
        if draft.name in found:
            bench.fault("C702", where, "it is declared twice", "Keep one of them", draft.place)
            continue
        kind = kind_of(draft.type)
        if kind is None:
            shown = getattr(draft.type, "__name__", repr(draft.type))
            remedy = "Use str, int, float, Decimal, bool, datetime, or an Enum of texts or whole numbers"
            bench.fault("C703", where, f"values of {shown} have no order", remedy, draft.place)
            continue
        of = None
        if draft.of is not None:
            of = function(bench, draft.of, f"{where} of=", draft.place, (top.context_type,))
            if of is None:
                continue
        found[draft.name] = SearchAttribute(draft.name, kind, of, draft.place)
    return tuple(found.values())


def _named(bench: Bench, where: str, draft: AttributeDraft) -> bool:
    name = draft.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        remedy = "Use letters, digits and underscores, such as total"
        bench.fault("C701", where, f"{name!r} is no name", remedy, draft.place)
        return False
    if name in FIELDS or name.lower() in WORDS:
        what = f"{name!r} means something in queries already"
        remedy = f"Use another name, such as {name}_value"
        if name == "state":
            remedy = "Call index_states(), which keeps the states that runs are in"
        bench.fault("C701", where, what, remedy, draft.place)
        return False
    return True
