"""Finds plugins by entry point, knows none by name, and calls observers so that none does harm."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from continuum_core.errors import OperatorError
from continuum_core.hooks import spec

__all__ = ["CHOICE", "GROUP", "Observers", "PluginRefused", "load"]

logger = logging.getLogger(__name__)

GROUP = "continuum.plugins"
"""Entry point group; names are plugins' names, values modules or objects with hook functions."""

CHOICE = "CONTINUUM_PLUGINS"
"""Environment variable: the names of the plugins to load, with commas. Unset: all; empty: none."""


class PluginRefused(OperatorError):
    """A plugin cannot be used here; the text says which and why."""


def load(found: Iterable[EntryPoint] | None = None) -> pluggy.PluginManager:
    """A plugin manager with the installed plugins that were chosen.

    :param found: entry points to load in place of those that are installed.

    Raises PluginRefused for one that is missing though chosen, cannot be imported, implements a hook
    that does not exist, or was written for other hooks.
    """
    manager = pluggy.PluginManager(spec.PROJECT)
    manager.add_hookspecs(spec)
    for entry in _chosen(list(entry_points(group=GROUP) if found is None else found)):
        try:
            plugin = entry.load()
        except Exception as error:
            raise PluginRefused(f"plugin {entry.name!r} ({entry.value}) cannot be loaded: {error}") from error
        version = getattr(plugin, "HOOKS_VERSION", spec.HOOKS_VERSION)
        if version != spec.HOOKS_VERSION:
            raise PluginRefused(
                f"plugin {entry.name!r} was written for hooks version {version}; this release has "
                f"{spec.HOOKS_VERSION}: install a release of the plugin that fits"
            )
        manager.register(plugin, entry.name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginRefused(str(error)) from error
    return manager


def _chosen(found: list[EntryPoint]) -> list[EntryPoint]:
    choice = os.environ.get(CHOICE)
    if choice is None:
        return found
    names = [name.strip() for name in choice.split(",") if name.strip()]
    installed = {entry.name: entry for entry in found}
    missing = [name for name in names if name not in installed]
    if missing:
        known = ", ".join(sorted(installed)) or "none"
        raise PluginRefused(f"{CHOICE} names {', '.join(missing)}; installed plugins: {known}")
    return [installed[name] for name in names]


class Observers:
    """Tells observers what happened, each behind a guard of its own.

    :ivar failures: plugin name → how often it raised.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._logged: set[tuple[str, str, str]] = set()
        self.failures: dict[str, int] = {}

    def tell(self, hook: str, **facts: Any) -> None:
        """Call every implementation of an observer hook. Raises nothing that a plugin raised."""
        if not self._manager.get_plugins():  # nobody listens, and something is told at the end of each run
            return
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(facts[name] for name in implementation.argnames))
            except Exception as error:
                self._failed(implementation.plugin_name, hook, error)

    def _failed(self, plugin: str, hook: str, error: Exception) -> None:
        self.failures[plugin] = self.failures.get(plugin, 0) + 1
        cause = (plugin, hook, type(error).__name__)  # not its text, which may name a run: that never ends
        if cause not in self._logged:
            self._logged.add(cause)
            logger.error("plugin %s raised in %s and was passed over", plugin, hook, exc_info=error)
