"""Promise 28: who asks is told what a present worker has, until its handle is closed or gone; then not."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import cast
from uuid import UUID

from continuum_core.journal.presence import Vouching
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.testing.conformance.given import new_id
from continuum_core.testing.conformance.kit import Kit

_POLLS = 2_000
_NAMES = ("a", "b", "c")


async def _said(journal: Journal, worker: UUID, *keys: str) -> None:
    """Return when the handle vouches for it."""
    for _ in range(_POLLS):
        if await cast(Vouching, journal).present(worker, keys):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the backend declares 'presence', and this handle vouches for nobody")


async def _there(journal: Journal, keys: Collection[str] = _NAMES) -> frozenset[str]:
    return await cast(Vouching, journal).presence(keys)


async def test_who_is_present_is_seen_with_what_was_said_last(kit: Kit) -> None:
    """Promise 28: by every handle, this one included; other keys take the place of those before."""
    kit.needs(Capability.PRESENCE)
    journal, other = await kit.open(), await kit.open()
    worker = new_id()
    assert await _there(other) == set()
    await _said(journal, worker, "a", "b")
    assert await _there(journal) == await _there(other) == {"a", "b"}
    assert await _there(other, ["b", "b"]) == {"b"}
    assert await _there(other, ()) == set()
    await _said(journal, worker, "b", "c")
    assert await _there(other) == {"b", "c"}
    await _said(journal, worker, "b", "c")
    assert await _there(other) == {"b", "c"}


async def test_who_is_withdrawn_is_not_seen(kit: Kit) -> None:
    """Promise 28: no keys take back what was said, of that worker alone; who never said a thing may too."""
    kit.needs(Capability.PRESENCE)
    journal, other = await kit.open(), await kit.open()
    here, there, never = new_id(), new_id(), new_id()
    await _said(journal, here, "a", "b")
    await _said(journal, there, "b", "c")
    assert await _there(other) == {"a", "b", "c"}
    await _said(journal, here)
    assert await _there(other) == {"b", "c"}
    await _said(journal, never)
    await _said(journal, there)
    assert await _there(other) == set()
    await _said(journal, here, "a")
    assert await _there(other) == {"a"}


async def test_several_handles_have_one_key(kit: Kit) -> None:
    """Promise 28: it is there as long as one of them is; a handle that is closed has none."""
    kit.needs(Capability.PRESENCE)
    one, two, other = await kit.open(), await kit.open(), await kit.open()
    await _said(one, new_id(), "a", "b")
    await _said(two, new_id(), "b", "c")
    assert await _there(other) == {"a", "b", "c"}
    await one.close()
    assert await _there(other) == {"b", "c"}
    await two.close()
    assert await _there(other) == set()


async def test_a_handle_that_was_closed_may_vouch_again(kit: Kit) -> None:
    """Promise 28: and says then what it is told then, and nothing of what it was told before."""
    kit.needs(Capability.PRESENCE)
    journal, other = await kit.open(), await kit.open()
    worker = new_id()
    await _said(journal, worker, "a")
    await journal.close()
    await journal.open()
    assert await _there(other) == set()
    await _said(journal, new_id(), "b")
    assert await _there(other) == {"b"}
    await _said(journal, worker, "a")
    assert await _there(other) == {"a", "b"}


async def test_another_namespace_knows_nobody(kit: Kit) -> None:
    """Promises 18 and 28: workers of one namespace are no workers of another."""
    kit.needs(Capability.PRESENCE)
    journal, apart = await kit.open(), await kit.open(f"{kit.namespace}-other")
    worker = new_id()
    await _said(journal, worker, "a")
    assert await _there(apart) == set()
    await _said(apart, worker, "b")
    await _said(journal, worker)
    assert await _there(journal) == set()
    assert await _there(apart) == {"b"}


async def test_texts_of_any_kind_are_keys(kit: Kit) -> None:
    """Promise 28: byte by byte, up to two hundred characters."""
    kit.needs(Capability.PRESENCE)
    journal, other = await kit.open(), await kit.open()
    keys = ("", " ", "a'b\"c\\", "{a,b}", "null", "é", "e\u0301", "\U0001f6e0" * 200)
    await _said(journal, new_id(), *keys)
    assert await _there(other, (*keys, "E", "NULL", "{a", "\U0001f6e0")) == set(keys)
