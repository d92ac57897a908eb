"""The plugin as a command line, a worker and a thief meet it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
import typer
from attrs import frozen
from typer.testing import CliRunner

import continuum_seal
from continuum_core import Machine, event, root
from continuum_core.errors import PayloadLocked
from continuum_core.hooks import PluginRefused, Plugins
from continuum_core.journal.connect import connect
from continuum_core.journal.records import Run, RunStatus
from continuum_core.testing import Engine
from continuum_seal import KEY, Seal, counts

SECRET = "07" * 32


@frozen
class Box:
    label: str


@event
class Opened:
    strength: int


class Chest(Machine[Box, Box, str], name="chest"):
    """Opens; one that is opened with no strength at all gets stuck."""

    s = root(Box)
    shut = s.state(initial=True)
    ajar = s.final()

    @staticmethod
    def init(i: Box) -> Box:
        return i

    @staticmethod
    def result(c: Box) -> str:
        return c.label

    shut.on(Opened, ajar, when=lambda c, e: 1 // e.strength > 0)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    counts.clear()


def test_a_sealed_payload_is_read_as_it_was_written() -> None:
    seal = Seal(b"k" * 32)
    assert seal.decode(seal.encode(b"payload", b"run 1"), b"run 1") == b"payload"


@pytest.mark.parametrize("stored", [b"", b"x" * 10, Seal(b"k" * 32).encode(b"payload", b"run 1")[:-1] + b"!"])
def test_a_changed_payload_is_refused(stored: bytes) -> None:
    with pytest.raises(PayloadLocked, match="seal is broken"):
        Seal(b"k" * 32).decode(stored, b"run 1")
    assert counts["broken seals"] == 1


def test_a_payload_of_another_run_or_key_is_refused() -> None:
    stored = Seal(b"k" * 32).encode(b"payload", b"run 1")
    for seal, bound in ((Seal(b"k" * 32), b"run 2"), (Seal(b"K" * 32), b"run 1")):
        with pytest.raises(PayloadLocked):
            seal.decode(stored, bound)


def test_parked_runs_are_counted() -> None:
    async def stuck(plugins: Plugins) -> None:
        async with Engine([Chest], plugins=plugins) as engine:
            run = await engine.start(Chest, Box("gold"))
            await engine.send(run, Opened(0))

    plugins = Plugins(continuum_seal)
    asyncio.run(stuck(plugins))
    assert plugins.failures == {}
    (section,) = continuum_seal.health_sections()
    assert (section.ok, section.facts) == (True, {"parked runs": 1, "broken seals": 0})


def test_without_a_key_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    with pytest.raises(PluginRefused, match="continuum seal --new"):
        Engine([Chest], plugins=Plugins(continuum_seal))


def test_what_is_stored_is_sealed_and_another_key_does_not_open_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that one key sealed meets a worker with another: it parks, and the broken seal is told."""

    async def begun() -> UUID:
        async with Engine([Chest], journal="memory://chest", plugins=Plugins(continuum_seal)) as engine:
            run = await engine.start(Chest, Box("gold"))
            return run.id

    async def gone_on(run: UUID) -> None:
        async with Engine([Chest], journal="memory://chest", plugins=Plugins(continuum_seal)) as engine:
            await engine.client.send(run, "Opened", {"strength": 1})
            await engine.settle()

    async def stored(run: UUID) -> Run | None:
        journal = connect("memory://chest")
        await journal.open()
        (row,) = await journal.load([run])
        await journal.close()
        return row

    run = asyncio.run(begun())
    before = asyncio.run(stored(run))
    assert before is not None
    assert b"seal" in before.snapshot
    assert counts["broken seals"] == 0
    monkeypatch.setenv(KEY, "08" * 32)
    asyncio.run(gone_on(run))
    after = asyncio.run(stored(run))
    assert after is not None
    assert (after.status, after.snapshot) == (RunStatus.PARKED, before.snapshot)
    (section,) = continuum_seal.health_sections()
    assert not section.ok


def test_the_command_tells_the_key() -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    continuum_seal.register_commands(app)
    run = CliRunner().invoke
    new = run(app, ["seal", "--new"]).stdout.strip()
    told = run(app, ["seal"], env={KEY: new})
    assert told.stdout.startswith("sealed with key ")
    assert new not in told.stdout
    refused = run(app, ["seal"], env={KEY: "short"})
    assert refused.exit_code == 1
