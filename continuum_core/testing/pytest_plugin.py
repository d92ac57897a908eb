"""What pytest loads wherever this distribution is installed: a few options, and the kit's last word.

It must cost nothing where it is not used: it imports nothing but pytest, and looks at no test but the
conformance kit's own.
"""

from __future__ import annotations

import os

import pytest

__all__ = ["pytest_addoption", "pytest_configure", "pytest_terminal_summary"]

_PAGE = "docs/howto/write-a-backend.md"
_PROMISES = frozenset(range(1, 23))
_PROPERTY = "continuum_promise"  # put on the kit's tests by its conftest; node ids have no path there


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of engines in tests, and those of the conformance kit."""
    pytester = parser.getgroup("continuum-engine", "continuum: engines in tests")
    pytester.addoption(
        "--paranoid",
        action="store_true",
        help="let every continuum_core.testing.Engine fold the records of its runs again and fail on drift",
    )
    group = parser.getgroup("continuum", "continuum: conformance of a journal")
    group.addoption(
        "--journal",
        metavar="URL",
        default="memory://{fresh}",
        help="journal that the conformance kit tests; {fresh} in it becomes a new name for every test "
        "(sqlite:////tmp/kit/{fresh}.db); without it every test takes new namespaces (default: %(default)s)",
    )
    group.addoption(
        "--journal-examples",
        metavar="N",
        type=int,
        default=0,
        help="compare the journal with the reference in N random examples (default: always the same few)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make engines paranoid, where that is asked for."""
    if config.getoption("--paranoid"):
        os.environ["CONTINUUM_PARANOID"] = "1"  # engines read it, also those of processes that tests start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End a run of the kit with CONFORMS, or with the promises that failed."""
    met, broken, skipped = _verdicts(terminalreporter)
    if not (met or broken or skipped):
        return
    url = config.getoption("--journal")
    terminalreporter.section(f"conformance of {url}")
    for number in sorted(skipped - met - broken):
        terminalreporter.line(f"promise {number}: not asked, its capability is not declared")
    if broken:
        listed = ", ".join(str(number) for number in sorted(broken))
        terminalreporter.line(f"DOES NOT CONFORM: promises that failed: {listed}; see {_PAGE}", red=True)
    elif missing := sorted(_PROMISES - met - skipped):
        listed = ", ".join(str(number) for number in missing)
        terminalreporter.line(f"passed as far as asked; not asked: promises {listed}")
    else:
        terminalreporter.line("CONFORMS", green=True)


def _verdicts(reporter: pytest.TerminalReporter) -> tuple[set[int], set[int], set[int]]:
    """Numbers of the promises with a test that passed, that failed, that was skipped."""
    met: set[int] = set()
    broken: set[int] = set()
    skipped: set[int] = set()
    places = {"passed": met, "failed": broken, "error": broken, "skipped": skipped}
    for category, numbers in places.items():
        for report in reporter.stats.get(category, ()):
            properties: dict[str, object] = dict(getattr(report, "user_properties", ()))
            if _PROPERTY in properties:
                numbers.add(int(str(properties[_PROPERTY])))
    return met, broken, skipped
