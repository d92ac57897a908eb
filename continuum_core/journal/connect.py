"""From a URL to a journal, by entry point.

Rule: a backend is found by the scheme of the URL and by nothing else. The core knows none by name:
those that come with it are found like a stranger's. Choosing is one-to-one, so two distributions that
claim one scheme are an error and not a race. An object in the place of a URL (a pool, an engine) is shown
to every backend that takes objects; it names its own library, so the core imports none.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias, cast

from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.errors import UnknownBackend, UsageError
from continuum_core.journal.protocol import (
    PORT_VERSION,
    AdoptingBackend,
    Backend,
    Capability,
    ClockedBackend,
    Journal,
    Limits,
    MigratingBackend,
    PlantingBackend,
)
from continuum_core.journal.wakeups import Topic, Wakeups, WakingBackend

__all__ = [
    "GROUP",
    "Installed",
    "Target",
    "available",
    "capabilities",
    "connect",
    "migrating",
    "planting",
    "wakeups",
]

Target: TypeAlias = str | Journal | object
"""A journal's URL, an unopened journal, or an object that an installed backend takes (a pool, an engine)."""

GROUP = "continuum.backends"
"""Entry point group; names are URL schemes, values modules of the shape `protocol.Backend`."""

_NAMESPACE = "default"


@frozen
class Installed:
    """One backend that is installed.

    :ivar fault: why it cannot be used, "" when it can; then the fields it would have told are empty.
    """

    scheme: str
    distribution: str
    capabilities: frozenset[str]
    port_version: int
    fault: str = ""


def connect(
    journal: Target,
    namespace: str | None = None,
    limits: Limits | None = None,
    *,
    clock: Callable[[], Micros] | None = None,
) -> Journal:
    """An unopened handle on the journal that a URL names; a journal that is passed instead is returned.

    :param journal: a URL, a journal, or what a backend takes in a URL's place, such as an SQLAlchemy engine.

    :param namespace: "default" where none is given; a journal that is passed brings its own.
    :param clock: for tests: stands in for the journal's own clock, where the backend declares CLOCK.

    Raises UnknownBackend when no backend, or no usable one, serves the URL's scheme, UsageError for an empty
    namespace, when a journal is passed that is bound to another namespace, when its clock cannot be set, or
    when no backend takes the object, and what the backend raises for a wrong URL.
    """
    if namespace is not None:
        _check_namespace(namespace)
    if limits is not None:
        _check_limits(limits)
    if not isinstance(journal, str):
        if callable(getattr(journal, "sibling", None)):
            return _bound(cast(Journal, journal), namespace)
        if clock is not None:
            raise UsageError(f"a journal on {_kind(journal)} keeps its own time, which cannot be set")
        return _adopted(journal, namespace or _NAMESPACE, limits if limits is not None else Limits())
    backend = _backend(journal)
    settings = (journal, namespace or _NAMESPACE, limits if limits is not None else Limits())
    if clock is None:
        return backend.connect(*settings)
    if Capability.CLOCK not in backend.CAPABILITIES:
        raise UsageError(f"the journal {journal!r} keeps its own time, which cannot be set")
    return cast(ClockedBackend, backend).connect(*settings, clock=clock)


def _check_namespace(namespace: Any) -> None:
    if not isinstance(namespace, str) or not namespace:
        raise UsageError(
            f"namespace={namespace!r} names none: give a text that is not empty, or leave it out for "
            f"{_NAMESPACE!r}"
        )


def _check_limits(limits: Any) -> None:
    if not isinstance(limits, Limits):
        raise UsageError(f"limits={limits!r} are none: give Limits(...), such as Limits(pending=1_000)")


def _bound(journal: Journal, namespace: str | None) -> Journal:
    if namespace not in (None, journal.namespace):
        raise UsageError(
            f"the journal passed is bound to namespace {journal.namespace!r}, not to {namespace!r}"
        )
    return journal


def _adopted(target: object, namespace: str, limits: Limits) -> Journal:
    """The journal of the one backend that takes the object. Raises UsageError."""
    values: set[str] = set()
    found: list[tuple[str, Journal]] = []
    for entry in sorted(_entries(), key=lambda entry: entry.name):
        if entry.value in values:  # one backend under two schemes
            continue
        values.add(entry.value)
        with contextlib.suppress(UnknownBackend):  # one that is not usable takes nothing
            backend = _load(entry)
            if hasattr(backend, "adopt"):
                journal = cast(AdoptingBackend, backend).adopt(target, namespace, limits)
                if journal is not None:
                    found.append((_origin(entry), journal))
    if len(found) > 1:
        claimants = " and ".join(sorted(origin for origin, _ in found))
        raise UsageError(f"{claimants} both take {_kind(target)}; pass a journal of the one you mean")
    if found:
        return found[0][1]
    raise UsageError(
        f"{_kind(target)} is no journal: pass a URL such as sqlite:///orders.db, an unopened journal, or "
        "what an installed backend takes in its place (a psycopg_pool, or an SQLAlchemy engine on "
        f"postgresql+psycopg, where the one for postgresql is installed; {_listing()})"
    )


def _kind(target: object) -> str:
    return f"an object of type {type(target).__module__}.{type(target).__qualname__}"


