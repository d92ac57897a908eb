"""Every hook, in one file: what a plugin may implement.

A plugin is any object or module whose functions are marked with `hookimpl` and named as below; it
comes in by an entry point of group ``continuum.plugins``. A hook may take fewer arguments than it is
offered. All hooks are plain functions.

*Observers* are told what has happened, after it was committed, on the worker's event loop: they must
be quick, and hand slow work to a thread. One that raises harms no run: it is counted, logged once per
cause, and the others are told all the same (`loading.Observers`).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pluggy

__all__ = ["HOOKS_VERSION", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "continuum"
HOOKS_VERSION = 1
"""The version of these hooks. A plugin may state the one it was written for as `HOOKS_VERSION`."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_commands(app: Any) -> None:
    """Add commands to the `continuum` command line, a `typer.Typer`; when the command line starts.

    What it raises is told to the user, and the command line goes on without the plugin.
    """


@hookspec
def worker_started(namespace: str, machines: tuple[str, ...]) -> None:
    """Observer: a worker has opened its journal and begins to work."""


@hookspec
def worker_draining(namespace: str) -> None:
    """Observer: a worker takes nothing new any more."""


@hookspec
def worker_stopped(namespace: str) -> None:
    """Observer: a worker has given everything back."""


@hookspec
def run_ended(run_id: UUID, status: str) -> None:
    """Observer: a turn that this worker committed ended a run.

    :param status: ``completed``, ``failed`` or ``cancelled``.
    """


@hookspec
def run_parked(run_id: UUID, cause: str) -> None:
    """Observer: a turn that this worker committed parked a run, and why."""
