"""What pytest loads wherever this distribution is installed: a few options, and the kit's last word.

It must cost nothing where it is not used: it looks at no test but the conformance kit's own, and imports
none of the kit.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from continuum_core.testing.report import page
from continuum_core.testing.verdicts import PAGE, Findings, findings, guidance, number_of

__all__ = [
    "asked_url",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
]

_INI = "continuum_journal"
_DEFAULT = "memory://{fresh}"


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
        default=None,
        help="journal that the conformance kit tests; {fresh} in it becomes a new name for every test, and "
        "{tmp} a new directory (sqlite:///{tmp}/kit.db); without either every test takes new namespaces "
        f"(default: the setting {_INI}, or {_DEFAULT})",
    )
    group.addoption(
        "--journal-examples",
        metavar="N",
        type=int,
        default=0,
        help="compare the journal with the reference in N random examples (default: always the same few)",
    )
    group.addoption(
        "--journal-no-shrink",
        action="store_true",
        help="do not search for the shortest sequence of operations that shows a difference (promise 22)",
    )
    group.addoption(
        "--journal-report",
        metavar="FILE",
        default=None,
        help="write what the conformance kit found as a page of Markdown that can be published",
    )
    parser.addini(_INI, "the URL of the journal that the conformance kit tests, as for --journal", default="")


def asked_url(config: pytest.Config) -> str:
    """The URL to test, as it was given: with ``{fresh}`` and ``{tmp}`` in it."""
    return str(config.getoption("--journal") or config.getini(_INI) or _DEFAULT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say below a red test of the kit which promise it is of, and where that is explained."""
    report = yield
    number = number_of(item.user_properties)
    if number is not None and report.failed:
        report.sections.append((f"promise {number}", guidance(number)))
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Make engines paranoid, where that is asked for."""
    if config.getoption("--paranoid"):
        os.environ["CONTINUUM_PARANOID"] = "1"  # engines read it, also those of processes that tests start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End a run of the kit with CONFORMS, or with the promises that failed."""
    found = findings(terminalreporter.stats)
    if not found.verdicts:
        return
    url = asked_url(config)
    terminalreporter.section(f"conformance of {url}")
    _last_word(terminalreporter, found)
    if (file := config.getoption("--journal-report")) is not None:
        Path(file).write_text(page(url, found), encoding="utf-8")
        terminalreporter.line(f"written to {file}")


def _last_word(reporter: pytest.TerminalReporter, found: Findings) -> None:
    for reason, count in sorted(found.skips().items()):
        reporter.line(f"skipped: {count} for want of {reason!r}")
    for number in found.numbers("not asked"):
        reporter.line(f"promise {number}: not asked, its capability is not declared")
    if broken := found.numbers("broken"):
        listed = ", ".join(map(str, broken))
        reporter.line(f"DOES NOT CONFORM: promises that failed: {listed}; see {PAGE}", red=True)
    elif missing := found.missing():
        listed = ", ".join(map(str, missing))
        reporter.line(f"passed as far as asked; not asked: promises {listed}")
    else:
        reporter.line("CONFORMS", green=True)
