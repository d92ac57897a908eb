"""A client on a thread of its own: opened there, closed there, and waited for from all others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, Generic, Self, TypeVar

from continuum_core.arguments import Length
from continuum_core.asyncio_host import end
from continuum_core.client import Client
from continuum_core.definition.declare import Machine
from continuum_core.errors import UsageError
from continuum_core.hooks.plugins import Plugins
from continuum_core.journal.connect import Target
from continuum_core.journal.protocol import Limits, Opened

__all__ = ["Connected"]

T = TypeVar("T")


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: run the loop until it is stopped, and end it."""
    try:
        loop.run_forever()
    finally:
        end(loop)


class _Call(Generic[T]):
    """A coroutine on the loop that a thread waits for, and may give up at whatever moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._done: Future[T] = Future()

    def answer(self) -> T:
        """Begin, and wait. Raises what it raises."""
        self._loop.call_soon_threadsafe(self._begin)
        return self._done.result()

    def give_up(self) -> None:
        """Cancel it where it goes on still. One that was not begun never will be."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile, which cancels all
            self._loop.call_soon_threadsafe(self._cancel)

    # On the loop, in the order in which the thread asked for them.

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._done.cancel()
        elif (error := task.exception()) is not None:
            self._done.set_exception(error)
        else:
            self._done.set_result(task.result())

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._work.close()


class Connected:
    """The part of a client for plain code that is its thread and the loop there."""

    def __init__(
        self,
        journal: Target,
        machines: Iterable[type[Machine[Any, Any, Any]]] = (),
        *,
        namespace: str | None = None,
        limits: Limits | None = None,
        patience: Length = 10.0,
        poll: Length = 5.0,
        plugins: Plugins | None = None,
    ) -> None:
        self.client = Client(
            journal,
            machines,
            namespace=namespace,
            limits=limits,
            patience=patience,
            poll=poll,
            plugins=plugins,
        )
        self.client.apart = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Opened:
        """Start the thread and open the journal. Raises what `Client.open` raises."""
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(
            target=_serve, args=(self._loop,), name="continuum-client", daemon=True
        )
        self._thread.start()
        try:
            return self.wait_for(self.client.open())
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Give everything back."""
        if self._loop is not None and os.getpid() == self._process:
            try:
                self.wait_for(self.client.close())
            finally:
                self._stop()

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of `client` on its loop and return what it returns.

        Who is interrupted here (KeyboardInterrupt, or what another thread or a time limit raises) cancels it.
        """
        loop = self._loop
        refused = ""
        if loop is None:
            refused = "this client is not open; use `with SyncClient(...) as client:`"
        elif os.getpid() != self._process:
            refused = "this client was opened before a fork; open a new one in the child process"
        elif threading.current_thread() is self._thread:
            refused = "this is the client's own thread; await the methods of `client` here"
        if loop is None or refused:
            work.close()
            raise UsageError(refused)
        call = _Call(loop, work)
        try:
            return call.answer()
        except BaseException:
            call.give_up()  # else a result that nobody waits for is read for until the client is closed
            raise
