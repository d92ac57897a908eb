"""Runs activity bodies: async ones on the event loop, plain ones on threads or in processes.

What each can promise about stopping differs, and is stated rather than hidden:

- *loop*: a timeout or a request to cancel raises inside the body where it waits;
- *thread*: nothing can stop a thread. After a timeout the attempt counts as failed and its result is
  ignored, but the body may still be running; it should look at `cancel_requested` or beat;
- *process*: a timeout or a request to cancel kills the process.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from continuum_core.bodythreads import BodyThreads
from continuum_core.codec import LIMITS, codec_for
from continuum_core.definition.activity import Activity, Executor
from continuum_core.definition.failure import Failure
from continuum_core.definition.naming import qualified_name
from continuum_core.errors import AttemptCancelled, UsageError
from continuum_core.runtime.attempt import (
    Attempt,
    Cancelled,
    Ended,
    Raised,
    Succeeded,
    attempt_scope,
    failure_of,
)

__all__ = ["AsyncioRunner"]

logger = logging.getLogger(__name__)

_LINE = 2 * LIMITS.size + 1_048_576
"""The longest line that a process of a body may write, in bytes: any outcome that can be stored fits."""


class AsyncioRunner:
    """The runner of production.

    :param resources: resource type → open resource, injected into bodies that ask for it.
    :param threads: plain bodies at once.
    """

    def __init__(self, resources: Mapping[Any, Any] | None = None, threads: int = 100) -> None:
        self._resources = dict(resources or {})
        self._threads = BodyThreads(threads)
        self.abandoned = 0

    def close(self) -> None:
        """Take no more work; threads that still run a body are left to end by themselves."""
        self._threads.close()

    def injected(self, activity: Activity[Any, Any], attempt: Attempt | None = None) -> dict[str, Any]:
        """The resources a body asks for, by parameter name. Raises UsageError for one that is not open.

        :param attempt: brings the connection of its transaction, where the activity asks for that. Without
            one the connection is a resource like others: a fake, in tests on a journal that has none.
        """
        asked = activity.resources
        if not asked and activity.transaction is None:
            return {}
        given: dict[str, Any] = {}
        if activity.transaction is not None and attempt is not None:
            if attempt.connection is None:
                asked = (*asked, activity.transaction)
            else:
                given[activity.transaction[0]] = attempt.connection
        try:
            return {**given, **{name: self._resources[kind] for name, kind in asked}}
        except KeyError as missing:
            raise UsageError(
                f"activity {activity.name!r} asks for a resource of type {missing.args[0]!r}, which this "
                "worker does not open; pass resources={...} to Worker, or in tests to Engine"
            ) from None

    def run(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Coroutine[Any, Any, Ended]:
        """Run the body once; see `runtime.attempt.Runner`."""
        if activity.executor is Executor.LOOP:
            return self._on_loop(activity, value, attempt)
        if activity.executor is Executor.THREAD:
            return self._on_thread(activity, value, attempt)
        return self._in_process(activity, value, attempt)

    # --- async bodies ---

    async def _on_loop(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Ended:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        cancelling = _Cancelling(task, loop)
        attempt.watch(cancel=cancelling)
        if attempt.cancel_requested:
            return Cancelled()
        try:
            with attempt_scope(attempt):
                if activity.timeout is None and activity.heartbeat is None:
                    return Succeeded(await activity.body(value, **self.injected(activity, attempt)))
                async with asyncio.timeout(_seconds(activity.timeout)), _silence(activity, attempt):
                    return Succeeded(await activity.body(value, **self.injected(activity, attempt)))
        except TimeoutError as error:
            return _raised(activity, _timed_out(activity, error))
        except asyncio.CancelledError as error:
            # Either the run has no use for it any more, or this worker is being stopped, or the body itself
            # met something else that was cancelled: a failure like any other.
            if cancelling.asked:
                task.uncancel()
                return Cancelled()
            if task.cancelling():
                raise
            return _raised(activity, error)
        except AttemptCancelled:
            return Cancelled()
        except KeyboardInterrupt:
            raise  # somebody at the keyboard means the program
        except GeneratorExit as error:
            if not _is_running(task):
                raise  # not the body's: the loop is gone, and this coroutine is being thrown away
            return _raised(activity, error)
        except BaseException as error:
            return _raised(activity, error)

    # --- plain bodies on threads ---

    async def _on_thread(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Ended:
        try:
            injected = self.injected(activity, attempt)
        except UsageError as error:
            return _raised(activity, error)
        # Waiting for a thread is no time of the body's, and one that is given up gives its place to others.
        async with self._threads.places:
            if attempt.cancel_requested:
                return Cancelled()
            with attempt_scope(attempt):
                context = contextvars.copy_context()
            future = self._threads.run(lambda: context.run(activity.body, value, **injected))
            try:
                async with asyncio.timeout(_seconds(activity.timeout)), _silence(activity, attempt):
                    output, raised = await asyncio.shield(future)
            except TimeoutError as error:
                self._abandon(activity, attempt, future, "exceeded its time")
                return _raised(activity, _timed_out(activity, error))
            except asyncio.CancelledError:
                self._abandon(activity, attempt, future, "has to stop")
                raise
        if raised is None:
            return Succeeded(output)
        return Cancelled() if isinstance(raised, AttemptCancelled) else _raised(activity, raised)

    def _abandon(
        self, activity: Activity[Any, Any], attempt: Attempt, future: asyncio.Future[Any], why: str
    ) -> None:
        attempt.request_cancel()
        self.abandoned += 1
        future.add_done_callback(self._ended_late)
        logger.warning(
            "%s of run %s %s; its thread cannot be stopped and runs on (%d such)",
            activity.name,
            attempt.run_id,
            why,
            self.abandoned,
        )

    def _ended_late(self, _: asyncio.Future[Any]) -> None:
        self.abandoned -= 1

    # --- plain bodies in processes ---

    async def _in_process(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Ended:
        if attempt.cancel_requested:
            return Cancelled()
        try:
            return await self._converse_with_process(activity, value, attempt)
        except TimeoutError as error:
            return _raised(activity, _timed_out(activity, error))
        except AttemptCancelled:  # asked to stop just when it beat
            return Cancelled()
        except Exception as error:  # no process to be had, or what it said cannot be read
            return _raised(activity, error)

    async def _converse_with_process(
        self, activity: Activity[Any, Any], value: Any, attempt: Attempt
    ) -> Ended:
        body = codec_for(activity.input_type).encode(value)
        call = {
            "module": activity.body.__module__,
            "activity": activity.name,
            "run_id": str(attempt.run_id),
            "machine": attempt.machine,
            "number": attempt.number,
            "losses": attempt.losses,
            "key": attempt.key,
            "details": attempt.details,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "continuum_core.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        loop = asyncio.get_running_loop()
        killed = False

        def kill() -> None:
            nonlocal killed
            killed = True
            if process.returncode is None:
                process.kill()

        attempt.watch(cancel=_on(loop, kill))
        if attempt.cancel_requested:  # while the process began
            kill()
        try:
            async with asyncio.timeout(_seconds(activity.timeout)), _silence(activity, attempt):
                ended = await _converse(process, json.dumps(call).encode(), body, activity, attempt)
        finally:
            if process.returncode is None:
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()
        return Cancelled() if killed else ended


async def _converse(
    process: asyncio.subprocess.Process,
    head: bytes,
    body: bytes,
    activity: Activity[Any, Any],
    attempt: Attempt,
) -> Ended:
    """Hand the call over, listen to beats, read how it ended. One JSON value a line."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(head + b"\n" + body + b"\n")
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it died at once; its exit code tells below
    while line := await process.stdout.readline():
        kind, _, rest = line.rstrip(b"\n").partition(b" ")
        if kind == b"beat":
            attempt.heartbeat(json.loads(rest))
        elif kind == b"output":
            return Succeeded(codec_for(activity.output_type).decode(rest))
        elif kind == b"failure":
            told = json.loads(rest)
            told["bases"] = tuple(told["bases"])
            return _policed(activity, Failure(**told))
        elif kind == b"cancelled":
            return Cancelled()
    code = await process.wait()
    died = f"the process of {activity.name} ended with exit code {code} and no outcome"
    return _policed(activity, failure_of(ChildProcessError(died), with_traceback=False))


