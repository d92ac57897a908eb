"""The verb `demo`: runs the example application where it is installed; it is no part of the library."""

from __future__ import annotations

import importlib
import importlib.util

import typer

from continuum_core.errors import UsageError

__all__ = ["demo"]

_PACKAGE = "continuum_demo"


def demo(context: typer.Context) -> None:
    """Process a file of orders while workers are killed, and show that nothing is lost.

    Arguments are the example's own; try `continuum demo --help`.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        raise UsageError(
            "the example is not installed here; from a checkout of the project run `python3 dev.py demo`, "
            "or put its folder examples/orders on PYTHONPATH"
        )
    # Named here, not stored: the example is found only where it is installed.
    run = importlib.import_module(f"{_PACKAGE}.run")  # noqa: TID251 - a fixed name, see above
    raise typer.Exit(int(run.main(context.args) or 0))
