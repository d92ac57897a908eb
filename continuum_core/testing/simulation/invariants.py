"""All that must hold of the history of a schedule, and the verdict.

The numbers in the docstrings of the checks are those of the project's list of invariants. They are
judged over what the store holds at the end, what the witness saw take effect, the ledger of the world
outside, and what the clients were told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from continuum_core.errors import ContinuumError
from continuum_core.journal.records import Run
from continuum_core.testing.simulation.evidence import Evidence, Story
from continuum_core.testing.simulation.machines import DETERMINISTIC
from continuum_core.testing.simulation.of_events import (
    acknowledged_is_present,
    messages_arrive_once,
    one_key_one_run,
    orders_win,
    senders_keep_their_order,
    timers_are_not_early,
)
from continuum_core.testing.simulation.of_execution import (
    attempts_stay_within_limits,
    executions_have_reasons,
    keyed_bodies_succeed_once,
    only_the_holder_finishes,
    outcomes_are_applied_once,
    rates_hold,
    what_was_done_is_undone,
)
from continuum_core.testing.simulation.of_families import children_begin_once, ends_are_told, windows_hold
from continuum_core.testing.simulation.of_journal import (
    fences_never_decrease,
    nothing_follows_the_end,
    records_are_gap_free,
    records_are_those_committed,
    records_fold_to_snapshots,
)
from continuum_core.testing.simulation.of_limits import late_runs_end
from continuum_core.testing.simulation.workload import Doing

__all__ = ["CHECKS", "judge", "same_end"]


CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    records_are_gap_free,
    records_are_those_committed,
    fences_never_decrease,
    records_fold_to_snapshots,
    nothing_follows_the_end,
    outcomes_are_applied_once,
    executions_have_reasons,
    attempts_stay_within_limits,
    only_the_holder_finishes,
    keyed_bodies_succeed_once,
    rates_hold,
    what_was_done_is_undone,
    timers_are_not_early,
    acknowledged_is_present,
    one_key_one_run,
    senders_keep_their_order,
    messages_arrive_once,
    orders_win,
    children_begin_once,
    ends_are_told,
    windows_hold,
    late_runs_end,
)


def judge(evidence: Evidence) -> list[str]:
    """Everything that is wrong."""
    wrong = list(evidence.witness.violations)
    for check in CHECKS:
        try:
            wrong += [f"{check.__name__}: {what}" for what in check(evidence)]
        except ContinuumError as error:
            wrong.append(f"{check.__name__}: {type(error).__name__}: {error}")
    return wrong


def same_end(evidence: Evidence, plain: Evidence) -> Iterator[str]:
    """9: a run without races that nobody interfered with ends as it does when nothing fails."""
    disturbed = {
        result.action.run.label
        for result in (*evidence.results, *plain.results)
        if result.action.doing not in (Doing.START, Doing.RESULT)
    }
    ends = {story.found.run.key: story for story in plain.stories.values()}
    for story in evidence.stories.values():
        run = story.found.run
        other = ends.get(run.key)
        if run.key is None or other is None or run.machine not in DETERMINISTIC or run.key in disturbed:
            continue
        if any(b"WorkerLost" in record.body for each in _family(evidence, run) for record in each.records):
            continue  # more workers died of it than its policy allows
        if (run.status, run.outcome) != (other.found.run.status, other.found.run.outcome):
            plainly = f"{other.found.run.status.name} {other.found.run.outcome!r}"
            yield f"{story.name} ended {run.status.name} {run.outcome!r}, without faults {plainly}"


def _family(evidence: Evidence, run: Run) -> Iterator[Story]:
    """A run, and those that it started."""
    stories = evidence.stories.values()
    return (each for each in stories if run.run_id in (each.found.run.run_id, each.found.run.root))
