"""The files of the suites, how each is run, and which are left out and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from continuum_scxml.document import parse
from tests.interpreter.scxml.processor import Processor

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "conformance"
_PATIENCE = 60_000_000  # microseconds of virtual time after which a test has not ended

_HTTP = "is about the Basic HTTP event processor"
_SCRIPT = "loads ECMAScript files that the suite's copy does not hold"
SKIPPED = {
    "w3c-scxml/optional/test509": _HTTP,
    "w3c-scxml/optional/test518": _HTTP,
    "w3c-scxml/optional/test520": _HTTP,
    "w3c-scxml/optional/test532": _HTTP,
    "w3c-scxml/optional/test577": _HTTP,
    "scion/script-src/test0": _SCRIPT,
    "scion/script-src/test1": _SCRIPT,
    "scion/script-src/test2": _SCRIPT,
    "scion/script-src/test3": _SCRIPT,
}
LEGACY = ("scion/more-parallel/test10", "scion/more-parallel/test10b")
"""Where the answer filed as legacy is the one of the W3C's algorithm."""


@frozen
class Case:
    """One file of a suite."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(FOLDER).with_suffix("").as_posix()

    @property
    def suite(self) -> str:
        """The suite, and for the W3C's its half."""
        parts = self.name.split("/")
        return parts[0] if parts[0] == "scion" else "/".join(parts[:2])

    def check(self) -> None:
        """Run it. Raises AssertionError with what was found instead."""
        if self.suite == "scion":
            _check_scion(self)
        else:
            _check_w3c(self)


def cases() -> Iterator[Case]:
    """Every test file, in a stable order. Documents that others invoke are no tests of their own."""
    for path in sorted(FOLDER.glob("scion/*/*.scxml")):
        yield Case(path)
    for path in sorted(FOLDER.glob("w3c-scxml/*/*.scxml")):
        if "sub" not in path.stem:
            yield Case(path)


def _check_w3c(case: Case) -> None:
    processor = Processor(parse(case.path.read_text(encoding="utf-8")), case.path.parent, "python")
    processor.advance(_PATIENCE)
    active = processor.main.active()
    assert "pass" in active, f"ended in {sorted(active)}"


def _check_scion(case: Case) -> None:
    script: dict[str, Any] = json.loads(case.path.with_suffix(".json").read_text(encoding="utf-8"))
    if case.name in LEGACY:
        script = script.get("legacySemantics", script)
    processor = Processor(parse(case.path.read_text(encoding="utf-8")), case.path.parent, "ecmascript")
    _expect(processor, script["initialConfiguration"], "at the start")
    for number, entry in enumerate(script["events"]):
        processor.advance(entry.get("after", 0) * 1000)
        event = entry["event"]
        processor.send(event["name"], event.get("data"))
        _expect(processor, entry["nextConfiguration"], f"after event {number + 1}, {event['name']}")


def _expect(processor: Processor, states: list[str], when: str) -> None:
    found = processor.main.leaves()
    assert found == set(states), f"{when}: in {sorted(found)}, expected {sorted(states)}"
