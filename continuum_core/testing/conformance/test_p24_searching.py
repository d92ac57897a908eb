"""Promise 24: a search finds exactly the runs for which its condition holds, in its order, and counts them.

Attributes stand and fall with what carried them, and go with their run.
"""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.errors import PayloadRefused
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.carrying import RestoreOutcome, Version, carrier_of
from continuum_core.journal.commit import (
    CommitOutcome,
    OrderKind,
    OrderOutcome,
    PrunePlan,
    StartOutcome,
)
from continuum_core.journal.protocol import Capability
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import (
    ALL,
    AttributeIn,
    Column,
    ColumnIn,
    Every,
    Not,
    Search,
    Sort,
    Span,
    searcher_of,
)
from continuum_core.testing.conformance.carried import left, whole
from continuum_core.testing.conformance.given import first_turn, hold_run, new_id, new_run, order, turn
from continuum_core.testing.conformance.kit import Kit, claimed_one, committed, ordered, passed, row, started
from continuum_core.testing.conformance.searches import EXAMPLES, attribute, found, having, several, tags


@pytest.mark.parametrize("by", [Column.STARTED, Column.UPDATED, "a"], ids=["started", "updated", "attribute"])
async def test_where_nothing_is_nothing_is_found(kit: Kit, by: Column | str) -> None:
    """Promise 24: in a namespace without runs, whatever the order."""
    kit.needs(Capability.SEARCH)
    searcher = searcher_of(await kit.open())
    page = await searcher.search(Search(ALL, Sort(by)))
    assert (page.runs, page.cursor) == ((), None)
    assert await searcher.count(ALL) == 0


async def test_attributes_come_with_starts_turns_and_orders(kit: Kit) -> None:
    """Promise 24: each sets what it names, in its own transaction, and leaves the others."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    run_id = await started(journal, attributes=(attribute("a", 1), attribute("b", "x")))
    assert await tags(journal, run_id) == {"a": [1], "b": ["x"]}
    claim, now = await claimed_one(journal)
    await committed(
        journal, replace(turn(claim, now), attributes=(attribute("a", 2, 3), attribute("c", True)))
    )
    assert await tags(journal, run_id) == {"a": [2, 3], "b": ["x"], "c": [True]}
    await ordered(journal, OrderKind.SET, run_id, attributes=(Attribute("a", ()), attribute("b", "y")))
    assert await tags(journal, run_id) == {"b": ["y"], "c": [True]}
    assert await found(journal, having("a")) == []
    assert await found(journal, having("b", Span.of(attribute("b", "y").keys[0]))) == [run_id]
    assert await searcher_of(journal).attributes([new_id()]) == [()]


async def test_a_first_turn_brings_its_own(kit: Kit) -> None:
    """Promise 24: those of the start and those of the turn that it carries stand beside each other."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    new = new_run(attributes=(attribute("given", 1),))
    first = replace(first_turn(new, await journal.now()), attributes=(attribute("made", 2),))
    [answer] = await journal.start([replace(new, turn=first)])
    assert answer.outcome is StartOutcome.STARTED
    assert await tags(journal, new.run_id) == {"given": [1], "made": [2]}
    [again] = await journal.start([replace(new, turn=first, attributes=(attribute("given", 9),))])
    assert again.outcome is StartOutcome.EXISTS
    assert await tags(journal, new.run_id) == {"given": [1], "made": [2]}


async def test_what_does_not_stand_brings_none(kit: Kit) -> None:
    """Promise 24: of a turn that is lost nothing is kept; neither of an order that an ended run refuses."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    stale = replace(turn(claim, now), fence=claim.fence - 1, attributes=(attribute("a", 1),))
    [lost] = await journal.commit([stale])
    assert lost.outcome is CommitOutcome.LOST
    assert await tags(journal, run_id) == {}
    await committed(
        journal, replace(turn(claim, now), status=RunStatus.COMPLETED, attributes=(attribute("a", 2),))
    )
    [over] = await journal.control([order(OrderKind.SET, run_id, attributes=(attribute("a", 3),))])
    assert over.outcome is OrderOutcome.RUN_OVER
    assert await tags(journal, run_id) == {"a": [2]}
    assert await found(journal, having("a")) == [run_id]


async def test_an_order_to_set_leaves_the_rest(kit: Kit) -> None:
    """Promise 24: status, cause and what is held stay; record, fence and a repeat are as of any order."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    parking = replace(turn(claim, now), status=RunStatus.PARKED, cause="why", consumed=())
    await committed(journal, parking)
    before = await row(journal, run_id)
    setting = order(OrderKind.SET, run_id, attributes=(attribute("a", 1),))
    [first] = await journal.control([setting])
    [second] = await journal.control([setting])
    after = await row(journal, run_id)
    assert first == second
    assert (first.outcome, first.status) == (OrderOutcome.DONE, RunStatus.PARKED)
    assert (after.status, after.cause) == (RunStatus.PARKED, "why")
    assert (after.version, after.commit_id) == (before.version + 1, setting.id)
    assert after.fence > before.fence
    assert [record.body for record in await journal.history(run_id, before.version)] == [setting.body]
    assert await journal.renew([hold_run(claim)], 1) == [False]


