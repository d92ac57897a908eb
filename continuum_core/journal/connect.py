"""From a URL to a journal, by entry point.

Rule: a backend is found by the scheme of the URL and by nothing else. The core knows none by name:
those that come with it are found like a stranger's. Choosing is one-to-one, so two distributions that
claim one scheme are an error and not a race. An object in the place of a URL (a pool, an engine) is shown
to every backend that takes objects; it names its own library, so the core imports none.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, TypeAlias, cast

from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.errors import UnknownBackend, UsageError
from continuum_core.journal.installed import GROUP, asked, checked, entries, listing, load, origin, taken
from continuum_core.journal.protocol import (
    Backend,
    Capability,
    ClockedBackend,
    Journal,
    Limits,
    MigratingBackend,
    PlantingBackend,
)
from continuum_core.journal.wakeups import Topic, Wakeups, WakingBackend
from continuum_core.texts import text_flaw

__all__ = [
    "GROUP",
    "Installed",
    "Target",
    "available",
    "capabilities",
    "connect",
    "migrating",
    "planting",
    "shown",
    "wakeups",
]

Target: TypeAlias = str | Journal | object
"""A journal's URL, an unopened journal, or an object that an installed backend takes (a pool, an engine)."""

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
    entry, backend = _served(journal)
    wanted = namespace or _NAMESPACE
    settings = (journal, wanted, limits if limits is not None else Limits())
    if clock is not None and Capability.CLOCK not in backend.CAPABILITIES:
        raise UsageError(f"the journal {journal!r} keeps its own time, which cannot be set")
    with asked(entry, "could not make a journal of its URL"):
        if clock is None:
            made = backend.connect(*settings)
        else:
            made = cast(ClockedBackend, backend).connect(*settings, clock=clock)
    return checked(entry, backend, made, wanted)


def _check_namespace(namespace: Any) -> None:
    if not isinstance(namespace, str) or not namespace:
        raise UsageError(
            f"namespace={namespace!r} names none: give a text that is not empty, or leave it out for "
            f"{_NAMESPACE!r}"
        )
    if flaw := text_flaw(namespace):
        raise UsageError(f"namespace={namespace[:60]!r} {flaw}. Give another")


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
    unusable: list[str] = []
    for entry in sorted(entries(), key=lambda entry: entry.name):
        if entry.value in values:  # one backend under two schemes
            continue
        values.add(entry.value)
        try:
            journal = taken(entry, target, namespace, limits)
        except UnknownBackend as error:  # it takes nothing, and keeps no other from taking it
            unusable.append(str(error))
        else:
            found += [] if journal is None else [(origin(entry), journal)]
    if len(found) > 1:
        claimants = " and ".join(sorted(origin for origin, _ in found))
        raise UsageError(f"{claimants} both take {_kind(target)}; pass a journal of the one you mean")
    if found:
        return found[0][1]
    told = (
        f"{_kind(target)} is no journal: pass a URL such as sqlite:///orders.db, an unopened journal, or "
        "what an installed backend takes in its place (a psycopg_pool, or an SQLAlchemy engine on "
        f"postgresql+psycopg, where the one for postgresql is installed; {listing()})"
    )
    raise UsageError("\n".join([told, *unusable]))


def _kind(target: object) -> str:
    return f"an object of type {type(target).__module__}.{type(target).__qualname__}"


def shown(url: str) -> str:
    """A URL without user, password and options: it is kept in histories, and printed."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return scheme + mark + host.rpartition("@")[2] + slash + path


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
    entry, backend = _served(url)
    if not hasattr(backend, "wakeups"):
        raise UnknownBackend(
            f"the backend for {url.partition(':')[0]!r} journals carries no hints of others; name one that "
            "does, such as redis://host:6379/0"
        )
    with asked(entry, "could not make hints of its URL"):
        return cast(WakingBackend, backend).wakeups(url)


def capabilities(url: str) -> frozenset[str]:
    """What the backend of this URL declares beyond the port. Raises UnknownBackend like `connect`."""
    return _backend(url).CAPABILITIES


def available() -> list[Installed]:
    """Every installed backend, by scheme; one that cannot be used says why instead of raising."""
    return [_describe(entry) for entry in sorted(entries(), key=lambda entry: (entry.name, origin(entry)))]


def _describe(entry: EntryPoint) -> Installed:
    try:
        backend = load(entry)
    except UnknownBackend as error:
        return Installed(entry.name, origin(entry), frozenset(), 0, str(error))
    return Installed(entry.name, origin(entry), frozenset(backend.CAPABILITIES), backend.PORT_VERSION)


def _backend(url: str) -> Backend:
    return _served(url)[1]


def _served(url: str) -> tuple[EntryPoint, Backend]:
    """Who serves a URL. Raises UnknownBackend."""
    scheme = url.partition(":")[0].lower()
    if ":" not in url or not scheme:
        raise UnknownBackend(
            f"{url!r} is not a journal URL: it begins with a backend's scheme, "
            f"like sqlite:///orders.db; {listing()}"
        )
    for name in (scheme, scheme.partition("+")[0]):  # a driver may have its own backend: it goes first
        found = [entry for entry in entries() if entry.name == name]
        if len(found) > 1:
            claimants = " and ".join(sorted(origin(entry) for entry in found))
            raise UnknownBackend(f"{claimants} both claim {name!r} journals; uninstall one of them")
        if found:
            return found[0], load(found[0])
    raise UnknownBackend(_unknown(scheme))


def _unknown(scheme: str) -> str:
    near = difflib.get_close_matches(scheme.partition("+")[0], [entry.name for entry in entries()], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no installed backend serves {scheme!r} journals{hint} ({listing()})"