def migrating(url: str) -> MigratingBackend | None:
    """The URL's backend, if it migrates apart from opening. Raises UnknownBackend like `connect`."""
    backend = _backend(url)
    return cast(MigratingBackend, backend) if hasattr(backend, "migrate") else None


def planting(url: str) -> PlantingBackend | None:
    """The URL's backend, if it declares MIGRATES. Raises UnknownBackend like `connect`."""
    backend = _backend(url)
    return cast(PlantingBackend, backend) if Capability.MIGRATES in backend.CAPABILITIES else None


def wakeups(url: str) -> Callable[[Topic], Wakeups]:
    """What carries hints for a journal of another backend: what ``?wakeups=URL`` of that one's URL names.

    Raises UnknownBackend when nothing serves the URL's scheme or what does carries no hints of others, and
    IncompatibleJournal for a URL that is wrong.
    """
    backend = _backend(url)
    if not hasattr(backend, "wakeups"):
        raise UnknownBackend(
            f"the backend for {url.partition(':')[0]!r} journals carries no hints of others; name one that "
            "does, such as redis://host:6379/0"
        )
    return cast(WakingBackend, backend).wakeups(url)


def capabilities(url: str) -> frozenset[str]:
    """What the backend of this URL declares beyond the port. Raises UnknownBackend like `connect`."""
    return _backend(url).CAPABILITIES


def available() -> list[Installed]:
    """Every installed backend, by scheme; one that cannot be used says why instead of raising."""
    return [_describe(entry) for entry in sorted(_entries(), key=lambda entry: (entry.name, _origin(entry)))]


def _describe(entry: EntryPoint) -> Installed:
    try:
        backend = _load(entry)
    except UnknownBackend as error:
        return Installed(entry.name, _origin(entry), frozenset(), 0, str(error))
    return Installed(entry.name, _origin(entry), backend.CAPABILITIES, backend.PORT_VERSION)


def _backend(url: str) -> Backend:
    scheme = url.partition(":")[0].lower()
    if ":" not in url or not scheme:
        raise UnknownBackend(
            f"{url!r} is not a journal URL: it begins with a backend's scheme, "
            f"like sqlite:///orders.db; {_listing()}"
        )
    for name in (scheme, scheme.partition("+")[0]):  # a driver may have its own backend: it goes first
        entries = [entry for entry in _entries() if entry.name == name]
        if len(entries) > 1:
            claimants = " and ".join(sorted(_origin(entry) for entry in entries))
            raise UnknownBackend(f"{claimants} both claim {name!r} journals; uninstall one of them")
        if entries:
            return _load(entries[0])
    raise UnknownBackend(_unknown(scheme))


def _unknown(scheme: str) -> str:
    near = difflib.get_close_matches(scheme.partition("+")[0], [entry.name for entry in _entries()], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no installed backend serves {scheme!r} journals{hint} ({_listing()})"


def _listing() -> str:
    names = sorted({entry.name for entry in _entries()})
    return "installed: " + (", ".join(names) or "none")


def _entries() -> list[EntryPoint]:
    """Entry points of the group; one distribution that is found twice on the path counts once."""
    return list(_found(tuple((place, _changed(place)) for place in sys.path)))


@lru_cache(maxsize=4)
def _found(_places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Looks through every installed distribution, which takes as long as a run: once while none changes."""
    unique = {(entry.name, entry.value, _origin(entry)): entry for entry in entry_points(group=GROUP)}
    return tuple(unique.values())


def _changed(place: str) -> int:
    """When something was last installed into a directory of the path."""
    try:
        return os.stat(place or os.curdir).st_mtime_ns
    except OSError:
        return 0


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown distribution"


def _load(entry: EntryPoint) -> Backend:
    """The backend behind an entry point. Raises UnknownBackend for one that cannot be used."""
    whose = f"the backend for {entry.name!r} journals ({entry.value}, of {_origin(entry)})"
    try:
        backend = cast(Backend, entry.load())
    except ImportError as error:
        raise UnknownBackend(f"{whose} cannot be imported: {error}{_extra(entry)}") from error
    except AttributeError as error:
        raise UnknownBackend(f"{whose} is not where its entry point says: {error}") from error
    if missing := getattr(backend, "MISSING", ""):
        raise UnknownBackend(f"{whose} is not usable: {missing}")
    version = getattr(backend, "PORT_VERSION", None)
    if version != PORT_VERSION:
        raise UnknownBackend(
            f"{whose} was written for {_written_for(version)}; this release has version {PORT_VERSION}: "
            f"{_remedy(version, _origin(entry))}"
        )
    return backend


def _written_for(version: object) -> str:
    return (
        "no version of the journal port that it states"
        if version is None
        else (f"version {version} of the journal port")
    )


def _remedy(version: object, distribution: str) -> str:
    """What to install, so that both speak of one port."""
    if isinstance(version, int) and version > PORT_VERSION:
        return f"install a newer release of continuum-core, or an older one of {distribution}"
    return f"install a newer release of {distribution}"


def _extra(entry: EntryPoint) -> str:
    """How to install the driver, where the distribution has an extra named like the scheme."""
    extras = entry.dist.metadata.get_all("Provides-Extra") if entry.dist is not None else None
    if entry.name not in (extras or ()):
        return ""
    return f'; its driver comes with: pip install "{_origin(entry)}[{entry.name}]"'
