"""Promise 22: whatever is within the bounds of `continuum_core.texts` is held, wherever it may stand.

What is beyond them is refused before a journal is asked, so that none is asked for what another could hold.
The texts here cannot be compressed: the entries of an index are as long as they can be.
"""

from __future__ import annotations

import random
import string

import pytest

from continuum_core.journal.commit import (
    DeliverOutcome,
    FinishKind,
    FinishOutcome,
    OrderKind,
    ReserveOutcome,
)
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    finish,
    hold_run,
    new_task,
    reservation,
    signal,
    timer,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    payloads,
    row,
    seen,
    started,
    waiting,
)
from continuum_core.texts import LATEST, LONGEST_NAME, LONGEST_REASON, LONGEST_WAIT

_CHANCE = random.Random(22)  # no secret: the same texts each time


def _word(size: int, letters: str = string.ascii_letters + string.digits) -> str:
    """A text of so many bytes in UTF-8, another one each time."""
    width = len(letters[0].encode())
    return "".join(_CHANCE.choice(letters) for _ in range(size // width))


ALPHABETS = {
    "one byte each": string.ascii_letters + string.digits,
    "four bytes each": "".join(map(chr, range(0x1F300, 0x1F5FF))),
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
async def test_the_longest_key_and_dedupe_id(kit: Kit, alphabet: str) -> None:
    """Promise 22: of a start, of events and of a message that a turn sends."""
    journal = await kit.open()
    key, dedupe, sent = (_word(LONGEST_NAME, ALPHABETS[alphabet]) for _ in range(3))
    run_id = await started(journal, key=key)
    await delivered(journal, signal(run_id, dedupe=dedupe))
    claim, now = await claimed_one(journal)
    assert (await row(journal, run_id)).key == key
    assert [delivery.dedupe for delivery in claim.deliveries][1:] == [dedupe]
    await committed(journal, turn(claim, now, deliveries=(signal(run_id, dedupe=sent),)))
    for known in (dedupe, sent):
        (again,) = await journal.deliver([signal(run_id, dedupe=known)])
        assert again.outcome is DeliverOutcome.DUPLICATE


@pytest.mark.parametrize("alphabet", ALPHABETS)
async def test_the_longest_names_of_a_task(kit: Kit, alphabet: str) -> None:
    """Promise 22: queue, activity, fairness key and shared key at once, claimed, put off and finished."""
    journal = await kit.open()
    queue, activity, fairness, key = (_word(LONGEST_NAME, ALPHABETS[alphabet]) for _ in range(4))
    new = new_task(1, activity=activity, queue=queue, fairness=fairness, key=key)
    await waiting(journal, {"tasks": (new,)})
    asked = want(queue=queue, activities=(activity,), cap=5)
    (claim,) = (await claimed_tasks(journal, asked)).tasks
    task = claim.task
    assert (task.queue, task.activity, task.fairness, task.key) == (queue, activity, fairness, key)
    reserved = reservation(task, HOUR, key)
    (answer,) = await journal.reserve([reserved])
    assert answer.outcome is ReserveOutcome.RESERVED
    assert (
        await finished(journal, finish(claim, FinishKind.RETRY, delay=MOMENT))
    ).outcome is FinishOutcome.FINISHED
    found = await claimed_tasks(journal, asked)
    while not found.tasks:  # it is put off by a microsecond
        found = await claimed_tasks(journal, asked)
    ended = await finished(journal, finish(found.tasks[0], result=b"result"))
    assert ended.outcome is FinishOutcome.FINISHED
    (answer,) = await journal.reserve([reserved])
    assert (answer.outcome, answer.result) == (ReserveOutcome.DONE, b"result")


async def test_the_longest_reason_and_namespace(kit: Kit) -> None:
    """Promise 22: a run rests for a reason of many bytes, in a namespace of as many as a name may have."""
    journal = await kit.open(_word(LONGEST_NAME))
    why = _word(LONGEST_REASON)
    run_id = await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, run_id, cause=why)
    assert (await row(journal, run_id)).cause == why


async def test_the_farthest_times(kit: Kit) -> None:
    """Promise 22: the last is kept as it is, and told as what is due next; what was due first comes first."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, _ = await claimed_one(journal)
    far, early = LATEST - 1, 1 - LATEST
    assert (await delivered(journal, signal(run_id, b"far", due=far))).due == far
    assert (await delivered(journal, signal(run_id, b"early", due=early))).due == early
    await journal.release([hold_run(claim)])
    claim, now = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"early", b"start"]
    await committed(journal, turn(claim, now, deliveries=(timer(run_id, far - 1),)))
    dues = sorted(delivery.due or 0 for delivery in (await seen(journal, run_id)).deliveries)
    assert dues == [far - 1, far]
    assert (await claimed(journal)).next_due == far - 1


async def test_the_longest_waits(kit: Kit) -> None:
    """Promise 22: leases, windows, a retry's delay and a lost worker's backoff, of a hundred years."""
    limits = Limits(dedupe_window=LONGEST_WAIT, result_window=LONGEST_WAIT, loss_backoff=LONGEST_WAIT)
    journal = await kit.open(limits=limits)
    run_id = await waiting(journal, {"tasks": (new_task(1), new_task(2, key="shared"))})
    first, second = (await claimed_tasks(journal, lease=LONGEST_WAIT)).tasks
    assert (first.task.lease_until or 0) > LONGEST_WAIT
    await delivered(journal, signal(run_id, dedupe="one"))
    later = finish(first, FinishKind.RETRY, delay=LONGEST_WAIT)
    assert (await finished(journal, later)).outcome is FinishOutcome.FINISHED
    assert (await finished(journal, finish(second, result=b"result"))).outcome is FinishOutcome.FINISHED
    (claim,) = (await claimed(journal, lease=LONGEST_WAIT)).runs
    assert claim.lease_until > LONGEST_WAIT
    (task,) = (await seen(journal, run_id)).tasks
    assert task.due > LONGEST_WAIT
