"""A sorted set of keys in short blocks.

Rule: adding, removing and finding cost O(block), whatever the number of keys, so that a hundred
thousand waiting entries cost a claim nothing. Iteration starts at any key and goes up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Ordered"]

Key = TypeVar("Key", bound=tuple[object, ...])

_BLOCK = 512


class Ordered(Generic[Key]):
    """Keys are tuples that compare with each other and are unique."""

    __slots__ = ("_blocks", "_firsts")

    def __init__(self) -> None:
        self._blocks: list[list[Key]] = []
        self._firsts: list[Key] = []  # the first key of each block, which a search needs and no more

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def add(self, key: Key) -> None:
        """Put `key` in; it must not be there yet."""
        if not self._blocks:
            self._blocks.append([key])
            self._firsts.append(key)
            return
        at = max(bisect_right(self._firsts, key) - 1, 0)
        block = self._blocks[at]
        insort(block, key)
        self._firsts[at] = block[0]
        if len(block) > 2 * _BLOCK:
            self._blocks.insert(at + 1, block[_BLOCK:])
            self._firsts.insert(at + 1, block[_BLOCK])
            del block[_BLOCK:]

    def remove(self, key: Key) -> None:
        """Take `key` out. Raises KeyError if it is not there: an index that lost a row is a bug."""
        at = bisect_right(self._firsts, key) - 1
        block = self._blocks[at] if at >= 0 else []
        place = bisect_left(block, key)
        if place == len(block) or block[place] != key:
            raise KeyError(key)
        del block[place]
        if block:
            self._firsts[at] = block[0]
        else:
            del self._blocks[at], self._firsts[at]

    def first(self, start: tuple[object, ...] = ()) -> Key | None:
        """The lowest key that is not below `start`."""
        return next(self.up(start), None)

    def up(self, start: tuple[object, ...] = ()) -> Iterator[Key]:
        """Keys from `start` on, ascending. The set must not change meanwhile."""
        at = max(bisect_right(self._firsts, start) - 1, 0)
        while at < len(self._blocks):
            block = self._blocks[at]
            for place in range(bisect_left(block, start), len(block)):
                yield block[place]
            at += 1

    def down(self, end: tuple[object, ...] | None = None) -> Iterator[Key]:
        """Keys below `end` (None: all), descending. The set must not change meanwhile."""
        at = len(self._blocks) - 1 if end is None else bisect_left(self._firsts, end) - 1
        while at >= 0:
            block = self._blocks[at]
            stop = len(block) if end is None else bisect_left(block, end)
            for place in range(stop - 1, -1, -1):
                yield block[place]
            at -= 1
