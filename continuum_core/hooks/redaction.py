"""What hides parts of values from people: all redactors of a process as one.

Where one raises, the whole value is hidden: what went wrong with hiding must not be shown instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuum_core.hooks.contributions import Redactor
from continuum_core.hooks.plugins import PluginRefused, Plugins

__all__ = ["Redaction", "redaction_of"]

_HOOK = "redactors"


class Redaction:
    """Redactors in a row; each is given what the one before it made."""

    def __init__(
        self, redactors: list[tuple[str, Redactor]], failed: Callable[[str, str, BaseException], None]
    ) -> None:
        self._redactors = redactors
        self._failed = failed

    def data(self, value: Any) -> Any:
        """The value as it may be shown. Raises nothing."""
        for plugin, redactor in self._redactors:
            try:
                value = redactor.data(value)
            except Exception as error:
                self._failed(plugin, _HOOK, error)
                return _unshown(plugin)
        return value

    def text(self, text: str) -> str:
        """The text as it may be shown. Raises nothing."""
        for plugin, redactor in self._redactors:
            try:
                text = redactor.text(text)
            except Exception as error:
                self._failed(plugin, _HOOK, error)
                return _unshown(plugin)
        return text


def _unshown(plugin: str) -> str:
    return f"(not shown: plugin {plugin} raised)"


def redaction_of(plugins: Plugins) -> Redaction | None:
    """All redactors of these plugins; None where there are none. Raises PluginRefused."""
    hook = plugins.redactors
    found = [] if hook is None else hook.demanded()
    for plugin, redactor in found:
        if lacking := [name for name in ("data", "text") if not callable(getattr(redactor, name, None))]:
            raise PluginRefused(
                f"{plugins.whose(plugin)}: its redactor {type(redactor).__name__} has no {', '.join(lacking)}"
                "; continuum_core.hooks.Redactor says what each is"
            )
    return Redaction(found, plugins.failed) if found else None
