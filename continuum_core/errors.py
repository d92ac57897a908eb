"""Every error the library raises, grouped by who must act.

One root, `ContinuumError`; below it one group for each person who can do something about it:

- `AuthorError`: the author of a machine, an activity or a type must change code;
- `CallerError`: the call was wrong, and the caller can make a right one;
- `OperatorError`: the machinery around the run needs care; runs wait, none is failed;
- `RunEnded`: the run itself ended without a result; what happened is in the attributes;
- `LeaseLost`: nobody: the normal end of a race that another worker won.

Errors carry their facts as attributes, never only as text, and survive pickling: all arguments are
positional and kept in `args`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AlreadyStarted",
    "AskRejected",
    "AskTimeout",
    "AttemptCancelled",
    "AuthorError",
    "CallerError",
    "CodecError",
    "CompensationStuck",
    "ContinuumError",
    "DefinitionError",
    "IncompatibleJournal",
    "JournalMissing",
    "JournalUnavailable",
    "LeaseLost",
    "MachineFault",
    "NeverStarted",
    "OperatorError",
    "PayloadCodecFailed",
    "PayloadLocked",
    "PayloadRefused",
    "QueryRefused",
    "ResultTimeout",
    "RunCancelled",
    "RunEnded",
    "RunFailed",
    "RunNotBegun",
    "RunNotFound",
    "RunOver",
    "RunTerminated",
    "RunTimedOut",
    "TooManyPending",
    "UnexpectedEvent",
    "UnknownBackend",
    "UnknownMachine",
    "UnknownVersion",
    "UsageError",
    "WorkerLost",
]


class ContinuumError(Exception):
    """The root of every error of this library."""


# --- the author of the code must act ------------------------------------------------------------


class AuthorError(ContinuumError):
    """Code that declares a machine, an activity or a type must be changed."""


class DefinitionError(AuthorError):
    """A machine's definition has faults; all of them are listed at once.

    `faults` holds values with `code`, `where`, `what` and `remedy` (see `definition.check.Fault`).
    """

    def __init__(self, machine: str, faults: Sequence[object]) -> None:
        super().__init__(machine, tuple(faults))
        self.machine = machine
        self.faults = tuple(faults)

    def __str__(self) -> str:
        count = len(self.faults)
        head = f"{self.machine}: {count} fault{'s' if count != 1 else ''} in the definition"
        return "\n".join([head, *(f"  {fault}" for fault in self.faults)])


class CodecError(AuthorError):
    """A type cannot be carried by the codec; `path` names the field."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class MachineFault(AuthorError):
    """A machine's own code failed in the middle of a macrostep, which was rolled back whole.

    `machine` is its name, `where` the function's place in the chart (and in the source, if known),
    `what` the sentence of the failure. The original exception, if one there was, is `__cause__`.
    The run is unchanged and its event undelivered: it goes on once the code is mended.
    """

    def __init__(self, machine: str, where: str, what: str) -> None:
        super().__init__(machine, where, what)
        self.machine = machine
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"{self.machine}: {self.where}: {self.what}"


# --- the caller must act ------------------------------------------------------------------------


class CallerError(ContinuumError):
    """The call cannot be served as it is; a corrected call can."""


class UsageError(CallerError):
    """The library was used in a way it cannot support; the text says what to do instead."""


class PayloadRefused(CallerError):
    """A value or its encoding was refused (malformed, too large, too deep, wrong type).

    `path` is where in the payload (``$`` is its root); nothing was written.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"payload refused at {self.path}: {self.reason}"


class QueryRefused(CallerError):
    """A query for runs cannot be understood, or asks for what no machine here declares.

    `text` is the query, `at` the place in it of what is wrong (-1: none in particular), `reason` the sentence
    of it, and `hint` what to write instead, if that can be guessed.
    """

    def __init__(self, text: str, at: int, reason: str, hint: str = "") -> None:
        super().__init__(text, at, reason, hint)
        self.text = text
        self.at = at
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        told = f"the query cannot be carried out: {self.reason}{f' ({self.hint})' if self.hint else ''}"
        if self.at < 0:
            return told
        begin = max(0, self.at - 60)
        shown = "".join(each if each.isprintable() else " " for each in self.text[begin : begin + 100])
        return f"{told}\n  {shown}\n  {' ' * (self.at - begin)}^"


class RunNotFound(CallerError):
    """No run of this id or key is in the namespace.

    `run` is what it was asked for by, its id or ``machine/key``; `id` is then the id that it would have.
    """

    def __init__(self, run: str, namespace: str = "", id: str = "", hint: str = "") -> None:
        super().__init__(run, namespace, id, hint)
        self.run = run
        self.namespace = namespace
        self.id = id or run
        self.hint = hint

    def __str__(self) -> str:
        where = f"namespace {self.namespace!r}" if self.namespace else "this namespace"
        told = f"no run {self.run} in {where}"
        told += f" (its id there would be {self.id})" if self.id != self.run else ""
        return f"{told}; {self.hint}" if self.hint else told


class AlreadyStarted(CallerError):
    """The key was used before with another input; the earlier run is untouched."""

    def __init__(self, machine: str, key: str, run: str) -> None:
        super().__init__(machine, key, run)
        self.machine = machine
        self.key = key
        self.run = run

    def __str__(self) -> str:
        return (
            f"{self.machine} {self.key!r} was already started with another input (run {self.run}); "
            "use another key, or send the run an event"
        )


class RunOver(CallerError):
    """An event was sent to a run that has ended, or left for the journal `moved`, where that is known."""

    def __init__(self, run: str, moved: str = "") -> None:
        super().__init__(run, moved)
        self.run = run
        self.moved = moved

    def __str__(self) -> str:
        if self.moved:
            return f"run {self.run} moved to {self.moved}, and takes no more events here"
        return f"run {self.run} is over and takes no more events"


class UnexpectedEvent(CallerError):
    """The machine's definition never mentions this event class."""

    def __init__(self, machine: str, event: str, known: Sequence[str]) -> None:
        super().__init__(machine, event, tuple(known))
        self.machine = machine
        self.event = event
        self.known = tuple(known)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return f"{self.machine} has no edge for event {self.event}; it knows: {known}"


