"""Promise 25: child runs begin with the commit that starts them, once each and before what is sent to them.

What came of members of crews stays as it was first kept, and goes with the run.
"""

from __future__ import annotations

from msgspec.structs import replace

from continuum_core.journal.carrying import carrier_of
from continuum_core.journal.commit import (
    CommitOutcome,
    Member,
    OrderKind,
    OrderOutcome,
    PrunePlan,
    Query,
    StartOutcome,
)
from continuum_core.journal.crews import crewed, first_token
from continuum_core.journal.protocol import Capability
from continuum_core.journal.records import Delivery, DeliveryKind, RunStatus
from continuum_core.testing.conformance.carried import elsewhere, left, whole
from continuum_core.testing.conformance.given import FAR, new_id, new_run, order, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    committed,
    delivered,
    passed,
    row,
    started,
    waiting,
)


async def test_a_commit_starts_child_runs(kit: Kit) -> None:
    """Promise 25: each is a run as a start makes it, of this parent, and is due at once."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    parent = await started(journal)
    claim, now = await claimed_one(journal)
    children = [replace(new_run(), parent=parent, root=parent) for _ in range(5)]
    await committed(journal, replace(turn(claim, now), starts=tuple(children)))
    found = await journal.load([child.run_id for child in children])
    assert [run and (run.parent, run.root, run.version, run.status) for run in found] == [
        (parent, parent, 0, RunStatus.RUNNING)
    ] * 5
    assert len((await journal.list(Query(parent=parent))).runs) == 5
    claims = await journal.claim_runs(new_id(), 100, 60_000_000, frozenset({children[0].fingerprint}))
    taken = {each.run_id: [d.id for d in each.deliveries] for each in claims.runs}
    for child in children:
        assert taken[child.run_id] == [child.delivery.id]


async def test_one_that_is_there_is_passed_over(kit: Kit) -> None:
    """Promise 25: a commit that is repeated, or meets the run, starts nothing twice."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    await started(journal)
    claim, now = await claimed_one(journal)
    child = new_run()
    [first] = await journal.start([child])
    assert first.outcome is StartOutcome.STARTED
    other = replace(child, delivery=replace(child.delivery, id=new_id()))
    made = replace(turn(claim, now), starts=(other,))
    await committed(journal, made)
    assert (await journal.commit([made]))[0].outcome is CommitOutcome.COMMITTED
    found = await journal.inspect(child.run_id)
    assert found is not None
    assert [each.id for each in found.deliveries] == [child.delivery.id]


async def test_what_is_refused_starts_nothing(kit: Kit) -> None:
    """Promise 25: children and members stand and fall with the commit."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    parent = await started(journal)
    claim, now = await claimed_one(journal)
    child = new_run()
    stale = replace(
        turn(claim, now), fence=claim.fence - 1, starts=(child,), members=(Member(7, 0, b"lost"),)
    )
    assert (await journal.commit([stale]))[0].outcome is CommitOutcome.LOST
    assert await journal.load([child.run_id]) == [None]
    assert await crewed(journal).members(parent, 7) == []


async def test_what_is_sent_with_the_start_follows_it(kit: Kit) -> None:
    """Promise 25: the commit that starts a run, or a later one, may send to it at once."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    await started(journal)
    claim, now = await claimed_one(journal)
    children = [new_run() for _ in range(4)]
    sent = [Delivery(new_id(), child.run_id, DeliveryKind.SIGNAL, b"hello") for child in children]
    await committed(journal, replace(turn(claim, now), starts=tuple(children), deliveries=tuple(sent)))
    for child, delivery in zip(children, sent, strict=True):
        found = await journal.inspect(child.run_id)
        assert found is not None
        assert {each.id for each in found.deliveries} == {child.delivery.id, delivery.id}


