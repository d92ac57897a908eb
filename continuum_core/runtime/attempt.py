"""One try of one activity, as its body sees it, and how it ended.

`current_attempt()` gives a running body what it may need to know of itself. The engine keeps the
attempt's lease alive on its own; a body beats (`heartbeat`) to tell its progress, to prove that it
is not stuck where the activity declares `heartbeat=`, and to learn that it should stop.
"""

from __future__ import annotations

import contextvars
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from continuum_core.definition.activity import Activity
from continuum_core.definition.failure import Failure
from continuum_core.definition.naming import qualified_name
from continuum_core.errors import AttemptCancelled, UsageError
from continuum_core.journal.records import TaskKey

__all__ = [
    "Attempt",
    "Cancelled",
    "Ended",
    "Raised",
    "Runner",
    "Succeeded",
    "attempt_scope",
    "current_attempt",
    "failure_of",
]

_TEXT_LIMIT = 16_000
"""Characters of a failure's message, and of its traceback."""

_current: contextvars.ContextVar[Attempt] = contextvars.ContextVar("continuum_attempt")


class Attempt:
    """What a running body knows of itself.

    :ivar run_id: the run it works for.
    :ivar machine: that run's machine, by name.
    :ivar activity: its own name.
    :ivar number: 1 for the first try, one more for each reported failure.
    :ivar losses: workers that died in the middle of earlier tries.
    :ivar details: what the last heartbeat of an earlier try carried (JSON values), else None.
    :ivar connection: in whose transaction the outcome will be committed; the runner hands it to the body.
        None where its activity asks for none, or the journal has none to give.
    """

    def __init__(
        self,
        *,
        run_id: UUID,
        machine: str,
        activity: str,
        number: int,
        losses: int,
        key: str | TaskKey,
        details: Any = None,
    ) -> None:
        self.run_id = run_id
        self.machine = machine
        self.activity = activity
        self.number = number
        self.losses = losses
        self._key = key
        self.details = details
        self.reported: Any = None
        self.written: bytes | None = None  # the details of the last heartbeat, as JSON
        self.connection: Any = None
        self._cancel_requested = False
        self._on_beat: Callable[[], None] | None = None
        self._on_cancel: Callable[[], None] | None = None
        self._on_report: Callable[[Any], None] | None = None

    @property
    def key(self) -> str:
        """The idempotency key: the same for every try of this state entry.

        Hand it to the service you call, and a repeated try does its work once.
        """
        if not isinstance(self._key, str):  # few bodies ask, and a UUID's text costs as much as all else here
            self._key = "{}:{}:{}".format(*self._key)
        return self._key

    def heartbeat(self, details: Any = None) -> None:
        """Say that the body is alive, and how far it has come. May be called from any thread.

        :param details: JSON values, kept for the next try; None leaves what was kept.
        :raises AttemptCancelled: when the body should stop: the run has no use for it any more.
        """
        if details is not None:
            self.written = msgspec.json.encode(details)
            self.reported = details
            if self._on_report is not None:
                self._on_report(details)
        if self._on_beat is not None:
            self._on_beat()
        if self._cancel_requested:
            raise AttemptCancelled(self.activity)

    @property
    def cancel_requested(self) -> bool:
        """Whether the run has no use for this attempt any more. Plain bodies look now and then."""
        return self._cancel_requested

    def request_cancel(self) -> None:
        """Ask the body to stop: async bodies are cancelled where they wait, plain ones at a heartbeat."""
        if not self._cancel_requested:
            self._cancel_requested = True
            if self._on_cancel is not None:
                self._on_cancel()

    def watch(
        self,
        *,
        beat: Callable[[], None] | None = None,
        cancel: Callable[[], None] | None = None,
        report: Callable[[Any], None] | None = None,
    ) -> None:
        """For runners and the engine: what to call on a beat, a request to cancel, new details."""
        self._on_beat = beat or self._on_beat
        self._on_cancel = cancel or self._on_cancel
        self._on_report = report or self._on_report

    def let_go(self) -> None:
        """For the engine: the try is over, and nobody watches it any more."""
        self._on_beat = self._on_cancel = self._on_report = None


def current_attempt() -> Attempt:
    """The attempt whose body is running here. Raises UsageError outside of one."""
    try:
        return _current.get()
    except LookupError:
        raise UsageError(
            "current_attempt() is for the body of an activity that an engine runs; "
            "in a unit test wrap the call in `with attempt_scope(Attempt(...)):`"
        ) from None


class attempt_scope:
    """`with attempt_scope(attempt):` makes it the current one."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __enter__(self) -> Attempt:
        self._token = _current.set(self._attempt)
        return self._attempt

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


# --- how it ended --------------------------------------------------------------------------------------


class Succeeded(Struct, frozen=True, gc=False):
    output: Any


class Raised(Struct, frozen=True, gc=False):
    """The body raised, or took too long. `fatal`: its policy forbids another try."""

    failure: Failure
    fatal: bool = False


class Cancelled(Struct, frozen=True, gc=False):
    """The body stopped because it was asked to."""


Ended = Succeeded | Raised | Cancelled


class Runner(Protocol):
    """The port that runs bodies: on asyncio, threads and processes in production, at will in tests."""

    def run(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Coroutine[Any, Any, Ended]:
        """Run the body once. Raises nothing; cancelling this coroutine abandons the body."""
        raise NotImplementedError


def failure_of(error: BaseException, *, with_traceback: bool = True) -> Failure:
    """An exception as data, fit for storage: text that no store accepts is replaced."""
    text = "".join(traceback.format_exception(error)) if with_traceback else ""
    return Failure(
        type=qualified_name(type(error)),
        message=_storable(_shortened(_message(error))),
        bases=tuple(qualified_name(c) for c in type(error).__mro__[1:] if issubclass(c, BaseException)),
        traceback=_storable(_shortened(text)),
    )


def _shortened(text: str) -> str:
    """An error of many megabytes would fill the journal, once in the task and once in the history."""
    if len(text) <= _TEXT_LIMIT:
        return text
    half = _TEXT_LIMIT // 2
    return f"{text[:half]}\n… {len(text) - _TEXT_LIMIT} characters left out …\n{text[-half:]}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # a user's __str__ may raise: the failure must still be told
        return f"(its __str__ raised {type(broken).__name__})"


def _storable(text: str) -> str:
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
