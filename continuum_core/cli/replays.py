"""The verb `replay`: runs folded through their machine again, or through another one, and compared.

Many runs are folded in several processes: each opens the journal for itself and imports what the user
named, and nothing but ids and findings goes between them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Annotated
from uuid import UUID

import typer
from attrs import frozen
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from continuum_core.cli.apps import MachineClass, load, one_machine
from continuum_core.cli.choosing import Which, found_by
from continuum_core.cli.failures import CALLER
from continuum_core.cli.journals import there
from continuum_core.cli.options import Apps, AsJson, Debug, JournalUrl, Namespace, Status, journal_of
from continuum_core.cli.output import console, print_json, say
from continuum_core.cli.references import named
from continuum_core.cli.strange import warn_strange
from continuum_core.client import Client
from continuum_core.errors import RunNotFound, UnknownVersion
from continuum_core.journal.records import Run, RunStatus
from continuum_core.registry import Entry, Registry
from continuum_core.replay import Drift, read_run, verify

__all__ = ["Finding", "Folding", "findings", "replay"]

_BATCH = 50
"""Runs that a process folds before it tells what it found."""

_WORTHWHILE = 400
"""From so many runs on, processes of their own are worth the second that each takes to start."""


@frozen
class Folding:
    """What is folded, and through what: all that a process needs to know, as text."""

    url: str
    namespace: str | None
    app: tuple[str, ...]
    against: str | None


@frozen
class Finding:
    """What came of one run.

    :ivar unrecorded: how many of its steps have no record: nothing is there to compare.
    :ivar why: why it could not be folded: no code for it here; "" where it was.
    """

    run: str
    name: str
    records: int
    drift: Drift | None = None
    why: str = ""
    unrecorded: int = 0


# --- the verb ----------------------------------------------------------------------------------------


def replay(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Runs; none: all that the options choose.")
    ] = None,
    machine: Annotated[str | None, typer.Option("--machine", "-m", metavar="NAME")] = None,
    status: Annotated[Status | None, typer.Option("--status", "-s")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="All runs of the namespace.")] = False,
    query: Which = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="MODULE:MACHINE", help="Fold through this machine instead."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Processes; by default several for many runs."),
    ] = None,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Fold runs through their machine again and compare every record. Nothing is written.

    Exit code 1 if a run has drifted. With --against, runs of that machine's name are tried on other code:
    what it would do differently is told by states, context and what it asks for.
    """
    url = journal_of(journal)
    folding = Folding(url, namespace, tuple(app or ()), against)
    machines = _machines(folding)
    if not machines:
        raise typer.BadParameter(
            "say which code: --app MODULE, or --against MODULE:MACHINE", param_hint="--app"
        )
    if not runs and not (machine or status or everything or query):
        words = "name runs, or choose them: --machine, --status, --query or --all"
        raise typer.BadParameter(words, param_hint="RUN")
    if query is not None and (machine or status):
        raise typer.BadParameter("say machine and status in the query", param_hint="--query")
    if against is not None:
        machine = machine or machines[0].chart.name
    wanted = None if status is None else RunStatus[status.name]
    chosen = asyncio.run(_chosen(folding, runs or (), machine, wanted, query, as_json=as_json))
    processes = jobs or _processes(url, len(chosen))
    told = _Told(as_json=as_json)
    with _progress(len(chosen)) as progress:
        task = progress.add_task("folding", total=len(chosen))
        for finding in findings(folding, chosen, processes):
            told.add(finding)
            progress.advance(task)
    told.end(strict=bool(runs))


