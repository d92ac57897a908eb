"""Plugins come in by entry point; what they observe and raise harms no run."""

from __future__ import annotations

import logging
import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import typer

from continuum_core import RunFailed, UsageError
from continuum_core.cli import main
from continuum_core.hooks import HOOKS_VERSION, PluginRefused, Plugins, RunFacts, WorkerFacts, hookimpl
from continuum_core.hooks.loading import CHOICE, GROUP, OFF, load
from continuum_core.testing import Engine
from tests.runtime.machines import Broken, Job, Note, work


class Notes:
    """A plugin that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    @hookimpl
    def worker_started(self, worker: WorkerFacts) -> None:
        self.told.append(("started", *worker.machines))

    @hookimpl
    def worker_draining(self) -> None:
        self.told.append(("draining",))

    @hookimpl
    def worker_stopped(self, worker: WorkerFacts) -> None:
        self.told.append(("stopped", worker.namespace))

    @hookimpl
    def run_completed(self, run: RunFacts) -> None:
        self.told.append(("completed", run.machine))

    @hookimpl
    def run_failed(self, run: RunFacts) -> None:
        self.told.append(("failed", run.machine))

    @hookimpl
    def run_parked(self, run: RunFacts) -> None:
        self.told.append(("parked", run.cause.split(":")[0]))


class Clumsy:
    """A plugin that always raises."""

    @hookimpl
    def run_completed(self) -> None:
        raise RuntimeError("clumsy")

    @hookimpl
    def run_failed(self) -> None:
        raise SystemExit("clumsier")


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
    loaded = load([point("clumsy", "clumsy"), point("notes", "notes")])
    async with Engine([Job, Broken], plugins=loaded) as engine:
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
        ("completed", "job"),
        ("completed", "job"),
        ("failed", "job"),
        ("parked", "fault"),
        ("draining",),
        ("stopped", "default"),
        ("started", "fragile", "job"),
        ("stopped", "default"),
    ]
    assert loaded.failures == {("clumsy", "run_completed"): 2, ("clumsy", "run_failed"): 1}
    lines = [r for r in caplog.records if "clumsy" in r.getMessage() and r.levelno == logging.ERROR]
    assert len(lines) == 2, "one cause is logged once"
    counted = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "plugin clumsy raised 2 times in run_completed" in counted, "and all are counted at the end"
    [section] = loaded.health()
    assert section.facts["failures"] == {"clumsy.run_completed": 2, "clumsy.run_failed": 1}


def test_the_environment_chooses(plugins: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [point("clumsy", "clumsy"), point("notes", "notes")]
    monkeypatch.setenv(CHOICE, "notes")
    assert [plugin.name for plugin in load(found).loaded()] == ["notes"]
    monkeypatch.setenv(CHOICE, "")
    assert load(found).loaded() == []
    monkeypatch.setenv(CHOICE, "notse")
    with pytest.raises(PluginRefused, match="notse; installed plugins: clumsy, notes"):
        load(found)


def test_a_plugin_is_switched_off_by_name_from_outside_and_while_it_runs(
    plugins: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [point("clumsy", "clumsy"), point("notes", "notes")]
    monkeypatch.setenv(OFF, "clumsy, notes")
    loaded = load(found)
    assert loaded.off() == {"clumsy", "notes"}
    assert loaded.run_completed is None, "a hook that nobody answers costs one look at an attribute"
    assert loaded.implement("run_completed"), "it may be switched on again"
    loaded.switch_on("clumsy")
    assert loaded.run_completed is not None
    loaded.run_completed(run=None)
    assert loaded.failures == {("clumsy", "run_completed"): 1}
    loaded.switch_off("clumsy")
    assert loaded.run_completed is None
    with pytest.raises(UsageError, match="no plugin 'clumsey' is loaded; loaded: clumsy, notes"):
        loaded.switch_off("clumsey")
    monkeypatch.setenv(OFF, "clumsey")
    with pytest.raises(PluginRefused, match="clumsey; loaded plugins: clumsy, notes"):
        load(found)


def test_a_plugin_that_cannot_be_used_is_refused_with_the_reason(plugins: types.ModuleType) -> None:
    with pytest.raises(PluginRefused, match="'gone'"):
        load([point("gone", "nothing_there")])

    class Misspelt:
        @hookimpl
        def run_endde(self) -> None:
            """No such hook."""

    plugins.misspelt = Misspelt()  # type: ignore[attr-defined]  # a module made here
    with pytest.raises(PluginRefused, match=r"run_endde.*has: .*run_completed"):
        load([point("misspelt", "misspelt")])

    class Asynchronous:
        @hookimpl
        async def run_turned(self) -> None:
            """It would never run."""

    with pytest.raises(PluginRefused, match="run_turned is a coroutine function"):
        Plugins(Asynchronous())

    class Wraps:
        @hookimpl(wrapper=True)
        def run_turned(self) -> Any:
            return (yield)

    with pytest.raises(PluginRefused, match="run_turned is a wrapper"):
        Plugins(Wraps())
    plugins.other = Notes()  # type: ignore[attr-defined]  # a module made here
    with pytest.raises(PluginRefused, match="two plugins named 'notes'"):
        load([point("notes", "notes"), point("notes", "other")])


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(HOOKS_VERSION - 1, "a newer release of the plugin"), (99, "a newer release of continuum-core")],
)
def test_a_plugin_for_other_hooks_is_refused_with_what_to_do(version: int, remedy: str) -> None:
    class Other:
        HOOKS_VERSION = version

    with pytest.raises(PluginRefused, match=f"hooks version {version}.*install {remedy}"):
        Plugins(Other())


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

    loaded = Plugins(named={"breaks": Breaks(), "greets": Greets()})
    monkeypatch.setattr(main, "installed", lambda: loaded)
    commands = list(main.app.registered_commands)
    try:
        with pytest.raises(SystemExit) as ended:
            main.main(["greet"])
    finally:
        main.app.registered_commands[:] = commands
    assert ended.value.code == 0
    assert "hello from a plugin" in capsys.readouterr().out
