"""The one script in which all verbs are, made of the files in `scripts/` in the order of their names.

Rule: it is known by its content (EVALSHA), so that two releases at work on one server never mix. Numbers of
statuses and kinds come from the port's enumerations, never from the Lua files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from importlib.resources import files

from continuum_core.journal.records import ENDED, DeliveryKind, Held, RecordKind, RunStatus

__all__ = ["DIGEST", "TEXT"]

_ENUMS: tuple[type[IntEnum], ...] = (RunStatus, DeliveryKind, Held, RecordKind)
_ELSEWHERE = {"CANCELLED", "START", "OUTCOME", "STEP", "FAILED"}  # no script asks for these


def _constants() -> str:
    named = [
        f"local {each.name} = {each.value}" for kind in _ENUMS for each in kind if each.name not in _ELSEWHERE
    ]
    ended = ", ".join(f"[{status.value}] = true" for status in sorted(ENDED))
    return "\n".join([*named, f"local ENDED = {{{ended}}}"])


def _sources() -> Iterable[str]:
    folder = files("continuum_redis") / "scripts"
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.name.endswith(".lua"):
            yield each.read_text(encoding="utf-8")


TEXT = "\n".join([_constants(), *_sources()]).encode()
DIGEST = hashlib.sha1(TEXT, usedforsecurity=False).hexdigest().encode()  # by which Redis knows a script
