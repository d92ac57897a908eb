"""The plugins of a process: each hook as one attribute, and a guard around everything that a plugin does.

A hook that nobody implements is None, so that it costs one look at an attribute:

    if plugins.run_turned is not None:
        plugins.run_turned(turn=facts)

What a plugin raises is counted here, logged once per cause, and goes no further.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

import pluggy
from attrs import frozen

from continuum_core.errors import UsageError
from continuum_core.hooks import spec
from continuum_core.hooks.checking import HOOKS, check_plugin, check_version
from continuum_core.hooks.facts import HealthSection
from continuum_core.hooks.health import sections_of
from continuum_core.hooks.hook import Hook, Implementation, PluginRefused

__all__ = ["NONE", "Hook", "Plugin", "PluginRefused", "Plugins"]

logger = logging.getLogger(__name__)


@frozen
class Plugin:
    """A plugin as it was loaded.

    :ivar origin: its distribution and version, or where else it comes from.
    :ivar value: what its entry point names.
    """

    name: str
    origin: str
    value: str
    hooks: tuple[str, ...]


class Plugins:
    """What the plugins of a process implement.

    :param plugins: objects or modules; each with its name, or one made of its class.
    :param named: name → plugin, of others.
    :param origins: of those that came by entry point: name → the distribution and its version, and what the
        entry point names.

    Raises PluginRefused for one that was written for other hooks, or of which something would never be
    called, or fail at each call (`checking`).

    :ivar failures: (plugin, hook) → how often it raised.
    """

    machine_registered: Hook | None
    journal_opened: Hook | None
    worker_started: Hook | None
    worker_draining: Hook | None
    worker_stopped: Hook | None
    gauges_read: Hook | None
    run_started: Hook | None
    run_turned: Hook | None
    turn_dropped: Hook | None
    run_completed: Hook | None
    run_failed: Hook | None
    run_cancelled: Hook | None
    run_terminated: Hook | None
    run_parked: Hook | None
    records_committed: Hook | None
    around_attempt: Hook | None
    attempt_reported: Hook | None
    outgoing_headers: Hook | None
    turn_headers: Hook | None
    payload_codecs: Hook | None
    type_handlers: Hook | None
    redactors: Hook | None
    register_commands: Hook | None
    health_sections: Hook | None

    def __init__(
        self,
        *plugins: object,
        named: Mapping[str, object] | None = None,
        origins: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._manager = pluggy.PluginManager(spec.PROJECT)
        self._manager.add_hookspecs(spec)
        self._origins = dict(origins or {})
        self._places: dict[str, int] = {}  # plugin → when it came, among the others
        self._off: set[str] = set()
        self._logged: set[tuple[str, str, str]] = set()
        self.failures: dict[tuple[str, str], int] = {}
        for plugin in plugins:
            self._add(plugin, self._unused(type(plugin).__name__))
        for name, plugin in (named or {}).items():
            self._add(plugin, name)
        self._bind()

    def _unused(self, name: str) -> str:
        number, made = 1, name
        while self._manager.has_plugin(made):
            number += 1
            made = f"{name}-{number}"
        return made

    def _add(self, plugin: object, name: str) -> None:
        whose = self.whose(name)
        if self._manager.has_plugin(name):
            raise PluginRefused(f"there are two plugins named {name!r}; uninstall one of them")
        try:
            check_version(whose, plugin)
            said = check_plugin(whose, plugin, self._manager.parse_hookimpl_opts)
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except PluginRefused:
            raise
        except Exception as error:
            raise PluginRefused(f"{whose} cannot be used: {type(error).__name__}: {error}") from error
        self._places[name] = len(self._places)
        for each in said:
            logger.warning("%s", each)

    def _bind(self) -> None:
        for name in HOOKS:
            caller = cast(pluggy.HookCaller, getattr(self._manager.hook, name))
            found = [
                Implementation(each.plugin_name, self.whose(each.plugin_name), each.function, each.argnames)
                for each in sorted(caller.get_hookimpls(), key=self._turn)
                if each.plugin_name not in self._off
            ]
            setattr(self, name, Hook(name, found, self.failed) if found else None)

    def _turn(self, each: pluggy.HookImpl) -> tuple[int, int]:
        """When an implementation is called, among the others of its hook."""
        return (2 if each.trylast else 0 if each.tryfirst else 1), self._places[each.plugin_name]

    # --- what there is ---

    def loaded(self) -> list[Plugin]:
        """The plugins, by name, those that are off included."""
        return [
            Plugin(name, *self._origins.get(name, ("given by the program", "")), self._hooks_of(plugin))
            for name, plugin in sorted(self._manager.list_name_plugin())
        ]

    def whose(self, name: str) -> str:
        """A plugin as errors name it, for whoever has to act."""
        if name not in self._origins:
            return f"plugin {name!r}"
        origin, value = self._origins[name]
        return f"plugin {name!r} ({value}, of {origin})"

    def _hooks_of(self, plugin: object) -> tuple[str, ...]:
        return tuple(sorted(caller.name for caller in self._manager.get_hookcallers(plugin) or ()))

    def implement(self, *hooks: str) -> bool:
        """Whether any plugin implements one of these, be it switched off: it may be switched on again."""
        return any(getattr(self._manager.hook, hook).get_hookimpls() for hook in hooks)

    # --- switches ---

    def off(self) -> frozenset[str]:
        """The names of the plugins that are switched off."""
        return frozenset(self._off)

    def switch_off(self, name: str) -> None:
        """Call a plugin no more, from now on. Raises UsageError for a name that no plugin here has.

        What it contributed before goes on: what its payload codecs wrote must stay readable.
        """
        self._known(name)
        self._off.add(name)
        self._bind()

    def switch_on(self, name: str) -> None:
        """Call a plugin again. Raises UsageError for a name that no plugin here has."""
        self._known(name)
        self._off.discard(name)
        self._bind()

    def _known(self, name: str) -> None:
        if not self._manager.has_plugin(name):
            there = ", ".join(sorted(n for n, _ in self._manager.list_name_plugin())) or "none"
            raise UsageError(f"no plugin {name!r} is loaded; loaded: {there}")

    # --- failures ---

    def failed(self, plugin: str, hook: str, error: BaseException) -> None:
        """Count what a plugin raised, and log it unless its like was logged before."""
        self.failures[plugin, hook] = self.failures.get((plugin, hook), 0) + 1
        cause = (plugin, hook, type(error).__name__)  # not its text, which may name a run: that never ends
        if cause not in self._logged:
            self._logged.add(cause)
            logger.error("plugin %s raised in %s and was passed over", plugin, hook, exc_info=error)

    def health(self) -> list[HealthSection]:
        """A section of what plugins raised, and what they say of their health."""
        counts = {f"{plugin}.{hook}": count for (plugin, hook), count in sorted(self.failures.items())}
        facts = {"loaded": [p.name for p in self.loaded()], "off": sorted(self._off), "failures": counts}
        hook = self.health_sections
        given = [] if hook is None else sections_of(hook, self.failed)
        return [HealthSection("plugins", True, facts), *given]


NONE = Plugins()
"""No plugins."""
