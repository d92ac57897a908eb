"""The verbs that come along: what each is called, where its function is, and under what title it is listed.

Rule: a verb's module is imported when that verb is asked for. All of them together cost a command more time
than most commands take; only the list of all verbs needs them all.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import typer
from attrs import frozen
from typer.main import get_command

from continuum_core.cli.failures import Failures

__all__ = ["VERBS", "Verbs"]

_WORK = "Work"
_RUNS = "Runs"
_TIME = "Time travel"
_ORDERS = "An operator's orders"
_MACHINES = "Machines and journals"
_KEEPING = "What a journal keeps"

_PASSED_ON = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


@frozen
class _Verb:
    """One verb.

    :ivar module: of `continuum_core.cli`.
    :ivar name: of the function in it, or of a Typer application with verbs of its own.
    :ivar settings: for Typer.
    """

    panel: str
    module: str
    name: str
    settings: Mapping[str, Any] = {}

    def command(self, verb: str) -> Any:
        """The verb's command, made."""
        # All names stand below, none is anybody's input.
        module = importlib.import_module(f"continuum_core.cli.{self.module}")  # noqa: TID251
        found = getattr(module, self.name)
        if isinstance(found, typer.Typer):
            made: Any = get_command(found)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(verb, **self.settings)(found)
            made = get_command(alone)
        made.name, made.rich_help_panel = verb, self.panel
        return made


VERBS = {
    "dev": _Verb(_WORK, "workers", "dev"),
    "worker": _Verb(_WORK, "workers", "worker"),
    "start": _Verb(_RUNS, "runs", "start"),
    "send": _Verb(_RUNS, "runs", "send"),
    "ask": _Verb(_RUNS, "runs", "ask"),
    "show": _Verb(_RUNS, "inspection", "show"),
    "history": _Verb(_RUNS, "inspection", "history"),
    "list": _Verb(_RUNS, "listing", "list_"),
    "count": _Verb(_RUNS, "finding", "count"),
    "set": _Verb(_RUNS, "finding", "set_"),
    "broadcast": _Verb(_RUNS, "finding", "broadcast"),
    "fork": _Verb(_TIME, "forks", "fork"),
    "blame": _Verb(_TIME, "travel", "blame"),
    "why": _Verb(_TIME, "travel", "why"),
    "graph": _Verb(_TIME, "travel", "graph"),
    "replay": _Verb(_TIME, "replays", "replay"),
    "cancel": _Verb(_ORDERS, "orders", "cancel"),
    "suspend": _Verb(_ORDERS, "orders", "suspend"),
    "resume": _Verb(_ORDERS, "orders", "resume"),
    "unpark": _Verb(_ORDERS, "orders", "unpark"),
    "terminate": _Verb(_ORDERS, "orders", "terminate"),
    "check": _Verb(_MACHINES, "machines", "check"),
    "lock": _Verb(_MACHINES, "evolution", "lock"),
    "draw": _Verb(_MACHINES, "machines", "draw"),
    "backends": _Verb(_MACHINES, "backends", "backends"),
    "bench": _Verb(_MACHINES, "bench", "bench"),
    "plugins": _Verb(_MACHINES, "plugins", "plugins"),
    "health": _Verb(_MACHINES, "health", "health"),
    "migrate": _Verb(_MACHINES, "migrations", "migrate"),
    "migrate-runs": _Verb(_MACHINES, "moving", "migrate_runs"),
    "audit": _Verb(_MACHINES, "moving", "audit"),
    "new": _Verb(_MACHINES, "new", "new"),
    "stats": _Verb(_KEEPING, "retention", "stats"),
    "prune": _Verb(_KEEPING, "retention", "prune"),
    "archive": _Verb(_KEEPING, "archives", "archive"),
    "restore": _Verb(_KEEPING, "archives", "restore"),
    "copy": _Verb(_KEEPING, "carrying", "copy"),
    "demo": _Verb(_MACHINES, "demo", "demo", _PASSED_ON),
}
"""In the order of the help."""


class _Commands(MutableMapping[str, Any]):
    """Commands by their names: those above, each made when it is asked for, and what was added to them."""

    def __init__(self, added: Mapping[str, Any]) -> None:
        self._made = dict(added)

    def __getitem__(self, verb: str) -> Any:
        if verb not in self._made:
            self._made[verb] = VERBS[verb].command(verb)
        return self._made[verb]

    def __setitem__(self, verb: str, command: Any) -> None:
        self._made[verb] = command

    def __delitem__(self, verb: str) -> None:
        del self._made[verb]

    def __iter__(self) -> Iterator[str]:
        yield from VERBS
        yield from (verb for verb in self._made if verb not in VERBS)

    def __len__(self) -> int:
        return len(VERBS.keys() | self._made.keys())

    def __contains__(self, verb: object) -> bool:
        return verb in VERBS or verb in self._made


class Verbs(Failures):
    """The group of all verbs: those above, then what plugins added to the application."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.commands: MutableMapping[str, Any] = _Commands(self.commands)
