"""What a machine declares its runs to be found by → attributes as the journal keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuum_core.definition.chart import Chart, SearchAttribute
from continuum_core.definition.searchable import plain
from continuum_core.errors import MachineFault
from continuum_core.journal.attributes import STATE, Attribute, key_of, name_of_kind, sorted_keys
from continuum_core.mapper.images import Image
from continuum_core.registry import Entry

__all__ = ["Described", "described", "given", "rewritten"]

Described = Mapping[str, tuple[bytes, ...]]
"""Keys by the attribute's name."""


def described(entry: Entry, image: Image) -> Described:
    """What a run at rest is found by. Raises MachineFault where a function of the machine fails."""
    snapshot, chart = image.snapshot, entry.chart
    if snapshot.configuration == 0:
        return {}  # cancelled before it began: there never was a context
    found: dict[str, tuple[bytes, ...]] = {}
    for each in chart.attributes:
        if each.of is not None and (key := _key(chart, each, snapshot.context)) is not None:
            found[each.name] = (key,)
    if chart.finds_states:
        active = [state for state in chart.states[1:] if snapshot.configuration >> state.number & 1]
        found[STATE] = sorted_keys({name for state in active for name in (state.name, state.path)})
    return found


def rewritten(entry: Entry, after: Described) -> tuple[Attribute, ...]:
    """All that a run is found by, where nobody knows what was written before: by another definition, say."""
    names = {each.name for each in entry.chart.attributes if each.of is not None}
    return tuple(Attribute(name, after.get(name, ())) for name in sorted({*names, STATE}))


def _key(chart: Chart, attribute: SearchAttribute, context: Any) -> bytes | None:
    where = f"attribute {attribute.name}"
    if attribute.of is None:
        return None
    try:
        value = plain(attribute.of.call(context))
        key = None if value is None else key_of(value)
    except Exception as cause:
        raise MachineFault(chart.name, where, f"{type(cause).__name__}: {cause}") from cause
    if key is not None and name_of_kind(key) != attribute.kind:
        raise MachineFault(chart.name, where, f"it gave {value!r}, which is no {attribute.kind}")
    return key


def given(kinds: Mapping[str, tuple[str, bool]], values: Mapping[str, Any]) -> tuple[Attribute, ...]:
    """What a client sets, by name; None takes an attribute away.

    :param kinds: of the machine's attributes; whether it computes them itself.

    Raises ValueError with what is wrong.
    """
    found: list[Attribute] = []
    for name, value in sorted(values.items()):
        if name not in kinds:
            known = ", ".join(sorted(each for each, (_, computed) in kinds.items() if not computed))
            raise ValueError(f"the machine declares no attribute {name!r} (to set: {known or 'none'})")
        kind, computed = kinds[name]
        if computed:
            raise ValueError(f"the machine computes {name!r} from its context; change that instead")
        kept = plain(value)
        key = None if kept is None else key_of(kept)
        if kept is not None and (key is None or name_of_kind(key) != kind):
            raise ValueError(f"{name!r} is a {kind}, and {value!r} is none")
        found.append(Attribute(name, () if key is None else (key,)))
    return tuple(found)
