"""The order in which a queue's tasks are dealt out to fairness keys: round robin, one task each.

Source: round-robin fair queueing (J. Nagle, RFC 970, 1985), over keys in the order of their UTF-8 bytes,
which is also the order of Python's strings. What is stored of it is one key a queue and priority: the one
that was dealt last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

__all__ = ["PLACES", "counted", "deal", "drawn", "in_turn", "place"]

T = TypeVar("T")

PLACES = 10_000
"""Waiting tasks that are counted, at most, to tell one's place."""


def in_turn(keys: Sequence[str], last: str) -> list[str]:
    """Keys in the order in which they are dealt: those after `last`, then the others. `keys` is sorted."""
    at = bisect_right(keys, last)
    return [*keys[at:], *keys[:at]]


def deal(waiting: Mapping[str, Sequence[T]], last: str, room: int) -> list[T]:
    """The first `room` tasks of one priority, in the order in which they are dealt.

    :param waiting: key → its tasks in their order; of each at least the first `room`, or all it has.
    :param last: the key that was dealt last.
    """
    dealt: list[T] = []
    turn = [waiting[key] for key in in_turn(sorted(waiting), last)]
    depth = 0
    while turn and len(dealt) < room:
        turn = [tasks for tasks in turn if len(tasks) > depth]
        dealt += [tasks[depth] for tasks in turn[: room - len(dealt)]]
        depth += 1
    return dealt


def drawn(turn: Sequence[str], last: str, room: int, read: Callable[[str, int], Sequence[T]]) -> list[T]:
    """Like `deal`, for a store that reads only as much of each key as it takes.

    :param turn: the first `room` keys in turn that have tasks, or all there are.
    :param read: the first so many tasks of a key.
    """
    if not turn or room <= 0:
        return []
    depth = -(-room // len(turn))
    waiting = {key: read(key, depth) for key in turn}
    while True:
        longer = [key for key, tasks in waiting.items() if len(tasks) == depth]
        if not longer or sum(map(len, waiting.values())) >= room:
            return deal(waiting, last, room)
        depth *= 2
        waiting.update((key, read(key, depth)) for key in longer)


def place(waiting: Mapping[str, int], last: str, key: str, before: int) -> int:
    """How many tasks of one priority are dealt before one that has `before` others of its own key ahead.

    :param waiting: key → how many tasks it has waiting.
    """
    turn = in_turn(sorted(waiting), last)
    return counted(turn, key, before, lambda other, most: min(waiting[other], most))


def counted(turn: Sequence[str], key: str, before: int, count: Callable[[str, int], int]) -> int:
    """Like `place`, for a store that counts only as far as it must; `PLACES` at most.

    :param turn: the first `PLACES` keys in turn that have tasks, or all there are.
    :param count: how many tasks of a key wait, so many at most.
    """
    ahead = before
    rounds = before + 1  # of each key before its own in turn, one more than of those behind it
    for other in turn:
        if ahead >= PLACES:
            break
        if other == key:
            rounds = before
        elif rounds:
            ahead += count(other, min(rounds, PLACES - ahead))
    return min(ahead, PLACES)
