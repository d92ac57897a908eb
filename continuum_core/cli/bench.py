"""The verb `bench`: how long the port's verbs take on a journal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import asdict

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.cli.carrying import progress
from continuum_core.cli.options import AsJson, Debug, JournalUrl, journal_of
from continuum_core.cli.output import Rows, print_json, say
from continuum_core.errors import UsageError
from continuum_core.gauge.measure import Measured, Plan, measure, scratch_name
from continuum_core.gauge.plot import plot
from continuum_core.journal.connect import connect

__all__ = ["bench"]


def bench(
    sizes: Annotated[
        list[int] | None, typer.Option("--size", min=1, max=4096, help="Members of a batch; 1, 16 and 256.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Calls of each verb at each size.")] = 30,
    payload: Annotated[
        int, typer.Option("--payload", min=0, max=1_000_000, help="Bytes of every payload.")
    ] = 200,
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the figures, as SVG.")
    ] = None,
    journal: JournalUrl = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure the verbs of the journal's port: one call after the other, at several batch sizes.

    The runs are made in a namespace of their own, and are deleted afterwards. Others who use the journal
    meanwhile slow it down and are slowed down.
    """
    url = journal_of(journal)
    plan = Plan(tuple(sorted(set(sizes or Plan().sizes))), rounds, payload)
    measured = asyncio.run(_measured(url, plan, quiet=as_json))
    if picture is not None:
        try:
            picture.write_text(plot(measured), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{picture} cannot be written: {error.strerror or error}") from error
    if as_json:
        print_json(_facts(measured))
    else:
        _tell(measured)


async def _measured(url: str, plan: Plan, *, quiet: bool) -> Measured:
    host = AsyncioHost()
    handle = connect(url, scratch_name(host))
    try:
        opened = await handle.open()
        total = len(plan.sizes) * (plan.rounds + max(1, plan.rounds // 10))
        with progress("rounds", total, quiet=quiet) as tell:
            return await measure(handle, opened, host, plan, tell)
    finally:
        await handle.close()


def _facts(measured: Measured) -> dict[str, Any]:
    figures = [{**asdict(one), "per_second": one.rate} for one in measured.figures]
    return {"conditions": measured.conditions, "figures": figures}


def _tell(measured: Measured) -> None:
    told = measured.conditions
    say(f"{told['backend']}: {told['durability']}")
    say(
        f"continuum-core {told['continuum_core']}, Python {told['python']}, {told['system']}, "
        f"{told['cores']} cores; one caller, {told['rounds']} calls each, payloads of "
        f"{told['payload_bytes']} bytes"
    )
    say("")
    table = Rows([("verb", 0), ("batch", 6), ("median", 10), ("middle half of calls", 24), ("members/s", 12)])
    table.add(
        (
            one.verb,
            f"{one.size}",
            _milliseconds(one.median),
            f"{_milliseconds(one.low)} – {_milliseconds(one.high)}",
            f"{one.rate:,.0f}",
        )
        for one in measured.figures
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
