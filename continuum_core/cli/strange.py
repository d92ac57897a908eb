"""Names that exist nowhere: what is asked of them is nothing, and mostly they are misspelt.

Rule: a warning on standard error, and no refusal. A machine may be about to run for the first time, and
what programs read of standard output stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from continuum_core.arguments import suggestion
from continuum_core.cli.output import print_json, say
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Definition
from continuum_core.query import And, Compare, In, Not, Or, Term, parse

__all__ = ["strange_machine", "strange_names", "warn_strange"]


async def strange_machine(journal: Journal, machine: str) -> str:
    """What to say where no machine of that name ever ran, be it misspelt; "" where one did."""
    return _machine(machine, await journal.definitions())


def strange_names(query: str, definitions: Sequence[Definition]) -> Iterator[str]:
    """What to say of the machines and states of a query that are nobody's. Raises QueryRefused."""
    where = parse(query).where
    asked = [] if where is None else list(_compared(where))
    for field, name in asked:
        if field == "machine" and (strange := _machine(name, definitions)):
            yield strange
    states = _states(definitions) if any(field == "state" for field, _ in asked) else frozenset[str]()
    for field, name in asked:
        if field == "state" and name not in states:
            yield f"no machine that is found by its states has a state {name!r}{_near(name, states)}"


async def warn_strange(
    journal: Journal, query: str | None, machine: str | None = None, *, as_json: bool = False
) -> None:
    """Warn of names of a query, and of a machine, that nothing in the journal has. Raises QueryRefused."""
    if not query and machine is None:
        return
    definitions = await journal.definitions()
    found = list(strange_names(query or "", definitions))
    if machine is not None and (strange := _machine(machine, definitions)):
        found.append(strange)
    for each in dict.fromkeys(found):
        if as_json:
            print_json({"warning": each}, stderr=True)
        else:
            say(f"warning: {each}", stderr=True, style="yellow")


def _machine(name: str, definitions: Sequence[Definition]) -> str:
    known = sorted({definition.machine for definition in definitions})
    if name in known:
        return ""
    listed = _near(name, known) or f"; known machines: {', '.join(known) or 'none'}"
    return f"no machine {name!r} ever ran in this journal{listed}"


def _near(name: str, known: Collection[str]) -> str:
    hint = suggestion(name, sorted(known))
    return hint and f"; {hint}"


def _states(definitions: Sequence[Definition]) -> frozenset[str]:
    """Paths and names of the states that runs are found by."""
    graphs = [json.loads(each.body) for each in definitions]
    paths = [state["path"] for graph in graphs if graph.get("finds_states") for state in graph["states"]]
    return frozenset(name for path in paths for name in (path, path.rpartition(".")[2]) if name)


def _compared(term: Term) -> Iterator[tuple[str, str]]:
    """The texts that a query compares fields with."""
    waiting = [term]
    while waiting:
        match waiting.pop():
            case And(terms) | Or(terms):
                waiting += terms
            case Not(inner):
                waiting.append(inner)
            case Compare(field, "=" | "!=", str(value)):
                yield field, value
            case In(field, values):
                yield from ((field, value) for value in values if isinstance(value, str))
            case _:
                pass
