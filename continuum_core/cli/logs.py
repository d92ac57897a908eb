"""The log of a worker: one record a line, each with the run and the attempt that it is about.

The run comes from the record (``extra={"run_id": …}``) or from the attempt in whose body it was logged,
so that what activities log through `logging` is found by run id, too.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from continuum_core.cli.output import hidden, safe
from continuum_core.errors import UsageError
from continuum_core.runtime.attempt import current_attempt

__all__ = ["JsonLines", "RunIds", "TextLines", "log_to_stderr"]

_NONE = "-"


class RunIds(logging.Filter):
    """Gives every record `run_id`, `activity` and `attempt`; ``-`` and None where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            attempt = current_attempt()
        except UsageError:
            attempt = None
        run_id = str(getattr(record, "run_id", None) or (attempt.run_id if attempt else _NONE))
        # A record about another run may be written while a body runs: then the attempt is not its.
        if attempt is not None and str(attempt.run_id) != run_id:
            attempt = None
        facts: Any = record
        facts.run_id = run_id
        facts.activity = None if attempt is None else attempt.activity
        facts.attempt = None if attempt is None else attempt.number
        return True


def _at(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


class TextLines(logging.Formatter):
    """Lines for people. Line ends inside a message are escaped; a traceback's lines are indented."""

    def format(self, record: logging.LogRecord) -> str:
        facts: Any = record
        attempt = f" {facts.activity}#{facts.attempt}" if facts.attempt is not None else ""
        head = f"{_at(record)} {record.levelname:<7} [{facts.run_id}{attempt}] {record.name}: "
        lines = [safe(head + record.getMessage())]
        if record.exc_info:
            trace = hidden(self.formatException(record.exc_info))
            lines += [f"  | {safe(line)}" for line in trace.split("\n")]
        return "\n".join(lines)


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        facts: Any = record
        told = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "run": None if facts.run_id == _NONE else facts.run_id,
            "activity": facts.activity,
            "attempt": facts.attempt,
            "message": hidden(record.getMessage()),
        }
        if record.exc_info:
            told["traceback"] = hidden(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=True)


def log_to_stderr(level: int, *, as_json: bool) -> None:
    """Send the log of this process to standard error; replaces what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RunIds())
    handler.setFormatter(JsonLines() if as_json else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
