"""The verb `lock`, and what `check` says of a machine beside the locks of its versions."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import frozen

from continuum_core.cli.apps import load
from continuum_core.cli.failures import CALLER
from continuum_core.cli.options import AsJson, Debug
from continuum_core.cli.output import print_json, say
from continuum_core.definition.chart import Chart
from continuum_core.definition.compatibility import ChangeKind, compare, remedy
from continuum_core.definition.fingerprint import fingerprint, graph
from continuum_core.definition.locks import Lock, LockRefused, lock_path, lock_text, locks_of, read_lock
from continuum_core.definition.upgrade import way
from continuum_core.errors import UsageError

__all__ = ["FAILING", "Standing", "Verdict", "lock", "standings", "verdict_facts", "verdict_lines"]


class Standing(enum.StrEnum):
    """What becomes of runs of a locked version under the code as it is."""

    SAME = "same"  # the code is what was locked
    ADOPTED = "adopted"  # additions and bodies only: taken over at the next turn
    UPGRADED = "upgraded"  # moved at the next turn by a declared upgrade
    KEPT = "kept"  # the old version's code is here as well, and keeps them
    NEEDS_UPGRADE = "needs-upgrade"  # nothing here takes them: they would wait
    BREAKING = "breaking"  # the version was changed under its runs, or its upgrade is wrong
    UNLOCKED = "unlocked"  # there is no lock of this version yet
    UNREADABLE = "unreadable"  # the lock itself cannot be used


FAILING = frozenset({Standing.NEEDS_UPGRADE, Standing.BREAKING, Standing.UNREADABLE})


@frozen
class Verdict:
    """One machine beside one lock.

    :ivar version: the locked version.
    :ivar differences: what differs, each with whether it stands in the way.
    """

    machine: str
    version: int
    standing: Standing
    remedy: str = ""
    lock: Path | None = None
    differences: tuple[tuple[str, bool], ...] = ()


_REMEDIES = {
    Standing.ADOPTED: "run `continuum lock` to lock it as it is now",
    Standing.UNLOCKED: "run `continuum lock` and commit the file before it is released",
    Standing.UNREADABLE: "take it back from version control",
}


def standings(chart: Chart, others: Sequence[Chart]) -> list[Verdict]:
    """The machine beside the locks of all its versions, oldest first.

    :param others: machines that are deployed with it, among them perhaps its older versions.
    """
    found: list[Verdict] = []
    path = lock_path(chart)
    if path is not None and path not in locks_of(chart):
        found.append(Verdict(chart.name, chart.version, Standing.UNLOCKED, _REMEDIES[Standing.UNLOCKED]))
    for file in locks_of(chart):
        try:
            locked = read_lock(file)
        except LockRefused as refused:
            version = int(file.name.split(".v")[-1].split(".")[0])
            to_do = _REMEDIES[Standing.UNREADABLE]
            why = ((str(refused), True),)
            found.append(Verdict(chart.name, version, Standing.UNREADABLE, to_do, file, why))
        else:
            found.append(_verdict(chart, locked, others))
    return found


def _verdict(chart: Chart, locked: Lock, others: Sequence[Chart]) -> Verdict:
    change = compare(locked.graph, graph(chart))
    differences = tuple((str(each), each.blocks) for each in change.differences)

    def judged(standing: Standing, to_do: str = "", why: tuple[tuple[str, bool], ...] = ()) -> Verdict:
        current = locked.version == chart.version or standing is not Standing.ADOPTED
        text = to_do or (_REMEDIES.get(standing, "") if current else "")  # an older lock stays as it is
        return Verdict(chart.name, locked.version, standing, text, locked.path, why or differences)

    if change.kind is ChangeKind.SAME:
        return judged(Standing.SAME)
    if locked.version < chart.version:
        if any(_keeps(other, locked) for other in others if other is not chart):
            return judged(Standing.KEPT)
        there, obstacles = way(locked.graph, chart)
        if obstacles:
            why = tuple((f"{each}. {each.remedy}", True) for each in obstacles)
            return judged(Standing.BREAKING, "mend the upgrade", why)
        if there is not None:
            return judged(Standing.UPGRADED)
    if change.kind is ChangeKind.ADOPTABLE:
        return judged(Standing.ADOPTED)
    standing = Standing.NEEDS_UPGRADE if locked.version < chart.version else Standing.BREAKING
    return judged(standing, remedy(locked.version, chart.version))


def _keeps(other: Chart, locked: Lock) -> bool:
    """Whether another machine of the module is the locked version, as it was or with additions and bodies."""
    if (other.name, other.version) != (locked.machine, locked.version):
        return False
    return compare(locked.graph, graph(other)).kind in (ChangeKind.SAME, ChangeKind.ADOPTABLE)


def verdict_facts(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON values; keys are only added."""
    return {
        "locked_version": verdict.version,
        "standing": verdict.standing.value,
        "lock": None if verdict.lock is None else str(verdict.lock),
        "differences": [{"text": text, "blocks": blocks} for text, blocks in verdict.differences],
        "remedy": verdict.remedy or None,
    }


