"""Durable, explicit state machines with pluggable journals.

The public names. `docs/reference/public-api.md` lists them, and those of the other public modules: errors,
queries, drawings, tests, the port of journals and the hooks. What is not there may change without notice.
"""

from continuum_core.client import Client, Handle
from continuum_core.collector import relax_collector
from continuum_core.definition.activity import Activity, activity
from continuum_core.definition.check import DefinitionWarning
from continuum_core.definition.declare import Machine, root, to
from continuum_core.definition.event import AnyEvent, Question, event
from continuum_core.definition.failure import Failure
from continuum_core.definition.known import pure
from continuum_core.definition.message import Message
from continuum_core.definition.queue import Queue, Rate
from continuum_core.definition.retry import Retry
from continuum_core.definition.sequence import sequence
from continuum_core.definition.steps import steps
from continuum_core.definition.transaction import Transaction
from continuum_core.deterministic import now, patched, random, today, uuid4
from continuum_core.errors import (
    AlreadyStarted,
    AskRejected,
    AskTimeout,
    AttemptCancelled,
    ContinuumError,
    DefinitionError,
    IncompatibleJournal,
    JournalUnavailable,
    MachineFault,
    PayloadRefused,
    QueryRefused,
    ResultTimeout,
    RunCancelled,
    RunFailed,
    RunNotBegun,
    RunNotFound,
    RunOver,
    RunTerminated,
    RunTimedOut,
    TooManyPending,
    UnexpectedEvent,
    UnknownMachine,
    UsageError,
    WorkerLost,
)
from continuum_core.interpreter.events import Cancel, Failed, Finished, Signal, Start, TimedOut
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.runtime.attempt import Attempt, attempt_scope, current_attempt
from continuum_core.sync_client import SyncClient, SyncHandle
from continuum_core.view import RunView
from continuum_core.worker import Worker

__all__ = [
    "Activity",
    "AlreadyStarted",
    "AnyEvent",
    "AskRejected",
    "AskTimeout",
    "Attempt",
    "AttemptCancelled",
    "Cancel",
    "Client",
    "ContinuumError",
    "DefinitionError",
    "DefinitionWarning",
    "Failed",
    "Failure",
    "Finished",
    "Handle",
    "IncompatibleJournal",
    "JournalUnavailable",
    "Limits",
    "Machine",
    "MachineFault",
    "Message",
    "PayloadRefused",
    "QueryRefused",
    "Question",
    "Queue",
    "Rate",
    "ResultTimeout",
    "Retry",
    "RunCancelled",
    "RunFailed",
    "RunNotBegun",
    "RunNotFound",
    "RunOver",
    "RunStatus",
    "RunTerminated",
    "RunTimedOut",
    "RunView",
    "Signal",
    "Start",
    "SyncClient",
    "SyncHandle",
    "TimedOut",
    "TooManyPending",
    "Transaction",
    "UnexpectedEvent",
    "UnknownMachine",
    "UsageError",
    "Worker",
    "WorkerLost",
    "activity",
    "attempt_scope",
    "current_attempt",
    "event",
    "now",
    "patched",
    "pure",
    "random",
    "relax_collector",
    "root",
    "sequence",
    "step",
    "steps",
    "to",
    "today",
    "unborn",
    "uuid4",
]
