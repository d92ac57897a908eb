"""Promise 13: queues keep to caps and rates over all claimers, and deal their tasks out by fairness key."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from uuid import UUID

import pytest

from continuum_core.journal.commit import FinishKind, NewTask, TaskClaim, TaskWant
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.rate import Rate
from continuum_core.testing.conformance.given import (
    ACTIVITY,
    HOUR,
    MOMENT,
    finish,
    hold_task,
    new_id,
    new_task,
    signal,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_tasks,
    committed,
    delivered,
    finished,
    passed,
    seen,
    waiting,
)

OTHER = "other"
BOTH = (ACTIVITY, OTHER)


def _tasks(count: int, **changes: object) -> tuple[NewTask, ...]:
    return tuple(new_task(1, slot, **changes) for slot in range(count))


def _keyed(keys: Sequence[str], token: int = 1, **changes: object) -> tuple[NewTask, ...]:
    return tuple(new_task(token, slot, fairness=key, **changes) for slot, key in enumerate(keys))


async def _count(journal: Journal, *wants: TaskWant, lease: int = HOUR) -> int:
    return len((await claimed_tasks(journal, *wants, lease=lease)).tasks)


def _keys(claims: Sequence[TaskClaim]) -> list[str]:
    return [claim.task.fairness for claim in claims]


# --- caps --------------------------------------------------------------------------------------------


async def test_a_cap_holds_over_claims_and_handles(kit: Kit) -> None:
    """Promise 13: so many live leases of the queue, whoever holds them; an end makes room for one more."""
    journal, other = await kit.open(), await kit.open()
    await waiting(journal, {"tasks": _tasks(9)})
    first = await claimed_tasks(journal, want(2, cap=3))
    assert len(first.tasks) == 2
    assert await _count(other, want(5, cap=3)) == 1
    assert await _count(journal, want(5, cap=3)) == await _count(other, want(5, cap=3)) == 0
    await finished(journal, finish(first.tasks[0]))
    assert await _count(other, want(5, cap=3)) == 1
    assert await _count(journal, want(5, cap=3)) == 0
    assert await _count(journal, want(1)) == 1, "a claim that states no cap is bound by none"
    assert await _count(journal, want(5, cap=6)) == 2


async def test_a_cap_counts_every_activity_of_its_queue_and_no_other_queue(kit: Kit) -> None:
    """Promise 13: those born claimed too; nothing of other queues."""
    journal = await kit.open()
    born = new_task(2, activity=OTHER, lease=HOUR, claim_id=new_id())
    elsewhere = (new_task(3, queue="slow"), new_task(4, queue="slow", lease=HOUR, claim_id=new_id()))
    await waiting(journal, {"tasks": (*_tasks(6), born, *elsewhere)})
    assert await _count(journal, want(5, cap=3)) == 2
    assert await _count(journal, want(5, activities=BOTH, cap=3)) == 0
    assert await _count(journal, want(5, "slow", cap=2)) == 1


async def test_a_cap_holds_within_one_claim(kit: Kit) -> None:
    """Promise 13: what a claim takes for one want counts for its next one of the same queue."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (*_tasks(3), new_task(2, activity=OTHER))})
    wants = want(2, cap=3), want(2, activities=BOTH, cap=3)
    assert await _count(journal, *wants) == 3


async def test_expired_leases_leave_room(kit: Kit) -> None:
    """Promise 13: a lease that is over counts no more, even if nobody has looked at its task since."""
    journal = await kit.open(limits=Limits(loss_backoff=HOUR))
    lost = tuple(new_task(2, slot, activity=OTHER) for slot in range(2))
    await waiting(journal, {"tasks": (*_tasks(3), *lost)})
    claims = await claimed_tasks(journal, want(2, activities=(OTHER,)), lease=MOMENT)
    assert len(claims.tasks) == 2
    await passed(journal, claims.tasks[0].task.lease_until or 0)
    assert await _count(journal, want(5, cap=2)) == 2


