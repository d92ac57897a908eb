"""Prints how many files of each suite pass, are left out, and fail: ``python -m tests.interpreter.scxml``."""

from __future__ import annotations

import sys
from collections import Counter

from tests.interpreter.scxml.suites import FOLDER, SKIPPED, cases


def main() -> int:
    """Run every case and print the table. Returns 1 where one fails."""
    counts: Counter[tuple[str, str]] = Counter()
    for case in cases():
        verdict = "skipped"
        if case.name not in SKIPPED:
            try:
                case.check()
                verdict = "passed"
            except Exception as error:
                verdict = "failed"
                print(f"FAILED {case.name}: {type(error).__name__}: {error}")
        counts[case.suite, verdict] += 1
    if not counts:
        print(f"no suites in {FOLDER}")
        return 1
    print(f"{'suite':<22}{'passed':>8}{'skipped':>9}{'failed':>8}{'files':>7}")
    for suite in sorted({suite for suite, _ in counts}):
        row = [counts[suite, verdict] for verdict in ("passed", "skipped", "failed")]
        print(f"{suite:<22}{row[0]:>8}{row[1]:>9}{row[2]:>8}{sum(row):>7}")
    for name, reason in SKIPPED.items():
        print(f"skipped {name}: {reason}")
    return 1 if any(verdict == "failed" for _, verdict in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
