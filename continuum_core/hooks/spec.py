"""Every hook, in one file: what a plugin may implement.

A plugin is any object or module whose functions are marked with `hookimpl` and named as below; it
comes in by an entry point of group ``continuum.plugins``. A hook may take fewer arguments than it is
offered. All hooks are plain functions. What would never be called is refused as the plugin comes in
(`checking`), and the order of calls is that of `tryfirst` and `trylast` (`hook`).

*Observers* are told what has happened, after it was committed, on the event loop of the worker or client that
tells: they must be quick, and hand slow work to a thread. *Contributors* are asked for something when it is
needed; None is no answer. A plugin that raises, in whatever hook, harms no run: it is counted, logged once
per cause, and the others are called all the same (`plugins.Plugins`). Hooks that nobody implements are not
called, and what they would be told is not gathered.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import pluggy

from continuum_core.hooks.contributions import PayloadCodec, Redactor, TypeHandler
from continuum_core.hooks.facts import (
    AttemptFacts,
    BatchFacts,
    Headers,
    HealthSection,
    JournalFacts,
    MachineFacts,
    Outgoing,
    ReportFacts,
    RunFacts,
    TurnFacts,
    WorkerFacts,
)
from continuum_core.journal.gauges import Gauges

__all__ = ["HOOKS_VERSION", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "continuum"
HOOKS_VERSION = 2
"""The version of these hooks. A plugin may state the one it was written for as `HOOKS_VERSION`."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- processes ---------------------------------------------------------------------------------------


@hookspec
def machine_registered(machine: MachineFacts) -> None:
    """Observer: a worker or client has opened with this machine, or has met it later.

    Once for each version in each worker and client, and when the command line is given it with ``--app``.
    """


@hookspec
def journal_opened(journal: JournalFacts) -> None:
    """Observer: a worker or client has opened its journal. A worker's own client opens none."""


@hookspec
def worker_started(worker: WorkerFacts) -> None:
    """Observer: a worker has opened its journal and begins to work."""


@hookspec
def worker_draining(worker: WorkerFacts) -> None:
    """Observer: a worker takes nothing new any more."""


@hookspec
def worker_stopped(worker: WorkerFacts) -> None:
    """Observer: a worker has given everything back. The last that it tells."""


@hookspec
def gauges_read(namespace: str, gauges: Gauges) -> None:
    """Observer: how much waits in the journal, by its own count; every 15 s, by each worker.

    Read only where a plugin implements this hook, and the journal can tell (`journal.gauges`). What it says
    is about the whole namespace, not about this worker: of several workers each tells the same.
    """


# --- runs --------------------------------------------------------------------------------------------


@hookspec
def run_started(run: RunFacts) -> None:
    """Observer: a start of this client, or of this worker's client, made a run.

    A start whose answer was lost and which was repeated finds its run, and is not told.
    """


@hookspec
def run_turned(turn: TurnFacts) -> None:
    """Observer: a turn that was taken here stands: it is committed."""


@hookspec
def turn_dropped(turn: TurnFacts) -> None:
    """Observer: a turn that was taken here, and of which `turn_headers` was told, does not stand.

    Another worker has the run, or a quick turn met something in its way and the run goes the long way. Its
    events are taken again by another turn. The normal end of a race.
    """


@hookspec
def run_completed(run: RunFacts) -> None:
    """Observer: a turn that was committed here completed a run."""


@hookspec
def run_failed(run: RunFacts) -> None:
    """Observer: a turn that was committed here ended a run in a final state that stands for failure."""


@hookspec
def run_cancelled(run: RunFacts) -> None:
    """Observer: a turn that was committed here ended a run that had been asked to stop."""


@hookspec
def run_terminated(run: RunFacts) -> None:
    """Observer: an order of this client ended a run at once. Of the run's machine it may know nothing."""


@hookspec
def run_parked(run: RunFacts) -> None:
    """Observer: a turn that was committed here parked a run; `cause` says why."""


@hookspec
def records_committed(batch: BatchFacts) -> None:
    """Observer: the journal has answered a batch of starts, turns or outcomes.

    Its records are those of the turns in it that stand: every record of a step reaches this hook in the
    process that wrote it, at least once, and in order for each run. Orders' records do not.
    """


# --- tasks -------------------------------------------------------------------------------------------


@hookspec
def around_attempt(attempt: AttemptFacts) -> AbstractContextManager[Headers | None] | None:
    """Contributor: a context manager around the body of each attempt.

    Entered before the body in the attempt's own asyncio task, and left in it when the body has ended: context
    variables that it sets are seen by the body, on the loop or on a thread, and not in a process of its own.
    What the body raised is not passed to `__exit__`: `attempt.ended` tells. What `__enter__` returns are
    headers for the attempt's outcome. Of several plugins the first to enter is the last to leave. One that
    raises in `__enter__` is passed over, and so is what `__exit__` raises or returns.
    """


@hookspec
def attempt_reported(report: ReportFacts) -> None:
    """Observer: the journal has answered to the outcome of an attempt.

    Not told of attempts that were lost, or abandoned by a worker that was stopped.
    """


# --- headers: what travels beside payloads -----------------------------------------------------------


@hookspec
def outgoing_headers(outgoing: Outgoing) -> Headers | None:
    """Contributor: headers for a start, an event or an order to cancel, in the caller's own context.

    They are stored with it, reach the turn that takes it (`TurnFacts.headers`), and stay in the run's
    history. They are no part of the input: a start that is repeated with others is the same start.
    """


@hookspec
def turn_headers(turn: TurnFacts) -> Headers | None:
    """Contributor: headers for all that a turn asks for: activities, timers, events to other runs.

    Called when the turn has been computed and is about to be committed; `run_turned` or `turn_dropped` of the
    same `turn_id` follows. At most 16 headers and 4,096 bytes; names of lower-case letters, digits and
    hyphens.
    """


# --- what is stored and shown ------------------------------------------------------------------------


@hookspec
def payload_codecs() -> Iterable[PayloadCodec] | None:
    """Contributor: codecs around all payloads; asked when a worker or client is made.

    One that raises is refused, and the worker or client with it: going on without would store payloads
    plainly.
    """


@hookspec
def type_handlers() -> Iterable[TypeHandler] | None:
    """Contributor: classes that the codec of typed values is to know.

    Asked once in a process, when the codec first meets a class that it does not know. One that raises is
    refused, and the class with it.
    """


@hookspec
def redactors() -> Iterable[Redactor] | None:
    """Contributor: what hides parts of values from logs, the command line and exports.

    Asked when one of these begins. One that raises is refused, and with it what asked: going on without would
    show everything.
    """


# --- people ------------------------------------------------------------------------------------------


@hookspec
def register_commands(app: Any) -> None:
    """Add commands to `app`, a `typer.Typer` of this plugin's own; when the `continuum` command line starts.

    They join the program's, and take the place of none. What it raises is logged, and the command line goes
    on without its commands.
    """


@hookspec
def health_sections() -> Iterable[HealthSection] | None:
    """Contributor: parts of what `Worker.health` tells; asked whenever it is.

    One that raises, or gives what is no section of JSON values, becomes a section of its plugin's name that
    is not ok.
    """
