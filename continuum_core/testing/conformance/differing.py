"""What two answers differ in, member by member, so that an author need not read both to find one field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, cast

__all__ = ["check_alike", "differing"]

_MOST = 12


class _Nothing:
    """Where one list has no member any more."""

    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def check_alike(mine: Any, theirs: Any, what: str) -> None:
    """Fails with what differs, and without both values in full, which `assert` would print."""
    difference = differing(mine, theirs)
    if difference:
        raise AssertionError(f"{what} differ from the reference's:\n{difference}")


def differing(mine: Any, theirs: Any) -> str:
    """One line for each place in which comparable values differ, the first dozen; "" where they do not.

    :param mine: of the reference.
    :param theirs: of the journal under test.
    """
    found = list(_places(mine, theirs, ""))
    lines = [
        f"  {where or 'the answer'}: the reference has {one!r}, this journal {other!r}"
        for where, one, other in found[:_MOST]
    ]
    if len(found) > _MOST:
        lines.append(f"  and {len(found) - _MOST} places more")
    return "\n".join(lines)


def _places(mine: Any, theirs: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if mine == theirs:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict) and mine.keys() == theirs.keys():
        others = cast("dict[str, Any]", theirs)
        for name, value in cast("dict[str, Any]", mine).items():
            yield from _places(value, others[name], f"{where}.{name}".lstrip("."))
    elif isinstance(mine, list) and isinstance(theirs, list):
        pairs = zip_longest(cast("Sequence[Any]", mine), cast("Sequence[Any]", theirs), fillvalue=_NOTHING)
        for at, (one, other) in enumerate(pairs):
            yield from _places(one, other, f"{where}[{at}]")
    else:
        yield where, mine, theirs
