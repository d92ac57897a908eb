"""Whether runs of one definition may go on under another, judged by the canonical forms alone.

A run at rest is its states, its context, its open timers and invokes, and the deliveries on their way.
The new definition may adopt it where all of these still mean what they meant. Logic may differ: an
author who mends a guard wants it to hold for the runs that are under way. Nothing is guessed: what is
not known to be safe needs an upgrade.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from continuum_core.definition.fingerprint import FORMAT
from continuum_core.definition.structure import breaks

__all__ = ["Change", "ChangeKind", "Difference", "compare", "remedy"]

Graph = Mapping[str, Any]

_RESTING = frozenset({"atomic", "compound", "parallel"})
_REMEMBERING = frozenset({"history", "deep-history"})


class ChangeKind(enum.Enum):
    """What a worker with the new definition may do with runs of the old one."""

    SAME = "same"  # nothing differs
    ADOPTABLE = "adoptable"  # take them: what differs was added, or is logic alone
    NEEDS_UPGRADE = "needs-upgrade"  # leave them: something a run may hold is gone or means something else


@frozen
class Difference:
    """One difference: where, what, and whether it stands in the way of adopting runs."""

    where: str
    what: str
    blocks: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@frozen
class Change:
    """All differences between two definitions, and what follows from them."""

    kind: ChangeKind
    differences: tuple[Difference, ...] = ()

    @property
    def blocking(self) -> tuple[Difference, ...]:
        """The differences that stand in the way."""
        return tuple(each for each in self.differences if each.blocks)


def compare(old: Graph, new: Graph) -> Change:
    """Classify the way from one canonical form (of `fingerprint.graph`, perhaps stored) to another."""
    if old == new:
        return Change(ChangeKind.SAME)
    if old.get("format") != FORMAT or new.get("format") != FORMAT:
        return _change([Difference("format", "it was written in another format", True)])
    return _change([*_header(old, new), *_types(old, new), *_states(old, new)])


def _change(differences: list[Difference]) -> Change:
    blocked = any(each.blocks for each in differences)
    kind = ChangeKind.NEEDS_UPGRADE if blocked else ChangeKind.ADOPTABLE
    return Change(kind, tuple(differences))


def _header(old: Graph, new: Graph) -> Iterator[Difference]:
    if old["name"] != new["name"]:
        yield Difference("name", f"{old['name']} became {new['name']}", True)
    if old["version"] != new["version"]:
        # Runs never go back: two workers of different versions would else pass them to and fro.
        what = f"{old['version']} became {new['version']}"
        yield Difference("version", what, new["version"] < old["version"])
    for name in sorted(old["functions"]):
        if old["functions"][name] != new["functions"].get(name):
            yield Difference(name, "its body changed", False)
    for name, what in (("attributes", "runs are found by others"), ("finds_states", "states are found")):
        if old.get(name) != new.get(name):
            yield Difference(name, f"{what}: written at a run's next turn", False)
    if old.get("deadline") != new.get("deadline"):
        yield Difference(
            "deadline", "how long a run may take changed; runs keep the deadline they began with", False
        )


def remedy(old: int, new: int) -> str:
    """What an author does where a version cannot take over the runs of another, in words."""
    if old < new:
        return f"declare upgrade({old}, ...), or keep the code of version {old} beside it"
    if old > new:
        return f"give it version={old} or more: runs never go back"
    return f"give it version={new + 1}, with upgrade({new}, ...); or undo what stands in the way"


# --- types -----------------------------------------------------------------------------------------


def _types(old: Graph, new: Graph) -> Iterator[Difference]:
    for name, before in old["types"].items():
        after = new["types"].get(name)
        if before is not None and before != after:
            yield from _type(name, before, after)
    yield from _named("event", old["events"], new["events"], ("type",))
    yield from _named("activity", old["activities"], new["activities"], ("input", "output"))


def _named(word: str, old: Graph, new: Graph, keys: tuple[str, ...]) -> Iterator[Difference]:
    for name, before in old.items():
        if name not in new:
            # A delivery of it may be on its way, and nobody could read it.
            yield Difference(f"{word} {name}", "it is gone", True)
            continue
        for key in keys:
            if before[key] != new[name][key]:
                where = f"{word} {name}" if key == "type" else f"{word} {name} {key}"
                yield from _type(where, before[key], new[name][key])
        if before.get("undo") != new[name].get("undo"):
            gone = f"{before['undo']} undid it" if "undo" in before else ""
            yield Difference(f"{word} {name}", f"its undo changed{gone and f' ({gone})'}", bool(gone))
        if before.get("version", 1) != new[name].get("version", 1):
            lower = new[name]["version"] < before["version"]
            yield Difference(f"{word} {name}", "its version changed", lower)
    for name in sorted(new.keys() - old.keys()):
        yield Difference(f"{word} {name}", "it was added", False)


def _type(where: str, before: Any, after: Any) -> Iterator[Difference]:
    if after is None:
        yield Difference(where, "its type is gone", True)
        return
    found = list(breaks(before, after))
    yield from (Difference(where, what, True) for what in found)
    if not found:
        yield Difference(where, "its type gained something, and reads all that was stored", False)


# --- states ----------------------------------------------------------------------------------------


def _states(old: Graph, new: Graph) -> Iterator[Difference]:
    before = {state["path"]: state for state in old["states"]}
    after = {state["path"]: state for state in new["states"]}
    for path, state in before.items():
        where = f"state {path}" if path else "the root"
        if path not in after:
            yield Difference(where, "it is gone", _held(state))
        elif state != after[path]:
            yield from _state(where, state, after[path])
    for path in (path for path in after if path not in before):
        parent = before.get(after[path]["parent"] or "")
        region = parent is not None and parent["kind"] == "parallel" and after[path]["kind"] in _RESTING
        what = "it was added as a region, and runs in its parent are not in it" if region else "it was added"
        yield Difference(f"state {path}", what, region)


def _held(state: Graph) -> bool:
    """Whether a run at rest, or its memory, may hold this state."""
    nested = state["kind"] == "final" and state["parent"] != ""
    return state["kind"] in _RESTING or state["kind"] in _REMEMBERING or nested


def _state(where: str, old: Graph, new: Graph) -> Iterator[Difference]:
    if old["kind"] != new["kind"]:
        yield Difference(where, f"{old['kind']} became {new['kind']}", _held(old))
    yield from _timers(where, old.get("timers", []), new.get("timers", []), old, new)
    yield from _invokes(where, old.get("invokes", []), new.get("invokes", []))
    yield from _crews(where, old.get("crews", []), new.get("crews", []))
    for key, what in (
        ("edges", "its edges changed"),
        ("entry", "its entry actions changed"),
        ("exit", "its exit actions changed"),
        ("initial", "its initial child changed"),
        ("default", "its default changed"),
        ("deferred", "what it defers changed"),
        ("ok", "how it ends the run changed"),
        ("compensation", "how it undoes changed"),
        ("anew", "how the run continues as new changed"),
    ):
        if old.get(key) != new.get(key):
            yield Difference(where, what, False)


def _timers(where: str, old: list[Any], new: list[Any], before: Graph, after: Graph) -> Iterator[Difference]:
    """Open timers are known by their position: what stands there must still be the same edge."""
    if len(new) < len(old):
        yield Difference(where, "a timer is gone, and may be running", True)
    elif len(new) > len(old) and list(_ways(before, "after")) != list(_ways(after, "after"))[: len(old)]:
        yield Difference(where, "timers were added, and not after the others", True)
    elif len(new) > len(old):
        yield Difference(where, "a timer was added; runs that are in it wait without", False)
    elif old != new:
        yield Difference(where, "a delay changed; running timers keep their deadline", False)


def _invokes(where: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    names_before = [each["activity"] for each in old]
    names_after = [each["activity"] for each in new]
    if names_before != names_after:
        # What was invoked is known by its position; what is new never starts in runs already there.
        before, after = ", ".join(names_before) or "nothing", ", ".join(names_after) or "nothing"
        yield Difference(where, f"it invoked {before} and now invokes {after}", True)
    elif old != new:
        yield Difference(where, "the input or key of an invoke changed", False)


def _crews(where: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    for before, after in zip(old, new, strict=False):
        if _members(before) != _members(after):
            what = f"{_members(before)} stood where {_members(after)} stands, and may be under way"
            yield Difference(where, what, True)
        elif before.get("word") in ("each", "collect") and before["input"] != after["input"]:
            # Members that wait are made again from it: another collection would be another work.
            yield Difference(where, f"the collection of each({_crewed(before)}) changed", True)
        elif before != after:
            yield Difference(where, f"the input or policy of {_members(before)} changed", False)
    if len(new) < len(old):
        yield Difference(where, f"{_members(old[len(new)])} is gone, and may be under way", True)
    elif len(new) > len(old):
        what = f"{_members(new[len(old)])} was added; runs that are in it go on without"
        yield Difference(where, what, any(each["word"] != "spawn" for each in new[len(old) :]))


def _crewed(crew: Mapping[str, Any]) -> str:
    return str(crew.get("machine", crew.get("activity")))


def _members(crew: Mapping[str, Any]) -> str:
    return f"{crew['word']}({_crewed(crew)})"


def _ways(state: Graph, kind: str) -> Iterable[Any]:
    return (edge.get("to") for edge in state.get("edges", []) if edge["on"] == kind)
