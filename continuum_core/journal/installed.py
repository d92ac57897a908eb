"""The backends that are installed: each found by its entry point, loaded and looked over.

Rule: what a backend does wrong is told under the name of its entry point and of its distribution, and stops
nobody who does not ask for that backend. So whatever a stranger's module raises while it is imported or asked
becomes `UnknownBackend`; the errors of its own that the port knows pass as they are.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Generator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from continuum_core.errors import ContinuumError, UnknownBackend
from continuum_core.journal.declared import declare, is_set, lacking
from continuum_core.journal.protocol import MEANINGS, PORT_VERSION, Backend, Journal

__all__ = ["GROUP", "asked", "checked", "entries", "listing", "load", "origin", "taken"]

GROUP = "continuum.backends"
"""Entry point group; names are URL schemes, values modules of the shape `protocol.Backend`."""

_VERBS = tuple(sorted(name for name in vars(Journal) if not name.startswith("_")))
"""What every handle has."""


def entries() -> list[EntryPoint]:
    """Entry points of the group; one distribution that is found twice on the path counts once."""
    return list(_found(tuple((place, _changed(place)) for place in sys.path)))


@lru_cache(maxsize=4)
def _found(_places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Looks through every installed distribution, which takes as long as a run: once while none changes."""
    unique = {(entry.name, entry.value, origin(entry)): entry for entry in entry_points(group=GROUP)}
    return tuple(unique.values())


def _changed(place: str) -> int:
    """When something was last installed into a directory of the path."""
    try:
        return os.stat(place or os.curdir).st_mtime_ns
    except OSError:
        return 0


def origin(entry: EntryPoint) -> str:
    """The distribution that an entry point belongs to."""
    return entry.dist.name if entry.dist is not None else "an unknown distribution"


def listing() -> str:
    """The schemes there are, for people."""
    names = sorted({entry.name for entry in entries()})
    return "installed: " + (", ".join(names) or "none")


def _whose(entry: EntryPoint) -> str:
    return f"the backend for {entry.name!r} journals ({entry.value}, of {origin(entry)})"


# --- loading


def load(entry: EntryPoint) -> Backend:
    """The backend behind an entry point. Raises UnknownBackend for one that cannot be used."""
    whose = _whose(entry)
    try:
        backend: Any = entry.load()
    except ImportError as error:
        raise UnknownBackend(f"{whose} cannot be imported: {error}{_extra(entry)}") from error
    except AttributeError as error:
        if entry.module in sys.modules:  # it was imported, and has no such name
            raise UnknownBackend(f"{whose} is not where its entry point says: {error}") from error
        raise _broken(entry, "cannot be imported", error) from error
    except (Exception, SystemExit) as error:
        raise _broken(entry, "cannot be imported", error) from error
    with asked(entry, "cannot be asked what it is"):
        if missing := getattr(backend, "MISSING", ""):
            raise UnknownBackend(f"{whose} is not usable: {missing}")
        _check_version(entry, getattr(backend, "PORT_VERSION", None))
        _check_shape(entry, backend)
    return cast(Backend, backend)


@contextlib.contextmanager
def asked(entry: EntryPoint, how: str) -> Generator[None]:
    """Around a call of a backend's own code. Raises UnknownBackend for what no error of the port is.

    :param how: what a failure means, as the sentence goes on after the backend's name.
    """
    try:
        yield
    except ContinuumError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(entry, how, error) from error


def _broken(entry: EntryPoint, how: str, error: BaseException) -> UnknownBackend:
    return UnknownBackend(
        f"{_whose(entry)} {how}: {type(error).__name__}: {error}; that is its own fault: "
        f"install another release of {origin(entry)}, or uninstall it"
    )


def _extra(entry: EntryPoint) -> str:
    """How to install the driver, where the distribution has an extra named like the scheme."""
    extras = entry.dist.metadata.get_all("Provides-Extra") if entry.dist is not None else None
    if entry.name not in (extras or ()):
        return ""
    return f'; its driver comes with: pip install "{origin(entry)}[{entry.name}]"'


# --- looking over


def _check_version(entry: EntryPoint, version: object) -> None:
    if type(version) is int and version == PORT_VERSION:
        return
    if version is None:
        stated = "no version of the journal port that it states"
    elif type(version) is not int:
        raise UnknownBackend(
            f"{_whose(entry)} states PORT_VERSION = {version!r}, which is no whole number: its author has to "
            f"write the version that it is for, such as {PORT_VERSION}"
        )
    else:
        stated = f"version {version} of the journal port"
    raise UnknownBackend(
        f"{_whose(entry)} was written for {stated}; this release has version {PORT_VERSION}: "
        f"{_remedy(version, origin(entry))}"
    )


def _remedy(version: object, distribution: str) -> str:
    """What to install, so that both speak of one port."""
    if isinstance(version, int) and version > PORT_VERSION:
        return f"install a newer release of continuum-core, or an older one of {distribution}"
    return f"install a newer release of {distribution}"


def _check_shape(entry: EntryPoint, backend: Any) -> None:
    stated: Any = getattr(backend, "CAPABILITIES", None)
    names: list[Any] = list(stated) if is_set(stated) else [None]
    if not all(isinstance(name, str) for name in names):
        raise UnknownBackend(
            f"{_whose(entry)} has no CAPABILITIES, a frozenset of texts: its author has to declare them, "
            "be it with an empty one"
        )
    for name in sorted({str(name) for name in names} - set(MEANINGS)):
        near = difflib.get_close_matches(name, MEANINGS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UnknownBackend(
            f"{_whose(entry)} declares {name!r}, which is no capability here{hint}: its author has to "
            "correct it, or it needs a newer release of continuum-core"
        )
    if not callable(getattr(backend, "connect", None)):
        raise UnknownBackend(f"{_whose(entry)} has no function `connect`: its author has to write it")


def checked(entry: EntryPoint, backend: Backend, journal: object, namespace: str) -> Journal:
    """What a backend gave as a handle, if it is one; what it can is noted on it. Raises UnknownBackend."""
    if absent := [verb for verb in _VERBS if not callable(getattr(journal, verb, None))]:
        kind = "None" if journal is None else f"an object of type {type(journal).__qualname__}"
        raise UnknownBackend(
            f"{_whose(entry)} gave {kind} in the place of a journal: it has no {', '.join(absent)}; its "
            "author has to return an unopened handle"
        )
    if getattr(journal, "namespace", None) != namespace:
        raise UnknownBackend(
            f"{_whose(entry)} gave a journal of namespace {getattr(journal, 'namespace', None)!r} where "
            f"{namespace!r} was asked for: its author has to keep what `connect` is given"
        )
    for name, verbs in lacking(journal, backend.CAPABILITIES).items():
        raise UnknownBackend(
            f"{_whose(entry)} declares {name!r}, and its journal has no {', '.join(verbs)}: its author has "
            "to write what is declared, or to declare less"
        )
    return declare(cast(Journal, journal), backend.CAPABILITIES)


def taken(entry: EntryPoint, target: object, namespace: str, limits: Any) -> Journal | None:
    """The handle of a backend that takes objects in a URL's place; None where it does not take this one.

    Raises UnknownBackend for a backend that cannot be used or asked.
    """
    backend: Any = load(entry)
    if not hasattr(backend, "adopt"):
        return None
    with asked(entry, "could not be asked whether it takes the object"):
        journal = backend.adopt(target, namespace, limits)
    return None if journal is None else checked(entry, backend, journal, namespace)
