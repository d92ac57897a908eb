"""A worker that is asked to stop before it works: it has nothing in hand, and ends at once, with 0.

Its module of machines may take seconds to import, and who deploys again does not wait for that. From when the
worker runs it hears signals itself. What Python takes to load this library comes before either.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from types import FrameType

__all__ = ["leaves_early"]


Main = Callable[[Sequence[str] | None], None]


def leaves_early(main: Main) -> Callable[..., None]:
    """The program, which SIGTERM ends with 0 where it is to become a worker, and else as it ends others."""

    @wraps(main)
    def heard(arguments: Sequence[str] | None = None) -> None:
        typed = sys.argv[1:] if arguments is None else arguments
        if list(typed[:1]) != ["worker"] or threading.current_thread() is not threading.main_thread():
            main(arguments)
            return
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            main(arguments)
        finally:
            signal.signal(signal.SIGTERM, before)

    return heard


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Not SystemExit: it may strike within an import, where it would be taken for the module's own.
    os._exit(0)
