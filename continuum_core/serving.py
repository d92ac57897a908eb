"""Which queues a worker serves: those that it is told to, of those that its machines' activities are in.

A queue that no activity is in is a misspelt one: its activities would wait for ever, and nothing would fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from continuum_core.arguments import suggestion, whole
from continuum_core.definition.activity import Activity
from continuum_core.errors import UsageError

__all__ = ["check_queue", "left_out", "queues_of", "served"]

_ALL = 100  # activities at once of each queue, unless a worker is told otherwise


def queues_of(activities: Iterable[Activity[Any, Any]]) -> Collection[str]:
    """The queues that a worker with these activities may be told to serve, by name."""
    return sorted({queue for each in activities for queue in each.queues} | {"default"})


def left_out(activities: Iterable[Activity[Any, Any]], queues: Collection[str]) -> list[str]:
    """The queues of activities that are not among these."""
    return sorted({queue for each in activities for queue in each.queues} - set(queues))


def check_queue(name: str, known: Collection[str]) -> None:
    """Raises UsageError for a queue that no activity is in."""
    if name not in known:
        hint = f"; {near}" if (near := suggestion(name, known)) else ""
        raise UsageError(f"no activity is in queue {name!r}; there are: {', '.join(known)}{hint}")


def served(given: Mapping[str, int] | None, known: Collection[str]) -> dict[str, int]:
    """The queues that a worker serves, and of each how many activities at once. Raises UsageError."""
    if given is None:
        return dict.fromkeys(known, _ALL)
    queues: Any = given
    if not isinstance(queues, Mapping):
        raise UsageError(
            f"queues={queues!r} is no mapping: give one such as {{'default': 20}}, or None for all"
        )
    for name, count in given.items():
        check_queue(name, known)
        whole(f"queues[{name!r}]", count)
    return dict(given)