async def test_pages_follow_the_sort(kit: Kit) -> None:
    """Promise 24: by an attribute either way, those without it last, newest first; each exactly once."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    values = [3, None, -5, 2.5, None, 10**20, 3]
    ids: list[UUID] = []
    for value in values:
        ids.append(await started(journal, attributes=() if value is None else (attribute("n", value),)))
        await passed(journal, await journal.now())
    rising = [ids[at] for at in (2, 3, 0, 6, 5)]
    without = [ids[4], ids[1]]
    for limit in (1, 2, 3, 7, 100):
        assert await found(journal, ALL, Sort("n"), limit) == rising + without
        falling = [ids[at] for at in (5, 6, 0, 3, 2)]
        assert await found(journal, ALL, Sort("n", descending=True), limit) == falling + without
        assert await found(journal, having("n"), Sort("n"), limit) == rising
        assert await found(journal, ALL, Sort(Column.STARTED), limit) == ids
        assert await found(journal, Not(having("n")), limit=limit) == without
    await ordered(journal, OrderKind.SET, ids[1])
    for limit in (1, 6, 100):
        latest = await found(journal, ALL, Sort(Column.UPDATED, descending=True), limit)
        assert latest == [ids[1], *[each for each in ids[::-1] if each != ids[1]]]


async def test_pages_survive_writes(kit: Kit) -> None:
    """Promise 24: a run whose place stays appears exactly once, whatever comes, changes and ends."""
    kit.needs(Capability.SEARCH)
    journal, writer = await kit.open(), await kit.open()
    stay = [await started(writer, attributes=(attribute("n", number % 7),)) for number in range(20)]
    moved = [await started(writer, attributes=(attribute("n", number % 5),)) for number in range(10)]
    shown: list[UUID] = []
    cursor: str | None = None
    search = Search(having("n"), Sort("n"))
    while True:
        page = await searcher_of(journal).search(search, 3, cursor)
        shown += [run.run_id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
        await started(writer, attributes=(attribute("n", -1),))
        if moved:
            await ordered(writer, OrderKind.SET, moved.pop(), attributes=(attribute("n", -2),))
        if moved:
            await ordered(writer, OrderKind.TERMINATE, moved.pop(), outcome=b"")
    assert [each for each in stay if shown.count(each) != 1] == []


async def test_counts_stop_where_they_are_told(kit: Kit) -> None:
    """Promise 24: exact without a bound; beyond it, more than the bound."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    for number in range(6):
        await started(journal, attributes=(attribute("n", number),))
    searcher = searcher_of(journal)
    low = having("n", Span(None, attribute("n", 4).keys[0], below=True))
    assert await searcher.count(ALL) == 6
    assert await searcher.count(low) == 4
    assert await searcher.count(low, 4) == 4
    assert await searcher.count(low, 3) > 3
    assert await searcher.count(ALL, 2) > 2
    assert await searcher.count(Every((low, Not(low)))) == 0


async def test_a_cursor_is_of_its_search(kit: Kit) -> None:
    """Promise 24: a cursor is good for the search and the namespace that gave it, and for nothing else."""
    kit.needs(Capability.SEARCH)
    journal, other = await kit.open(), await kit.open(f"{kit.namespace}-other")
    for _ in range(3):
        await started(journal, attributes=(attribute("n", 1),))
        await started(other, attributes=(attribute("n", 1),))
    page = await searcher_of(journal).search(Search(ALL, Sort("n")), 1)
    assert page.cursor is not None
    for forged in ("", "x", page.cursor[:-2], page.cursor + "AAAA", "é"):
        with pytest.raises(PayloadRefused):
            await searcher_of(journal).search(Search(ALL, Sort("n")), 1, forged)
    with pytest.raises(PayloadRefused):
        await searcher_of(journal).search(Search(having("n"), Sort("n")), 1, page.cursor)
    with pytest.raises(PayloadRefused):
        await searcher_of(other).search(Search(ALL, Sort("n")), 1, page.cursor)


