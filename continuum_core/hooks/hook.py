"""One hook and who implements it, with a guard around everything that a plugin does.

Implementations are called one after another: those marked ``tryfirst`` first, those marked ``trylast`` last,
and among equals in the order in which their plugins came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from continuum_core.errors import OperatorError

__all__ = ["CHOICE", "Hook", "Implementation", "Outcome", "PluginRefused", "note_interrupt"]

CHOICE = "CONTINUUM_PLUGINS"
"""Environment variable: the names of the plugins to load, with commas. Unset: all; empty: none."""


class PluginRefused(OperatorError):
    """A plugin cannot be used here; the text says which and why."""


@frozen
class Implementation:
    """What one plugin does for a hook.

    :ivar whose: the plugin as errors name it: its name, what its entry point names, its distribution.
    :ivar arguments: which of the hook's it takes, in its order.
    """

    plugin: str
    whose: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


@frozen
class Outcome:
    """What one implementation made of what it was told.

    :ivar told: the facts, made for it alone.
    :ivar error: what it raised; it is counted already.
    """

    plugin: str
    told: Mapping[str, Any]
    answer: Any = None
    error: BaseException | None = None


def note_interrupt(error: KeyboardInterrupt, whose: str, doing: str) -> None:
    """Have an interrupt say which plugin it met: the one that hangs, where something hangs."""
    error.add_note(f"interrupted while {whose} {doing}; to go on without it, leave it out of {CHOICE}")


class Hook:
    """One hook and who implements it."""

    __slots__ = ("_failed", "_implementations", "name")

    def __init__(
        self,
        name: str,
        implementations: Iterable[Implementation],
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
        found = self.one_by_one(lambda: facts)
        return [(each.plugin, each.answer) for each in found if each.answer is not None]

    def one_by_one(self, facts: Callable[[], Mapping[str, Any]]) -> Iterator[Outcome]:
        """What became of each implementation, before the next one is called. Raises nothing of a plugin's.

        :param facts: gives what one is told.
        """
        for each in self._implementations:
            told = facts()
            try:
                answer = each.function(*[told[name] for name in each.arguments])
            except KeyboardInterrupt as stopped:
                note_interrupt(stopped, each.whose, f"was called for {self.name}")
                raise
            except BaseException as error:
                self._failed(each.plugin, self.name, error)
                yield Outcome(each.plugin, told, error=error)
            else:
                yield Outcome(each.plugin, told, answer)

    def demanded(self) -> list[tuple[str, Any]]:
        """Like `answers`, of a hook that no plugin may fail in. Raises PluginRefused."""
        found: list[tuple[str, Any]] = []
        for each in self._implementations:
            try:
                answer = each.function()
                found += [] if answer is None else [(each.plugin, one) for one in answer]
            except KeyboardInterrupt as stopped:
                note_interrupt(stopped, each.whose, f"was called for {self.name}")
                raise
            except (Exception, SystemExit) as error:
                raise PluginRefused(f"{each.whose} raised in {self.name}: {error}") from error
        return found
