"""The language in which runs are found: text or Python values, one tree of frozen values either way.

`tree` has the values and how they are written in Python, `reading` makes them of text, `writing` text of
them, and `meaning` holds them against what machines declare and says what a journal has to search for.
"""

from continuum_core.query.meaning import Schema, compiled, declared, schema_of
from continuum_core.query.reading import parse
from continuum_core.query.tree import (
    Ago,
    And,
    Compare,
    Exists,
    In,
    Literal,
    Not,
    Or,
    RunQuery,
    SortBy,
    Term,
    field,
)
from continuum_core.query.writing import write

__all__ = [
    "Ago",
    "And",
    "Compare",
    "Exists",
    "In",
    "Literal",
    "Not",
    "Or",
    "RunQuery",
    "Schema",
    "SortBy",
    "Term",
    "compiled",
    "declared",
    "field",
    "parse",
    "schema_of",
    "write",
]
