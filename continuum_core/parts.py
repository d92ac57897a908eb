"""A history in its parts: a migration ends one and begins the next.

All records of a part ran under one definition and those that it adopted the run from.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from continuum_core.journal.records import Record, RecordKind
from continuum_core.mapper import decode_migration, upgrade_word

__all__ = ["Arrival", "Part", "parts"]


@frozen
class Arrival:
    """A migration as a history tells it: the record, and of its body what a fold needs.

    :ivar since: the fingerprint that the run had.
    :ivar before: its snapshot, and `after` the one that it became.
    :ivar event: what came, as a word.
    """

    record: Record
    since: str
    before: bytes
    after: bytes
    event: str

    @property
    def version(self) -> int:
        return self.record.version


@frozen
class Part:
    """Records between two migrations."""

    since: Arrival | None
    records: tuple[Record, ...]
    until: Arrival | None


def parts(records: Sequence[Record]) -> list[Part]:
    """One part where the run was never migrated. Raises UnknownVersion."""
    found: list[Part] = []
    since: Arrival | None = None
    under_way: list[Record] = []
    for record in records:
        if record.kind is not RecordKind.MIGRATION:
            under_way.append(record)
            continue
        body = decode_migration(record)
        until = Arrival(record, body.since, bytes(body.before), bytes(body.after), upgrade_word(body))
        found.append(Part(since, tuple(under_way), until))
        since, under_way = until, []
    return [*found, Part(since, tuple(under_way), None)]
