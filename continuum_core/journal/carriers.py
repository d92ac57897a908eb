"""What the carriers of backends have in common: whether a run may leave, and pages of keyed results.

The cursor of a page is the activity and key that it ends with. A backend whose store pages in another order
has cursors of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from continuum_core.clock import Micros
from continuum_core.errors import PayloadRefused
from continuum_core.journal.carrying import (
    DepartOutcome,
    Departure,
    KeyedResult,
    ResultPage,
    RunImage,
    mark_of,
)
from continuum_core.journal.records import ENDED

__all__ = ["hindrance", "read_place", "result_page"]


def hindrance(image: RunImage, departure: Departure, now: Micros) -> DepartOutcome | None:
    """What is told of a departure for which there is nothing to do, or which must not be; None: do it."""
    run = image.run
    if run.status in ENDED:
        return DepartOutcome.DEPARTED if run.commit_id == departure.id else DepartOutcome.RUN_OVER
    leases = [run.lease_until, *(task.lease_until for task in image.tasks)]
    if any(until is not None and until > now for until in leases):
        return DepartOutcome.BUSY
    return None if mark_of(image) == departure.mark else DepartOutcome.CHANGED


def read_place(cursor: str | None) -> tuple[str, str]:
    """The activity and key after which a page of results begins. Raises PayloadRefused."""
    if cursor is None:
        return ("", "")
    try:
        activity, key = json.loads(cursor)
    except ValueError:
        raise PayloadRefused("cursor", "it is no cursor of this journal") from None
    return activity, key


def result_page(found: Sequence[KeyedResult], limit: int) -> ResultPage:
    """The page of the first `limit` results, of one more than that where there are more."""
    shown = tuple(found[:limit])
    more = len(found) > limit > 0
    return ResultPage(shown, json.dumps([shown[-1].activity, shown[-1].key]) if more else None)
