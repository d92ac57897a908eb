"""The scripts, one for each verb: what it reaches of the files in `scripts/`, in the order of their names.

Rule: a script is known by its content (EVALSHA), so that two releases at work on one server never mix.
Numbers of statuses and kinds, and the form of references, come from the port, never from the Lua files. The
server runs a script from its first line at each call, and so makes anew every function in it: what a verb
does not reach is left out.

A server that has reached its maxmemory refuses a script's first write, unless the script says in its first
line that it may go on: those say so that make room, and those that only keep what is held.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cache
from importlib.resources import files

from attrs import frozen

from continuum_core.journal.blobs import HASH_AT, REFERENCE
from continuum_core.journal.records import ENDED, DeliveryKind, Held, RecordKind, RunStatus

__all__ = ["Script", "script_of", "verbs"]

_ENUMS: tuple[type[IntEnum], ...] = (RunStatus, DeliveryKind, Held, RecordKind)

_DEFINES = re.compile(r"(?:local )?function ([\w.]+)|local ([\w, ]+)")
_NAMES = re.compile(r"[A-Za-z_]\w*(?:\.\w+)?")
_NOTHING = re.compile(r"'[^'\n]*'|--[^\n]*")  # texts and comments name nothing
_VERB = "verbs."
_GOES_ON_WHEN_FULL = frozenset(
    {
        *("prune_runs", "prune_past", "prune_windows", "prune_letters", "sweep_blobs"),
        *("arrived", "forget", "erase", "terminate"),
        *("renew", "release", "heartbeat", "extend", "hand_back"),
        *("relayed", "give_up"),
    }
)
"""Verbs that remove or end what is stored, or move the end of a lease. What they write besides (a record that
says who ended the run, a time) is less than what goes. `depart` is none of them: it keeps an image."""

_ALLOWED = "#!lua flags=allow-oom"

_ENDS = {"tasks.drop": "tasks.forget_lanes", "runs.put": "runs.write_changed"}
"""What a script ends with that reaches the first: what it gathers is dealt with when the verb is done."""


@frozen
class Script:
    """What one verb runs.

    :ivar digest: by which the server knows it.
    """

    text: bytes
    digest: bytes


@frozen
class _Part:
    """A statement at the left edge, with the lines that belong to it.

    :ivar defines: names of locals, or of one function in a table as `table.name`.
    :ivar names: all that it may refer to; some may be its own or fields.
    """

    text: str
    defines: tuple[str, ...]
    names: frozenset[str]


def _constants() -> str:
    named = [f"local {each.name} = {each.value}" for kind in _ENUMS for each in kind]
    ended = ", ".join(f"[{status.value}] = true" for status in sorted(ENDED))
    begins = "".join(f"\\{byte:03}" for byte in REFERENCE)
    references = [f"local REFERENCE = '{begins}'", f"local HASH_AT = {HASH_AT}"]
    return "\n".join([*named, f"local ENDED = {{{ended}}}", *references])


def _sources() -> Iterator[str]:
    yield _constants()
    folder = files("continuum_redis") / "scripts"
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.name.endswith(".lua"):
            yield each.read_text(encoding="utf-8")


def _part(lines: Iterable[str]) -> _Part:
    text = "\n".join(lines)
    function, several = _DEFINES.findall(text)[0]  # of the first line: that is how parts begin
    defines = (function,) if function else tuple(name.strip() for name in several.split(","))
    found = _NAMES.findall(_NOTHING.sub("", text))
    return _Part(text, defines, frozenset(found) | {name.split(".")[0] for name in found})


@cache
def _parts() -> tuple[_Part, ...]:
    """Of all files. A line at the left edge that begins otherwise goes on with the statement above."""
    parts: list[list[str]] = []
    for line in "\n".join(_sources()).splitlines():
        if line.startswith(("local ", "function ")):
            parts.append([line])
        elif line.strip() and not line.lstrip().startswith("--"):
            parts[-1].append(line)
    return tuple(map(_part, parts))


@cache
def _places() -> dict[str, list[int]]:
    """Where each name is defined, in the order of the files."""
    found: dict[str, list[int]] = {}
    for place, part in enumerate(_parts()):
        for name in part.defines:
            found.setdefault(name, []).append(place)
    return found


def verbs() -> list[str]:
    """The names of all."""
    return [name.removeprefix(_VERB) for name in _places() if name.startswith(_VERB)]


def _reached(part: int) -> Iterator[int]:
    """The parts that a part refers to: locals above it, the last of a name; functions of tables anywhere."""
    for name in _parts()[part].names:
        found = _places().get(name, [])
        yield from found if "." in name else [place for place in found if place <= part][-1:]


def _ends(parts: set[int]) -> list[str]:
    return [end for gathers, end in _ENDS.items() if not parts.isdisjoint(_places()[gathers])]


@cache
def script_of(verb: bytes) -> Script:
    """The script of a verb. Raises KeyError for one that is not there."""
    name = _VERB + verb.decode()
    waiting, needed = list(_places()[name]), set[int]()
    while waiting:
        part = waiting.pop()
        if part not in needed:
            needed.add(part)
            waiting += _reached(part)
            waiting += [place for end in _ends({part}) for place in _places()[end]]
    lines = [_parts()[place].text for place in sorted(needed)]
    last = "".join(f"{end}() " for end in _ends(needed))
    first = [_ALLOWED] if verb.decode() in _GOES_ON_WHEN_FULL else []
    text = "\n".join([*first, *lines, f"local told = {name}() {last}return told"]).encode()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())
