"""The upgrades of a declaration: made values by `upgrades`, held against the lock files by `check_upgrades`.

Without the lock of an older version nobody can say at import what its states were; then that is said, and
what a journal has stored decides when a worker meets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from continuum_core.definition.bench import Bench, function, shown
from continuum_core.definition.chart import Chart, Function, Upgrade
from continuum_core.definition.draft import Node, UpgradeDraft
from continuum_core.definition.locks import Lock, LockRefused, lock_path, read_lock
from continuum_core.definition.upgrade import way
from continuum_core.errors import CodecError

__all__ = ["check_upgrades", "upgrades"]

_LOCK = "Write it while the code still is that version (`continuum lock MODULE:MACHINE`), and commit it"


def upgrades(bench: Bench, top: Node) -> tuple[Upgrade, ...]:
    """The declared upgrades that can be used; faults of the others are noted."""
    found: dict[int, Upgrade] = {}
    for draft in top.upgrades:
        where = f"upgrade({draft.version!r})"
        version = bench.header.version
        if not _is_version(draft.version) or not _is_version(version) or draft.version >= version:
            what = f"{draft.version!r} is no version before this one, {version!r}"
            remedy = "Name the version that runs come from, and give the machine a higher one: version=..."
            bench.fault("C601", where, what, remedy, draft.place)
        elif draft.version in found:
            bench.fault("C601", where, "it is declared twice", "Keep one of them", draft.place)
        else:
            found[draft.version] = Upgrade(
                draft.version,
                _states(bench, where, draft),
                _context(bench, where, draft),
                draft.to,
                draft.place,
            )
    for each in found.values():
        if each.to is not None and (each.to not in found or each.to <= each.version):
            where, what = f"upgrade({each.version})", f"to={each.to!r} has no upgrade of its own that goes on"
            remedy = f"Add upgrade({each.to!r}, ...), or leave to= out and name this version's states"
            bench.fault("C601", where, what, remedy, each.place)
    return tuple(sorted(found.values(), key=lambda each: each.version))


def _is_version(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _context(bench: Bench, where: str, draft: UpgradeDraft) -> Function | None:
    if draft.context is None:
        return None
    return function(bench, draft.context, f"{where} ctx=", draft.place, (Any,))


def _states(bench: Bench, where: str, draft: UpgradeDraft) -> dict[str, str]:
    """Old path → path. Between versions both are text; into this machine the second is one of its states."""
    if not _is_mapping(draft.states):
        remedy = "Write {'old.path': new_state}"
        bench.fault("C604", where, f"{draft.states!r} maps no states", remedy, draft.place)
        return {}
    found: dict[str, str] = {}
    for path, target in draft.states.items():
        if not isinstance(path, str) or not path:
            remedy = "Write its dotted path as text: the old version's code need not be here any more"
            bench.fault("C603", where, f"{path!r} names no old state", remedy, draft.place)
        elif draft.to is not None:
            found |= _between(bench, where, draft, path, target)
        else:
            found |= _into(bench, where, draft, path, target)
    return found


def _between(bench: Bench, where: str, draft: UpgradeDraft, path: str, target: Any) -> dict[str, str]:
    if isinstance(target, str) and target:
        return {path: target}
    remedy = f"With to={draft.to} give the dotted path that it had in version {draft.to}, as text"
    bench.fault("C604", where, f"{path!r} leads to {target!r}", remedy, draft.place)
    return {}


def _into(bench: Bench, where: str, draft: UpgradeDraft, path: str, target: Any) -> dict[str, str]:
    node = getattr(target, "node", None)
    remedy = "Give a state of this machine, below its root"
    if not isinstance(node, Node):
        bench.fault("C604", where, f"{path!r} leads to {target!r}, which is no state", remedy, draft.place)
    elif id(node) not in bench.numbers or node.parent is None:
        what = f"{path!r} leads to {shown(node)}, where no run of this machine can be sent"
        bench.fault("C604", where, what, remedy, draft.place)
    else:
        return {path: node.path}
    return {}


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def check_upgrades(bench: Bench, chart: Chart) -> None:
    """Note what the locks of the older versions say of the upgrades."""
    for each in chart.upgrades:
        where = f"upgrade({each.version})"
        lock = _lock(bench, chart, each, where)
        if lock is None:
            continue
        try:
            obstacles = way(lock.graph, chart)[1]
        except CodecError:  # a type of the machine cannot be carried: that is told already
            return
        for obstacle in obstacles:
            bench.fault(obstacle.code, obstacle.where, obstacle.what, obstacle.remedy, each.place)


def _lock(bench: Bench, chart: Chart, upgrade: Upgrade, where: str) -> Lock | None:
    path = lock_path(chart, upgrade.version)
    if path is None:
        return None  # code of no file, such as a prompt's, has nothing beside it
    try:
        return read_lock(path)
    except FileNotFoundError:
        what = f"without {path.name} beside the code nobody knows the states of version {upgrade.version}"
        bench.fault("C607", where, what, _LOCK, upgrade.place)
    except LockRefused as refused:
        remedy = "Take it back from version control"
        bench.fault("C606", where, f"{path.name}: {refused}", remedy, upgrade.place)
    return None
