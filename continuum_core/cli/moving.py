"""The verbs `migrate-runs` and `audit patches`: what becomes of stored runs under the code that is here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.cli.apps import MachineClass, load
from continuum_core.cli.choosing import Which, found_by
from continuum_core.cli.failures import CALLER
from continuum_core.cli.journals import there
from continuum_core.cli.options import Apps, AsJson, Debug, JournalUrl, Namespace, journal_of
from continuum_core.cli.output import Noted, Rows, print_json, safe, say
from continuum_core.client import Client
from continuum_core.moving import GOOD, MOVED, Fate, Moved, Mover, PatchUse, Prospect, patch_uses
from continuum_core.registry import Registry

__all__ = ["audit", "migrate_runs"]


def _machines(app: list[str] | None) -> list[MachineClass]:
    machines = load(app)
    if not machines:
        wanted = "say where the machines are: --app MODULE, or set CONTINUUM_APP"
        raise typer.BadParameter(wanted, param_hint="--app")
    return machines


def migrate_runs(
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", metavar="NAME", help="Of this machine only.")
    ] = None,
    query: Which = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen, and write nothing.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out runs that cannot be moved, and move the others.")
    ] = False,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Move runs of older versions to the code that --app names, now and not at their next turn.

    Every run is tried first, its context made and read, also that of a run which stays as it is; if one
    cannot go on nothing is written. Exit code 1 if a run cannot go on under this code.
    """
    url, machines = journal_of(journal), _machines(app)
    names = sorted({each.chart.name for each in machines})
    if machine is not None and machine not in names:
        raise typer.BadParameter(f"{machine!r} is none of {', '.join(names)}", param_hint="--machine")

    async def done() -> int:
        async with Client(there(url, namespace)) as client:
            mover = Mover(client.journal, Registry(machines), AsyncioHost().new_id)
            wanted = names if machine is None else [machine]
            chosen = None if query is None else await found_by(client, query, as_json=as_json)
            bad = await _shown(mover, wanted, chosen, as_json=as_json, dry=dry_run)
            if dry_run or (bad and not skip):
                if bad and not dry_run:
                    say("nothing was written: mend the code, or leave these out with --skip", stderr=True)
                return CALLER if bad else 0
            failed = await _moved(mover, wanted, chosen, as_json=as_json)
            return CALLER if bad or failed else 0

    raise typer.Exit(asyncio.run(done()))


_Chosen = Sequence[UUID] | None
"""The runs to look at; None: all."""


async def _shown(mover: Mover, machines: list[str], chosen: _Chosen, *, as_json: bool, dry: bool) -> int:
    """Examine every run; tell of those that would move or cannot. How many cannot."""
    await mover.learn()
    counts: Counter[Fate] = Counter()
    columns = (("run", 0), ("fate", 9), ("version", 8), ("states", 34))
    table = None if as_json else Rows(columns, whole=True)
    async for run in mover.runs(machines, chosen):
        prospect = await mover.examine(run)
        counts[prospect.fate] += 1
        told = prospect.fate not in (Fate.CURRENT, Fate.ADOPTED, Fate.UNBORN)
        if table is None:
            if dry or prospect.fate not in GOOD:
                print_json(_facts(prospect))
        elif told and (dry or prospect.fate not in GOOD):
            table.add([_row(prospect)])
    if not as_json:
        words = ", ".join(f"{counts[fate]} {fate.value}" for fate in Fate if counts[fate])
        say(words or "no live runs of these machines", stderr=True)
    return sum(count for fate, count in counts.items() if fate not in GOOD)


