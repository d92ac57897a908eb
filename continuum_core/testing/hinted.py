"""A journal whose hints come from the test's own writes, at once and without real time."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, cast

from continuum_core.host import Flag, Host
from continuum_core.journal.declared import sibling_of
from continuum_core.journal.protocol import Journal

__all__ = ["Hints", "hinted"]

_WRITES = frozenset({"start", "deliver", "commit", "finish", "control", "release", "define"})


class Hints:
    """Who waits for a change of the journal of one test."""

    def __init__(self) -> None:
        self._flags: list[Flag] = []

    async def wait(self, host: Host, seconds: float) -> None:
        flag = host.flag()
        self._flags.append(flag)
        try:
            await flag.wait(seconds)
        finally:
            self._flags.remove(flag)

    def tell(self) -> None:
        for flag in self._flags:
            flag.set()


class _Hinted:
    """Every verb as it is, but `wait`; every write tells the waiters."""

    def __init__(self, inner: Journal, host: Host, hints: Hints) -> None:
        self._inner = inner
        self._host = host
        self._hints = hints

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        return self._telling(verb) if name in _WRITES else verb

    def _telling(self, verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(verb)
        async def told(*arguments: Any) -> Any:
            answer = await verb(*arguments)
            self._hints.tell()
            return answer

        return told

    def sibling(self) -> Journal:
        return hinted(sibling_of(self._inner), self._host, self._hints)

    async def wait(self, seconds: float) -> None:
        await self._hints.wait(self._host, seconds)


def hinted(inner: Journal, host: Host, hints: Hints) -> Journal:
    """`inner`, with the waits of a test."""
    return cast(Journal, _Hinted(inner, host, hints))
