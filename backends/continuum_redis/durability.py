"""What a server's settings make of an acknowledgement, asked at open.

Rule: a server that may forget what it acknowledged, or drop it to make room, is refused unless the URL says
that this is wanted. Where the server does not tell its settings, the URL must.
"""

from __future__ import annotations

from redis import exceptions as raised

from continuum_core.errors import IncompatibleJournal
from continuum_redis.link import Link
from continuum_redis.nodes import Node
from continuum_redis.place import Place

__all__ = ["check"]

_ALWAYS = (
    "what was acknowledged survives the process, the server and a loss of power (append-only file, synced "
    "before every answer); a failover may lose it"
)
_EVERYSEC = (
    "what was acknowledged survives the process; a crash of the server's machine may take the last two "
    "seconds (append-only file, synced every second), and a failover more"
)
_EPHEMERAL = "NOTHING is promised to survive the server: the URL says durability=ephemeral"

_SENTENCES = {"always": _ALWAYS, "everysec": _EVERYSEC, "ephemeral": _EPHEMERAL}

_WORST = (_ALWAYS, _EVERYSEC, _EPHEMERAL)

_SETTINGS = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")


async def check(link: Link, place: Place) -> str:
    """A sentence for people, of the least durable node.

    Raises IncompatibleJournal, and what the driver raises.
    """
    told = [await _check(link, place, node) for node in link.space.nodes.all()]
    return max(told, key=_WORST.index) if set(told) <= set(_WORST) else told[0]


async def _check(link: Link, place: Place, node: Node) -> str:
    if place.durability == "ephemeral":
        return _EPHEMERAL
    settings = await _settings(link, node)
    where = f"{place.shown}{f', node {node}' if node else ''}"
    if settings is None:
        if place.durability:
            return (
                f"{_SENTENCES[place.durability]}; so says the URL, for the server does not tell its settings"
            )
        raise IncompatibleJournal(
            f"{place.shown}: the server does not tell its settings (CONFIG is forbidden): say in the URL "
            "what they are: durability=always, everysec or ephemeral"
        )
    faults = _faults(settings)
    if faults:
        raise IncompatibleJournal(
            f"{where}: the server would lose what it acknowledged: {'; '.join(faults)}. Change its "
            "settings, or write durability=ephemeral into the URL if that is wanted"
        )
    level = settings["appendfsync"]
    if place.durability and place.durability != level:
        raise IncompatibleJournal(
            f"{where}: the URL says durability={place.durability}, the server's appendfsync is {level}"
        )
    return _SENTENCES[level]


async def _settings(link: Link, node: Node) -> dict[str, str] | None:
    try:
        told = await link.command(b"CONFIG", b"GET", *(name.encode() for name in _SETTINGS), node=node)
    except raised.ResponseError:
        return None
    texts = [value.decode() for value in told]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _faults(settings: dict[str, str]) -> list[str]:
    faults: list[str] = []
    if settings.get("appendonly") != "yes":
        faults.append("appendonly is not yes")
    elif settings.get("appendfsync") not in ("always", "everysec"):
        faults.append(f"appendfsync is {settings.get('appendfsync')}")
    if settings.get("no-appendfsync-on-rewrite") == "yes":
        faults.append("no-appendfsync-on-rewrite is yes")
    if settings.get("maxmemory-policy") != "noeviction":
        faults.append(f"maxmemory-policy is {settings.get('maxmemory-policy')}, which drops keys")
    return faults
