"""Whole runs on their way in.

Rule: what is kept of the departure is written first, and the row of the run next, and they decide: of two
that restore or start one run at once, the second waits for it, and finds it there. What was sent to the run
before it was here is delivered in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.carrying import UNKNOWN_RUN, RestoreOutcome, RunImage
from continuum_core.journal.records import ENDED, Delivery
from continuum_postgres import arrays, rows
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch
from continuum_postgres.deliveries import Looked, send
from continuum_postgres.session import Ask, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements import carrying as statements
from continuum_postgres.statements.reading import NOW
from continuum_postgres.statements.runs import NOTE_GENERATIONS, RUNS_BY_ID, STOOD
from continuum_postgres.writes import Writes, by_run, delivery_arrays, names

__all__ = ["rehearse", "restore"]


async def restore(session: Session, image: RunImage) -> RestoreOutcome:
    """Write one run, or say why it is not written."""
    batch = Batch(session, last=True)
    outcome, asks = await _written(batch, image)
    if outcome is RestoreOutcome.RESTORED:
        await batch.write(*asks)
    else:
        await batch.undo()
    return outcome


async def rehearse(session: Session, image: RunImage) -> RestoreOutcome:
    """Write one run, and take it back: the server itself says what it cannot hold."""
    batch = Batch(session)
    outcome, asks = await _written(batch, image)
    if asks:
        await batch.read(*asks)
    await batch.undo()
    return outcome


async def _written(batch: Batch, image: RunImage) -> tuple[RestoreOutcome, list[Ask]]:
    """Write a run but for the last statements, which are told. What is written for another outcome than
    RESTORED is to be taken back."""
    kept = _arrival(image)
    told = await batch.read((NOW, ()), *kept, (statements.ADD_RUN, _run(image)))
    batch.at(told[NOW][0][0])
    if kept and not told[statements.KEEP_ARRIVAL]:
        return RestoreOutcome.EXISTS, []
    if not told[statements.ADD_RUN]:
        return await _met(batch, image), []
    strays: list[Delivery] = []
    if image.run.status not in ENDED:
        named = (shard(image.run.run_id), image.run.run_id, UNKNOWN_RUN)
        found = await batch.read((statements.STRAYS, named))
        strays = list(map(rows.delivery, found[statements.STRAYS]))
    await batch.read(*_asks(image, batch.now), (NOW, ()))
    return RestoreOutcome.RESTORED, await _sent(batch, image, strays)


def _arrival(image: RunImage) -> list[Ask]:
    if image.departure is None:
        return []
    run_id = image.run.run_id
    return [(statements.KEEP_ARRIVAL, (shard(run_id), run_id, image.departure))]


async def _met(batch: Batch, image: RunImage) -> RestoreOutcome:
    """Whether the run that is here is the one that arrives."""
    wanted = image.run
    named = by_run((wanted.run_id,))
    at = arrays.bigints([wanted.version])
    told = await batch.read((RUNS_BY_ID, named), (STOOD, (*named, at, at)))
    if not told[RUNS_BY_ID]:
        return RestoreOutcome.CONFLICT  # it was pruned at this moment
    known = rows.run(told[RUNS_BY_ID][0][1:], "")
    same = (known.machine, known.digest) == (wanted.machine, wanted.digest)
    if same and wanted.version == known.version:
        same = known.commit_id == wanted.commit_id
    elif same and wanted.version > 0:
        same = told[STOOD][0][0] == wanted.commit_id
    return RestoreOutcome.EXISTS if same else RestoreOutcome.CONFLICT


async def _sent(batch: Batch, image: RunImage, strays: Sequence[Delivery]) -> list[Ask]:
    """Deliver what was sent to the run while it was not here."""
    run_id = image.run.run_id
    own = {letter.delivery.id for letter in image.dead} | {delivery.id for delivery in image.deliveries}
    waiting = [delivery for delivery in strays if delivery.id not in own]
    if not waiting:
        return []
    looked = Looked()
    looked.messages(run_id, waiting)
    if asked := looked.asks():
        looked.read(await batch.read(*asked), batch.forgotten)
    writes = Writes(batch.now, batch.forgotten)
    for delivery in waiting:
        send(writes, looked, delivery, run_id)
    return writes.asks()


# --- rows


def _run(image: RunImage) -> tuple[object, ...]:
    run = image.run
    return (
        shard(run.run_id), run.run_id, run.machine, run.fingerprint, run.key, run.digest, run.generation,
        Bigint(run.version), int(run.status), run.cause, run.snapshot, run.outcome, Bigint(run.fence),
        run.commit_id, run.tries, run.parent, run.root, Bigint(run.created), Bigint(run.updated),
    )  # fmt: skip


def _asks(image: RunImage, now: Micros) -> list[Ask]:
    run_id = image.run.run_id
    writes = Writes(now, now)
    writes.records.extend(image.records)
    writes.describe(run_id, image.attributes)
    writes.keep(run_id, image.members)
    if image.eternal:
        writes.eternal.append(run_id)
    asks = writes.asks()
    if image.generations:
        listed = image.generations
        below = arrays.bigints([version for version, _ in listed])
        over = arrays.bigints([at for _, at in listed])
        asks.append((NOTE_GENERATIONS, (*by_run([run_id] * len(listed)), below, over)))
    if image.seen:
        dedupes = arrays.texts([dedupe for dedupe, _ in image.seen])
        consumed = arrays.bigints([consumed for _, consumed in image.seen])
        kept = dict(image.replies)
        replies = arrays.byteas([kept.get(dedupe) for dedupe, _ in image.seen])
        asks.append((statements.ADD_SEEN, (shard(run_id), run_id, dedupes, consumed, replies)))
    if image.deliveries:
        held = arrays.smallints([delivery.held for delivery in image.deliveries])
        asks.append((statements.COPY_DELIVERIES, (*delivery_arrays(list(image.deliveries), now), held)))
    if image.tasks:
        asks.append((statements.COPY_TASKS, (*_tasks(image, run_id), Bigint(now))))
    if image.dead:
        letters = delivery_arrays([letter.delivery for letter in image.dead], now)
        reasons = arrays.texts([letter.reason for letter in image.dead])
        times = arrays.bigints([letter.at for letter in image.dead])
        asks.append((statements.COPY_DEAD, (*letters, reasons, times)))
    return asks


def _tasks(image: RunImage, run_id: UUID) -> tuple[object, ...]:
    tasks = image.tasks
    return (
        *names([(run_id, task.token, task.slot) for task in tasks]),
        arrays.texts([task.activity for task in tasks]),
        arrays.texts([task.queue for task in tasks]),
        arrays.integers([task.priority for task in tasks]),
        arrays.bigints([task.due for task in tasks]),
        arrays.bigints([task.scheduled for task in tasks]),
        arrays.byteas([task.payload for task in tasks]),
        arrays.texts([task.key for task in tasks]),
        arrays.booleans([task.undo for task in tasks]),
        arrays.integers([task.attempt for task in tasks]),
        arrays.integers([task.losses for task in tasks]),
        arrays.bigints([task.fence for task in tasks]),
        arrays.booleans([task.cancel for task in tasks]),
        arrays.byteas([task.details for task in tasks]),
        arrays.byteas([task.failure for task in tasks]),
        arrays.texts([task.fairness for task in tasks]),
        arrays.bigints(list(image.reported)),
    )
