"""Whether values written as one type can be read as another, by the two types' descriptions.

A description is what `codec.describe` gives. Every field is written, also those that equal their
default, so defaults matter for fields that were added and for no others. A field that is gone breaks, though
it could be skipped when read: it may have been renamed, and its value would be lost without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from attrs import frozen

__all__ = ["breaks"]


@frozen
class _Pair:
    """The classes of both descriptions, and the pairs already being compared, so that recursion ends."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    under_way: set[tuple[str, str]]


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Why values written under `old` cannot be read, or would mean something else, under `new`."""
    pair = _Pair(old["classes"], new["classes"], set())
    yield from _type(pair, old["type"], new["type"], "it")


def _is_form(tp: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a described type is more than a name."""
    return isinstance(tp, dict)


def _is_list(tp: Any) -> TypeGuard[list[Any]]:
    return isinstance(tp, list)


def _type(pair: _Pair, old: Any, new: Any, where: str) -> Iterator[str]:
    if _is_form(old) and _is_form(new) and old.keys() == new.keys():
        yield from _composite(pair, old, new, where)
    elif _is_form(new) and "union" in new and not (_is_form(old) and "union" in old):
        yield from _widened(pair, old, new["union"], where)
        if _is_form(old) and "class" in old and _tagged(new["union"]):
            yield f"{where} is stored with the name of its class now"
    elif old != new:
        yield f"{where} was {_words(old)} and is {_words(new)}"


def _composite(pair: _Pair, old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    kind = next(iter(old))
    if kind == "class":
        yield from _class(pair, old["class"], new["class"], where)
    elif kind == "union":
        yield from _union(pair, old["union"], new["union"], where)
    elif kind == "enum":
        kept = {*new["members"].values()}
        for name, value in old["members"].items():
            if value not in kept:
                yield f"{where} lost its member {name}"
    elif kind == "literal":
        lost = [each for each in old["literal"] if each not in new["literal"]]
        if lost:
            yield f"{where} lost {', '.join(map(repr, lost))}"
    elif kind == "limited":
        if old["by"] != new["by"]:
            yield f"{where} has other limits"
        yield from _type(pair, old["limited"], new["limited"], where)
    else:
        yield from _container(pair, kind, old, new, where)


def _container(pair: _Pair, kind: str, old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    before, after = old[kind], new[kind]
    if not _is_list(before) or not _is_list(after):
        yield from _type(pair, before, after, f"{where}[]")
    elif len(before) != len(after):
        yield f"{where} had {len(before)} items and has {len(after)}"
    else:
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _type(pair, one, other, f"{where}[{index}]")


def _class(pair: _Pair, old: str, new: str, where: str) -> Iterator[str]:
    if (old, new) in pair.under_way:
        return
    pair.under_way.add((old, new))
    before, after = pair.before[old], pair.after[new]
    if before["kind"] != after["kind"]:
        yield f"{where} is stored in another form"
        return
    if before["kind"] == "row" and [f["name"] for f in before["fields"]] != [
        f["name"] for f in after["fields"][: len(before["fields"])]
    ]:
        yield f"{where} has its fields in another order"
    fields = {field["name"]: field for field in after["fields"]}
    for field in before["fields"]:
        name = f"{old}.{field['name']}"
        if field["name"] not in fields:
            yield f"{name} is gone, or has another name"
            continue
        yield from _field(pair, field, fields.pop(field["name"]), name)
    for field in fields.values():
        if not {"default", "made", "optional"} & field.keys():
            yield f"{new}.{field['name']} was added without a default"


def _field(pair: _Pair, old: dict[str, Any], new: dict[str, Any], name: str) -> Iterator[str]:
    if "optional" in old and not {"default", "made", "optional"} & new.keys():
        yield f"{name} could be absent and must be there now"
    yield from _type(pair, old["type"], new["type"], name)


def _union(pair: _Pair, old: list[Any], new: list[Any], where: str) -> Iterator[str]:
    for member in old:
        yield from _widened(pair, member, new, where)
    if _tagged(old) != _tagged(new):
        yield f"{where} tells its classes apart in another way"


def _tagged(members: list[Any]) -> bool:
    """Whether a union writes which of its classes a value is: it does from two classes on."""
    return sum(1 for each in members if _is_form(each) and "class" in each) > 1


def _widened(pair: _Pair, old: Any, members: list[Any], where: str) -> Iterator[str]:
    """One type became one of several: it must be there, under its own name where names are written."""
    named = _is_form(old) and "class" in old and _tagged(members)
    fitting = [member for member in members if (member == old if named else _alike(old, member))]
    found = [list(_type(pair, old, member, where)) for member in fitting]
    if [] not in found:
        yield from found[0] if found else [f"{where} may hold {_words(old)}, which it no longer knows"]


def _alike(old: Any, new: Any) -> bool:
    if _is_form(old) and _is_form(new):
        return old.keys() == new.keys()
    return bool(old == new)


def _words(tp: Any) -> str:
    if not _is_form(tp):
        return str(tp)
    if "class" in tp:
        return str(tp["class"])
    if "union" in tp:
        return " | ".join(_words(each) for each in tp["union"])
    return str(next(iter(tp)))
