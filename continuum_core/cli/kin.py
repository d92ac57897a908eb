"""What `show` tells of a run's family: where it comes from, who is under way, what came of others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from continuum_core.cli.output import safe
from continuum_core.journal.records import RunStatus
from continuum_core.members import COUNTED, CrewView, Parent, UnderWay

__all__ = ["crew_facts", "crew_lines", "crew_words", "parent_facts", "parent_words"]

_SHOWN = 10
"""Members of a crew that are shown each for itself."""

_CALM = (RunStatus.RUNNING, None)


def parent_words(parent: Parent) -> str:
    """Where a run comes from, in words."""
    at = f" at record {parent.version}" if parent.version else ""
    if parent.kind == "fork":
        return f"forked from {parent.name}{at}"
    of = f", number {parent.number} of {parent.state or 'the root'}" if parent.version else ""
    return f"child run of {parent.name}{of}{at and f', started{at}'}"


def crew_lines(crews: Iterable[CrewView]) -> Iterator[str]:
    """The crews: a line for each, then its members, those in trouble first."""
    for crew in crews:
        yield safe(f"{crew.state or 'the root'}: {crew.work or 'members'}, {crew_words(crew)}")
        first = sorted(crew.under_way, key=lambda each: (each.status in _CALM, each.number))[:_SHOWN]
        if crew.runs:
            yield from (safe(f"  {_number(each.number, crew)}{_standing(each)}") for each in first)
        if len(crew.under_way) > len(first):
            yield f"  and {len(crew.under_way) - len(first):,} more under way"
        for ended in crew.results:
            became = ended.failure or json.dumps(ended.result, ensure_ascii=False)
            yield safe(f"  {_number(ended.number, crew)}{'failed' if ended.failure else 'gave'} {became}")


def crew_words(crew: CrewView) -> str:
    """How a crew stands, in words."""
    troubled = Counter(
        each.status.name.lower() for each in crew.under_way if each.status and each.status not in _CALM
    )
    words = ", ".join(f"{count:,} {status}" for status, count in sorted(troubled.items()))
    under_way = f"{len(crew.under_way):,} under way" + (f" ({words})" if words else "")
    if crew.total == 1:
        return under_way
    failed = f" ({crew.failed:,}{'+' if crew.ended > COUNTED else ''} failed)" if crew.failed else ""
    return f"{crew.ended:,} of {crew.total:,} ended{failed}, {under_way}, {crew.waiting:,} to begin"


def _number(number: int, crew: CrewView) -> str:
    return f"number {number}: " if crew.total > 1 else ""


def _standing(each: UnderWay) -> str:
    if each.status is None:
        return f"run {each.run}, not there yet"
    states = f" in {', '.join(each.states)}" if each.states else ""
    return f"run {each.run}, {each.status.name.lower()}{states}"


# --- for programs ------------------------------------------------------------------------------------


def parent_facts(parent: Parent | None) -> Mapping[str, Any] | None:
    """The parent as JSON values."""
    if parent is None:
        return None
    return {
        "run": str(parent.run),
        "name": parent.name,
        "kind": parent.kind,
        "version": parent.version or None,
        "state": parent.state or None,
        "number": parent.number if parent.kind == "child" else None,
    }


def crew_facts(crews: Iterable[CrewView]) -> Sequence[Mapping[str, Any]]:
    """Crews as JSON values."""
    return [
        {
            "state": crew.state,
            "work": crew.work or None,
            "runs": crew.runs,
            "total": crew.total,
            "ended": crew.ended,
            "failed": crew.failed,
            "waiting": crew.waiting,
            "under_way": [
                {
                    "number": each.number,
                    "run": None if each.run is None else str(each.run),
                    "status": None if each.status is None else each.status.name.lower(),
                    "states": list(each.states),
                }
                for each in crew.under_way
            ],
            "results": [
                {"number": each.number, "result": each.result, "failure": each.failure or None}
                for each in crew.results
            ],
        }
        for crew in crews
    ]
