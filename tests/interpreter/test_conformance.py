"""Conformance with SCXML: every file of the W3C's and SCION's suites that can be run, through `step`.

The suites live beside the project and are read in place; where they are absent the tests are skipped.
"""

from __future__ import annotations

import pytest

from tests.interpreter.scxml.suites import FOLDER, SKIPPED, Case, cases

_CASES = list(cases())


@pytest.mark.skipif(not _CASES, reason=f"the conformance suites are not at {FOLDER}")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=pytest.mark.skip(reason=SKIPPED[case.name]))
        if case.name in SKIPPED
        else pytest.param(case, id=case.name)
        for case in _CASES
    ],
)
def test_suite_file(case: Case) -> None:
    case.check()


@pytest.mark.skipif(not _CASES, reason=f"the conformance suites are not at {FOLDER}")
def test_every_skip_names_a_file_that_is_there() -> None:
    assert set(SKIPPED) <= {case.name for case in _CASES}
