"""The benchmark runs, checks its machines and tells every row; how fast they are is not a test's business."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

from benchmarks.interpreter import DEEP, FLAT, REGIONS, main


def test_our_rows_are_measured_and_written() -> None:
    told = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(told):
        file = Path(folder) / "figures.json"
        code = main(["continuum", "bare", "--seconds", "0.0001", "--rounds", "1", "--json", str(file)])
        figures = json.loads(file.read_text(encoding="utf-8"))
    assert code == 0
    rows = {(row["library"], row["shape"]): row["median"] for row in figures["rows"]}
    assert {("continuum", shape) for shape in (FLAT, DEEP, REGIONS)} < set(rows)
    assert all(median > 0 for median in rows.values())
    assert figures["machine"]["python"] in told.getvalue()
    assert "continuum + JSON record" in told.getvalue()
