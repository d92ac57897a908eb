"""Python's garbage collector in a worker's own process, looked at in processes of their own."""

from __future__ import annotations

import subprocess
import sys

_TOLD = "import gc; from continuum_core import relax_collector; {}; relax_collector(); {}"


def _after(before: str, told: str) -> str:
    code = _TOLD.format(before, f"print({told})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_process_of_its_own_looks_less_often_and_not_at_what_is_loaded() -> None:
    assert _after("first = gc.get_threshold()[0]", "gc.get_threshold()[0] >= 5 * first") == "True"
    assert _after("loaded = len(gc.get_objects())", "gc.get_freeze_count() > 0.9 * loaded") == "True"


def test_what_somebody_has_set_stays() -> None:
    assert _after("gc.set_threshold(1234, 5, 6)", "gc.get_threshold(), gc.get_freeze_count()") == (
        "(1234, 5, 6) 0"
    )
    assert _after("gc.disable()", "gc.isenabled(), gc.get_freeze_count()") == "False 0"
