"""The golden pictures: what belongs into ``tests/definition/golden``, and `test_diagram` compares with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from continuum_core.definition.chart import Chart
from continuum_core.definition.diagram import dot, mermaid
from continuum_core.definition.svg import svg
from continuum_core.definition.terminal import terminal
from tests.definition.sketch import FIXTURES
from tests.runtime.sagas import AtOnce, Booking

GOLDEN = Path(__file__).parent / "golden"

FORMATS: dict[str, Callable[[Chart], str]] = {
    "svg": svg,
    "mmd": mermaid,
    "dot": dot,
    "txt": terminal,
}

CHARTS: dict[str, Callable[[], Chart]] = {
    **FIXTURES,
    "booking": lambda: Booking.chart,
    "booking-at-once": lambda: AtOnce.chart,
}

ACTIVE = {
    "order": frozenset({"fulfilling.goods.shipping", "fulfilling.papers.invoiced"}),
    "nested": frozenset({"talking.held.music"}),
}


def drawings() -> Iterator[tuple[str, str]]:
    """File names and what belongs into them."""
    for name, make in CHARTS.items():
        for ending, draw in FORMATS.items():
            yield f"{name}.{ending}", draw(make())
    for name, active in ACTIVE.items():
        yield f"{name}-active.svg", svg(FIXTURES[name](), active=active, theme="dark")
        yield f"{name}-active.txt", terminal(FIXTURES[name](), active, ascii_only=True)