async def test_namespaces_are_a_wall_for_searches(kit: Kit) -> None:
    """Promise 24: a search sees the runs and the attributes of its own namespace alone."""
    kit.needs(Capability.SEARCH)
    journal, other = await kit.open(), await kit.open(f"{kit.namespace}-other")
    same = new_id()
    await started(journal, run_id=same, attributes=(attribute("n", 1),))
    await started(other, run_id=same, attributes=(attribute("n", 2),))
    stranger = await started(other, attributes=(attribute("n", 1),))
    one = having("n", Span.of(attribute("n", 1).keys[0]))
    assert await found(journal, one) == [same]
    assert await found(other, one) == [stranger]
    assert await found(journal, ALL, Sort("n")) == [same]
    assert await searcher_of(journal).count(having("n")) == 1
    assert await searcher_of(journal).attributes([stranger]) == [()]
    assert await tags(other, same) == {"n": [2]}


async def test_attributes_go_with_their_run(kit: Kit) -> None:
    """Promise 24: pruned, they are found no more; a new run under the same id has none of them."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    run_id = await started(journal, attributes=(attribute("n", 1),))
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"")
    await passed(journal, await journal.now())
    await journal.prune(PrunePlan(before=await journal.now(), limit=10))
    assert await found(journal, having("n")) == []
    assert await searcher_of(journal).count(having("n")) == 0
    await started(journal, run_id=run_id)
    assert await tags(journal, run_id) == {}


async def test_attributes_travel_with_their_run(kit: Kit) -> None:
    """Promise 24: an image has them; where a run departs they go, where it arrives they are found."""
    kit.needs(Capability.SEARCH, Capability.CARRIES)
    journal, other = await kit.open(), await kit.open(f"{kit.namespace}-elsewhere")
    run_id = await started(journal, attributes=(attribute("n", 1, 2), attribute("t", "x")))
    image = await whole(journal, run_id)
    assert image.attributes == (attribute("n", 1, 2), attribute("t", "x"))
    assert await carrier_of(other).restore([image]) == [RestoreOutcome.RESTORED]
    assert await tags(other, run_id) == {"n": [1, 2], "t": ["x"]}
    assert await found(other, having("n", Span.of(attribute("n", 2).keys[0]))) == [run_id]
    assert await left(journal, run_id) == image
    assert await found(journal, having("n")) == []
    await ordered(other, OrderKind.TERMINATE, run_id, outcome=b"")
    over = await row(other, run_id)
    assert await carrier_of(other).erase([Version(run_id, over.commit_id)]) == [True]
    assert await found(other, having("n")) == []


async def test_columns_are_searched(kit: Kit) -> None:
    """Promise 24: machine, fingerprint, status, key, parent, root, when it was started and changed last."""
    kit.needs(Capability.SEARCH)
    journal = await kit.open()
    above = new_id()
    one = await started(journal, machine="m1", parent=above, root=above)
    await passed(journal, await journal.now())
    two = await started(journal, machine="m2", key="k", fingerprint="other")
    await ordered(journal, OrderKind.SUSPEND, two)

    async def ids(column: Column, *spans: Span) -> list[UUID]:
        return await found(journal, ColumnIn(column, spans))

    created = (await row(journal, two)).created
    assert await ids(Column.MACHINE, Span.of("m1")) == [one]
    assert await ids(Column.MACHINE, Span("m1", "m2", above=True)) == [two]
    assert await ids(Column.MACHINE, Span.of("m1"), Span.of("m2")) == [two, one]
    assert await ids(Column.FINGERPRINT, Span.of("other")) == [two]
    assert await ids(Column.STATUS, Span.of(int(RunStatus.SUSPENDED))) == [two]
    assert await ids(Column.KEY, Span()) == [two]
    assert await ids(Column.KEY, Span.of("k")) == [two]
    assert await ids(Column.PARENT, Span.of(above)) == [one]
    assert await ids(Column.ROOT, Span()) == [one]
    assert await ids(Column.STARTED, Span(created)) == [two]
    assert await ids(Column.STARTED, Span(None, created, below=True)) == [one]
    assert await ids(Column.UPDATED, Span(created, above=True)) in ([two], [])
    assert await ids(Column.MACHINE) == []
    assert await found(journal, AttributeIn("n", ())) == []


def test_any_search_finds_what_it_says(kit: Kit) -> None:
    """Promise 24: random conditions, sorts and pages, compared with asking each run in turn."""
    kit.needs(Capability.SEARCH)
    assert several(kit) >= EXAMPLES
