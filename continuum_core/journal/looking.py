"""Optional: a journal that can be opened by who only looks, or works on what is there.

A backend that declares `Capability.LOOKS` gives handles that are `Looking`. Opened so, a handle makes no
store, no table and no namespace, and migrates nothing: a name that was mistyped must not become an empty
journal, and a newer release on somebody's desk must not bring the schema forward under all workers.

Rule: what is not there is refused with `JournalMissing`, for an empty answer would pass for a true one. A
namespace is part of a journal's name: where nobody ever opened it there is nothing, either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast
from uuid import UUID

from continuum_core.errors import IncompatibleJournal, JournalMissing
from continuum_core.journal.carrying import RestoreOutcome, RunImage
from continuum_core.journal.commit import Inspection
from continuum_core.journal.declared import can, sibling_of
from continuum_core.journal.protocol import Capability, Journal, Opened
from continuum_core.journal.records import Definition, Run

__all__ = ["Looking", "Nothing", "behind", "existing", "looking", "missing"]


class Looking(Protocol):
    """What a handle has beside `Journal`, of a backend that declares `Capability.LOOKS`."""

    async def look(self) -> Opened:
        """Open what is there, for all verbs. A handle that is open already stays as it is.

        Raises JournalMissing where there is no journal, or nobody ever opened the namespace;
        IncompatibleJournal where its schema would have to be brought forward, and what `open` raises.
        """
        ...


def missing(shown: str, namespace: str | None = None) -> JournalMissing:
    """The error for a place without a journal, or for a journal without this namespace."""
    if namespace is None:
        return JournalMissing(
            f"{shown}: there is no journal, and what only looks makes none; name the right place, or start a "
            "worker or a run there"
        )
    return JournalMissing(
        f"{shown}: nobody has opened namespace {namespace!r} there, and what only looks makes none; name the "
        "right one, or start a worker or a run in it"
    )


def behind(shown: str, stated: int, known: int) -> IncompatibleJournal:
    """The error for a schema that whoever looks must not bring forward."""
    return IncompatibleJournal(
        f"{shown}: has schema version {stated}, this release needs {known}, and what only looks brings none "
        "forward: run `continuum migrate`, or use the release of the workers"
    )


def looking(journal: object) -> Looking | None:
    """A journal's handle as one that can look; None where it cannot."""
    return cast(Looking, journal) if can(journal, Capability.LOOKS) else None


def existing(journal: Journal) -> Journal:
    """The handle, whose `open` looks; as it is where its backend does not declare that it can."""
    return journal if looking(journal) is None else cast(Journal, _Existing(journal))


class _Existing:
    """Every verb as it is, but for `open`."""

    def __init__(self, inner: Journal) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def open(self) -> Opened:
        return await cast(Looking, self._inner).look()

    def sibling(self) -> Journal:
        return existing(sibling_of(self._inner))


class Nothing:
    """Stands for a journal that is not there yet, to whoever asks what would become of it in a dry run."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return [None] * len(runs)

    async def inspect(self, _run: UUID) -> Inspection | None:
        return None

    async def definitions(self) -> list[Definition]:
        return []

    def carrier(self) -> Nothing:
        """Itself, for `rehearse` alone."""
        return self

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        """Whatever comes would be new; what its backend may refuse is not known before there is one."""
        return [RestoreOutcome.RESTORED] * len(images)

    async def close(self) -> None:
        """There is nothing to give back."""
