"""What a run of the conformance kit found: promise by promise, as text for people.

The kit's tests carry the number of their promise as a property of their reports, and so do reports that
come from other processes: this module reads reports and knows nothing of how the tests were run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import cast

import pytest
from attrs import define, field, frozen

from continuum_core.journal import protocol

__all__ = [
    "PAGE",
    "PROMISE",
    "TOLD",
    "Failure",
    "Findings",
    "Verdict",
    "findings",
    "guidance",
    "number_of",
    "promises",
]

PAGE = "docs/howto/write-a-backend.md"
"""Explains every promise to the authors of backends."""

PROMISE = "continuum_promise"
"""Property of a report: the number of the promise that the test is of."""

TOLD = "continuum_told"
"""Property of a report: what the journal said when it was opened: durability, schema."""

_NUMBERED = re.compile(r"^ {0,1}(\d+)\. +(.*?)(?=^ {0,1}\d+\. |^\*\*)", re.S | re.M)
_CAPABILITY = re.compile(r"capability '([^']+)' is not declared")


@cache
def promises() -> Mapping[int, str]:
    """Every promise by its number, as the port words it."""
    found = _NUMBERED.findall(protocol.__doc__ or "")
    return {int(number): " ".join(text.split()) for number, text in found}


def guidance(number: int) -> str:
    """What the author of a backend reads below a red test."""
    return (
        f"Promise {number}: {promises().get(number, 'see the port')}\n"
        f'Read: {PAGE}, section "Promise by promise", number {number}; and the whole port, in words:\n'
        "      python -m pydoc continuum_core.journal.protocol"
    )


@frozen
class Failure:
    """A red test: its name, and the last line of what it said."""

    test: str
    said: str


@define
class Verdict:
    """What became of one promise's tests.

    :ivar skipped: capability that was not declared (or another reason) → how many tests.
    """

    passed: int = 0
    failures: list[Failure] = field(factory=list[Failure])
    skipped: dict[str, int] = field(factory=dict[str, int])

    @property
    def word(self) -> str:
        if self.failures:
            return "broken"
        if self.passed:
            return "kept"
        return "not asked"


@define
class Findings:
    """Of the whole run.

    :ivar told: durability and schema, as the journal told them; None where no test got so far.
    """

    verdicts: dict[int, Verdict] = field(factory=dict[int, Verdict])
    told: tuple[str, int] | None = None

    def numbers(self, word: str) -> list[int]:
        """The promises of that verdict, ascending."""
        return sorted(number for number, verdict in self.verdicts.items() if verdict.word == word)

    def missing(self) -> list[int]:
        """Promises with no test in the run."""
        return sorted(promises().keys() - self.verdicts.keys())

    def skips(self) -> dict[str, int]:
        """Reason → how many tests were skipped for it."""
        found: dict[str, int] = {}
        for verdict in self.verdicts.values():
            for reason, count in verdict.skipped.items():
                found[reason] = found.get(reason, 0) + count
        return found


def number_of(properties: Iterable[tuple[str, object]]) -> int | None:
    """The promise that a test or report is of; None for one that is not the kit's."""
    found = dict(properties).get(PROMISE)
    return None if found is None else int(str(found))


def findings(reports: Mapping[str, Iterable[object]]) -> Findings:
    """What reports tell.

    :param reports: outcome ("passed", "failed", "error", "skipped") → pytest's reports, others among them.
    """
    found = Findings()
    for category in ("passed", "failed", "error", "skipped"):
        for report in reports.get(category, ()):
            properties: list[tuple[str, object]] = list(getattr(report, "user_properties", ()))
            number = number_of(properties)
            if number is not None and isinstance(report, pytest.TestReport):
                verdict = found.verdicts.setdefault(number, Verdict())
                _note(verdict, category, report)
                if (told := dict(properties).get(TOLD)) is not None:
                    durability, schema = cast("list[object]", told)
                    found.told = (str(durability), int(str(schema)))
    return found


def _note(verdict: Verdict, category: str, report: pytest.TestReport) -> None:
    if category == "passed":
        verdict.passed += 1
    elif category == "skipped":
        said = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        named = _CAPABILITY.search(said)
        reason = named[1] if named is not None else said.removeprefix("Skipped: ")
        verdict.skipped[reason] = verdict.skipped.get(reason, 0) + 1
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        lines = str(getattr(crash, "message", report.longrepr)).strip().splitlines()
        verdict.failures.append(Failure(report.nodeid.rpartition("::")[2], lines[0] if lines else ""))
