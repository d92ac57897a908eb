"""Divides a batch so that members which could see one another come one after the other.

Within a round no member reads or writes what another one writes, so a round can be read, decided and
written as one. Almost every batch is a single round.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from attrs import frozen

__all__ = ["Touched", "rounds"]

Member = TypeVar("Member")


@frozen
class Touched:
    """What a member's outcome depends on.

    :ivar writes: changed by it; no other member of its round may touch these.
    :ivar reads: only looked at; others may look too.
    """

    writes: tuple[Hashable, ...]
    reads: tuple[Hashable, ...] = ()


def rounds(members: Sequence[Member], touched: Callable[[Member], Touched]) -> list[list[int]]:
    """Positions of `members` by round. Members that meet keep their order."""
    if len(members) == 1:
        return [[0]]
    written: dict[Hashable, int] = {}
    read: dict[Hashable, int] = {}
    divided: list[list[int]] = []
    for position, member in enumerate(members):
        touch = touched(member)
        number = max(_after(written, touch.writes), _after(written, touch.reads), _after(read, touch.writes))
        if number == len(divided):
            divided.append([])
        divided[number].append(position)
        written.update((name, number) for name in touch.writes)
        for name in touch.reads:
            read[name] = max(number, read.get(name, 0))
    return divided


def _after(marks: dict[Hashable, int], names: Iterable[Hashable]) -> int:
    return max((marks[name] + 1 for name in names if name in marks), default=0)
