"""The engine on PostgreSQL, in real time: workers, timers, deferral, sends, retries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from psycopg.pq.abc import PGresult

from continuum_core import Client, Machine, Worker
from continuum_core.journal.records import RunStatus
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.statements.fused import FUSE_FINISH, FUSE_START
from tests.postgres.handles import soon
from tests.postgres.machines import Errand, Go, Note, Patient, Sender, Steps


async def test_steps_of_many_runs_on_two_workers(empty_url: str) -> None:
    """Three activities in three states: each run ends with its result, whoever carried it out."""
    async with (
        Worker(empty_url, [Steps], poll=0.5),
        Worker(empty_url, [Steps], poll=0.5) as second,
        Client(empty_url, [Steps]) as client,
    ):
        handles = [await client.start(Steps, number) for number in range(30)]
        handles += [await second.client.start(Steps, number) for number in range(30)]
        results = [await soon(handle.result(20)) for handle in handles]
        assert results == [number + 3 for number in range(30)] * 2
        registry = Registry([Steps])
        for handle in handles:
            view = await client.view(handle.id)
            assert (view.status, view.version, view.tasks) == (RunStatus.COMPLETED, 4, ())
            await verify_run(client.journal, registry, handle.id)


async def test_a_step_costs_one_transaction(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with its first turn; then each outcome with the next turn: four statements of one round trip."""
    sent: list[str] = []
    asked, told = Session.ask, Session.tell

    async def ask(self: Session, *asks: Ask) -> list[list[Row]]:
        if any("INSERT INTO continuum.records" in sql for sql, _ in asks):
            sent.extend(sql for sql, _ in asks)
        return await asked(self, *asks)

    async def tell(self: Session, sql: str, values: Sequence[object]) -> PGresult:
        sent.append(sql)
        return await told(self, sql, values)

    async with Worker(empty_url, [Steps]) as worker:
        monkeypatch.setattr(Session, "ask", ask)
        monkeypatch.setattr(Session, "tell", tell)
        assert await (await worker.client.start(Steps, 1)).result(20) == 4
        monkeypatch.undo()
    assert sent == [FUSE_START, FUSE_FINISH, FUSE_FINISH, FUSE_FINISH]


async def test_timers_deferral_retries_and_sends(empty_url: str) -> None:
    """A note that came too early waits for the timer; the activity fails twice; another run sends as well."""
    machines: list[type[Machine[Any, Any, Any]]] = [Patient, Sender]
    async with Worker(empty_url, machines, poll=0.5), Client(empty_url, machines) as client:
        early = await client.start(Patient, 1, key="early")
        await early.send(Note("early"))
        told = await client.start(Patient, 2, key="told")
        sender = await client.start(Sender, Errand(7, "told"))
        await sender.send(Go())
        assert await soon(sender.result(20)) == 7
        assert await soon(early.result(20)) == "early,attempt 3"
        assert await soon(told.result(20)) == "sent,attempt 3"


async def test_a_client_elsewhere_hears_of_the_end(empty_url: str) -> None:
    """With a poll of a minute: the worker hears of another handle's start, and that one of the end."""
    async with (
        Worker(empty_url, [Steps], poll=60.0),
        Client(empty_url, [Steps], poll=60.0) as client,
    ):
        assert await soon((await client.start(Steps, 1)).result(20)) == 4
