"""What a run waits for, or what keeps it from going on, in words: for those who have waited long enough.

It says what somebody has to do, where somebody has to; it is one reading, and true of that moment.
"""

from __future__ import annotations

from datetime import datetime

from continuum_core.journal.records import RunStatus
from continuum_core.view import RunView, TaskView

__all__ = ["held_up"]


def held_up(view: RunView, now: datetime, *, taken: bool) -> str:
    """What a run that has not ended waits for.

    :param taken: whether a live worker takes runs of its definition.
    """
    because = f" ({view.cause})" if view.cause else ""
    if view.status is RunStatus.PARKED:
        return f"it is parked{because}; mend what parked it, and unpark it"
    if view.status is RunStatus.SUSPENDED:
        return f"it is suspended{because}; resume it, and it goes on"
    begins = view.begins
    if begins is not None and begins > now:
        return f"it begins at {begins:%Y-%m-%d %H:%M:%S} UTC"
    if not taken:
        print_ = view.fingerprint[:12]
        return f"no live worker takes {view.machine} (definition {print_}); start one that has its code"
    if view.tasks:
        return "it goes on: " + "; ".join(_work(task, now) for task in view.tasks[:3])
    if not view.begun:
        return "it has not begun; a worker will take it"
    return f"it goes on, and waits in {', '.join(view.states) or 'no state'}{_until(view, now)}"


def _work(task: TaskView, now: datetime) -> str:
    if task.claimed:
        return f"activity {task.activity} is under way"
    if task.lost:
        return f"activity {task.activity} lost its worker, and waits for one that takes queue {task.queue!r}"
    if task.due > now:
        why = f" failed ({task.failure}) and" if task.failure else ""
        return f"activity {task.activity}{why} is tried again at {task.due:%H:%M:%S} UTC"
    return f"activity {task.activity} waits for a worker that takes queue {task.queue!r} and has room"


def _until(view: RunView, now: datetime) -> str:
    """When the next timer or delayed event is due, if one is."""
    due = min((each.due for each in view.waiting if each.due is not None and each.due > now), default=None)
    return "" if due is None else f" until {due:%Y-%m-%d %H:%M:%S} UTC at the latest"
