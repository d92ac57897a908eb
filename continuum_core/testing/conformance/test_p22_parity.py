"""Promise 22: all backends answer the same to the same operations.

A rule-based state machine drives the journal under test and the reference, which is the memory
journal, with the same random operations, and compares every answer and every row after each. This
finds what nobody thought of asking: it is the kit's strongest test.
"""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] (it leaves its factory untyped)
)

from continuum_core.journal.protocol import Capability
from continuum_core.testing.conformance.carrying_machine import CarryingParity
from continuum_core.testing.conformance.kit import Kit
from continuum_core.testing.conformance.machine import Parity

_EXAMPLES = 40
_STEPS = 40
PHASES = (Phase.generate, Phase.shrink)
"""Of hypothesis: no database to reuse, and no explaining, which takes longer than the search."""


def test_the_same_answers_to_the_same_operations(kit: Kit, request: pytest.FixtureRequest) -> None:
    """Promise 22: every answer and every row is the memory journal's, whatever is asked in whatever order."""
    examples = int(str(request.config.getoption("--journal-examples")))

    base = CarryingParity if Capability.CARRIES in kit.capabilities else Parity
    driven = cast(type[Parity], type("Driven", (base,), {"kit": kit}))
    run_state_machine_as_test(
        driven,
        settings=settings(
            max_examples=examples or _EXAMPLES,
            stateful_step_count=_STEPS,
            derandomize=not examples,
            phases=PHASES,
            report_multiple_bugs=False,  # an author mends one thing at a time, and each takes long to shrink
            database=None,
            deadline=None,
            suppress_health_check=(
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.data_too_large,
            ),
        ),
    )
