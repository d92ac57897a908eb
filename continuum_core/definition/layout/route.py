"""Tracks: which horizontal part of a line runs above which in the channel between two ranks.

Every line crosses a channel as vertical, horizontal, vertical. Two lines whose horizontals overlap need
two tracks; the order that makes fewer crossings wins, and no vertical part may lie on another's.
Source: the idea of Sander, "Layout of compound directed graphs", 1996, section on orthogonal edges.
"""

from __future__ import annotations

from itertools import combinations

from attrs import define, field, frozen

__all__ = ["Piece", "Tracks", "assign_tracks"]

CLOSE = 9
"""Verticals nearer than this, in pixels, must not share a height."""
NEVER = 1000


@frozen
class Piece:
    """A line's part in one channel: from x `above` at its top to x `below` at its bottom."""

    key: tuple[int, int]
    above: int
    below: int

    @property
    def span(self) -> tuple[int, int]:
        return (min(self.above, self.below), max(self.above, self.below))


@define
class Tracks:
    """The track of each piece that is not straight, from 0 at the top, and how many there are."""

    of: dict[tuple[int, int], int] = field(factory=dict[tuple[int, int], int])
    count: int = 0


def assign_tracks(pieces: list[Piece]) -> Tracks:
    """A track for each piece that bends."""
    bent = [piece for piece in pieces if piece.above != piece.below]
    after: dict[int, set[int]] = {number: set() for number in range(len(bent))}
    weighed: list[tuple[int, int, int]] = []
    for one, two in combinations(range(len(bent)), 2):
        if not _meet(bent[one], bent[two]):
            continue
        first, second = _cost(bent[one], bent[two]), _cost(bent[two], bent[one])
        upper, lower = (one, two) if first <= second else (two, one)
        weighed.append((abs(first - second), upper, lower))
    # The dearest first: a cheap wish that would close a cycle is turned round instead.
    for _, upper, lower in sorted(weighed, key=lambda wish: (-wish[0], wish[1], wish[2])):
        if _reaches(after, lower, upper):
            after[lower].add(upper)
        else:
            after[upper].add(lower)
    return _levels(bent, after)


def _meet(one: Piece, two: Piece) -> bool:
    return one.span[0] - CLOSE <= two.span[1] and two.span[0] - CLOSE <= one.span[1]


def _cost(upper: Piece, lower: Piece) -> int:
    """Crossings when `upper` runs above `lower`; `NEVER` where their verticals would lie on one another."""
    cost = 0
    if upper.span[0] < lower.above < upper.span[1]:
        cost += 1
    if lower.span[0] < upper.below < lower.span[1]:
        cost += 1
    apart = abs(upper.below - lower.above)
    if apart < CLOSE:  # where both orders are bad, better side by side than on one another
        cost += NEVER if not apart else NEVER // 2
    return cost


def _reaches(after: dict[int, set[int]], start: int, goal: int) -> bool:
    stack, seen = [start], {start}
    while stack:
        number = stack.pop()
        if number == goal:
            return True
        new = after[number] - seen
        seen |= new
        stack += sorted(new)
    return False


def _levels(bent: list[Piece], after: dict[int, set[int]]) -> Tracks:
    waiting = dict.fromkeys(after, 0)
    for followers in after.values():
        for number in followers:
            waiting[number] += 1
    depth = dict.fromkeys(after, 0)
    ready = [number for number in after if not waiting[number]]
    for number in ready:  # grows while it is walked
        for follower in sorted(after[number]):
            depth[follower] = max(depth[follower], depth[number] + 1)
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    tracks = Tracks({bent[number].key: track for number, track in depth.items()})
    tracks.count = max(depth.values(), default=-1) + 1
    return tracks