class TooManyPending(CallerError):
    """The run already holds as many unconsumed events as its cap allows; try again later."""

    def __init__(self, run: str, cap: int) -> None:
        super().__init__(run, cap)
        self.run = run
        self.cap = cap

    def __str__(self) -> str:
        return f"run {self.run} already has {self.cap} events waiting; send again when it caught up"


class ResultTimeout(CallerError, TimeoutError):
    """The run had not ended within the time the caller was willing to wait. Nothing was done to it.

    `known` says in words what was seen of it then: what it waits for, or what keeps it from going on.
    """

    def __init__(self, run: str, seconds: float, known: str = "it goes on") -> None:
        super().__init__(run, seconds, known)
        self.run = run
        self.seconds = seconds
        self.known = known

    def __str__(self) -> str:
        return f"run {self.run} has not ended within {self.seconds:g} s: {self.known}"


class AskRejected(CallerError):
    """The run took the question and has no reply to it; `reason` says why, `states` where it was.

    Reasons: ``guarded`` (edges wait for the event there, and no guard held), ``unexpected`` (no edge waits
    for it there), ``unanswered`` (it was taken by an edge that says nothing, such as one on `AnyEvent`).
    """

    def __init__(self, run: str, event: str, reason: str, states: Sequence[str] = ()) -> None:
        super().__init__(run, event, reason, tuple(states))
        self.run = run
        self.event = event
        self.reason = reason
        self.states = tuple(states)

    def __str__(self) -> str:
        where = f"in {', '.join(self.states)}" if self.states else "before it began"
        told = {
            "guarded": f"no guard let it take {self.event} {where}",
            "unexpected": f"it does not expect {self.event} {where}",
            "unanswered": f"it took {self.event} {where} by an edge that says nothing",
        }
        return f"run {self.run}: {told.get(self.reason, self.reason)}"


class AskTimeout(CallerError, TimeoutError):
    """The question was accepted and not taken within the time the caller was willing to wait.

    It is not lost: asking again under the same `id` waits for the same reply. `known` says what holds it up.
    """

    def __init__(self, run: str, event: str, id: str, seconds: float, known: str) -> None:
        super().__init__(run, event, id, seconds, known)
        self.run = run
        self.event = event
        self.id = id
        self.seconds = seconds
        self.known = known

    def __str__(self) -> str:
        return (
            f"run {self.run} did not answer {self.event} within {self.seconds:g} s: {self.known}; "
            f"ask again with id={self.id!r} for the same reply"
        )