_WORDS = {
    Standing.SAME: "as locked",
    Standing.ADOPTED: "additions and bodies only: its runs are taken over at their next turn",
    Standing.UPGRADED: "its runs are moved at their next turn, by the upgrade",
    Standing.KEPT: "its code is here as well, and keeps its runs",
    Standing.NEEDS_UPGRADE: "needs an upgrade: nothing here takes its runs, which would wait",
    Standing.BREAKING: "breaking",
    Standing.UNLOCKED: "not locked yet",
    Standing.UNREADABLE: "its lock cannot be used",
}


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """A verdict for people: what it is, what differs, what to do."""
    head = f"{verdict.machine} version {verdict.version}: {_WORDS[verdict.standing]}"
    yield f"error: {head}" if verdict.standing in FAILING else head
    if verdict.standing in FAILING:
        yield from (f"  - {text}" for text, blocks in verdict.differences if blocks)
    elif verdict.standing is Standing.ADOPTED:
        yield from (f"  - {text}" for text, _ in verdict.differences)
    if verdict.remedy:
        yield f"  {verdict.remedy}"


# --- lock --------------------------------------------------------------------------------------------


def lock(
    machines: Annotated[
        list[str],
        typer.Argument(metavar="MODULE[:MACHINE]...", help="What to lock: machines, or whole modules."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Also where the version was changed under its runs.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write NAME.vN.lock.json beside the code: what a version is, to be committed when it is released."""
    refused = False
    for machine in load(machines):
        chart = machine.chart
        path = lock_path(chart)
        if path is None:
            raise UsageError(f"{chart.name} is in no file, so that nothing can lie beside it")
        written, verdict = _locked(chart, path, force=force)
        refused = refused or verdict is not None
        if as_json:
            told = {"machine": chart.name, "version": chart.version, "fingerprint": fingerprint(chart)}
            facts = {} if verdict is None else verdict_facts(verdict)
            print_json({**told, "written": written, **facts, "lock": str(path)})
        elif verdict is not None:
            for line in verdict_lines(verdict):
                say(line, stderr=True)
        else:
            state = "written" if written else "is up to date"
            say(f"{chart.name} version {chart.version}: {path.name} {state}")
    if refused:
        raise typer.Exit(CALLER)


def _locked(chart: Chart, path: Path, *, force: bool) -> tuple[bool, Verdict | None]:
    """Whether the file was written; and what stands against it, where it was not."""
    text = lock_text(chart)
    if path.exists() and not force:
        if path.read_text(encoding="utf-8") == text:
            return False, None
        [before] = [each for each in standings(chart, []) if each.version == chart.version]
        if before.standing not in (Standing.ADOPTED, Standing.SAME):
            return False, before
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return True, None
