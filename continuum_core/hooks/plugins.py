"""The plugins of a process: each hook as one attribute, and a guard around everything that a plugin does.

A hook that nobody implements is None, so that it costs one look at an attribute:

    if plugins.run_turned is not None:
        plugins.run_turned(turn=facts)

What a plugin raises is counted here, logged once per cause, and goes no further.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import pluggy
from attrs import frozen

from continuum_core.errors import OperatorError, UsageError
from continuum_core.hooks import spec
from continuum_core.hooks.facts import HealthSection

__all__ = ["NONE", "Hook", "Plugin", "PluginRefused", "Plugins"]

logger = logging.getLogger(__name__)


class PluginRefused(OperatorError):
    """A plugin cannot be used here; the text says which and why."""


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


@frozen
class _Implementation:
    plugin: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


class Hook:
    """One hook and who implements it."""

    __slots__ = ("_failed", "_implementations", "name")

    def __init__(
        self,
        name: str,
        implementations: Iterable[_Implementation],
        failed: Callable[[str, str, BaseException], None],
    ) -> None:
        self.name = name
        self._implementations = tuple(implementations)
        self._failed = failed

    def __call__(self, **facts: Any) -> None:
        """Tell every implementation. Raises nothing that a plugin raised."""
        for each in self._implementations:
            try:
                each.function(*[facts[name] for name in each.arguments])
            except KeyboardInterrupt:
                raise  # somebody at the keyboard means the program
            except BaseException as error:  # also one that would end the program, or cancel our task
                self._failed(each.plugin, self.name, error)

    def answers(self, **facts: Any) -> list[tuple[str, Any]]:
        """What each implementation returned, with its plugin's name; None, and what raised, left out."""
        found: list[tuple[str, Any]] = []
        for each in self._implementations:
            try:
                answer = each.function(*[facts[name] for name in each.arguments])
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failed(each.plugin, self.name, error)
            else:
                if answer is not None:
                    found.append((each.plugin, answer))
        return found

    def demanded(self) -> list[tuple[str, Any]]:
        """Like `answers`, of a hook that no plugin may fail in. Raises PluginRefused."""
        found: list[tuple[str, Any]] = []
        for each in self._implementations:
            try:
                answer = each.function()
                found += [] if answer is None else [(each.plugin, one) for one in answer]
            except Exception as error:
                raise PluginRefused(f"plugin {each.plugin!r} raised in {self.name}: {error}") from error
        return found


class Plugins:
    """What the plugins of a process implement.

    :param plugins: objects or modules; each with its name, or one made of its class.
    :param known: of those that came by entry point, where from.

    Raises PluginRefused for one that implements a hook that does not exist, as a coroutine, or for other
    versions of the hooks.

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

    def __init__(self, *plugins: object, named: Mapping[str, object] | None = None) -> None:
        self._manager = pluggy.PluginManager(spec.PROJECT)
        self._manager.add_hookspecs(spec)
        self._origins: dict[str, tuple[str, str]] = {}
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
        version = getattr(plugin, "HOOKS_VERSION", spec.HOOKS_VERSION)
        if version != spec.HOOKS_VERSION:
            older = isinstance(version, int) and version < spec.HOOKS_VERSION
            remedy = "a newer release of the plugin" if older else "a newer release of continuum-core"
            raise PluginRefused(
                f"plugin {name!r} was written for hooks version {version}; this release has "
                f"{spec.HOOKS_VERSION}: install {remedy}, or name the others in CONTINUUM_PLUGINS"
            )
        if self._manager.register(plugin, name) is None:
            raise PluginRefused(f"there are two plugins named {name!r}; uninstall one of them")
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            known = ", ".join(sorted(_NAMES))
            raise PluginRefused(f"{error} (hooks version {spec.HOOKS_VERSION} has: {known})") from error
        for caller in self._manager.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    self._check(name, caller.name, implementation)

    def _check(self, plugin: str, hook: str, implementation: pluggy.HookImpl) -> None:
        if inspect.iscoroutinefunction(implementation.function):
            raise PluginRefused(
                f"plugin {plugin!r}: {hook} is a coroutine function, which would never run: "
                "hooks are plain functions"
            )
        if implementation.hookwrapper or implementation.wrapper:
            raise PluginRefused(f"plugin {plugin!r}: {hook} is a wrapper, and hooks are not wrapped here")

    def _bind(self) -> None:
        for name in _NAMES:
            caller = cast(pluggy.HookCaller, getattr(self._manager.hook, name))
            found = [
                _Implementation(each.plugin_name, each.function, each.argnames)
                for each in caller.get_hookimpls()
                if each.plugin_name not in self._off
            ]
            setattr(self, name, Hook(name, found, self.failed) if found else None)

    # --- what there is ---

    def loaded(self) -> list[Plugin]:
        """The plugins, by name, those that are off included."""
        return [
            Plugin(name, *self._origins.get(name, ("given by the program", "")), self._hooks_of(plugin))
            for name, plugin in sorted(self._manager.list_name_plugin())
        ]

    def come_from(self, name: str, origin: str, value: str) -> None:
        """Note where a plugin came from."""
        self._origins[name] = (origin, value)

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
        """What plugins say of their health, and a section of their failures."""
        counts = {f"{plugin}.{hook}": count for (plugin, hook), count in sorted(self.failures.items())}
        facts = {"loaded": [p.name for p in self.loaded()], "off": sorted(self._off), "failures": counts}
        sections = [HealthSection("plugins", True, facts)]
        hook = self.health_sections
        if hook is None:
            return sections
        before = dict(self.failures)
        for plugin, answer in hook.answers():
            try:
                sections += list(answer)
            except Exception as error:
                self.failed(plugin, hook.name, error)
        return sections + [
            HealthSection(plugin, False, {"raised in": name})
            for (plugin, name), count in self.failures.items()
            if name == hook.name and count > before.get((plugin, name), 0)
        ]


_NAMES = tuple(sorted(name for name, value in vars(spec).items() if hasattr(value, f"{spec.PROJECT}_spec")))
"""The names of all hooks."""

NONE = Plugins()
"""No plugins."""
