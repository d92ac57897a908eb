"""The verb `backends`: which journals this installation can open."""

from __future__ import annotations

from continuum_core.cli.options import AsJson, Debug
from continuum_core.cli.output import Rows, print_json, safe
from continuum_core.journal.connect import available

__all__ = ["backends"]


def backends(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the installed backends, what they declare, and why one cannot be used."""
    found = available()
    if as_json:
        for each in found:
            print_json(
                {
                    "scheme": each.scheme,
                    "distribution": each.distribution,
                    "capabilities": sorted(each.capabilities),
                    "port_version": each.port_version or None,
                    "fault": each.fault or None,
                }
            )
        return
    rows = Rows([("scheme", 12), ("distribution", 22), ("port", 4), ("capabilities", 0)])
    rows.add(
        (
            safe(each.scheme),
            safe(each.distribution),
            str(each.port_version or "-"),
            safe(each.fault or ", ".join(sorted(each.capabilities)) or "none beyond the port"),
        )
        for each in found
    )
