"""A worker in a process of its own: ``python -m tests.workers.process URL RELEASE OPTIONS``.

OPTIONS is JSON: arguments of `Worker`; ``stop`` is a verb of the journal: the process stops itself, once,
when it has in hand what it will write by that verb and before the journal is asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any, cast

from continuum_core import Worker
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal, Limits
from tests.workers.machines import RELEASES, stop_once, trace


class Stopping:
    """A journal before one of whose verbs the process stops; the answer is traced."""

    def __init__(self, inner: Journal, verb: str) -> None:
        self._inner = inner
        self._verb = verb

    def __getattr__(self, name: str) -> Any:
        return self._stopping if name == self._verb else getattr(self._inner, name)

    async def _stopping(self, members: Sequence[Any]) -> Any:
        stop_once()
        answers = await getattr(self._inner, self._verb)(members)
        trace("told", *(answer.outcome.name for answer in answers))
        return answers


async def main() -> None:
    """Work until SIGTERM."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO)
    url, release, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    stop = options.pop("stop", None)
    journal = connect(url, None, Limits(loss_backoff=1_000))
    if stop is not None:
        journal = cast(Journal, Stopping(journal, stop))
    await Worker(journal, RELEASES[release], **options).run()


if __name__ == "__main__":
    asyncio.run(main())
