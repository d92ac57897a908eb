"""Finds plugins by entry point, and knows none by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from continuum_core.codec.handled import TypeHandler, provide
from continuum_core.hooks.hook import CHOICE, PluginRefused, note_interrupt
from continuum_core.hooks.plugins import Plugins

__all__ = ["CHOICE", "GROUP", "OFF", "installed", "load"]

GROUP = "continuum.plugins"
"""Entry point group; names are plugins' names, values modules or objects with hook functions."""

OFF = "CONTINUUM_PLUGINS_OFF"
"""Environment variable: the names of plugins that are loaded and not called, with commas."""


def load(found: Iterable[EntryPoint] | None = None) -> Plugins:
    """The installed plugins that were chosen.

    :param found: entry points to load in place of those that are installed.

    Raises PluginRefused for one that is missing though chosen, cannot be imported, or cannot be used
    (`Plugins`).
    """
    chosen = _chosen(list(entry_points(group=GROUP) if found is None else found))
    named: dict[str, object] = {}
    for entry in chosen:
        if entry.name in named:
            claimants = " and ".join(sorted(_origin(each) for each in chosen if each.name == entry.name))
            raise PluginRefused(
                f"there are two plugins named {entry.name!r}, of {claimants}; uninstall one of them"
            )
        named[entry.name] = _loaded(entry)
    plugins = Plugins(named=named, origins={each.name: (_origin(each), each.value) for each in chosen})
    for name in _names(OFF):
        if name not in named:
            known = ", ".join(sorted(named)) or "none"
            raise PluginRefused(f"{OFF} names {name}; loaded plugins: {known}")
        plugins.switch_off(name)
    return plugins


def installed() -> Plugins:
    """The installed plugins that the environment chooses; loaded once for each choice. Raises like `load`."""
    return _installed(os.environ.get(CHOICE), os.environ.get(OFF))


@lru_cache(maxsize=8)
def _installed(_choice: str | None, _off: str | None) -> Plugins:
    return load()


def _loaded(entry: EntryPoint) -> object:
    whose = f"plugin {entry.name!r} ({entry.value}, of {_origin(entry)})"
    try:
        return entry.load()
    except KeyboardInterrupt as stopped:
        note_interrupt(stopped, whose, "was imported")
        raise
    except (Exception, SystemExit) as error:  # a script at the top of a module may mean to end the process
        raise PluginRefused(
            f"{whose} cannot be loaded: {type(error).__name__}: {error}; mend or uninstall it, or leave it "
            f"out of {CHOICE}"
        ) from error


def _type_handlers() -> list[TypeHandler]:
    hook = installed().type_handlers
    return [] if hook is None else [handler for _, handler in hook.demanded()]


# What the codec is taught must be known when the first machine is declared, before any worker is made.
provide(_type_handlers)


def _chosen(found: list[EntryPoint]) -> list[EntryPoint]:
    # One distribution that is found twice on the path counts once. By name: the path has no order of its own.
    unique = sorted(
        {(entry.name, entry.value): entry for entry in found}.values(), key=lambda entry: entry.name
    )
    if os.environ.get(CHOICE) is None:
        return unique
    names = _names(CHOICE)
    known = {entry.name: entry for entry in unique}
    missing = [name for name in names if name not in known]
    if missing:
        there = ", ".join(sorted(known)) or "none"
        raise PluginRefused(f"{CHOICE} names {', '.join(missing)}; installed plugins: {there}")
    return [entry for entry in unique if entry.name in names]


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def _origin(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
