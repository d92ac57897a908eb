"""The verbs that work: `worker` for production, `dev` for the desk."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from continuum_core.cli.apps import MachineClass, load, load_resources
from continuum_core.cli.logs import log_to_stderr
from continuum_core.cli.options import Apps, AsJson, Debug, JournalUrl, Namespace, journal_of
from continuum_core.cli.output import print_json, say
from continuum_core.cli.reload import end_with, keep_running
from continuum_core.cli.times import duration
from continuum_core.codec import describe
from continuum_core.collector import relax_collector
from continuum_core.errors import UsageError
from continuum_core.serving import check_queue, queues_of
from continuum_core.worker import Worker

__all__ = ["dev", "worker"]

logger = logging.getLogger(__name__)

_DEV_JOURNAL = "sqlite:///continuum-dev.db"
_INTERRUPTED = 130  # what shells give a program that was interrupted


def _above_none(text: str, option: str) -> float:
    """Seconds. Raises typer.BadParameter also for none at all."""
    seconds = duration(text).total_seconds()
    if seconds <= 0:
        raise typer.BadParameter(f"{text!r} is no time at all; write 30s", param_hint=option)
    return seconds


Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue", "-q", metavar="NAME=N", help="A queue and its activities at once; default: all, 100."
    ),
]
Generations = Annotated[
    timedelta | None,
    typer.Option(
        "--generations",
        parser=duration,
        metavar="DURATION",
        help="Prune the records of generations that were over so long ago, such as 30d.",
    ),
]


def worker(
    app: Apps = None,
    queue: Queues = None,
    lease: Annotated[
        str, typer.Option(metavar="DURATION", help="How long others wait for a worker that died.")
    ] = "30s",
    poll: Annotated[
        str, typer.Option(metavar="DURATION", help="Ask the journal at least this often.")
    ] = "5s",
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="What activities may take to end after SIGTERM.")
    ] = "30s",
    resources: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="A mapping: resource type to what opens it; see Worker."),
    ] = None,
    generations: Generations = None,
    desk: Annotated[
        int | None,
        typer.Option("--desk", hidden=True, help="For dev: its process id; the worker ends with it."),
    ] = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run machines and their activities until SIGTERM or SIGINT, then drain and exit with 0.

    The log goes to standard error, with the run's id on every line; --json makes it JSON.
    """
    url = journal_of(journal)
    apps = _named_apps(app)
    log_to_stderr(logging.DEBUG if debug else logging.INFO, as_json=as_json)
    machines = load(apps, logger.warning)
    made = Worker(
        url,
        machines,
        namespace=namespace,
        queues=_queues(queue, machines),
        resources=None if resources is None else load_resources(resources),
        lease=_above_none(lease, "--lease"),
        poll=_above_none(poll, "--poll"),
        grace=duration(grace).total_seconds(),
        generations=generations,
    )
    if desk is not None:
        end_with(desk)
        _tell_starts(machines, url, namespace, as_json=as_json)
    relax_collector()
    try:
        asyncio.run(made.run())
    except KeyboardInterrupt:
        say("stopped at once; what was in hand goes on elsewhere when its lease ends", stderr=True)
        raise typer.Exit(_INTERRUPTED) from None


def _named_apps(app: list[str] | None) -> list[str]:
    if app:
        return app
    raise typer.BadParameter(
        "say which machines to run: --app MODULE, or set CONTINUUM_APP", param_hint="--app"
    )


def _queues(given: Sequence[str] | None, machines: Sequence[MachineClass]) -> Mapping[str, int] | None:
    known = queues_of(a for m in machines for a in m.chart.activities.values())
    queues: dict[str, int] = {}
    for text in given or ():
        name, equals, count = text.rpartition("=")
        if not equals or not name or not count.isascii() or not count.isdigit() or int(count) < 1:
            raise typer.BadParameter(f"{text!r} should be NAME=N, such as mail=10", param_hint="--queue")
        try:
            check_queue(name, known)
        except UsageError as error:
            raise typer.BadParameter(str(error), param_hint="--queue") from None
        queues[name] = int(count)
    return queues or None


# --- dev ---------------------------------------------------------------------------------------------


def dev(
    app: Apps = None,
    journal: JournalUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run a worker on sqlite:///continuum-dev.db (or --journal) that starts again when a file changes."""
    apps = _named_apps(app)
    url = journal or _DEV_JOURNAL
    command = [sys.executable, "-m", "continuum_core", "worker", "--journal", url, "--grace", "5s"]
    command += ["--desk", str(os.getpid())]
    for each in apps:
        command += ["--app", each]
    if namespace is not None:
        command += ["--namespace", namespace]
    command += ["--json"] * as_json + ["--debug"] * debug

    def tell(sentence: str) -> None:
        if as_json:
            print_json({"dev": sentence}, stderr=True)
        else:
            say(f"dev: {sentence}", stderr=True, style="bold")

    tell(f"journal {url}; watching Python files below {Path.cwd()}; Ctrl-C ends")
    keep_running(command, Path.cwd(), tell)
    tell("ended")


def _tell_starts(machines: Sequence[MachineClass], url: str, namespace: str | None, *, as_json: bool) -> None:
    where = f"--journal {url}" + ("" if namespace is None else f" --namespace {namespace}")
    for machine in machines:
        name = machine.chart.name
        sample = json.dumps(_sample(describe(machine.chart.input_type)), ensure_ascii=False)
        command = f"continuum start {name} {where} --input '{sample}' --wait"
        if as_json:
            print_json({"machine": name, "start": command}, stderr=True)
        else:
            say(f"dev: start a run: {command}", stderr=True)


_SAMPLES: Mapping[str, Any] = {"str": "text", "int": 0, "float": 0.0, "bool": False, "None": None}


def _sample(described: Mapping[str, Any]) -> Any:
    """A value to begin with: the fields that an input cannot do without."""
    type_ = described["type"]
    if isinstance(type_, dict) and "class" in type_:
        body = described["classes"][type_["class"]]
        if body.get("kind") == "object":
            return {
                field["name"]: _sample({**described, "type": field["type"]})
                for field in body["fields"]
                if not field.keys() & {"default", "made", "optional"}
            }
    return _SAMPLES.get(type_, "…") if isinstance(type_, str) else "…"
