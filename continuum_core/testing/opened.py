"""What a driven run waits for: activities, child runs and timers, as a journal keeps tasks and deliveries.

A step opens them; the step that leaves their state closes them, but for what may have to be undone. Which one
of several is meant is told by activity, state, number and key, the oldest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import frozen

from continuum_core.clock import to_datetime
from continuum_core.codec import Codec
from continuum_core.definition.activity import Activity
from continuum_core.definition.declare import Machine, Target
from continuum_core.errors import UsageError
from continuum_core.headers import task_input
from continuum_core.interpreter.commands import Close, CloseRuns, StartActivity, StartRun, StartTimer
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.snapshot import Snapshot
from continuum_core.interpreter.snapshot import Step as Made
from continuum_core.mapper import Asked
from continuum_core.registry import Entry

__all__ = ["OpenActivity", "OpenTimer", "OpenWork", "Work", "work_name"]

A = TypeVar("A")
B = TypeVar("B")

Work = Activity[A, B] | type[Machine[Any, A, B]]
"""What a run waits for: an activity, or a child run, given by its machine."""


@frozen
class OpenActivity:
    """An activity, or a child run, that the run waits for.

    :ivar activity: its name, or the name of the child run's machine.
    :ivar state: the path of the state that invoked it.
    :ivar key: what `key=` of the invoke gave, if anything.
    :ivar number: of a member of `each` or `collect`, its number among the members; else None.
    """

    activity: str
    state: str
    input: Any
    key: str | None
    token: int
    slot: int
    number: int | None = None


@frozen
class OpenTimer:
    """A timer that runs, and the path of the state that waits for it; "" also for the run's deadline."""

    state: str
    due: datetime
    token: int
    slot: int


def work_name(work: Any) -> str:
    """The name of an activity, or of a machine whose child runs are waited for."""
    name: str = getattr(work, "chart", work).name
    return name


class OpenWork:
    """What one run waits for, in the order in which it was started."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self.activities: list[OpenActivity] = []
        self.timers: list[OpenTimer] = []

    def fork(self) -> OpenWork:
        """The same once more."""
        other = OpenWork(self._entry)
        other.activities, other.timers = list(self.activities), list(self.timers)
        return other

    def clear(self) -> None:
        """Nothing is waited for any more: the run is over."""
        self.activities.clear()
        self.timers.clear()

    # --- what a step opens and closes ---

    def opened(self, made: Made, asked: Asked) -> list[OpenActivity]:
        """The activities and child runs that a step asks for, their inputs as they come back from storage."""
        starts = [command for command in made.commands if isinstance(command, StartActivity)]
        opened = [
            OpenActivity(
                activity=task.activity,
                state=self._entry.chart.states[start.state].path,
                input=self._entry.activities[task.activity].input.decode(task_input(task.payload)),
                key=task.key,
                token=task.token,
                slot=task.slot,
                number=self._number(made.snapshot.crews.get(task.token), task.slot),
            )
            for start, task in zip(starts, asked.tasks, strict=True)
        ]
        runs = [command for command in made.commands if isinstance(command, StartRun) and command.awaited]
        return opened + [self._opened_run(command) for command in runs]

    def _opened_run(self, start: StartRun) -> OpenActivity:
        crew = self._entry.crews[start.state, start.slot]
        assert crew.child is not None, "only child runs are started as runs"
        return OpenActivity(
            activity=crew.child.machine,
            state=self._entry.chart.states[start.state].path,
            input=crew.input.decode(crew.input.encode(start.input)),
            key=None,
            token=start.token,
            slot=start.number,
            number=start.number if self._is_each(start.state, start.slot) else None,
        )

    def _number(self, crew: OpenCrew | None, number: int) -> int | None:
        """The number of a member; None of an activity that is none."""
        return number if crew is not None and self._is_each(crew.state, crew.slot) else None

    def _is_each(self, state: int, slot: int) -> bool:
        return any(crew.each for crew in self._entry.chart.states[state].crews if crew.slot == slot)

    def output(self, found: OpenActivity, snapshot: Snapshot) -> Codec[Any]:
        """What stores what comes of it."""
        crew = snapshot.crews.get(found.token)
        if crew is not None:
            return self._entry.crews[crew.state, crew.slot].output
        return self._entry.activities[found.activity].output

    def follow(self, made: Made, opened: Sequence[OpenActivity]) -> None:
        """Close and start what a step says."""
        ledger = made.snapshot.ledger
        pending = () if ledger is None else tuple(ledger.pending)
        for command in made.commands:
            if isinstance(command, Close):
                # What may be undone is not stopped: its outcome must become known.
                self.activities = [
                    each
                    for each in self.activities
                    if each.token != command.token or (each.token, each.slot) in pending
                ]
                self.timers = [each for each in self.timers if each.token != command.token]
            elif isinstance(command, CloseRuns):
                self.activities = [each for each in self.activities if each.token != command.token]
            elif isinstance(command, StartTimer):
                state = self._entry.chart.states[command.state].path
                self.timers.append(OpenTimer(state, to_datetime(command.due), command.token, command.slot))
        self.activities.extend(opened)

    # --- which one is meant ---

    def all(self, activity: Work[Any, Any], state: Target[Any] | str | None) -> list[OpenActivity]:
        """All that are open of an activity or machine, of one state or of whichever."""
        path = state.path if isinstance(state, Target) else state
        return [
            each
            for each in self.activities
            if each.activity == work_name(activity) and (path is None or each.state == path)
        ]

    def find(
        self,
        activity: Work[Any, Any],
        state: Target[Any] | str | None,
        number: int | None,
        key: str | None,
        whereabouts: Callable[[], str],
    ) -> OpenActivity:
        """The one that is meant. Raises UsageError where none is open, or which one is open to doubt.

        :param whereabouts: where the run is, for that error.
        """
        name = work_name(activity)
        known = self.all(activity, state)
        found = [
            each
            for each in known
            if (number is None or each.number == number) and (key is None or each.key == key)
        ]
        if not found:
            path = state.path if isinstance(state, Target) else state
            where = "" if path is None else f" in {path}"
            which = "" if number is None else f" number {number}"
            which += "" if key is None else f" with key {key!r}"
            under_way = ", ".join(str(each.number) for each in known if each.number is not None)
            said = f" (numbers {under_way} are)" if which and under_way else ""
            raise UsageError(f"{name}{which} is not open{where}{said}: {whereabouts()}")
        states = list(dict.fromkeys(each.state for each in found))
        if len(states) > 1:
            raise UsageError(
                f"{name} is open in {' and in '.join(states)}: say which one, state={states[0]!r}"
            )
        return found[0]

    def __str__(self) -> str:
        """The activities and child runs, in words."""
        count = Counter((each.activity, each.state or "the root") for each in self.activities)
        work = ", ".join(
            f"{name} (of {state})" + (f" × {many}" if many > 1 else "")
            for (name, state), many in count.items()
        )
        return work or "no activity"
