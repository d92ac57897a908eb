"""An operator's orders: cancel, suspend, resume, unpark, terminate. Each is kept in the run's history."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from continuum_core.cli.facts import run_facts
from continuum_core.cli.failures import CALLER
from continuum_core.cli.journals import there
from continuum_core.cli.options import AsJson, Debug, JournalUrl, Namespace, RunRef, Who, Why, journal_of
from continuum_core.cli.output import print_json, safe, say
from continuum_core.cli.references import name_of, named
from continuum_core.client import Client, Handle
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.view import RunView

__all__ = ["cancel", "resume", "suspend", "terminate", "unpark"]

Ordering = Callable[[Client, Handle[Any]], Awaitable[object]]


def _order(
    url: str | None,
    namespace: str | None,
    run: str,
    order: Ordering,
    told: Callable[[RunStatus, RunStatus], str],
    *,
    as_json: bool,
) -> None:
    async def ordered() -> tuple[RunView, RunView]:
        async with Client(there(journal_of(url), namespace)) as client, named(client, run) as handle:
            before = await client.view(handle)
            await order(client, handle)
            return before, await client.view(handle)

    before, after = asyncio.run(ordered())
    if as_json:
        print_json({**run_facts(after, whole=False), "status_before": before.status.name.lower()})
    else:
        say(f"{name_of(after)}: {told(before.status, after.status)}")


def cancel(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Ask a run to stop: a worker takes it through its exits. It overtakes all events that wait."""

    def told(_: RunStatus, after: RunStatus) -> str:
        if after is RunStatus.CANCELLED:
            return "cancelled"
        resting = after in (RunStatus.SUSPENDED, RunStatus.PARKED)
        return f"asked to stop{f', once it goes on: it is {after.name.lower()}' if resting else ''}"

    _order(journal, namespace, run, lambda c, h: c.cancel(h, why, who=who), told, as_json=as_json)


def suspend(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a run rest: it takes no turn until it is resumed. Activities that run go on."""

    def told(before: RunStatus, after: RunStatus) -> str:
        return "suspended" if before is RunStatus.RUNNING else _nothing(before, after)

    _order(journal, namespace, run, lambda c, h: c.suspend(h, why, who=who), told, as_json=as_json)


def resume(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a suspended run go on."""

    def told(before: RunStatus, after: RunStatus) -> str:
        if before is RunStatus.PARKED:
            return "parked, not suspended: `continuum unpark` lets it try again"
        return "resumed" if before is RunStatus.SUSPENDED else _nothing(before, after)

    _order(journal, namespace, run, lambda c, h: c.resume(h, why, who=who), told, as_json=as_json)


def unpark(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a parked run try again, after what parked it was mended."""

    def told(before: RunStatus, after: RunStatus) -> str:
        return "unparked" if before is RunStatus.PARKED else _nothing(before, after)

    _order(journal, namespace, run, lambda c, h: c.unpark(h, why, who=who), told, as_json=as_json)


def terminate(
    run: RunRef,
    why: Why = "",
    who: Who = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """End a run at once, whoever holds it: no exits, no clean-up. Prefer cancel."""
    url = journal_of(journal)
    if not yes:
        _confirm(run, as_json=as_json)

    def told(_: RunStatus, after: RunStatus) -> str:
        return "terminated" if after is RunStatus.TERMINATED else after.name.lower()

    _order(url, namespace, run, lambda c, h: c.terminate(h, why, who=who), told, as_json=as_json)


def _confirm(run: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter(
            "it asks first, and there is nobody to ask here: add --yes", param_hint="--yes"
        )
    question = f"End {safe(run)} at once, without its exits and clean-up?"
    if not typer.confirm(question, err=True):
        raise typer.Exit(CALLER)


def _nothing(before: RunStatus, after: RunStatus) -> str:
    over = " and over" if before in ENDED else ""
    return f"nothing to do, it is {after.name.lower()}{over}"
