"""Who waits for what, by name: what each name's waiters are told, and which names are to be read.

Rule: whoever waits is told an answer or an error, or leaves by itself; nobody is forgotten, and nobody who
left is read for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from continuum_core.host import Flag

__all__ = ["Awaited"]

K = TypeVar("K")
A = TypeVar("A")


class _Waiter(Generic[A]):
    __slots__ = ("answer", "error", "flag")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.answer: A | None = None
        self.error: Exception | None = None


class Awaited(Generic[K, A]):
    """Answers of one kind that somebody waits for.

    :param what: for the log.
    :param read: asks the journal for the answers to names; None for one that is not there yet.
    :param told: called with each name that got its answer.
    """

    def __init__(
        self,
        what: str,
        read: Callable[[Sequence[K]], Awaitable[Sequence[A | None]]],
        told: Callable[[K], None] = lambda _name: None,
    ) -> None:
        self.what = what
        self._read = read
        self._told = told
        self._waiters: dict[K, list[_Waiter[A]]] = {}
        self._unread: list[K] = []

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def __contains__(self, name: K) -> bool:
        return name in self._waiters

    def names(self) -> list[K]:
        """What is waited for."""
        return list(self._waiters)

    async def wait(self, name: K, waiter: _Waiter[A], seconds: float | None) -> A | None:
        """Wait as one who was `enter`ed; None after `seconds`. Raises what `refuse` was given."""
        try:
            await waiter.flag.wait(seconds)
        finally:
            if waiter.answer is None and waiter.error is None:  # else `tell` or `refuse` has taken it out
                self._leave(name, waiter)
        if waiter.error is not None:
            raise waiter.error
        return waiter.answer

    def enter(self, name: K, flag: Flag) -> _Waiter[A]:
        """One more who waits. `flag` is set when there is something to tell."""
        waiter: _Waiter[A] = _Waiter(flag)
        self._waiters.setdefault(name, []).append(waiter)
        return waiter

    def _leave(self, name: K, waiter: _Waiter[A]) -> None:
        left = [other for other in self._waiters.pop(name, []) if other is not waiter]
        if left:
            self._waiters[name] = left

    def tell(self, name: K, answer: A) -> None:
        """Let go who waits for it, with the answer."""
        for waiter in self._waiters.pop(name, []):
            waiter.answer = answer
            waiter.flag.set()
        self._told(name)

    def refuse(self, name: K, error: Exception) -> None:
        """Let go who waits for it: there will be no answer."""
        for waiter in self._waiters.pop(name, []):
            waiter.error = error
            waiter.flag.set()

    def let_go(self) -> None:
        """Let go everybody, with nothing to tell."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.flag.set()

    def unread(self, *names: K) -> None:
        """These are to be read."""
        self._unread.extend(names)

    @property
    def any_unread(self) -> bool:
        """Whether something is to be read."""
        return bool(self._unread)

    def taken(self) -> list[K]:
        """What is to be read and still waited for, in order and once; from here on it counts as read."""
        names = [name for name in dict.fromkeys(self._unread) if name in self._waiters]
        self._unread.clear()
        return names

    async def look(self, names: Sequence[K]) -> None:
        """Read, and tell what is there."""
        for name, answer in zip(names, await self._read(names), strict=True):
            if answer is not None:
                self.tell(name, answer)
