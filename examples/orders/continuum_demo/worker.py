"""A worker process: `python -m continuum_demo.worker JOURNAL DIRECTORY`.

:arg JOURNAL: where the orders are.
:arg DIRECTORY: where the services of the example keep their books.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
from pathlib import Path

from continuum_core import Worker
from continuum_demo.carrier import Carrier
from continuum_demo.machine import Order
from continuum_demo.services import Mail, Payments, Service, Stock

__all__ = ["LEASE", "main"]

LEASE = 2.0
"""Seconds until what a dead worker held is taken up by others. Short: people are watching."""

SERVICES: tuple[type[Service], ...] = (Payments, Stock, Carrier, Mail)


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(prog="continuum_demo.worker", description="A worker of the example.")
    parser.add_argument("journal")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--namespace")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    worker = Worker(
        arguments.journal,
        [Order],
        namespace=arguments.namespace,
        resources={kind: functools.partial(kind, arguments.directory) for kind in SERVICES},
        lease=LEASE,
        grace=5.0,
    )
    asyncio.run(worker.run())


if __name__ == "__main__":
    main()
