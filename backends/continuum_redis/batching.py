"""How verbs of other modules reach the server: members packed one by one, each sent to its own tag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from continuum_redis.arguments import Arguments

__all__ = ["Batch"]

M = TypeVar("M")


class Batch(Protocol):
    """The reply for each member.

    :param lane: on which it goes.
    :param verb: of the script.
    :param write: packs one member.
    :param named: what a member's tag is told by.
    :param tells: others may wait for what is written.
    """

    async def __call__(
        self,
        lane: str,
        verb: str,
        write: Callable[[Arguments, M], None],
        members: Sequence[M],
        named: Callable[[M], UUID | bytes],
        *,
        tells: bool = ...,
    ) -> Sequence[Any]: ...
