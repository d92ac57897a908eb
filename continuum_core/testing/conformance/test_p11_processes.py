"""Promise 11: of two claimers one wins: also when they are processes, and one is killed."""

from __future__ import annotations

import asyncio
from uuid import UUID

from continuum_core.journal.protocol import Capability
from continuum_core.testing.conformance.given import folded
from continuum_core.testing.conformance.kit import Kit, bereaved, child, row, started


async def test_processes_contend_while_one_is_killed(kit: Kit) -> None:
    """Promise 11 (DURABLE, SHARED): two work, a third dies in their midst: no version twice, none missing."""
    kit.needs(Capability.DURABLE, Capability.SHARED)
    journal = await kit.open()
    ids = [await started(journal) for _ in range(4)]
    one, two, dead = await asyncio.gather(child(kit, 15), child(kit, 15), bereaved(kit, 30))
    killed: dict[str, list[int]] = {}
    for what, run_id, *rest in dead:
        if what == "committed":
            killed.setdefault(run_id, []).append(int(rest[0]))
    for name in {*map(str, ids), *one, *two, *killed}:
        # A turn of several steps tells its last version only.
        mine, yours, others = (set(share.get(name, [])) for share in (one, two, killed))
        assert not mine & yours
        assert not (mine | yours) & others
        run, history = await row(journal, UUID(name)), await journal.history(UUID(name))
        versions = [record.version for record in history]
        assert versions == list(range(1, run.version + 1))
        assert mine | yours | others <= set(versions)
        assert folded(history) == run.snapshot
