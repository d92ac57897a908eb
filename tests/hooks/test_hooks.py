"""Plugins come in by entry point; what they observe and raise harms no run."""

from __future__ import annotations

import logging
import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import typer

from continuum_core import RunFailed
from continuum_core.cli import main
from continuum_core.hooks import hookimpl
from continuum_core.hooks.loading import CHOICE, GROUP, Observers, PluginRefused, load
from continuum_core.testing import Engine
from tests.runtime.machines import Broken, Job, Note, work


class Notes:
    """A plugin that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    @hookimpl
    def worker_started(self, machines: tuple[str, ...]) -> None:
        self.told.append(("started", *machines))

    @hookimpl
    def worker_draining(self) -> None:
        self.told.append(("draining",))

    @hookimpl
    def worker_stopped(self, namespace: str) -> None:
        self.told.append(("stopped", namespace))

    @hookimpl
    def run_ended(self, status: str) -> None:
        self.told.append(("ended", status))

    @hookimpl
    def run_parked(self, cause: str) -> None:
        self.told.append(("parked", cause.split(":")[0]))


class Clumsy:
    """A plugin that always raises."""

    @hookimpl
    def run_ended(self) -> None:
        raise RuntimeError("clumsy")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("plugins_of_this_test")
    module.notes = Notes()  # type: ignore[attr-defined]  # a module made here
    module.clumsy = Clumsy()  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv(CHOICE, raising=False)
    return module


def point(name: str, attribute: str) -> EntryPoint:
    return EntryPoint(name, f"plugins_of_this_test:{attribute}", GROUP)


async def test_observers_are_told_and_one_that_raises_harms_nobody(
    plugins: types.ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    manager = load([point("clumsy", "clumsy"), point("notes", "notes")])
    observers = Observers(manager)
    async with Engine([Job, Broken], observers=observers) as engine:
        engine.stub(work, returns="x")
        for _ in range(2):
            await (await engine.start(Job, "a")).result()
        engine.stub(work, raises=ValueError("no"))
        with pytest.raises(RunFailed):
            await (await engine.start(Job, "b")).result()
        broken = await engine.start(Broken, "c")
        await engine.send(broken, Note("bad"))
        await engine.deploy([Job, Broken])
    told = plugins.notes.told
    assert told == [
        ("started", "fragile", "job"),
        ("ended", "completed"),
        ("ended", "completed"),
        ("ended", "failed"),
        ("parked", "fault"),
        ("draining",),
        ("stopped", "default"),
        ("started", "fragile", "job"),
        ("stopped", "default"),
    ]
    assert observers.failures == {"clumsy": 3}
    lines = [r for r in caplog.records if "clumsy" in r.getMessage() and r.levelno == logging.ERROR]
    assert len(lines) == 1, "one cause is logged once"


def test_the_environment_chooses(plugins: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [point("clumsy", "clumsy"), point("notes", "notes")]
    monkeypatch.setenv(CHOICE, "notes")
    assert [name for name, _ in load(found).list_name_plugin()] == ["notes"]
    monkeypatch.setenv(CHOICE, "")
    assert load(found).list_name_plugin() == []
    monkeypatch.setenv(CHOICE, "notse")
    with pytest.raises(PluginRefused, match="notse; installed plugins: clumsy, notes"):
        load(found)


def test_a_plugin_that_cannot_be_used_is_refused_with_the_reason(plugins: types.ModuleType) -> None:
    with pytest.raises(PluginRefused, match="'gone'"):
        load([point("gone", "nothing_there")])

    class Other:
        HOOKS_VERSION = 99

    plugins.other = Other()  # type: ignore[attr-defined]  # a module made here
    with pytest.raises(PluginRefused, match="hooks version 99"):
        load([point("other", "other")])

    class Misspelt:
        @hookimpl
        def run_endde(self) -> None:
            """No such hook."""

    plugins.misspelt = Misspelt()  # type: ignore[attr-defined]  # a module made here
    with pytest.raises(PluginRefused, match="run_endde"):
        load([point("misspelt", "misspelt")])


def test_a_plugin_adds_a_command(
    plugins: types.ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Greets:
        @hookimpl
        def register_commands(self, app: typer.Typer) -> None:
            @app.command("greet")
            def greet() -> None:
                """Say hello."""
                typer.echo("hello from a plugin")

    class Breaks:
        @hookimpl
        def register_commands(self) -> None:
            raise RuntimeError("broken on purpose")

    plugins.greets = Greets()  # type: ignore[attr-defined]  # a module made here
    plugins.breaks = Breaks()  # type: ignore[attr-defined]  # a module made here
    manager = load([point("breaks", "breaks"), point("greets", "greets")])
    monkeypatch.setattr(main, "load", lambda: manager)
    commands = list(main.app.registered_commands)
    try:
        with pytest.raises(SystemExit) as ended:
            main.main(["greet"])
    finally:
        main.app.registered_commands[:] = commands
    assert ended.value.code == 0
    assert "hello from a plugin" in capsys.readouterr().out
