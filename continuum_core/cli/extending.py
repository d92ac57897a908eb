"""Commands that plugins add to the program.

Rule: a plugin's commands are made apart from all others, on an application of its own. What cannot be made,
and what would stand in the place of another command, is left out and told of; the program goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from typer.main import get_group

from continuum_core.cli.verbs import VERBS
from continuum_core.hooks.plugins import Plugins

__all__ = ["extend"]


def extend(program: Any, plugins: Plugins) -> list[str]:
    """Add the commands of plugins to the program; what is to be said of those that were left out."""
    hook = plugins.register_commands
    said: list[str] = []
    owners: dict[str, str] = {}
    for each in () if hook is None else hook.one_by_one(lambda: {"app": _application()}):
        if each.error is not None or hook is None:
            continue
        try:
            made: Mapping[str, Any] = get_group(each.told["app"]).commands
        except Exception as error:  # a parameter of a type that no command line has, say
            plugins.failed(each.plugin, hook.name, error)
            continue
        for name, command in made.items():
            if name in VERBS or name in owners:
                said.append(_taken(plugins, each.plugin, name, owners.get(name)))
            else:
                owners[name] = each.plugin
                program.commands[name] = command
    return said


def _application() -> typer.Typer:
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _taken(plugins: Plugins, plugin: str, name: str, owner: str | None) -> str:
    of = "continuum itself has" if owner is None else f"{plugins.whose(owner)} has"
    return (
        f"{plugins.whose(plugin)} adds a command {name!r}, and {of} one of that name, which stays; the "
        "author of the former has to call it something else"
    )
