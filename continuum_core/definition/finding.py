"""What the purity scan goes by, and what it brings to light."""

from __future__ import annotations

from attrs import define, field, frozen

from continuum_core.definition.chart import Place
from continuum_core.definition.known import Impurity

__all__ = ["Finding", "Rules", "Scan", "known_finding"]


@frozen
class Finding:
    """Something impure: code, sentence, remedy, and where it stands."""

    code: str
    what: str
    remedy: str
    place: Place


@frozen
class Rules:
    """What the scan of one machine goes by.

    :ivar package: the top-level package whose code is followed.
    :ivar trusted: modules whose functions are taken to be pure.
    :ivar members: names bound in the machine's class body, which its functions cannot see.
    """

    package: str
    trusted: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()


@define
class Scan:
    """What a scan brought to light.

    :ivar helpers: normalised sources of what the function calls, which belong to what it does.
    :ivar unread: why the source of something was not to be had.
    :ivar patches: the names that `patched` is asked for.
    """

    findings: list[Finding] = field(factory=list[Finding])
    helpers: set[str] = field(factory=set[str])
    unread: set[str] = field(factory=set[str])
    patches: set[str] = field(factory=set[str])


def known_finding(known: Impurity, text: str, place: Place) -> Finding:
    """What the tables say of something used as `text`."""
    code, does, remedy = known
    return Finding(code, f"uses {text}, which {does}", remedy, place)
