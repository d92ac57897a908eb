"""Promise 22: all backends answer the same to the same operations.

A rule-based state machine drives the journal under test and the reference, which is the memory
journal, with the same random operations, and compares every answer and every row after each. This
finds what nobody thought of asking: it is the kit's strongest test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import (
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] (it leaves its factory untyped)
)

from continuum_core.journal.protocol import Capability
from continuum_core.testing.conformance.carrying_machine import CarryingParity
from continuum_core.testing.conformance.kit import Kit
from continuum_core.testing.conformance.machine import Parity

_EXAMPLES = 60
_STEPS = 40
_ROUND = 10
"""Examples that are new. Of those behind them, in one search, hypothesis makes most by changing old ones."""

PHASES = (Phase.generate, Phase.shrink)
"""Of hypothesis: no database to reuse, and no explaining, which takes longer than the search."""

_SHRINKING = 60
"""Seconds that the search for the shortest failing sequence may take; hypothesis would take five minutes."""


def test_the_same_answers_to_the_same_operations(kit: Kit, request: pytest.FixtureRequest) -> None:
    """Promise 22: every answer and every row is the memory journal's, whatever is asked in whatever order."""
    examples = int(str(request.config.getoption("--journal-examples")))
    shrinks = not request.config.getoption("--journal-no-shrink")
    base = CarryingParity if Capability.CARRIES in kit.capabilities else Parity
    driven = cast(
        type[Parity], type("Driven", (base,), {"kit": kit, "tell": staticmethod(_teller(request.config))})
    )
    with pytest.MonkeyPatch.context() as patch:
        # Not a setting of hypothesis; where it is not there any more, the search takes what it takes.
        patch.setattr(engine, "MAX_SHRINKING_SECONDS", _SHRINKING, raising=False)
        for number, count in enumerate(_rounds(examples or _EXAMPLES)):
            run_state_machine_as_test(
                driven if examples else seed(number)(driven),
                settings=settings(
                    max_examples=count,
                    stateful_step_count=_STEPS,
                    phases=PHASES if shrinks else (Phase.generate,),
                    print_blob=bool(examples),  # how to repeat what cannot be repeated by itself
                    report_multiple_bugs=False,  # one is mended at a time, and each takes long to shrink
                    database=None,
                    deadline=None,
                    suppress_health_check=(
                        HealthCheck.too_slow,
                        HealthCheck.filter_too_much,
                        HealthCheck.data_too_large,
                    ),
                ),
            )


def _rounds(examples: int) -> Iterator[int]:
    while examples > 0:
        yield min(examples, _ROUND)
        examples -= _ROUND


def _teller(config: pytest.Config) -> Callable[[str], None]:
    """Writes what differs first to the terminal at once, where there is one, and nothing after it."""
    told: list[str] = []

    def tell(difference: str) -> None:
        if told:
            return
        told.append(difference)
        terminal = cast("pytest.TerminalReporter | None", config.pluginmanager.get_plugin("terminalreporter"))
        capture: Any = config.pluginmanager.get_plugin("capturemanager")
        if terminal is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            terminal.write_line("")
            terminal.write_line(f"promise 22, the first difference: {difference}")
            terminal.write_line(
                f"... and now the shortest sequence that shows one is searched for, {_SHRINKING} s at most "
                "(not with --journal-no-shrink)"
            )

    return tell
