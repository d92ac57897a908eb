"""What a handle can is what was declared of it: by its backend, on itself, and through what wraps it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from continuum_core import Client, Worker
from continuum_core.blobs.journal import with_blobs
from continuum_core.errors import UsageError
from continuum_core.hooks.sealing import Pipeline
from continuum_core.host import Host
from continuum_core.journal.blobs import keeping
from continuum_core.journal.carrying import carrier_of
from continuum_core.journal.connect import connect
from continuum_core.journal.crews import crewed
from continuum_core.journal.declared import VERBS, can, declare, declared, sibling_of
from continuum_core.journal.gauges import gauged
from continuum_core.journal.looking import looking
from continuum_core.journal.presence import vouching
from continuum_core.journal.protocol import MEANINGS, Capability, Journal
from continuum_core.journal.replies import replying
from continuum_core.journal.searching import searcher_of
from continuum_core.journal.transactions import transactional
from continuum_core.sealed.journal import sealed
from continuum_core.testing.faults import Fault, FaultyJournal
from continuum_core.testing.hinted import Hints, hinted
from tests.conformance.strange import WORKING, Install
from tests.hooks.test_codec_shape import Whole
from tests.remembering.machines import Ephemeral, Plain

Wrap = Callable[[Journal], Journal]


class Passing:
    """A handle that wraps another and passes the rest on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def sibling(self) -> Passing:
        return Passing(self._inner.sibling())


def _sealed(inner: Journal) -> Journal:
    return sealed(inner, Pipeline([("test", Whole())]))


def _hinted(inner: Journal) -> Journal:
    return hinted(inner, cast(Host, None), Hints())


def _faulty(inner: Journal) -> Journal:
    return FaultyJournal(inner, lambda _: Fault())


WRAPS: dict[str, Wrap] = {
    "sealed": _sealed,
    "blobs": with_blobs,
    "sealed blobs": lambda inner: _sealed(with_blobs(inner)),
    "faults": _faulty,
    "hinted": _hinted,
    "passing": lambda inner: cast(Journal, Passing(inner)),
}


ASKS: dict[str, Callable[[Any], object]] = {
    Capability.TRANSACTIONS: transactional,
    Capability.GAUGES: gauged,
    Capability.CARRIES: carrier_of,
    Capability.SEARCH: searcher_of,
    Capability.REPLIES: replying,
    Capability.CREWS: crewed,
    Capability.BLOBS: keeping,
    Capability.LOOKS: looking,
    Capability.PRESENCE: vouching,
}
"""Capability → what asks for it."""


def answered(capability: str, journal: object) -> bool:
    try:
        return ASKS[capability](journal) is not None
    except UsageError:
        return False


class Full:
    """A handle with every verb there is."""

    def sibling(self) -> Full:
        return type(self)()


def _answers(*_: object) -> str:
    return "answered"


for _verb in {verb for verbs in VERBS.values() for verb in verbs}:
    setattr(Full, _verb, _answers)


def test_every_capability_of_handles_is_known_by_its_verbs() -> None:
    of_handles = {name for name, meaning in MEANINGS.items() if re.match("handles (are|have)", meaning)}
    assert set(VERBS) == set(ASKS) == of_handles | {Capability.CREWS}


@pytest.mark.parametrize("capability", VERBS)
def test_what_was_not_declared_is_not_used_though_its_verbs_are_there(capability: str) -> None:
    assert answered(capability, Full()), "of what nobody says anything, the verbs tell"
    assert answered(capability, declare(Full(), VERBS))
    assert not answered(capability, declare(Full(), set(VERBS) - {capability}))
    assert not can(declare(object(), VERBS), capability), "and nothing is there for being declared"


def test_what_shows_in_no_verb_is_there_only_if_it_was_declared() -> None:
    assert not can(Full(), Capability.FORGETS)
    assert can(declare(Full(), {Capability.FORGETS}), Capability.FORGETS)
    assert not can(declare(Full(), {Capability.DURABLE}), Capability.FORGETS)


def test_connecting_notes_it_and_what_a_handle_says_itself_stands(install: Install) -> None:
    install("strange")
    journal = connect("strange://")
    assert declared(journal) == frozenset({"durable"}) == declared(sibling_of(journal))
    assert declared(journal.sibling()) is None
    install("less", WORKING + "\nHandle.capabilities = frozenset()\n")
    assert declared(connect("less://")) == frozenset()
    assert declared(declare(("no", "place"), {"durable"})) is None


@pytest.mark.parametrize("name", WRAPS)
def test_a_handle_that_wraps_can_what_it_wraps(name: str) -> None:
    memory = connect("memory://")
    wrapped = WRAPS[name](memory)
    lost = {"faults": {"gauges", "carries", "search", "looks", "presence"}}.get(name, set[str]())
    kept = {"faults": {"blobs"}}.get(name, set[str]())
    for handle in (wrapped, sibling_of(wrapped)):
        for capability in ASKS:
            expected = can(memory, capability) and capability not in lost
            if capability == Capability.BLOBS:  # one that wraps keeps them itself, or not
                expected = capability in kept
            assert can(handle, capability) is answered(capability, handle) is expected, capability
        assert can(handle, Capability.FORGETS)


@pytest.mark.parametrize("name", WRAPS)
def test_a_handle_that_wraps_can_no_more_than_it_wraps(name: str) -> None:
    less = Passing(connect("memory://"))
    less.capabilities = frozenset({Capability.GAUGES})  # type: ignore[attr-defined]  # it takes any
    handle = WRAPS[name](cast(Journal, less))
    assert {capability for capability in ASKS if answered(capability, handle)} <= {Capability.GAUGES}
    assert not can(handle, Capability.FORGETS)


def test_a_machine_that_forgets_is_refused_whichever_way_the_journal_comes(install: Install) -> None:
    install("strange")
    for journal in ("strange://", connect("strange://"), sibling_of(connect("strange://"))):
        with pytest.raises(UsageError, match=r"ephemeral .*does not declare 'forgets'"):
            Worker(journal, [Ephemeral])
        with pytest.raises(UsageError, match=r"ephemeral .*does not declare 'forgets'"):
            Client(journal, [Ephemeral])
        Worker(journal, [Plain])
    with pytest.raises(UsageError, match=r"nobody says .* forget any: .* give Handle its backend's CAPABIL"):
        Worker(connect("strange://").sibling(), [Ephemeral])
    Worker(connect("memory://"), [Ephemeral])
    Worker(connect("memory://").sibling(), [Ephemeral])
