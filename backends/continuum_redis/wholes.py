"""Whole runs, written for the scripts. The order of fields is that of the readers in `85_carrying.lua`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from continuum_core.clock import Micros
from continuum_core.journal.carrying import Arrival, Departure, KeyedResult, RunImage, Version
from continuum_core.journal.records import DeadLetter, Delivery, Run, Task
from continuum_redis.arguments import Arguments

__all__ = ["arrival", "departure", "image", "result", "version"]


def departure(to: Arguments, asked: Departure) -> None:
    to.uuid(asked.run_id)
    to.bytes(asked.mark)
    to.uuid(asked.id)
    to.bytes(asked.body)
    to.bytes(asked.outcome)


def arrival(to: Arguments, settled: Arrival) -> None:
    to.uuid(settled.run_id)
    to.list(to.uuid, settled.forwarded)
    to.flag(settled.waits)


def version(to: Arguments, named: Version) -> None:
    to.uuid(named.run_id)
    to.maybe(to.uuid, named.commit_id)


def image(to: Arguments, whole: RunImage) -> None:
    _run(to, whole.run)
    to.list(to.record, whole.records)
    to.list(to.number, [record.version for record in whole.records])
    to.flag(whole.eternal)
    to.list(partial(_past, to), whole.generations)
    to.list(partial(_whole_delivery, to), whole.deliveries)
    to.list(partial(_whole_task, to), list(zip(whole.tasks, whole.reported, strict=True)))
    to.list(partial(_letter, to), whole.dead)
    to.list(partial(_seen, to, dict(whole.replies)), whole.seen)
    to.list(to.attribute, whole.attributes)
    to.list(to.member, whole.members)
    to.maybe(to.uuid, whole.departure)


def _past(to: Arguments, generation: tuple[int, Micros]) -> None:
    below, over = generation
    to.number(below)
    to.number(over)


def _run(to: Arguments, run: Run) -> None:
    to.uuid(run.run_id)
    to.text(run.machine)
    to.text(run.fingerprint)
    to.maybe(to.text, run.key)
    to.bytes(run.digest)
    to.number(run.generation)
    to.number(run.version)
    to.number(run.status)
    to.text(run.cause)
    to.bytes(run.snapshot)
    to.maybe(to.bytes, run.outcome)
    to.number(run.fence)
    to.maybe(to.uuid, run.commit_id)
    to.number(run.tries)
    to.maybe(to.uuid, run.parent)
    to.maybe(to.uuid, run.root)
    to.number(run.created)
    to.number(run.updated)


def _whole_delivery(to: Arguments, delivery: Delivery) -> None:
    to.delivery(delivery)
    to.number(delivery.held)


def _whole_task(to: Arguments, of: tuple[Task, int]) -> None:
    task, reported = of
    to.uuid(task.run_id)
    to.number(task.token)
    to.number(task.slot)
    to.text(task.activity)
    to.text(task.queue)
    to.number(task.priority)
    to.number(task.due)
    to.number(task.scheduled)
    to.bytes(task.payload)
    to.maybe(to.text, task.key)
    to.flag(task.undo)
    to.number(task.attempt)
    to.number(task.losses)
    to.number(task.fence)
    to.flag(task.cancel)
    to.maybe(to.bytes, task.details)
    to.maybe(to.bytes, task.failure)
    to.text(task.fairness)
    to.number(reported)


def _letter(to: Arguments, letter: DeadLetter) -> None:
    to.delivery(letter.delivery)
    to.text(letter.reason)
    to.number(letter.at)


def _seen(to: Arguments, replies: Mapping[str, bytes], entry: tuple[str, Micros | None]) -> None:
    dedupe, consumed = entry
    to.text(dedupe)
    to.maybe(to.number, consumed)
    to.maybe(to.bytes, replies.get(dedupe))


def result(to: Arguments, kept: KeyedResult) -> None:
    to.text(kept.activity)
    to.text(kept.key)
    to.bytes(kept.run_id.bytes + kept.token.to_bytes(8, "big") + kept.slot.to_bytes(4, "big"))
    to.number(kept.until)
    to.bytes(kept.result)