class _Told:
    """What was found, told as it comes, and summed up at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._found: list[Finding] = []

    def add(self, finding: Finding) -> None:
        self._found.append(finding)
        if self._as_json:
            print_json(_facts(finding))
        elif finding.drift is not None:
            for line in _lines(finding.name, finding.drift):
                say(line)

    def end(self, *, strict: bool) -> None:
        """Raises typer.Exit where a run drifted, UnknownVersion where a named one could not be folded."""
        drifted = sum(1 for each in self._found if each.drift is not None)
        unknown = [each for each in self._found if each.why]
        if not self._as_json:
            records = sum(each.records for each in self._found)
            folded = len(self._found) - len(unknown)
            unrecorded = sum(each.unrecorded for each in self._found)
            say(f"{folded} of {len(self._found)} runs folded, {records} records: {drifted} drifted")
            if unrecorded:
                say(f"{unrecorded} steps have no record: it was never kept, or was pruned")
            for why in sorted({each.why for each in unknown}):
                say(f"{sum(1 for each in unknown if each.why == why)} not folded: {why}", stderr=True)
        if drifted:
            raise typer.Exit(CALLER)
        if unknown and strict:
            raise UnknownVersion(unknown[0].why)


def _lines(name: str, drift: Drift) -> Iterator[str]:
    yield f"{name} drifted at record {drift.version}" + (f", event {drift.event}" if drift.event else "")
    for words, recorded, folded in drift.parts:
        yield f"  {words}"
        yield f"    recorded  {recorded}"
        yield f"    computed  {folded}"


def _facts(finding: Finding) -> dict[str, object]:
    drift = finding.drift
    return {
        "run": finding.run,
        "name": finding.name,
        "records": finding.records,
        "unrecorded": finding.unrecorded,
        "not_folded": finding.why or None,
        "drift": None
        if drift is None
        else {
            "version": drift.version,
            "event": drift.event or None,
            "parts": [{"what": w, "recorded": told, "computed": now} for w, told, now in drift.parts],
        },
    }


def _progress(runs: int) -> Progress:
    """A bar on a terminal's standard error; for one run, or without a terminal, nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console(stderr=True),
        disable=runs < 2 or not sys.stderr.isatty(),
        transient=True,
    )


def _processes(url: str, runs: int) -> int:
    # A journal in memory is this process's own.
    return 1 if runs < _WORTHWHILE or url.startswith("memory:") else os.cpu_count() or 1


async def _chosen(
    folding: Folding,
    runs: Sequence[str],
    machine: str | None,
    status: RunStatus | None,
    query: str | None,
    *,
    as_json: bool,
) -> list[UUID]:
    async with Client(there(folding.url, folding.namespace)) as client:
        if not runs and query is not None:
            return await found_by(client, query, machine, as_json=as_json)
        if not runs:
            await warn_strange(client.journal, None, machine, as_json=as_json)
            return [view.id async for view in client.runs(machine=machine, status=status)]
        found: list[UUID] = []
        for run in runs:
            async with named(client, run) as handle:
                found.append((await client.view(handle)).id)
        return found


# --- the work ----------------------------------------------------------------------------------------


def findings(folding: Folding, runs: Sequence[UUID], processes: int) -> Iterator[Finding]:
    """Of each run, as they come; with more than one process, not in their order."""
    batches = [tuple(str(run) for run in runs[at : at + _BATCH]) for at in range(0, len(runs), _BATCH)]
    if processes == 1 or len(batches) < 2:
        for batch in batches:
            yield from _folded(folding, batch)
        return
    # Started afresh: a fork would share open handles with the processes.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(batches)), mp_context=context) as pool:
        for done in as_completed([pool.submit(_folded, folding, batch) for batch in batches]):
            yield from done.result()


def _folded(folding: Folding, runs: Sequence[str]) -> list[Finding]:
    """In whatever process: fold these runs."""
    return asyncio.run(_fold_all(folding, _machines(folding), [UUID(run) for run in runs]))


async def _fold_all(
    folding: Folding, machines: Sequence[MachineClass], runs: Sequence[UUID]
) -> list[Finding]:
    registry = Registry(machines)
    other = registry.add(machines[0]) if folding.against is not None else None
    async with Client(there(folding.url, folding.namespace)) as client:
        registry.learn(await client.journal.definitions())
        return [each for run in runs if (each := await _fold_one(client, registry, other, run)) is not None]


async def _fold_one(client: Client, registry: Registry, other: Entry | None, run_id: UUID) -> Finding | None:
    try:
        run, records = await read_run(client.journal, run_id)
    except RunNotFound:
        return None  # pruned meanwhile
    name = str(run_id) if run.key is None else f"{run.machine}/{run.key}"
    entry = _code(registry, other, run)
    if isinstance(entry, str):
        return Finding(str(run_id), name, 0, why=entry)
    try:
        drift = verify(entry, run, records, registry, against=other is not None)
    except UnknownVersion as error:
        return Finding(str(run_id), name, 0, why=f"{name}: {error}")
    return Finding(str(run_id), name, len(records), drift, unrecorded=run.version - len(records))


def _code(registry: Registry, other: Entry | None, run: Run) -> Entry | str:
    """The code to fold a run through, or why there is none."""
    if other is not None:
        same = other.chart.name == run.machine
        return other if same else f"runs of {run.machine!r} cannot be tried on {other.chart.name!r}"
    return (
        registry.reader(run.fingerprint)
        or f"no code here takes definition {run.fingerprint} of {run.machine} as it is"
    )


def _machines(folding: Folding) -> list[MachineClass]:
    if folding.against is not None:
        return [one_machine(folding.against)]
    return list(load(list(folding.app)))
