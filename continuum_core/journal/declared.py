"""What a journal's handle can do beyond the port: the one place where that is asked.

Rule: *declared, never detected.* A handle says in `capabilities` what its backend declares; `connect` notes
it on one that does not say. What was not declared is not used, though the verbs be there: they may be half
written. A handle that nobody says anything of (it came from no backend) can do what it has the verbs of, and
nothing that shows in no verb.

A handle that wraps another and passes attributes on can do what the other can. Blobs are the exception: there
the handle's own class is asked. What seals payloads, or does something else to them, must not have them taken
away outside of itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from continuum_core.journal.protocol import Capability, Journal

__all__ = ["VERBS", "can", "declare", "declared", "is_set", "lacking", "sibling_of"]

VERBS: Mapping[str, tuple[str, ...]] = {
    Capability.TRANSACTIONS: ("within", "check_kind", "transaction"),
    Capability.GAUGES: ("gauges",),
    Capability.CARRIES: ("carrier",),
    Capability.SEARCH: ("searcher",),
    Capability.REPLIES: ("replies",),
    Capability.CREWS: ("members",),
    Capability.BLOBS: ("keep_blobs", "fetch_blobs"),
    Capability.LOOKS: ("look",),
    Capability.PRESENCE: ("present", "presence"),
}
"""Capability → what handles have for it beside `Journal`. The others show in no verb of their own."""

_OF_ITSELF = frozenset({Capability.BLOBS})

J = TypeVar("J")


def is_set(value: object) -> bool:
    """Whether something may be a declaration: a text, say, is none, though it can be gone through."""
    return isinstance(value, frozenset | set)


def declared(journal: object) -> frozenset[str] | None:
    """What is declared of a handle; None where nobody has said."""
    found: Any = getattr(journal, "capabilities", None)
    if not is_set(found):
        return None
    said: frozenset[str] = frozenset(found)
    return said


def declare(journal: J, capabilities: Collection[str] | None) -> J:
    """The handle, on which it is noted what its backend declares; what it says of itself stands.

    One that lets nothing be noted (slots) stays one that nobody says anything of.
    """
    if capabilities is not None and declared(journal) is None:
        noted: Any = journal
        with contextlib.suppress(AttributeError, TypeError):
            noted.capabilities = frozenset(capabilities)
    return journal


def sibling_of(journal: Journal) -> Journal:
    """Another handle on the same store, of which the same is noted."""
    return declare(journal.sibling(), declared(journal))


def can(journal: object, capability: str) -> bool:
    """Whether a handle has what the capability stands for."""
    said = declared(journal)
    if said is not None and capability not in said:
        return False
    verbs = VERBS.get(capability)
    if verbs is None:
        return said is not None
    own = capability not in _OF_ITSELF or all(hasattr(type(journal), verb) for verb in verbs)
    return own and not _missing(journal, verbs)


def lacking(journal: object, capabilities: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Capability → the verbs that a handle would need for it and has not."""
    found = {name: _missing(journal, VERBS.get(name, ())) for name in sorted(capabilities)}
    return {name: verbs for name, verbs in found.items() if verbs}


def _missing(journal: object, verbs: Collection[str]) -> tuple[str, ...]:
    return tuple(verb for verb in verbs if not callable(getattr(journal, verb, None)))
