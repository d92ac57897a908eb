"""The client for plain code: from any thread, refused after a fork, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from continuum_core import Client, SyncClient, UsageError, Worker
from tests.runtime.machines import Finish, Go, Note, Receiver, Waits


@pytest.fixture
def url(shared_journal: str) -> str:
    return shared_journal


class Background:
    """A worker on a thread of its own, as another process would be."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()))

    async def _work(self) -> None:
        async with Worker(self._url, [Waits, Receiver]):
            self._ready.set()
            while not self._stop.is_set():
                await asyncio.sleep(0.01)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_start_send_wait_and_look(url: str) -> None:
    with Background(url), SyncClient(url, [Receiver]) as client:
        run = client.start(Receiver, "a", key="k")
        run.send(Note("one"))
        client.send(run, "Note", {"word": "two"})
        client.get(Receiver, "k").send(Finish())
        assert run.result(20) == "one,two"
        assert [step.event for step in run.history()] == ["start", "Note", "Note", "Finish"]
        assert run.view().outcome == {"kind": "completed", "state": "done", "value": "one,two"}
        again = client.start(Receiver, "b")
        assert [view.id for view in client.runs(machine=Receiver, status="running")] == [again.id]
        assert [view.id for view in client.runs("machine = receiver and status = running")] == [again.id]
        assert again.suspend("audit")
        assert again.resume()
        again.terminate("enough")
        assert client.prune(0, machine=Receiver, dry_run=True).runs == 2
        page, cursor = client.list(machine="receiver", created_to=run.view().created)
        assert not page
        page, cursor = client.list(machine="receiver", status="completed")
        assert [view.id for view in page] == [run.id]
        assert cursor is None


def test_many_threads_share_one_client(url: str) -> None:
    with Background(url), SyncClient(url, [Waits]) as client, ThreadPoolExecutor(8) as pool:

        def one(number: int) -> str:
            run = client.start(Waits, str(number))
            run.send(Go(str(number)))
            run.send(Finish())
            return run.result(30)

        assert list(pool.map(one, range(40))) == [str(n) for n in range(40)]


async def _going_on() -> list[str]:
    """What runs on the loop, by the names of its coroutines."""
    return [str(task.get_coro().__qualname__) for task in asyncio.all_tasks()]  # type: ignore[union-attr]


def test_who_is_interrupted_leaves_nobody_waiting(url: str) -> None:
    with SyncClient(url, [Waits]) as client:
        run = client.start(Waits, "a")

        def interrupt() -> None:
            while "Client.result" not in client.wait_for(_going_on()):
                pass
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            run.result(60)
        interrupting.join()
        while "Client.result" in (going_on := client.wait_for(_going_on())):
            pass
        assert "Waiting._read" in going_on
        assert run.view().states == ("waiting",), "and the client goes on"


def test_it_is_refused_when_closed_and_after_a_fork(url: str) -> None:
    client = SyncClient(url, [Receiver])
    with pytest.raises(UsageError, match="with SyncClient"):
        client.start(Receiver, "a")
    with client:
        client.start(Receiver, "a")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                client.start(Receiver, "b")
                told = b"no error"
            except UsageError as error:
                told = str(error).encode()
            os.write(write, told)
            os._exit(0)
        os.waitpid(child, 0)
        assert b"fork" in os.read(read, 1000)
        os.close(read)
        os.close(write)
    names = {thread.name for thread in threading.enumerate()}
    assert "continuum-client" not in names


def test_an_asynchronous_client_is_refused_on_another_loop(url: str) -> None:
    async def made() -> Client:
        client = Client(url, [Receiver])
        await client.open()
        return client

    with asyncio.Runner() as first:
        client = first.run(made())
        with pytest.raises(UsageError, match="another event loop"):
            asyncio.run(client.start(Receiver, "a"))
        first.run(client.close())
