"""Backends of strangers, made on the spot: a distribution with an entry point, found like any other."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Protocol

from continuum_core.journal.protocol import Journal

__all__ = ["WORKING", "Install", "installer"]

_VERBS = sorted(name for name in vars(Journal) if not name.startswith("_"))

WORKING = f"""
PORT_VERSION = 1
CAPABILITIES = frozenset({{"durable"}})


class Handle:
    def __init__(self, url, namespace, limits):
        self.given = (url, namespace, limits)
        self.namespace = namespace

    def sibling(self):
        return type(self)(*self.given)


def _verb(self, *given):
    raise AssertionError("nobody asks this journal for anything")


for name in {_VERBS}:
    if name != "sibling":
        setattr(Handle, name, _verb)


def connect(url, namespace, limits):
    return Handle(url, namespace, limits)
"""
"""A backend whose handles have all verbs, and hold what `connect` was given as `given`."""

_numbers = itertools.count()


class Install(Protocol):
    """Installs a distribution with one backend: `install(scheme, source)` gives its names."""

    def __call__(
        self, scheme: str, source: str = ..., name: str = ..., extras: tuple[str, ...] = ...
    ) -> tuple[str, str]: ...


def installer(folder: Path) -> Install:
    """What installs distributions into a folder of the path."""

    def install(
        scheme: str, source: str = WORKING, name: str = "", extras: tuple[str, ...] = ()
    ) -> tuple[str, str]:
        module = f"strange_backend_{next(_numbers)}"
        distribution = name or module.replace("_", "-")
        (folder / f"{module}.py").write_text(source)
        info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        provides = "".join(f"Provides-Extra: {extra}\n" for extra in extras)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{provides}"
        )
        (info / "entry_points.txt").write_text(f"[continuum.backends]\n{scheme} = {module}\n")
        return module, distribution

    return install