class RunNotBegun(CallerError):
    """The run has no context yet: its first turn was not taken."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        return f"run {self.run} has not begun, and has no context to look at yet"


# --- the operator must act ----------------------------------------------------------------------


class OperatorError(ContinuumError):
    """The machinery around runs needs care. Runs wait or are parked, never failed for it."""


class JournalUnavailable(OperatorError):
    """The journal cannot be reached or refuses work for now; the verb may be tried again.

    `ambiguous` tells whether the verb may have taken effect.
    """

    def __init__(self, reason: str, ambiguous: bool = False) -> None:
        super().__init__(reason, ambiguous)
        self.reason = reason
        self.ambiguous = ambiguous

    def __str__(self) -> str:
        tail = " (it may or may not have been done)" if self.ambiguous else ""
        return f"journal unavailable: {self.reason}{tail}"


class PayloadCodecFailed(JournalUnavailable):
    """A payload codec cannot write: its key is away, or it is broken. Nothing was sent.

    Who called is told at once. A worker's work waits, and is tried again, as if the journal were away.

    `codec` is its tag, `plugin` says whose it is, and `reason` what went wrong; what it raised is the cause.
    """

    def __init__(self, codec: str, plugin: str, reason: str) -> None:
        super().__init__(reason)
        self.args = (codec, plugin, reason)
        self.codec = codec
        self.plugin = plugin

    def __str__(self) -> str:
        return f"payload codec {self.codec!r} of {self.plugin} cannot write: {self.reason}; nothing was sent"


class IncompatibleJournal(OperatorError):
    """The store cannot be used as it is: its schema, settings or place do not fit; says what to do."""


class JournalMissing(IncompatibleJournal):
    """There is no journal where one was to be looked at, or nobody ever opened the namespace."""


class UnknownBackend(OperatorError):
    """No installed backend serves this journal URL, or two claim it, or its driver is missing."""


class UnknownMachine(OperatorError):
    """This process has no machine of that name."""

    def __init__(self, machine: str, known: Sequence[str] = ()) -> None:
        super().__init__(machine, tuple(known))
        self.machine = machine
        self.known = tuple(known)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return f"no machine {self.machine!r} here; known: {known}"


class UnknownVersion(OperatorError):
    """A stored value was written by a version of the code or format that this process cannot read."""


class PayloadLocked(UnknownVersion):
    """A stored payload cannot be opened here: its payload codec or its key is not here, or it was changed."""


class CompensationStuck(OperatorError):
    """An undo failed for good, or it cannot be found out whether there is something to undo.

    The run is parked. Mend what is in the way (its history says which activity failed, and why) and unpark
    it: the same is tried again, and the rest follows. Nothing is skipped.
    """

    def __str__(self) -> str:
        return "an undo failed for good, or what became of an activity cannot be found out; see its history"


# --- the run ended without a result ---------------------------------------------------------------


class RunEnded(ContinuumError):
    """The run ended, and not with a result. `run` is its id."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run


class RunFailed(RunEnded):
    """The run reached a final state with `ok=False`.

    `state` names that final state, `verdict` is what the machine's `verdict` function returned
    (None where it declares none), `failure` is the activity failure that led there, if one did.
    """

    def __init__(self, run: str, state: str, verdict: object = None, failure: object = None) -> None:
        super().__init__(run)
        self.args = (run, state, verdict, failure)
        self.state = state
        self.verdict = verdict
        self.failure = failure

    def __str__(self) -> str:
        text = f"run {self.run} failed in state {self.state!r}"
        if self.verdict is not None:
            text += f": {self.verdict!r}"
        if self.failure is not None:
            text += f"\n\nThe activity's own error:\n{self.failure}"
        return text


class RunCancelled(RunEnded):
    """The run was cancelled; `reason` is what the canceller said.

    `left` names the activities that it had done, and has not undone; with what is not known to be done.
    """

    def __init__(self, run: str, reason: str = "", left: Sequence[str] = ()) -> None:
        super().__init__(run)
        self.args = (run, reason, tuple(left))
        self.reason = reason
        self.left = tuple(left)

    def __str__(self) -> str:
        return f"run {self.run} was cancelled" + _because(self.reason, self.left)


class RunTerminated(RunEnded):
    """An operator ended the run at once, its parent did, or it had not stopped in time; `reason` says why.

    `left` is as of `RunCancelled`.
    """

    def __init__(self, run: str, reason: str = "", left: Sequence[str] = ()) -> None:
        super().__init__(run)
        self.args = (run, reason, tuple(left))
        self.reason = reason
        self.left = tuple(left)

    def __str__(self) -> str:
        return f"run {self.run} was terminated" + _because(self.reason, self.left)


class RunTimedOut(RunEnded):
    """The run's deadline passed before it was over, and it was ended for that.

    `state` names the final state that it reached then, "" where it was ended at once; `verdict` is what the
    machine's `verdict` function returned there. `reason` says what failed at the deadline, if anything did;
    `left` is as of `RunCancelled`.
    """

    def __init__(
        self, run: str, state: str = "", verdict: object = None, reason: str = "", left: Sequence[str] = ()
    ) -> None:
        super().__init__(run)
        self.args = (run, state, verdict, reason, tuple(left))
        self.state = state
        self.verdict = verdict
        self.reason = reason
        self.left = tuple(left)

    def __str__(self) -> str:
        text = f"run {self.run} was not over by its deadline"
        text += f" and ended in state {self.state!r}" if self.state else ""
        text += f": {self.verdict!r}" if self.verdict is not None else ""
        return text + _because(self.reason, self.left)


def _because(reason: str, left: Sequence[str]) -> str:
    """Why a run was stopped, and what stays behind."""
    return (f": {reason}" if reason else "") + (f"; not undone: {', '.join(left)}" if left else "")


# --- nobody must act --------------------------------------------------------------------------------


class LeaseLost(ContinuumError):
    """Another worker took over. The normal end of a race; the work is safe with the other one."""


class AttemptCancelled(ContinuumError):
    """Raised by `heartbeat` inside a plain body when the run has no use for the attempt any more."""


class NeverStarted(ContinuumError):
    """Nobody had begun the activity when its run left the state that asked for it.

    Never raised: it is the type of the failure that the run is told, so that nothing is undone.
    """


class WorkerLost(ContinuumError):
    """The workers that ran an activity died in the middle of it, as often as its limit allows.

    Never raised: it is the type of the failure that such an activity ends with, for `error=` edges.
    """
