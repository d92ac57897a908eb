"""Attributes of runs, written in the transaction of the start, turn or order that carries them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from uuid import UUID

from continuum_core.journal.attributes import Attribute
from continuum_sqlite.statements.attributes import ADD_ATTRIBUTE, ATTRIBUTES_OF_RUN, DROP_ATTRIBUTE
from continuum_sqlite.transaction import Transaction

__all__ = ["describe", "described"]


def describe(transaction: Transaction, run_id: UUID, attributes: Iterable[Attribute]) -> None:
    """Let the run have these attributes from now on; others stay."""
    for attribute in attributes:
        name = (transaction.ns, run_id.bytes, attribute.name)
        transaction.execute(DROP_ATTRIBUTE, name)
        transaction.executemany(ADD_ATTRIBUTE, [(*name, key) for key in attribute.keys])


def described(transaction: Transaction, run_id: UUID) -> tuple[Attribute, ...]:
    """The attributes of a run, by name."""
    found = transaction.execute(ATTRIBUTES_OF_RUN, (transaction.ns, run_id.bytes)).fetchall()
    named = groupby(found, key=lambda row: row[0])
    return tuple(Attribute(name, tuple(key for _, key in rows)) for name, rows in named)
