"""How many events a second one core carries through the interpreter, beside other libraries.

    python benchmarks/interpreter.py [--seconds 0.3] [--rounds 5] [--json FILE] [NAME ...]

Three machines, the same for everybody: *flat*, two states and an edge each way; *three levels*, where
each event leaves three nested states and enters three others; *two regions*, where each event moves
both regions of a parallel state. Every contender is set up in the quickest mode that keeps its own
semantics, checked for arriving where it should, and measured in interleaved rounds, so that a slow
moment of the machine hits all of them. Ours returns a whole new `Snapshot` and `Step` each time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from attrs import frozen

from continuum_core.definition.declare import Machine, root
from continuum_core.definition.event import event
from continuum_core.interpreter.events import Signal, Start
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.interpreter.program import compile_chart
from continuum_core.interpreter.snapshot import Snapshot, Step

FLAT, DEEP, REGIONS = "flat", "three levels", "two regions"
TARGETS = {
    ("continuum", FLAT): 300_000,
    ("continuum", DEEP): 200_000,
    ("continuum + JSON record", FLAT): 150_000,
}
RIVAL, RATIO = "python-statemachine", 20

Run = Callable[[int], None]
"""Carries that many events through a machine."""


@frozen
class Contender:
    """One library in one shape; `make` builds the machine, checks it, and returns what is timed."""

    library: str
    shape: str
    make: Callable[[], Run]
    package: str | None = None  # the distribution it needs


# --- ours -------------------------------------------------------------------------------------------


@event
class Go:
    """The event of every machine here."""


@event
class Halt:
    """Ends a machine; every machine must be able to end."""


class Flat(Machine[int, int, int], name="bench-flat"):
    s = root(int)
    a = s.state(initial=True)
    b = s.state()
    end = s.final()

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    a.on(Go, b)
    b.on(Go, a)
    s.on(Halt, end)


class Reducing(Machine[int, int, int], name="bench-reducing"):
    s = root(int)
    a = s.state(initial=True)
    b = s.state()
    end = s.final()

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    a.on(Go, b, when=lambda n, _: n >= 0, assign=lambda n, _: n + 1)
    b.on(Go, a, when=lambda n, _: n >= 0, assign=lambda n, _: n + 1)
    s.on(Halt, end)


class Deep(Machine[int, int, int], name="bench-deep"):
    s = root(int)
    a = s.state(initial=True)
    a1 = a.state(initial=True)
    a2 = a1.state(initial=True)
    b = s.state()
    b1 = b.state(initial=True)
    b2 = b1.state(initial=True)
    end = s.final()

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    a2.on(Go, b)
    b2.on(Go, a)
    s.on(Halt, end)


class Regions(Machine[int, int, int], name="bench-regions"):
    s = root(int)
    p = s.parallel(initial=True)
    left = p.state()
    a = left.state(initial=True)
    b = left.state()
    right = p.state()
    c = right.state(initial=True)
    d = right.state()
    end = s.final()

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    a.on(Go, b)
    b.on(Go, a)
    c.on(Go, d)
    d.on(Go, c)
    s.on(Halt, end)


def ours(machine: Any) -> Callable[[], Run]:
    """`step` on the class, as a user would call it."""

    def make() -> Run:
        born = step(machine, unborn(machine), Start(0), 0).snapshot
        signal = Signal(Go())
        moved = step(machine, born, signal, 1)
        assert moved.snapshot.configuration != born.configuration
        assert step(machine, moved.snapshot, signal, 2).snapshot.configuration == born.configuration

        def run(events: int) -> None:
            snapshot = born
            for now in range(events):
                snapshot = step(machine, snapshot, signal, now).snapshot

        return run

    return make


class Written(msgspec.Struct, frozen=True):
    """A record as a journal would keep it."""

    version: int
    event: str
    now: int
    edges: tuple[tuple[int, ...], ...]
    states: tuple[str, ...]
    context: Any
    disposition: str


def ours_written(machine: Any) -> Callable[[], Run]:
    """`step`, and its record as JSON."""
    program = compile_chart(machine.chart)
    encode = msgspec.json.Encoder().encode
    paths: dict[int, tuple[str, ...]] = {}

    def record(taken: Step) -> bytes:
        after = taken.snapshot
        leaves = after.configuration & program.leaves
        states = paths.get(leaves)
        if states is None:
            states = paths[leaves] = tuple(s.path for s in machine.chart.states if leaves >> s.number & 1)
        return encode(
            Written(
                after.version, "Go", after.now, taken.edges, states, after.context, taken.disposition.value
            )
        )

    def make() -> Run:
        born: Snapshot = step(machine, unborn(machine), Start(0), 0).snapshot
        signal = Signal(Go())
        assert b'"states":["b"]' in record(step(machine, born, signal, 1))

        def run(events: int) -> None:
            snapshot = born
            for now in range(events):
                taken = step(machine, snapshot, signal, now)
                record(taken)
                snapshot = taken.snapshot

        return run

    return make


# --- a floor, and the others ------------------------------------------------------------------------


def bare() -> Run:
    """What no interpreter can beat: a dict lookup and an attribute set."""
    table = {("a", "go"): "b", ("b", "go"): "a"}

    class Holder:
        state = "a"

    def run(events: int) -> None:
        holder = Holder()
        for _ in range(events):
            holder.state = table[holder.state, "go"]

    return run


def statemachine(shape: str) -> Callable[[], Run]:
    """python-statemachine: its bound event method, without listeners, on a model of its own."""

    def make() -> Run:
        library: Any = importlib.import_module("statemachine")
        machine = _STATEMACHINES[shape](library)()
        before = machine.configuration_values
        machine.go()
        assert machine.configuration_values != before

        def run(events: int) -> None:
            go = machine.go
            for _ in range(events):
                go()

        return run

    return make


def _statemachine_flat(library: Any) -> Any:
    class Ring(library.StateMachine):  # type: ignore[misc]  # an optional library, seen as Any
        a = library.State(initial=True)
        b = library.State()
        go = a.to(b) | b.to(a)

    return Ring


def _statemachine_deep(library: Any) -> Any:
    compound: Any = library.State.Compound

    class Nested(library.StateChart):  # type: ignore[misc]  # as above
        class a(compound):  # type: ignore[misc]
            class a1(compound):  # type: ignore[misc]
                a2 = library.State(initial=True)

        class b(compound):  # type: ignore[misc]
            class b1(compound):  # type: ignore[misc]
                b2 = library.State(initial=True)

        go = a.to(b) | b.to(a)  # the metaclass makes them states

    return Nested


def _statemachine_regions(library: Any) -> Any:
    compound: Any = library.State.Compound

    class Both(library.StateChart):  # type: ignore[misc]  # as above
        class p(library.State.Parallel):  # type: ignore[misc]
            class left(compound):  # type: ignore[misc]
                a = library.State(initial=True)
                b = library.State()
                go = a.to(b) | b.to(a)

            class right(compound):  # type: ignore[misc]
                c = library.State(initial=True)
                d = library.State()
                go = c.to(d) | d.to(c)

    return Both


_STATEMACHINES: dict[str, Callable[[Any], Any]] = {
    FLAT: _statemachine_flat,
    DEEP: _statemachine_deep,
    REGIONS: _statemachine_regions,
}


def transitions(shape: str) -> Callable[[], Run]:
    """transitions: no queue, no automatic edges; HierarchicalMachine only where it must be."""

    def make() -> Run:
        flat = importlib.import_module("transitions").Machine
        nested = importlib.import_module("transitions.extensions").HierarchicalMachine

        class Model:
            go: Any  # the library puts it there
            state: Any

        states, edges = _TRANSITIONS[shape]
        initial = "p" if shape == REGIONS else "a" if shape == FLAT else "a_a1_a2"
        model = Model()
        (flat if shape == FLAT else nested)(
            model, states=states, transitions=edges, initial=initial, auto_transitions=False
        )
        before = model.state
        assert model.go()
        assert model.state != before

        def run(events: int) -> None:
            go = model.go
            for _ in range(events):
                go()

        return run

    return make


def _tree(*names: str) -> dict[str, Any]:
    """States nested in one another, each the initial one of its parent."""
    if len(names) == 1:
        return {"name": names[0]}
    return {"name": names[0], "initial": names[1], "children": [_tree(*names[1:])]}


_TRANSITIONS: dict[str, tuple[list[Any], list[list[str]]]] = {
    FLAT: (["a", "b"], [["go", "a", "b"], ["go", "b", "a"]]),
    DEEP: (
        [_tree("a", "a1", "a2"), _tree("b", "b1", "b2")],
        [["go", "a_a1_a2", "b"], ["go", "b_b1_b2", "a"]],
    ),
    REGIONS: (
        [
            {
                "name": "p",
                "parallel": [
                    {"name": "left", "initial": "a", "children": ["a", "b"]},
                    {"name": "right", "initial": "c", "children": ["c", "d"]},
                ],
            }
        ],
        [
            ["go", "p_left_a", "p_left_b"],
            ["go", "p_left_b", "p_left_a"],
            ["go", "p_right_c", "p_right_d"],
            ["go", "p_right_d", "p_right_c"],
        ],
    ),
}


def sismic(shape: str) -> Callable[[], Run]:
    """sismic: contracts off, one macrostep an event."""

    def make() -> Run:
        read = importlib.import_module("sismic.io.datadict").import_from_dict
        engine = importlib.import_module("sismic.interpreter").Interpreter
        chart = read({"statechart": {"name": "bench", "root state": _SISMIC[shape]}})
        interpreter = engine(chart, ignore_contract=True)
        interpreter.execute()
        before = interpreter.configuration
        interpreter.queue("go").execute_once()
        assert interpreter.configuration != before

        def run(events: int) -> None:
            for _ in range(events):
                interpreter.queue("go")
                interpreter.execute_once()

        return run

    return make


def _leaf(name: str, target: str) -> dict[str, Any]:
    return {"name": name, "transitions": [{"event": "go", "target": target}]}


def _nest(inner: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in reversed(names):
        inner = {"name": name, "initial": inner["name"], "states": [inner]}
    return inner


_SISMIC: dict[str, dict[str, Any]] = {
    FLAT: {"name": "root", "initial": "a", "states": [_leaf("a", "b"), _leaf("b", "a")]},
    DEEP: {
        "name": "root",
        "initial": "a",
        "states": [_nest(_leaf("a2", "b"), "a", "a1"), _nest(_leaf("b2", "a"), "b", "b1")],
    },
    REGIONS: {
        "name": "root",
        "parallel states": [
            {"name": "left", "initial": "a", "states": [_leaf("a", "b"), _leaf("b", "a")]},
            {"name": "right", "initial": "c", "states": [_leaf("c", "d"), _leaf("d", "c")]},
        ],
    },
}


def xstate(shape: str) -> Callable[[], Run]:
    """xstate-statemachine: the synchronous interpreter."""

    def make() -> Run:
        library: Any = importlib.import_module("xstate_statemachine")
        machine = library.create_machine(_XSTATE[shape])
        interpreter = library.SyncInterpreter(machine).start()
        before = set(interpreter.active_state_ids)
        interpreter.send("GO")
        assert set(interpreter.active_state_ids) != before

        def run(events: int) -> None:
            send = interpreter.send
            for _ in range(events):
                send("GO")

        return run

    return make


def _pair(first: str, second: str) -> dict[str, Any]:
    return {
        "initial": first,
        "states": {first: {"on": {"GO": second}}, second: {"on": {"GO": first}}},
    }


_XSTATE: dict[str, dict[str, Any]] = {
    FLAT: {"id": "m", **_pair("a", "b")},
    DEEP: {
        "id": "m",
        "initial": "a",
        "states": {
            "a": {
                "initial": "a1",
                "states": {"a1": {"initial": "a2", "states": {"a2": {"on": {"GO": "#m.b"}}}}},
            },
            "b": {
                "initial": "b1",
                "states": {"b1": {"initial": "b2", "states": {"b2": {"on": {"GO": "#m.a"}}}}},
            },
        },
    },
    REGIONS: {
        "id": "m",
        "type": "parallel",
        "states": {"left": _pair("a", "b"), "right": _pair("c", "d")},
    },
}


# --- measuring --------------------------------------------------------------------------------------


def contenders() -> list[Contender]:
    """Everybody, in the order of the table."""
    found = [
        Contender("continuum", FLAT, ours(Flat)),
        Contender("continuum", DEEP, ours(Deep)),
        Contender("continuum", REGIONS, ours(Regions)),
        Contender("continuum, guard + reducer", FLAT, ours(Reducing)),
        Contender("continuum + JSON record", FLAT, ours_written(Flat)),
    ]
    for library, make in (
        (RIVAL, statemachine),
        ("transitions", transitions),
        ("sismic", sismic),
        ("xstate-statemachine", xstate),
    ):
        found += [Contender(library, shape, make(shape), library) for shape in (FLAT, DEEP, REGIONS)]
    return [*found, Contender("bare dict lookup", FLAT, bare)]


def measure(runs: Sequence[Run], seconds: float, rounds: int) -> list[list[float]]:
    """Events a second of each, in each of the interleaved rounds."""
    sizes = [_size(run, seconds) for run in runs]
    rates: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, size, rate in zip(runs, sizes, rates, strict=True):
            rate.append(size / _timed(run, size))
    return rates


def _size(run: Run, seconds: float) -> int:
    """How many events fill that many seconds."""
    size = 200
    while (taken := _timed(run, size)) < seconds / 4:
        size *= 2
    return max(1, round(size * seconds / taken))


def _timed(run: Run, size: int) -> float:
    begun = time.perf_counter()
    run(size)
    return time.perf_counter() - begun


def prepare(chosen: Sequence[str]) -> tuple[list[Contender], list[Run]]:
    """Those that are installed and wanted, each checked once; says who is left out."""
    ready: list[Contender] = []
    runs: list[Run] = []
    for contender in contenders():
        if chosen and not any(name in contender.library for name in chosen):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other libraries' deprecations are not our result
                runs.append(contender.make())
        except ImportError as error:
            print(f"left out: {contender.library}, {contender.shape}: {error}", file=sys.stderr)
            continue
        ready.append(contender)
    return ready, runs


def report(ready: Sequence[Contender], rates: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """The rows of the table."""
    medians = {(c.library, c.shape): statistics.median(r) for c, r in zip(ready, rates, strict=True)}
    rows: list[dict[str, Any]] = []
    for contender, rate in zip(ready, rates, strict=True):
        place = (contender.library, contender.shape)
        rival = medians.get((RIVAL, contender.shape))
        rows.append(
            {
                "library": contender.library,
                "version": None if contender.package is None else version(contender.package),
                "shape": contender.shape,
                "median": round(medians[place]),
                "lowest": round(min(rate)),
                "highest": round(max(rate)),
                "times_rival": None if rival is None else round(medians[place] / rival, 1),
                "target": TARGETS.get(place),
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> None:
    """Print the table, and whether the targets are met."""
    print(", ".join(f"{name}: {value}" for name, value in machine.items()))
    print(f"events a second, one core; last column: times {RIVAL} in the same shape\n")
    print(f"{'library':<29}{'shape':<14}{'median':>12}{'lowest':>12}{'highest':>12}{'times':>8}")
    for row in rows:
        name = row["library"] if row["version"] is None else f"{row['library']} {row['version']}"
        times = "" if row["times_rival"] is None else f"{row['times_rival']:.1f}"
        figures = f"{row['median']:>12,}{row['lowest']:>12,}{row['highest']:>12,}{times:>8}"
        print(f"{name:<29}{row['shape']:<14}{figures}")
    print()
    for row in rows:
        if row["target"] is not None:
            met = "met" if row["median"] >= row["target"] else "MISSED"
            print(f"target {met}: {row['library']}, {row['shape']}: {row['target']:,} a second")
        if row["library"] == "continuum" and row["times_rival"] is not None:
            met = "met" if row["times_rival"] >= RATIO else "MISSED"
            print(f"target {met}: {row['shape']}: {RATIO} times {RIVAL}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description="Events a second through state machine libraries.")
    parser.add_argument("names", nargs="*", help="only libraries whose names contain one of these")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of one measurement (default 0.3)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args(arguments)
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 2),
    }
    ready, runs = prepare(options.names)
    rows = report(ready, measure(runs, options.seconds, options.rounds))
    show(rows, machine)
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
