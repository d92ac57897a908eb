"""``python -m continuum_core.testing.simulation --seeds 2000 [--from N] [--planted NAME]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from continuum_core.testing.simulation.planted import PLANTED, planted
from continuum_core.testing.simulation.schedule import Report, run_seed
from continuum_core.testing.simulation.shrink import shrink

_SHOWN = 200


def main() -> int:
    """Run schedules; exit code 1 where an invariant broke (with a planted bug: where none did)."""
    asked = _parser().parse_args()
    if asked.planted is None:
        return _run(asked)
    with planted(asked.planted):
        return 1 - _run(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m continuum_core.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many schedules (default: %(default)s)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--planted", choices=sorted(PLANTED), help="break the code in this way first")
    parser.add_argument("--trace", action="store_true", help="print every call of the first seed")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    parser.add_argument("--no-shrink", action="store_true", help="print failing schedules as they are")
    return parser


def _run(asked: argparse.Namespace) -> int:
    began = time.perf_counter()
    total: Counter[str] = Counter()
    failed = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        report = run_seed(seed, traced=asked.trace)
        total.update(schedules=1, steps=report.steps, mishaps=len(report.mishaps), deaths=report.deaths)
        total.update(runs=report.runs, seconds=int(report.seconds))
        if asked.trace:
            _tell(report)
            break
        if report.violations:
            failed = 1
            _tell(report if asked.no_shrink else shrink(report), report)
            if not asked.keep_going:
                break
    took = time.perf_counter() - began
    print(
        f"{total['schedules']:,} schedules, {total['runs']:,} runs, {total['steps']:,} steps, "
        f"{total['mishaps']:,} mishaps, {total['deaths']:,} deaths, "
        f"{total['seconds'] / 3600:,.1f} simulated hours in {took:.1f} s: "
        f"{'VIOLATED' if failed else 'every invariant held'}"
    )
    return failed


def _tell(report: Report, whole: Report | None = None) -> None:
    print(f"seed {report.seed}:")
    for violation in (whole or report).violations:
        print(f"  violated: {violation}")
    if whole is not None and whole is not report:
        for violation in report.violations:
            print(f"  shrunk to: {violation}")
    for action in report.actions:
        print(f"  plan: {action}")
    for place, mishap in report.mishaps.items():
        print(f"  mishap: {place}: {mishap}")
    trace = report.trace if len(report.trace) <= 2 * _SHOWN else report.trace[: 2 * _SHOWN]
    start = trace[0][0] if trace else 0
    for at, process, verb, wrong in trace:
        print(f"  {(at - start) / 1e6:10.4f} s  {process:8} {verb:12} {wrong}")
    if len(trace) < len(report.trace):
        print(f"  … and {len(report.trace) - len(trace)} more calls")


if __name__ == "__main__":
    sys.exit(main())