async def _moved(mover: Mover, machines: list[str], chosen: _Chosen, *, as_json: bool) -> int:
    """Move what can be moved. How many failed all the same."""
    counts: Counter[Moved] = Counter()
    async for run in mover.runs(machines, chosen):
        if (await mover.examine(run)).fate not in MOVED:
            continue
        outcome = await mover.move(run.run_id)
        counts[outcome] += 1
        if as_json:
            told = {"run": str(run.run_id), "machine": run.machine, "key": run.key}
            print_json({**told, "done": outcome.value})
    if not as_json:
        say(f"{counts[Moved.DONE]} moved")
        if counts[Moved.BUSY]:
            say(f"{counts[Moved.BUSY]} have something due: workers move them with that", stderr=True)
    return counts[Moved.FAILED]


def _facts(prospect: Prospect) -> dict[str, Any]:
    """A run's fate as JSON values; keys are only added."""
    return {
        "run": str(prospect.run_id),
        "machine": prospect.machine,
        "key": prospect.key,
        "status": prospect.status.name.lower(),
        "definition": prospect.fingerprint,
        "fate": prospect.fate.value,
        "from": prospect.since,
        "to": prospect.version,
        "states": list(prospect.before),
        "states_after": list(prospect.after),
        "asked": dict(prospect.asked),
        "why": prospect.why or None,
        "remedy": prospect.remedy or None,
    }


def _row(prospect: Prospect) -> Noted:
    name = prospect.machine + (f"/{prospect.key}" if prospect.key is not None else f" {prospect.run_id}")
    versions = f"{prospect.since or '?'} → {prospect.version or '-'}"
    states = ", ".join(prospect.before) + (f" → {', '.join(prospect.after)}" if prospect.after else "")
    notes = [safe(each) for each in (*prospect.why.split("\n"), prospect.remedy) if each]
    if prospect.asked:
        notes.append(", ".join(f"{word} {count}" for word, count in prospect.asked.items()))
    return Noted((safe(name), prospect.fate.value, versions, safe(states)), notes)


# --- audit -------------------------------------------------------------------------------------------

audit = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Ask the journal what the code may forget."
)


@audit.command("patches")
def patches(
    query: Which = None,
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Tell of every `patched(...)` whether live runs still go the old way, or it is safe to remove.

    With --query only the runs that it finds are looked at; then nothing is called safe: others may be left.
    """
    url, machines = journal_of(journal), _machines(app)

    async def asked() -> list[PatchUse]:
        async with Client(there(url, namespace)) as client:
            registry = Registry(machines)
            mover = Mover(client.journal, registry, AsyncioHost().new_id)
            names = sorted({each.chart.name for each in machines})
            chosen = None if query is None else await found_by(client, query, as_json=as_json)
            return patch_uses(registry, [run async for run in mover.runs(names, chosen)])

    found = asyncio.run(asked())
    for use in found:
        if as_json:
            print_json(_use_facts(use, whole=query is None))
        else:
            say(f"{use.machine}: {use.name}: {_use_words(use, whole=query is None)}")
    if not found and not as_json:
        say("no patches: neither these machines nor their live runs have any", stderr=True)


@audit.callback()
def _audit() -> None:
    """Keeps `patches` a word to be typed although it is the only one."""


def _use_words(use: PatchUse, *, whole: bool) -> str:
    total = use.new + use.old + use.unasked
    if not whole:
        ways = f"{use.new} go the new way, {use.old} the old way, {use.unasked} have not asked yet"
        return f"of {total} live runs that the query finds {ways}"
    if not use.in_code:
        return f"gone from the code; {total} live runs remember it, which does no harm"
    if use.removable:
        return f"safe to remove, old way and all: every one of {total} live runs goes the new way"
    parts = [f"{use.old} go the old way", f"{use.unasked} began before it and have not asked yet"]
    return f"still in use: of {total} live runs {', '.join(parts)}"


def _use_facts(use: PatchUse, *, whole: bool) -> dict[str, Any]:
    return {
        "machine": use.machine,
        "patch": use.name,
        "in_code": use.in_code,
        "new": use.new,
        "old": use.old,
        "unasked": use.unasked,
        "removable": use.removable if whole else None,
    }