# --- small things ------------------------------------------------------------------------------------


def _seconds(length: Any) -> float | None:
    return None if length is None else float(length.total_seconds())


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Callable[[], None]:
    """The same call, from any thread."""

    def handed_over() -> None:
        loop.call_soon_threadsafe(call)

    return handed_over


class _Cancelling:
    """Cancels the body in a task, from any thread, and tells afterwards that it was we who did."""

    __slots__ = ("_loop", "_task", "asked")

    def __init__(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._task = task
        self._loop = loop
        self.asked = False

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self.asked = True
        self._task.cancel()


class _silence:
    """Raises TimeoutError when the attempt has not beaten for as long as its activity allows."""

    def __init__(self, activity: Activity[Any, Any], attempt: Attempt) -> None:
        self._length = _seconds(activity.heartbeat)
        self._attempt = attempt

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(self._length)
        await self._timeout.__aenter__()
        if self._length is None:
            return
        loop = asyncio.get_running_loop()

        def beat() -> None:
            # A beat may arrive from a thread, and after the end.
            loop.call_soon_threadsafe(self._extend, loop)

        self._attempt.watch(beat=beat)

    def _extend(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._timeout.expired() and self._length is not None:
            try:
                self._timeout.reschedule(loop.time() + self._length)
            except RuntimeError:
                return  # it ended meanwhile

    async def __aexit__(self, *exc: Any) -> None:
        await self._timeout.__aexit__(*exc)


def _timed_out(activity: Activity[Any, Any], error: TimeoutError) -> TimeoutError:
    if error.args:
        return error  # the body's own
    limits = f"timeout {activity.timeout}" if activity.timeout else ""
    if activity.heartbeat:
        limits += f"{' or ' if limits else ''}heartbeat {activity.heartbeat}"
    return TimeoutError(f"{activity.name} exceeded its {limits}") if limits else error


def _is_running(task: asyncio.Task[Any]) -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs
        return False


def _raised(activity: Activity[Any, Any], error: BaseException) -> Raised:
    if not isinstance(error, Exception):
        # What would end a program ends one attempt, and as an Exception, or no `error=` edge would take it.
        exited = RuntimeError(f"{activity.name} raised {error!r}")
        exited.__cause__ = error
        error = exited
    fatal = isinstance(error, (*activity.retry.fatal, UsageError))
    return Raised(failure_of(error), fatal)


def _policed(activity: Activity[Any, Any], failure: Failure) -> Raised:
    """A failure that is data already: its policy is asked by name."""
    names = {failure.type, *failure.bases}
    return Raised(failure, any(qualified_name(cls) in names for cls in activity.retry.fatal))