async def test_a_renewed_lease_counts_on(kit: Kit) -> None:
    """Promise 13: what its holder keeps alive takes its place until it ends."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (*_tasks(3), new_task(2, activity=OTHER))})
    (claim,) = (await claimed_tasks(journal, want(1, activities=(OTHER,)), lease=MOMENT)).tasks
    assert await journal.heartbeat([hold_task(claim)], HOUR) == [True]
    await passed(journal, claim.task.lease_until or 0)
    assert await _count(journal, want(5, cap=2)) == 1


async def test_a_cap_of_waiting_tasks_delays_and_drops_none(kit: Kit) -> None:
    """Promise 13: one at a time, all of them, in their order."""
    journal = await kit.open()
    await waiting(journal, {"tasks": _tasks(5)})
    slots: list[int] = []
    while claims := (await claimed_tasks(journal, want(5, cap=1))).tasks:
        slots += [claim.task.slot for claim in claims]
        await finished(journal, finish(claims[0]))
    assert slots == [0, 1, 2, 3, 4]


# --- rates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [Rate(1, 9_000, 3), Rate(7, 50_000, 2), Rate(3, 40_000, 1)], ids=str)
async def test_a_rate_is_exact(kit: Kit, rate: Rate) -> None:
    """Promise 13: each claim gets the whole tokens there are by the journal's clock, no more and no fewer."""
    journal, other = await kit.open(), await kit.open()
    await waiting(journal, {"tasks": _tasks(12)})
    level, last, left = Fraction(rate.burst), None, 12
    while left:
        claims = await claimed_tasks((journal, other)[left % 2], want(10, rate=rate))
        if last is not None:
            level = min(Fraction(rate.burst), level + Fraction((claims.now - last) * rate.count, rate.per))
        assert len(claims.tasks) == min(int(level), left, 10), (level, claims.now)
        level, last, left = level - len(claims.tasks), claims.now, left - len(claims.tasks)
        if left and level < 1:
            due = claims.now + -(-(1 - level) * rate.per // rate.count)
            assert claims.next_due is not None
            assert claims.next_due <= due


async def test_idleness_saves_up_no_more_than_the_burst(kit: Kit) -> None:
    """Promise 13: after however long a rest, the burst and not one more."""
    journal = await kit.open()
    await waiting(journal, {"tasks": _tasks(9)})
    fast = Rate(1, 1_000, 3)
    assert await _count(journal, want(1, rate=fast)) == 1
    await passed(journal, await journal.now() + 20_000)
    assert await _count(journal, want(9, rate=fast)) == 3


async def test_every_claim_of_a_task_takes_a_token(kit: Kit) -> None:
    """Promise 13: further attempts and lost ones as well, and what is handed back returns none."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    await waiting(journal, {"tasks": _tasks(1)})
    limited = want(5, rate=Rate(1, HOUR, 4))
    for kind in (FinishKind.RETURN, FinishKind.RETRY):
        (claim,) = (await claimed_tasks(journal, limited)).tasks
        await finished(journal, finish(claim, kind))
    (claim,) = (await claimed_tasks(journal, limited, lease=MOMENT)).tasks
    await passed(journal, claim.task.lease_until or 0)
    assert await _count(journal, limited) == 0, "its worker was lost: it backs off first"
    await passed(journal, await journal.now() + MOMENT)
    assert await _count(journal, limited, lease=MOMENT) == 1
    await passed(journal, await journal.now() + 10)
    for _ in range(3):
        assert await _count(journal, limited) == 0
        await passed(journal, await journal.now() + 10)
    assert await _count(journal, want()) == 1, "it waits, for a token"


async def test_a_claim_without_tokens_tells_when_to_come_back(kit: Kit) -> None:
    """Promise 13: when the next token will be there; not where a cap is in the way or nothing waits."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (*_tasks(3), new_task(2, queue="slow"))})
    slow = Rate(2, HOUR, 1)
    first = await claimed_tasks(journal, want(1, rate=slow), lease=2 * HOUR)
    assert len(first.tasks) == 1
    empty = await claimed_tasks(journal, want(5, rate=slow))
    assert (empty.tasks, empty.next_due) == ((), first.now + HOUR // 2)
    capped = await claimed_tasks(journal, want(5, cap=1, rate=slow))
    assert (capped.tasks, capped.next_due) == ((), first.now + 2 * HOUR)
    await claimed_tasks(journal, want(1, "slow", rate=slow), lease=2 * HOUR)
    done = await claimed_tasks(journal, want(5, "slow", rate=slow))
    assert (done.next_due or 0) > first.now + HOUR


async def test_a_rate_binds_who_states_it(kit: Kit) -> None:
    """Promise 13: a claim without one takes no tokens, and queues have a bucket each."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (*_tasks(7), *(new_task(2, slot, queue="slow") for slot in range(3)))})
    slow = Rate(1, HOUR, 2)
    assert await _count(journal, want(1, rate=slow)) == 1
    assert await _count(journal, want(2)) == 2
    assert await _count(journal, want(5, "slow", rate=slow)) == 2
    assert await _count(journal, want(5, rate=slow), want(5, rate=slow)) == 1
    assert await _count(journal, want(5, rate=Rate(1, HOUR, 9))) == 0, "a bigger bucket is no fuller"


# --- fairness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_one_task_waits_behind_one_of_each_other_key(kit: Kit, seed: int) -> None:
    """Promise 13: however long the others' backlogs are, and however the claims divide them up."""
    journal, other = await kit.open(), await kit.open()
    chance = random.Random(seed)
    backlog = [key for key in "abcdef" for _ in range(chance.choice([1, 1, 3, 20]))]
    chance.shuffle(backlog)
    await waiting(journal, {"tasks": _keyed(backlog)})
    dealt: list[str] = []
    since = 0
    while page := (await claimed_tasks(chance.choice([journal, other]), want(chance.randint(1, 7)))).tasks:
        dealt += _keys(page)
        if not since and len(dealt) > 5:
            await waiting(other, {"tasks": _keyed(["c!", "x"])})
            since = len(dealt)
    assert Counter(dealt) == Counter([*backlog, "c!", "x"])
    for key in set(backlog):
        assert max(Counter(dealt[: dealt.index(key)]).values(), default=0) <= 1, dealt
    for key in ("c!", "x"):
        assert max(Counter(dealt[since : dealt.index(key)]).values(), default=0) <= 1, dealt[since:]


async def test_keys_are_dealt_in_the_order_of_their_bytes(kit: Kit) -> None:
    """Promise 13: neither letter case nor accents nor spaces fold or move a key; "" is one like others."""
    journal = await kit.open()
    ordered = ["!", "A", "Z", "a", "a ", "a!", "aa", "z", "é", "Ā", "中", "😀"]
    await waiting(journal, {"tasks": _keyed([*reversed(ordered), "", ""])})
    assert _keys((await claimed_tasks(journal)).tasks) == [*ordered, "", ""]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_turns_go_round_from_claim_to_claim(kit: Kit, limit: int) -> None:
    """Promise 13: a claim begins after the key that was dealt last; of one key the earlier due first."""
    journal = await kit.open()
    await waiting(journal, {"tasks": _keyed("aaaaabbbcd", 1)})
    await waiting(journal, {"tasks": _keyed("abz", 2)})
    dealt: list[tuple[str, int]] = []
    while page := (await claimed_tasks(journal, want(limit))).tasks:
        dealt += [(claim.task.fairness, claim.task.token) for claim in page]
    assert "".join(key for key, _ in dealt) == "abcdzabababaa"
    assert [token for key, token in dealt if key == "a"] == [1] * 5 + [2]
    assert [token for key, token in dealt if key == "b"] == [1] * 3 + [2]


async def test_turns_are_of_the_queue_and_not_of_its_activities(kit: Kit) -> None:
    """Promise 13: one round over all activities that are wanted, and the next claim goes on with it."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (*_keyed("aab"), *_keyed("abbc", 2, activity=OTHER))})
    assert _keys((await claimed_tasks(journal, want(2, activities=BOTH))).tasks) == ["a", "b"]
    assert _keys((await claimed_tasks(journal, want(1, activities=(OTHER,)))).tasks) == ["c"]
    assert _keys((await claimed_tasks(journal, want(1))).tasks) == ["a"]
    assert _keys((await claimed_tasks(journal, want(9, activities=BOTH))).tasks) == ["b", "a", "b"]


async def test_priority_comes_before_fairness(kit: Kit) -> None:
    """Promise 13: a tenant's urgent tasks go before another's others; each priority has turns of its own."""
    journal = await kit.open()
    tasks = (*_keyed("aab", 1, priority=0), *_keyed("bbcc", 2, priority=1))
    await waiting(journal, {"tasks": tasks})
    dealt: list[tuple[int, str]] = []
    while page := (await claimed_tasks(journal, want(2))).tasks:
        dealt += [(claim.task.priority, claim.task.fairness) for claim in page]
    assert dealt == [(0, "a"), (0, "b"), (0, "a"), (1, "b"), (1, "c"), (1, "b"), (1, "c")]


async def test_what_is_not_due_takes_no_turn(kit: Kit) -> None:
    """Promise 13: keys whose tasks wait for their time are passed over."""
    journal = await kit.open()
    await waiting(journal, {"tasks": _keyed("abc")})
    for claim in (await claimed_tasks(journal, want(2))).tasks:
        await finished(journal, finish(claim, FinishKind.RETRY, delay=HOUR))
    await waiting(journal, {"tasks": _keyed("cc", 2)})
    assert _keys((await claimed_tasks(journal)).tasks) == ["c", "c", "c"]


async def test_limits_and_turns_work_together(kit: Kit) -> None:
    """Promise 13: the smallest of limit, cap and tokens is the room, and it is dealt."""
    journal = await kit.open()
    await waiting(journal, {"tasks": _keyed("aaaabbbbc")})
    bound = Rate(1, HOUR, 4)
    first = await claimed_tasks(journal, want(9, cap=3, rate=bound))
    assert _keys(first.tasks) == ["a", "b", "c"]
    await journal.finish([finish(claim) for claim in first.tasks])
    assert _keys((await claimed_tasks(journal, want(9, cap=3, rate=bound))).tasks) == ["a"]
    assert await _count(journal, want(9, cap=3, rate=bound)) == 0


# --- suspects: see promise 11 ------------------------------------------------------------------------


async def _made_suspect(journal: Journal, *queues: str) -> None:
    """Lose the tasks of `queues` twice: they wait in front of what comes later."""
    for losses in range(3):
        if losses:
            await passed(journal, await journal.now() + 3 * MOMENT)
            await claimed_tasks(journal, *(want(0, queue) for queue in queues))  # counts the loss
            await passed(journal, await journal.now() + 3 * MOMENT)
        if losses < 2:
            for queue in queues:
                (claim,) = (await claimed_tasks(journal, want(1, queue), lease=MOMENT)).tasks
                assert claim.task.losses == losses


@pytest.mark.parametrize("keys", ["", "abcdefg"], ids=["one key", "several keys"])
async def test_no_want_hides_another(kit: Kit, keys: str) -> None:
    """Promise 13: a queue that always has work keeps neither the suspect of another nor what is behind it.

    In turn each want is first; then the suspect comes, alone, and after it the others.
    """
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    middle = keys[len(keys) // 2 :][:1]
    await waiting(journal, {"tasks": (new_task(1, queue="b", fairness=middle),)})
    await _made_suspect(journal, "b")
    innocent = _keyed(keys or [""] * 7, 2, queue="b")
    busy = tuple(new_task(3, slot, queue="a") for slot in range(40))
    await waiting(journal, {"tasks": (*innocent, *busy)})
    wants = [want(1, "a"), want(5, "b")]
    met: list[list[tuple[str, int]]] = []
    for number in range(8):
        turn = wants[number % 2 :] + wants[: number % 2]
        tasks = (await claimed_tasks(journal, *turn)).tasks
        met.append([(claim.task.queue, claim.task.losses) for claim in tasks])
        assert met[-1], "there is always something in a"
    of_b = [each for each in met if ("b", 2) in each]
    assert of_b == [[("b", 2)]], met
    assert sum(page.count(("b", 0)) for page in met) == len(innocent), met


async def test_a_suspect_at_the_head_of_every_want_comes_in_its_turn(kit: Kit) -> None:
    """Promise 13: n wants, each with a suspect in front: n claims, one suspect each; then all the others."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    queues = ("a", "b", "c")
    for token, queue in enumerate(queues, start=1):
        await waiting(journal, {"tasks": (new_task(token, queue=queue),)})
    await _made_suspect(journal, *queues)
    innocent = tuple(new_task(9, slot, queue=queue) for slot, queue in enumerate(queues))
    await waiting(journal, {"tasks": innocent})
    met: list[list[tuple[str, int]]] = []
    for number in range(4):
        turn = [want(5, queues[(number + place) % 3]) for place in range(3)]
        tasks = (await claimed_tasks(journal, *turn)).tasks
        met.append([(claim.task.queue, claim.task.losses) for claim in tasks])
    assert met[:3] == [[(queue, 2)] for queue in queues]
    assert sorted(met[3]) == [(queue, 0) for queue in queues]


# --- places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_a_place_is_the_number_of_tasks_before(kit: Kit, seed: int) -> None:
    """Promise 13: claimed one by one from there on, each task comes when its place said."""
    journal = await kit.open()
    chance = random.Random(seed)
    runs: list[UUID] = []
    for _ in range(4):
        tasks = tuple(
            new_task(1, slot, activity=chance.choice(BOTH), priority=chance.choice([0, 0, 3]), fairness=key)
            for slot, key in enumerate(chance.choices("aaabc", k=chance.randint(1, 6)))
        )
        runs.append(await waiting(journal, {"tasks": tasks}))
    await waiting(journal, {"tasks": (new_task(1, queue="slow", priority=-1),)})
    every = want(1, activities=BOTH)
    for _ in range(2):
        await claimed_tasks(journal, every)
    told: dict[int, tuple[UUID, int]] = {}
    for run_id in runs:
        found = await seen(journal, run_id)
        assert len(found.places) == len(found.tasks)
        for task, place in zip(found.tasks, found.places, strict=True):
            assert (place is None) == (task.lease_until is not None)
            if place is not None:
                assert place not in told
                told[place] = (run_id, task.slot)
    order: list[tuple[UUID, int]] = []
    while page := (await claimed_tasks(journal, every)).tasks:
        order += [(claim.task.run_id, claim.task.slot) for claim in page]
    assert [told[place] for place in range(len(told))] == order


async def test_what_does_not_wait_has_no_place(kit: Kit) -> None:
    """Promise 13: neither what is leased nor what is not due; and it is before nobody."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": _tasks(4)})
    first = await claimed_tasks(journal, want(2))
    await finished(journal, finish(first.tasks[0], FinishKind.RETRY, delay=HOUR))
    assert (await seen(journal, run_id)).places == (None, None, 0, 1)
    await finished(journal, finish(first.tasks[1], FinishKind.RETURN))
    assert (await seen(journal, run_id)).places == (None, 2, 0, 1)


async def test_what_nobody_needs_any_more_is_before_nobody(kit: Kit) -> None:
    """Promise 13: a lost task that was asked to stop has no place; the next claim puts it away."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    run_id = await waiting(journal, {"tasks": _tasks(2)})
    claims = (await claimed_tasks(journal, want(2), lease=MOMENT)).tasks
    await passed(journal, await journal.now() + MOMENT)
    await claimed_tasks(journal, want(0))  # counts them as lost
    await passed(journal, await journal.now() + MOMENT)
    behind = await waiting(journal, {"tasks": _tasks(1)})
    assert (await seen(journal, behind)).places == (2,)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, closed=(1,)))
    found = await seen(journal, run_id)
    assert [(task.cancel, task.lease_until) for task in found.tasks] == [(True, None)] * len(claims)
    assert found.places == (None,) * len(claims)
    assert (await seen(journal, behind)).places == (0,)
    (taken,) = (await claimed_tasks(journal, want(3))).tasks
    assert taken.task.run_id == behind
