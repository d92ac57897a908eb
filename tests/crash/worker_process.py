"""A worker in a process of its own, to be killed: ``python -m tests.crash.worker_process URL LEASE``.

It logs to its standard output; the first line says that it works.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from continuum_core import Worker
from tests.crash.machines import Laps, Trip
from tests.runtime.talks import Shop


async def main() -> None:
    """Work until killed."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO)
    url, lease = sys.argv[1], float(sys.argv[2])
    await Worker(url, [Laps, Shop, Trip], lease=lease, poll=0.5, grace=2.0).run()


if __name__ == "__main__":
    asyncio.run(main())
