"""Activity bodies for the runner's tests; those in processes must be importable."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from datetime import timedelta
from typing import Any

from attrs import frozen

from continuum_core import Retry, activity, current_attempt


@frozen
class Call:
    folder: str
    number: int = 0


class Gone(Exception):
    """Fatal by policy."""


class Pool:
    """A resource."""

    def __init__(self) -> None:
        self.open = True


SHORT = timedelta(milliseconds=150)
once = Retry(attempts=1, fatal=(Gone,))


@activity(timeout=SHORT, retry=once)
async def never_ends(call: Call) -> str:
    await asyncio.Event().wait()
    return "never"


@activity(retry=once)
async def cleans_up(call: Call) -> str:
    try:
        await asyncio.Event().wait()
    finally:
        with open(f"{call.folder}/cleaned", "w") as file:
            file.write("yes")
    return "never"


@activity(heartbeat=timedelta(milliseconds=200), retry=once)
async def beats(call: Call) -> str:
    for _ in range(call.number):
        await asyncio.sleep(0.05)
        current_attempt().heartbeat({"at": "work"})
    await asyncio.Event().wait()
    return "never"


@activity(retry=once)
async def raises(call: Call) -> str:
    raise Gone(f"number {call.number}\x00\udc80")


@activity(retry=once)
async def uses_pool(call: Call, *, pool: Pool) -> str:
    return f"open {pool.open}"


@activity(retry=once)
def on_thread(call: Call) -> str:
    return f"{current_attempt().activity} on {threading.current_thread().name.split('_')[0]}"


@activity(timeout=SHORT, retry=once)
def blocks(call: Call) -> str:
    while not os.path.exists(f"{call.folder}/go"):
        time.sleep(0.01)
    return "late"


@activity(retry=once)
def looks(call: Call) -> str:
    while True:
        time.sleep(0.01)
        current_attempt().heartbeat()


@activity(executor="process", retry=once)
def in_process(call: Call) -> str:
    print("this goes to the error stream, not into the outcome")
    attempt = current_attempt()
    attempt.heartbeat({"number": call.number})
    return f"{os.getpid()} {attempt.key} {call.number}"


@activity(executor="process", timeout=timedelta(seconds=4), retry=once)
def hangs_in_process(call: Call) -> str:
    with open(f"{call.folder}/pid", "w") as file:
        file.write(str(os.getpid()))
    while True:
        time.sleep(1)


@activity(executor="process", retry=once)
def dies(call: Call) -> str:
    os._exit(7)


@activity(executor="process", retry=once)
def raises_in_process(call: Call) -> str:
    raise Gone("over there")


ANY: tuple[Any, ...] = (never_ends, beats, raises)


@activity(retry=once)
async def exits(call: Call) -> str:
    raise (SystemExit(3), GeneratorExit(), asyncio.CancelledError("of something else"))[call.number]


@activity(retry=once)
def exits_on_thread(call: Call) -> str:
    raise (SystemExit(3), KeyboardInterrupt(), StopIteration("no more"))[call.number]


@activity(timeout=SHORT, retry=once)
def blocks_until_told(call: Call) -> str:
    while not os.path.exists(f"{call.folder}/go"):
        time.sleep(0.005)
    return "done"


@activity(executor="process", retry=once)
def much_in_process(call: Call) -> str:
    return "x" * call.number


@activity(executor="process", retry=once)
def outlives(call: Call) -> str:
    signal.raise_signal(signal.SIGINT)  # what Ctrl-C sends to every process of the terminal
    signal.raise_signal(signal.SIGTERM)
    with open(f"{call.folder}/pid.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{call.folder}/pid.new", f"{call.folder}/pid")
    time.sleep(600)
    return "never"
