"""Histories and drawings compared with files kept beside the tests: golden files.

    golden(run.steps, Path(__file__).parent / "golden" / "order-paid.json")

What differs by chance or by the day is left out of the file or made relative: times count from the
run's first record, ids are numbered as they appear, tracebacks are dropped. The environment variable
`CONTINUUM_GOLDEN` set to ``write`` writes the files instead of comparing them.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from continuum_core.view import Step

__all__ = ["golden", "history_text", "writes_golden"]

_VARIABLE = "CONTINUUM_GOLDEN"
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIMER = re.compile(r"(?<=^timer until )\S+")


def writes_golden() -> bool:
    """Whether golden files are to be written instead of compared."""
    return os.environ.get(_VARIABLE) == "write"


def golden(shown: Sequence[Step] | str, path: str | Path) -> None:
    """Compare a run's history, or any text, with a golden file.

    :param shown: what `Engine.history`, `Drive.steps` or a client's `history` gives; or a text.
    :param path: the file; its folder is made when it is written.

    Raises AssertionError, with a unified diff and how to accept it, where they differ.
    """
    __tracebackhide__ = True  # pytest then shows the test's line and the diff alone
    path = Path(path)
    text = shown if isinstance(shown, str) else history_text(shown)
    if writes_golden():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        return
    if not path.exists():
        raise AssertionError(f"there is no {path} to compare with; {_VARIABLE}=write writes it")
    kept = path.read_text(encoding="utf-8")
    if text != kept:
        lines = difflib.unified_diff(kept.splitlines(), text.splitlines(), "golden", "now", lineterm="")
        raise AssertionError(
            f"{path} tells something else. If the change is meant, run this test with {_VARIABLE}=write "
            "and commit the new file with the reason:\n" + "\n".join(lines)
        )


def history_text(steps: Sequence[Step]) -> str:
    """A history as the text of a golden file: JSON, one object a step; what says nothing is left out."""
    ids = _Ids()
    told = [_told(step, steps[0].at, ids) for step in steps]
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _told(step: Step, start: datetime, ids: _Ids) -> dict[str, Any]:
    data = step.data
    if step.event.startswith("failed") and isinstance(data, dict):
        # A traceback names files and lines: it changes with every edit.
        data = {key: value for key, value in cast("dict[str, Any]", data).items() if key != "traceback"}
    told: dict[str, Any] = {
        "at": _since(start, step.at),
        "event": step.event,
        "data": ids.numbered(data),
        "disposition": "" if step.disposition == "taken" else step.disposition,
        "states": list(step.states),
        "edges": list(step.edges),
        "changed": ids.numbered(step.changed),
        "asked": [_asked(each, start, ids) for each in step.asked],
        "who": step.who,
        "why": step.why,
    }
    return {key: value for key, value in told.items() if value not in ("", None, [], {})}


def _asked(text: str, start: datetime, ids: _Ids) -> str:
    relative = _TIMER.sub(lambda found: _since(start, datetime.fromisoformat(found[0])), text)
    return str(ids.numbered(relative))


def _since(start: datetime, at: datetime) -> str:
    length = at - start
    return f"+{length}" if length >= timedelta() else f"-{-length}"


class _Ids:
    """Numbers for ids, given out as they appear: two places that held one id still hold one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbered(self, value: Any) -> Any:
        """The value with every id in its texts replaced."""
        if isinstance(value, str):
            return _ID.sub(self._number, value)
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {self.numbered(key): self.numbered(item) for key, item in items}
        if isinstance(value, list | tuple):
            return [self.numbered(item) for item in cast("Sequence[Any]", value)]
        return value

    def _number(self, found: re.Match[str]) -> str:
        return f"id-{self._numbers.setdefault(found[0], len(self._numbers) + 1)}"
