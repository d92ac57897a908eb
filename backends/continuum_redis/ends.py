"""Ends and heartbeats of tasks that need something of another tag: a keyed result, a permit.

Rule: the run's tag is asked first and says what is needed, having written nothing; that is done where it
belongs, and the tag is asked again. Most tasks need nothing, and are asked for once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from continuum_core.journal.commit import TaskFinish, TaskHold
from continuum_redis.arguments import Arguments, packed, task_name
from continuum_redis.queues import TaskSpread
from continuum_redis.store import TURNING, Store
from continuum_redis.tags import result_name

__all__ = ["finish", "heartbeat"]


def _name(of: TaskFinish | TaskHold) -> bytes:
    return task_name(of.run_id, of.token, of.slot)


async def finish(store: Store, queues: TaskSpread, finishes: Sequence[TaskFinish]) -> list[Any]:
    """The reply for each."""

    def asked(ending: TaskFinish, settled: bool) -> tuple[int, bytes]:
        return _of(store, ending.run_id), packed(lambda to: to.finish(ending, settled))

    replies = await store.gather(TURNING, "finish", [asked(ending, False) for ending in finishes])
    keyed = [place for place, reply in enumerate(replies) if reply[0] == b"keyed"]
    if keyed:
        results = [_settling(store, finishes[place], *replies[place][1:]) for place in keyed]
        await store.gather(TURNING, "settle", results)
        again = [asked(finishes[place], True) for place in keyed]
        for place, reply in zip(keyed, await store.gather(TURNING, "finish", again), strict=True):
            replies[place] = reply
    ended = [
        (reply[3].decode(), _name(ending))
        for ending, reply in zip(finishes, replies, strict=True)
        if reply[3] is not None
    ]
    if ended:
        await queues.hand_back(ended)
    return replies


def _settling(store: Store, ending: TaskFinish, activity: bytes, key: bytes) -> tuple[int, bytes]:
    def write(to: Arguments) -> None:
        to.bytes(activity)
        to.bytes(key)
        to.bytes(_name(ending))
        to.text(ending.kind.value)
        to.maybe(to.bytes, ending.result)

    return store.tags.of(result_name(activity.decode(), key.decode())), packed(write)


async def heartbeat(store: Store, queues: TaskSpread, tasks: Sequence[TaskHold], lease: int) -> list[Any]:
    """The reply for each."""
    head = packed(lambda to: to.number(lease))

    def asked(hold: TaskHold, extended: bool) -> tuple[int, bytes]:
        return _of(store, hold.run_id), packed(lambda to: to.task_hold(hold, extended))

    replies = await store.gather(TURNING, "heartbeat", [asked(hold, False) for hold in tasks], head)
    permitted = [place for place, reply in enumerate(replies) if isinstance(reply, list)]
    if permitted:
        await queues.extend([(replies[place][0].decode(), _name(tasks[place])) for place in permitted], lease)
        again = [asked(tasks[place], True) for place in permitted]
        for place, reply in zip(
            permitted, await store.gather(TURNING, "heartbeat", again, head), strict=True
        ):
            replies[place] = reply
    return replies


def _of(store: Store, run: UUID) -> int:
    return store.tags.of_run(run)
