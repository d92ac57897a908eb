"""The same seed is the same schedule: in one process, and in processes whose hashes differ."""

from __future__ import annotations

import os
import subprocess
import sys

from continuum_core.testing.simulation import run_seed

_SEEDS = (11, 12, 13, 14, 15)
_PRINT = f"""
from continuum_core.testing.simulation import run_seed
print([run_seed(seed, traced=True).digest for seed in {_SEEDS}])
"""


def test_same_seed_same_schedule() -> None:
    assert run_seed(11, traced=True) == run_seed(11, traced=True)
    assert run_seed(11, traced=True).digest != run_seed(12, traced=True).digest


def test_same_schedule_whatever_the_hash_seed() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", _PRINT],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert told == {f"{[run_seed(seed, traced=True).digest for seed in _SEEDS]}\n"}
