"""A plugin is looked over before anything of it is called: what would never be called, or fail at each call.

Rule: what can be seen when a plugin comes in is refused then, under its name and with what its author has to
do; a run is too late. What may be meant as it is (a function that is named like a hook and not marked, an
optional hook of another release) is told to the log, and goes.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from continuum_core.hooks import spec
from continuum_core.hooks.hook import CHOICE, PluginRefused

__all__ = ["HOOKS", "check_plugin", "check_version"]

HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(value).parameters)
    for name, value in sorted(vars(spec).items())
    if hasattr(value, f"{spec.PROJECT}_spec")
}
"""Every hook, and what it offers."""

_ITERATED = frozenset({"payload_codecs", "type_handlers", "redactors", "health_sections"})
"""Hooks whose answer is gone through: a generator may give it."""

_NEVER_RUN: Mapping[str, Callable[[Any], bool]] = {
    "a coroutine function": inspect.iscoroutinefunction,
    "an asynchronous generator": inspect.isasyncgenfunction,
}
"""What gives something that nobody awaits."""

_ALIKE = 0.8
"""How like a hook's name another must be to be meant for it: many begin with the same word."""

Marks = Callable[[object, str], Mapping[str, Any] | None]
"""What `hookimpl` noted on an attribute of a plugin; None where it is not marked."""


def check_version(whose: str, plugin: object) -> None:
    """Raises PluginRefused for a plugin that was written for other hooks."""
    version: Any = getattr(plugin, "HOOKS_VERSION", spec.HOOKS_VERSION)
    if type(version) is not int:
        raise PluginRefused(
            f"{whose} states HOOKS_VERSION = {version!r}, which is no whole number: its author has to write "
            f"the version that it is for, such as {spec.HOOKS_VERSION}"
        )
    if version != spec.HOOKS_VERSION:
        older = version < spec.HOOKS_VERSION
        remedy = "a newer release of the plugin" if older else "a newer release of continuum-core"
        raise PluginRefused(
            f"{whose} was written for hooks version {version}; this release has {spec.HOOKS_VERSION}: "
            f"install {remedy}, or name the others in {CHOICE}"
        )


def check_plugin(whose: str, plugin: object, marks: Marks) -> list[str]:
    """What is to be said of a plugin that can be used. Raises PluginRefused for one that cannot."""
    said: list[str] = []
    for attribute in dir(plugin):
        marked = marks(plugin, attribute)
        if marked is None:
            if attribute in HOOKS and inspect.isroutine(getattr(plugin, attribute)):
                said.append(
                    f"{whose}: {attribute} is named like a hook and not marked, so it is never called; its "
                    "author has to put @hookimpl above it, or to name it something else"
                )
            continue
        hook = str(marked.get("specname") or attribute)
        if hook in HOOKS:
            _check(f"{whose}: {hook}", plugin, attribute, hook, marked)
        else:
            near = _near(hook, HOOKS, _ALIKE)
            if not marked.get("optionalhook"):
                known = near or f"; hooks version {spec.HOOKS_VERSION} has: {', '.join(HOOKS)}"
                raise PluginRefused(f"{whose}: there is no hook {hook!r}{known}")
            said.append(f"{whose}: there is no hook {hook!r} here, so it is never called{near}")
    return said


def _near(name: str, known: Collection[str], likeness: float = 0.6) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _check(where: str, plugin: object, attribute: str, hook: str, marked: Mapping[str, Any]) -> None:
    function: Any = getattr(plugin, attribute)
    for kind, is_one in _NEVER_RUN.items():
        if is_one(function):
            raise PluginRefused(f"{where} is {kind}, which would never run: hooks are plain functions")
    if marked.get("hookwrapper") or marked.get("wrapper"):
        raise PluginRefused(f"{where} is a wrapper, and hooks are not wrapped here")
    if hook not in _ITERATED and inspect.isgeneratorfunction(function):
        remedy = "put @contextmanager under @hookimpl" if hook == "around_attempt" else "leave the yield out"
        raise PluginRefused(f"{where} is a generator, which would never run: {remedy}")
    if inspect.isclass(plugin) and _needs_instance(plugin, attribute):
        raise PluginRefused(
            f"{where} needs an instance, and what was given is the class {plugin.__name__}: give "
            f"{plugin.__name__}(), or name an instance in the entry point"
        )
    _check_arguments(where, function, HOOKS[hook])


def _needs_instance(plugin: type, attribute: str) -> bool:
    return not isinstance(inspect.getattr_static(plugin, attribute), staticmethod | classmethod)


def _check_arguments(where: str, function: Callable[..., Any], offered: tuple[str, ...]) -> None:
    """Arguments go by position, to those that are named as offered and have no default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions that are not written in Python have none
        return
    known = ", ".join(offered) or "nothing"
    for each in parameters:
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            raise PluginRefused(
                f"{where} takes {each}, by which it would be told nothing: name what it wants ({known})"
            )
        if each.default is not each.empty:
            if each.name in offered:
                raise PluginRefused(
                    f"{where} gives {each.name} a default, and would always get that: leave the default out"
                )
        elif each.name not in offered:
            raise PluginRefused(
                f"{where} asks for {each.name!r}, which it is not offered{_near(each.name, offered)}; it is "
                f"offered: {known}"
            )
        elif each.kind is each.KEYWORD_ONLY:
            raise PluginRefused(
                f"{where} takes {each.name} by keyword only, and is called by position: leave the * out"
            )
