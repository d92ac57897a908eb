"""An operator's orders: cancel, suspend, resume, unpark, terminate. Each is kept in the run's history.

Each goes to one RUN, or with --query to all that it finds (`bulk`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from attrs import frozen

from continuum_core.cli.bulk import Bulk, DryRun, Many, Ordering, Yes, order_many
from continuum_core.cli.facts import run_facts
from continuum_core.cli.failures import CALLER
from continuum_core.cli.journals import there
from continuum_core.cli.options import AsJson, Debug, JournalUrl, Namespace, Who, Why, journal_of
from continuum_core.cli.output import print_json, safe, say
from continuum_core.cli.references import name_of, named
from continuum_core.client import Client
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.view import RunView

__all__ = ["cancel", "resume", "suspend", "terminate", "unpark"]

OneRun = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run's id, or MACHINE/KEY, such as order/o-1.")
]

_GOING = frozenset(RunStatus) - ENDED


def _order(
    url: str | None,
    namespace: str | None,
    run: str | None,
    order: Ordering,
    told: Callable[[RunStatus, RunStatus], str],
    *,
    many: _Many,
    as_json: bool,
) -> None:
    if run is None or many.query is not None:
        order_many(journal_of(url), namespace, many.bulk(run, order), do=many.do, as_json=as_json)
        return
    if many.dry_run:
        raise typer.BadParameter("it goes with --query", param_hint="--dry-run")

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


@frozen
class _Many:
    """What a verb needs for many runs: what was typed, and what it does.

    :ivar done: what becomes of a run.
    :ivar concerns: statuses that it acts on.
    """

    query: str | None
    yes: bool
    dry_run: bool
    done: str
    concerns: frozenset[RunStatus]

    @property
    def do(self) -> bool:
        return self.yes and not self.dry_run

    def bulk(self, run: str | None, order: Ordering) -> Bulk:
        """Raises typer.BadParameter where it is not said, or said twice, which runs are meant."""
        if (run is None) == (self.query is None):
            raise typer.BadParameter("name one RUN, or give --query for all that it finds", param_hint="RUN")
        return Bulk(self.query or "", self.done, self.concerns, order)


def cancel(
    run: OneRun = None,
    why: Why = "",
    who: Who = "",
    query: Many = None,
    yes: Yes = False,
    dry_run: DryRun = False,
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

    many = _Many(query, yes, dry_run, "asked to stop", _GOING)
    _order(journal, namespace, run, lambda c, h: c.cancel(h, why, who=who), told, many=many, as_json=as_json)


def suspend(
    run: OneRun = None,
    why: Why = "",
    who: Who = "",
    query: Many = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a run rest: it takes no turn until it is resumed. Activities that run go on."""

    def told(before: RunStatus, after: RunStatus) -> str:
        return "suspended" if before is RunStatus.RUNNING else _nothing(before, after)

    many = _Many(query, yes, dry_run, "suspended", frozenset({RunStatus.RUNNING}))
    _order(journal, namespace, run, lambda c, h: c.suspend(h, why, who=who), told, many=many, as_json=as_json)


def resume(
    run: OneRun = None,
    why: Why = "",
    who: Who = "",
    query: Many = None,
    yes: Yes = False,
    dry_run: DryRun = False,
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

    many = _Many(query, yes, dry_run, "resumed", frozenset({RunStatus.SUSPENDED}))
    _order(journal, namespace, run, lambda c, h: c.resume(h, why, who=who), told, many=many, as_json=as_json)


def unpark(
    run: OneRun = None,
    why: Why = "",
    who: Who = "",
    query: Many = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Let a parked run try again, after what parked it was mended."""

    def told(before: RunStatus, after: RunStatus) -> str:
        return "unparked" if before is RunStatus.PARKED else _nothing(before, after)

    many = _Many(query, yes, dry_run, "unparked", frozenset({RunStatus.PARKED}))
    _order(journal, namespace, run, lambda c, h: c.unpark(h, why, who=who), told, many=many, as_json=as_json)


def terminate(
    run: OneRun = None,
    why: Why = "",
    who: Who = "",
    query: Many = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """End a run at once, whoever holds it: no exits, no clean-up. Prefer cancel."""
    url = journal_of(journal)
    if run is not None and query is None and not yes:
        _confirm(run, as_json=as_json)

    def told(_: RunStatus, after: RunStatus) -> str:
        return "terminated" if after is RunStatus.TERMINATED else after.name.lower()

    many = _Many(query, yes, dry_run, "terminated", _GOING)
    _order(url, namespace, run, lambda c, h: c.terminate(h, why, who=who), told, many=many, as_json=as_json)


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
