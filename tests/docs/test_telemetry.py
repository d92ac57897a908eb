"""The page of metrics names every measure with its labels, and no other."""

from __future__ import annotations

import re

from continuum_core.hooks.measures import MEASURES
from tests.docs.test_reference import rows, section


def test_every_measure_has_its_row_with_its_labels() -> None:
    told: dict[str, list[str]] = {}
    for row in rows(section("howto/traces-and-metrics.md", "Metrics")):
        told[row[0].strip("`")] = re.findall(r"`([a-z]+)`", row[1])
    assert told == {measure.name: list(measure.labels[1:]) for measure in MEASURES}
