"""Commands of plugins stand beside the program's own, and a broken one takes no other down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer

from continuum_core.cli import main
from continuum_core.hooks import Plugins, hookimpl
from tests.cli.conftest import Command

Register = Callable[[typer.Typer], None]


class Adds:
    def __init__(self, register: Register) -> None:
        self.register = register

    @hookimpl
    def register_commands(self, app: typer.Typer) -> None:
        self.register(app)


def saying(name: str, word: str) -> Register:
    """A plugin's function that adds one command, which prints a word."""

    def register(app: typer.Typer) -> None:
        @app.command(name)
        def say() -> None:
            """Say a word."""
            typer.echo(word)

    return register


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plugins]:
    """Have the program load these, and nothing else."""

    def loaded(**registers: Register) -> Plugins:
        origins = {name: (f"continuum-{name} 1.0", f"continuum_{name}") for name in registers}
        plugins = Plugins(named={name: Adds(each) for name, each in registers.items()}, origins=origins)
        monkeypatch.setattr(main, "installed", lambda: plugins)
        return plugins

    return loaded


def test_a_command_of_a_plugin_takes_no_place_of_another(
    continuum: Command, loaded: Callable[..., Plugins]
) -> None:
    def taking(app: typer.Typer) -> None:
        saying("list", "taken over")(app)
        saying("shout", "shouted")(app)
        group = typer.Typer()
        saying("x", "a group")(group)
        app.add_typer(group, name="show")

        @app.callback()
        def instead() -> None:
            """In the place of the program's own."""

    assert continuum("migrate").code == 0
    loaded(one=taking, two=saying("shout", "shouted by another"))
    done = continuum("list", "--json")
    assert (done.code, done.out) == (0, "")
    first, second, third = done.err.splitlines()
    whose = "continuum: plugin 'one' (continuum_one, of continuum-one 1.0) adds a command "
    assert {first, second} == {
        f"{whose}'{name}', and continuum itself has one of that name, which stays; the author of the former "
        "has to call it something else"
        for name in ("list", "show")
    }
    assert "plugin 'two' (continuum_two" in third
    assert "'shout', and plugin 'one' (continuum_one, of continuum-one 1.0) has one of that name" in third
    assert continuum("shout").out == "shouted\n"
    assert continuum("--version").out.startswith("continuum-core ")


def test_a_command_that_cannot_be_made_is_its_plugins_failure_alone(
    continuum: Command, loaded: Callable[..., Plugins]
) -> None:
    def impossible(app: typer.Typer) -> None:
        @app.command()
        def count_things(of: int | str) -> None:
            """No command line has such a value."""

    def halfway(app: typer.Typer) -> None:
        saying("half", "half of it")(app)
        raise SystemExit(9)

    assert continuum("migrate").code == 0
    plugins = loaded(bad=impossible, good=saying("greet", "hello"), worse=halfway)
    assert continuum("greet").out == "hello\n"
    assert continuum("list").code == 0
    assert continuum("half").code == 2, "of one that raised nothing is taken"
    assert plugins.failures == {("bad", "register_commands"): 1, ("worse", "register_commands"): 1}


def test_an_interrupt_at_the_start_names_the_plugin_that_hung(
    continuum: Command, loaded: Callable[..., Plugins]
) -> None:
    def hangs(_: typer.Typer) -> None:
        raise KeyboardInterrupt

    loaded(slow=hangs)
    done = continuum("list")
    assert done.code == 130
    assert done.err.startswith(
        "continuum: interrupted while plugin 'slow' (continuum_slow, of continuum-slow 1.0) was called for "
        "register_commands; to go on without it, leave it out of CONTINUUM_PLUGINS"
    )
