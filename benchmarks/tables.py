"""Tables of figures as markdown: printed, kept beside the raw figures, and included by the manual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.rounds import middle, spread

__all__ = ["Column", "Target", "figure", "markdown"]

Column = tuple[str, str, str, bool]
"""Heading, the figure's key, its format, and whether lowest and highest are shown."""

Target = tuple[str, bool]
"""What was aimed at, with the figure that was reached, and whether that is enough."""

Rows = dict[str, list[dict[str, float | None]]]


def figure(rounds: Sequence[dict[str, float | None]], key: str) -> float:
    """The median of a figure; not a number where it is unknown."""
    found = middle(row.get(key) for row in rounds)
    return math.nan if found is None else found


def markdown(title: str, table: dict[str, Any], columns: Sequence[Column], rows: Rows) -> str:
    """A table with its legend: medians, some with (lowest-highest), and who was left out."""
    lines = [
        f"**{title}**",
        "",
        "| | " + " | ".join(heading for heading, *_ in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, rounds in rows.items():
        if rounds:
            cells = [_cell(rounds, key, form, wide) for _, key, form, wide in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- {name}: {note}" for name, note in table["notes"].items() if rows.get(name))]
    lines += [
        f"- left out: {name}: {reason.splitlines()[0]}"
        for name, reason in table["failed"].items()
        if not reason.startswith("NotOffered")
    ]
    return "\n".join([*lines, ""])


def _cell(rounds: Sequence[dict[str, float | None]], key: str, form: str, wide: bool) -> str:
    if wide:
        return spread((row.get(key) for row in rounds), form)
    found = middle(row.get(key) for row in rounds)
    return "–" if found is None else format(found, form)
