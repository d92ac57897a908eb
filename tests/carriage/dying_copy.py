"""A copy that kills its own process: `python -m tests.carriage.dying_copy SOURCE TARGET VERB WHEN NUMBER`.

Before or after the call with that number of a verb of either journal, without a word to anybody.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from typing import Any

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.asking import Copying
from continuum_core.carriage.copying import copy
from continuum_core.journal.connect import connect

_calls = Counter[str]()


class Dying:
    """Passes everything on, until it is time."""

    def __init__(self, inner: Any, verb: str, when: str, number: int) -> None:
        self._inner = inner
        self._plan = (verb, when, number)

    def carrier(self) -> Dying:
        return Dying(self._inner.carrier(), *self._plan)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        verb, when, number = self._plan
        if name != verb:
            return found

        async def called(*arguments: Any) -> Any:
            _calls[name] += 1
            if _calls[name] == number and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = await found(*arguments)
            if _calls[name] == number and when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return called


async def main(source_url: str, target_url: str, verb: str, when: str, number: str) -> None:
    journals: list[Any] = []
    for url in (source_url, target_url):
        journal = connect(url)
        await journal.open()
        journals.append(Dying(journal, verb, when, int(number)))
    await copy(journals[0], journals[1], Copying(host=AsyncioHost(), to="elsewhere"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