async def test_members_stay_as_they_were_first_kept(kit: Kit) -> None:
    """Promise 25: by crew and number, page by page."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    kept = tuple(Member(3, number, b"%d" % number) for number in (0, 2, 1, 9, 4))
    again = Member(3, 2, b"another")
    await committed(journal, replace(turn(claim, now), members=(*kept, again, Member(4, 0, b"other"))))
    members = crewed(journal).members
    assert await members(run_id, 3) == sorted(kept, key=lambda each: each.number)
    assert [each.number for each in await members(run_id, 3, after=1, limit=2)] == [2, 4]
    assert await members(run_id, 4) == [Member(4, 0, b"other")]
    assert await members(new_id(), 3) == []


async def test_members_go_with_their_run(kit: Kit) -> None:
    """Promise 25: pruning takes them."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(
        journal,
        replace(turn(claim, now), status=RunStatus.COMPLETED, outcome=b"{}", members=(Member(3, 0, b"x"),)),
    )
    assert len(await crewed(journal).members(run_id, 3)) == 1
    await journal.prune(PrunePlan(before=await journal.now() + 1, limit=10))
    assert await crewed(journal).members(run_id, 3) == []


async def test_members_of_past_generations_go_with_them(kit: Kit) -> None:
    """Promise 25: each crew is of the generation in which it began; those of the present one stay."""
    kit.needs(Capability.CREWS, Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    tokens: list[int] = []
    for _ in range(3):
        await delivered(journal, signal(run_id))
        claim, now = await claimed_one(journal)
        made = turn(claim, now, [b"s;"] * 2, begins=claim.version + 2)
        tokens.append(first_token(claim.version + 1) | 1)
        kept = (Member(tokens[-1], 0, b"x"), Member(tokens[-1], 1, b"y"))
        await committed(journal, replace(made, members=kept))
        await passed(journal, await journal.now())
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    tokens.append(first_token(claim.version) | 1)  # of the very record that began the generation
    await committed(journal, replace(turn(claim, now), members=(Member(tokens[-1], 0, b"z"),)))
    past = PrunePlan(before=FAR, limit=1, generations=True)
    for gone in range(4):
        counts = [len(await crewed(journal).members(run_id, token)) for token in tokens]
        assert counts == [0] * gone + [2, 2, 2, 1][gone:]
        assert (await journal.prune(past)).generations == (gone < 3)


async def test_members_are_carried(kit: Kit) -> None:
    """Promise 25: they leave with their run, and arrive with it."""
    kit.needs(Capability.CREWS, Capability.CARRIES)
    journal, other = await kit.open(), (await elsewhere(kit))[0]
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    kept = (Member(3, 0, b"x"), Member(3, 1, b"y"), Member(5, 0, b"z"))
    await committed(journal, replace(turn(claim, now), members=kept))
    image = await whole(journal, run_id)
    assert image.members == kept
    await left(journal, run_id)
    await carrier_of(other).restore([image])
    assert await crewed(other).members(run_id, 3) == list(kept[:2])
    assert await crewed(journal).members(run_id, 3) == []


async def test_an_order_may_be_for_one_version_and_tell_others(kit: Kit) -> None:
    """Promise 25: it stands for the version that was read, or writes nothing; then it sends."""
    kit.needs(Capability.CREWS)
    journal = await kit.open()
    parent, child = await started(journal), await started(journal)
    told = Delivery(new_id(), parent, DeliveryKind.OUTCOME, b"ended", token=1, slot=0)
    asked = replace(order(OrderKind.TERMINATE, child), outcome=b"{}", sends=(told,))
    run = await row(journal, child)
    [moved] = await journal.control([replace(asked, version=run.version + 1)])
    assert (moved.outcome, moved.status) == (OrderOutcome.MOVED, RunStatus.RUNNING)
    assert await row(journal, child) == run
    [done] = await journal.control([replace(asked, version=run.version)])
    assert done.outcome is OrderOutcome.DONE
    found = await journal.inspect(parent)
    assert found is not None
    assert told.id in {each.id for each in found.deliveries}
