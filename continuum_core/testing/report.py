"""The page that the author of a backend publishes: what it is, what it declares, which promises it keeps.

Written by a run of the conformance kit with ``--journal-report FILE``, as Markdown. It shows no URL: that
may carry a password.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

from continuum_core.journal.connect import Installed, available
from continuum_core.journal.protocol import MEANINGS, PORT_VERSION
from continuum_core.testing.verdicts import Findings, Verdict, promises

__all__ = ["page"]


def page(url: str, findings: Findings) -> str:
    """The page.

    :param url: of the journal that was tested; its scheme tells the backend.
    """
    backend = _backend(url)
    lines = [
        f"# Conformance of {backend.distribution}, `{backend.scheme}:`",
        "",
        _verdict(findings),
        "",
        *_facts(backend, findings),
        "",
        "## Capabilities",
        "",
        *_table(
            ("capability", "declared", "means"),
            (
                (f"`{name}`", "yes" if name in backend.capabilities else "no", meaning)
                for name, meaning in MEANINGS.items()
            ),
        ),
        "",
        "## Promises",
        "",
        *_table(("promise", "verdict", "passed", "failed", "skipped", "what it says"), _rows(findings)),
        *_failures(findings),
        *_skips(findings),
    ]
    return "\n".join(lines) + "\n"


def _backend(url: str) -> Installed:
    scheme = url.partition(":")[0].lower()
    known = {each.scheme: each for each in available()}
    found = known.get(scheme) or known.get(scheme.partition("+")[0])
    return found or Installed(scheme, "an unknown distribution", frozenset(), 0)


def _verdict(findings: Findings) -> str:
    broken = findings.numbers("broken")
    if broken:
        return f"**Does not conform**: promises that failed: {', '.join(map(str, broken))}."
    if missing := findings.missing():
        return f"Passed as far as asked; not asked: promises {', '.join(map(str, missing))}."
    return "**Conforms**, at the capabilities that it declares."


def _facts(backend: Installed, findings: Findings) -> list[str]:
    told = findings.told
    return _table(
        ("", ""),
        (
            ("backend", f"{backend.distribution} {_version(backend.distribution)}".strip()),
            ("durability", "not told" if told is None else told[0]),
            ("schema", "not told" if told is None else str(told[1])),
            ("journal port", f"version {backend.port_version}; the kit's is {PORT_VERSION}"),
            ("continuum-core", _version("continuum-core")),
            ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
            ("system", f"{platform.system()} {platform.machine()}"),
        ),
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _rows(findings: Findings) -> Iterable[Sequence[str]]:
    for number, sentence in sorted(promises().items()):
        verdict = findings.verdicts.get(number, Verdict())
        yield (
            str(number),
            verdict.word,
            str(verdict.passed),
            str(len(verdict.failures)),
            str(sum(verdict.skipped.values())),
            sentence,
        )


def _failures(findings: Findings) -> list[str]:
    if not findings.numbers("broken"):
        return []
    rows = (
        (str(number), f"`{failure.test}`", failure.said)
        for number in findings.numbers("broken")
        for failure in findings.verdicts[number].failures
    )
    return ["", "## What failed", "", *_table(("promise", "test", "said"), rows)]


def _skips(findings: Findings) -> list[str]:
    skips = findings.skips()
    if not skips:
        return []
    rows = (
        (f"`{reason}` is not declared" if reason in MEANINGS else reason, str(count))
        for reason, count in sorted(skips.items())
    )
    return ["", "## What was skipped", "", *_table(("because", "tests"), rows)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [_line(heads), "|" + "---|" * len(heads)]
    return [*lines, *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
