"""One measurement: what a contender did, and what it cost in the same time.

Rule: wall clock, CPU, WAL and transaction ids are taken around the measured part alone. Transactions, rows
and syncs are counted by the server a moment late, so they are taken over the contender's whole life in that
database, warm-up included, and divided by all the runs of it, less what it costs to begin and end at all
(measured once, with no run in between).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from benchmarks.cpu import busy_seconds, tree_seconds
from benchmarks.process import Contestant, Process
from benchmarks.server import Counted, Server

__all__ = ["Stage", "Template", "around", "per_run"]

WARM = 1.0  # seconds
LATE = ("transactions", "inserted", "updated", "deleted", "syncs")


@frozen
class Template:
    """A database that a contender prepared.

    :ivar idle: what only opening and closing the contender counts.
    """

    name: str
    idle: Counted


class Stage:
    """A server, and the templates that contenders made on it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._templates: dict[str, Template] = {}

    def template(self, contestant: Contestant) -> Template:
        """Made at the first call. Raises Broken, NotToBeHad."""
        if contestant.module not in self._templates:
            name = f"template_{contestant.module}"
            url = self.server.create(name)
            with Process(contestant) as process:
                process.ask("prepare", url=url)
            self._templates[contestant.module] = Template(name, self._idle(contestant, name))
        return self._templates[contestant.module]

    def _idle(self, contestant: Contestant, template: str) -> Counted:
        name = f"idle_{contestant.module}"
        url = self.server.create(name, template)
        syncs = self.server.syncs()
        with Process(contestant) as process:
            process.ask("open", url=url, options=contestant.options)
            process.ask("close")
        counted = self.life(name, syncs)
        self.server.drop(name)
        return counted

    def life(self, name: str, syncs: int) -> Counted:
        """What was counted for a database since it was made, and for the server since that reading."""
        return {**self.server.counted(name), "syncs": self.server.syncs() - syncs}

    def fresh(self, contestant: Contestant, template: str | None = None) -> tuple[str, str]:
        """Name and URL of a copy of the contender's template, or of another, large one."""
        name = f"bench_{contestant.module}"
        if template is None:
            return name, self.server.create(name, self.template(contestant).name)
        return name, self.server.create(name, template, large=True)

    def load(
        self,
        contestant: Contestant,
        verb: str,
        seconds: float,
        *,
        template: str | None = None,
        processes: int = 1,
    ) -> dict[str, Any]:
        """One round of a closed loop on a fresh database. Raises Broken, NotOffered, NotToBeHad.

        :param processes: contenders at once, each with `flying` runs of its own.
        """
        idle = self.template(contestant).idle
        name, url = self.fresh(contestant, template)
        syncs = self.server.syncs()
        crew = [Process(contestant) for _ in range(processes)]
        try:
            opened = [process.ask("open", url=url, options=contestant.options) for process in crew]
            asked: dict[str, Any] = {"verb": verb, "flying": contestant.flying}
            warm = together(crew, seconds=min(WARM, seconds), **asked)
            self.server.checkpoint()
            figures = around(self.server, crew, opened, lambda: together(crew, seconds=seconds, **asked))
            for process in crew:
                process.ask("close")
        finally:
            for process in crew:
                process.end()
        life = self.life(name, syncs)
        self.server.drop(name)
        every = warm["runs"] + figures["runs"]
        if "server" not in opened[0]:
            figures["counted"] = {key: (life[key] - processes * idle[key]) / every for key in LATE}
        return {**figures, "flying": contestant.flying, "versions": opened[0].get("versions", {})}


def together(crew: Sequence[Process], *, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask all at the same moment; runs add up, the longest counts."""
    for process in crew:
        process.begin(verb, **arguments)
    answers = [process.answer() for process in crew]
    return {
        "runs": sum(answer["runs"] for answer in answers),
        **{key: max(answer[key] for answer in answers) for key in ("seconds", "p50", "p99")},
    }


def around(
    server: Server,
    crew: Sequence[Process],
    opened: Sequence[dict[str, Any]],
    do: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """What `do` answers, with what it cost: seconds of CPU, bytes of WAL, transaction ids.

    `others` is how many cores were busy with anything else meanwhile; None where that is not known.
    """
    before = _spent(server, crew, opened)
    begun = time.perf_counter()
    answer = do()
    wall = time.perf_counter() - begun
    after = _spent(server, crew, opened)
    spent = {key: _less(after[key], before[key]) for key in before}
    busy = spent.pop("busy")
    others = busy
    for key in ("client_cpu", "server_cpu", "own_cpu"):
        others = _less(others, spent[key])
    quiet = None if others is None else max(0.0, others / wall)
    if any("server" in told for told in opened):
        spent |= {"wal": None, "writing": None}  # it keeps what it keeps elsewhere
    return {**answer, "wall": wall, "spent": spent, "others": quiet, "load": os.getloadavg()[0]}


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _spent(
    server: Server, crew: Sequence[Process], opened: Sequence[dict[str, Any]]
) -> dict[str, float | None]:
    """Readings that only grow."""
    clients = [tree_seconds(process.pid) for process in crew]
    client = None if None in clients else sum(seconds or 0.0 for seconds in clients)
    postgres = server.cpu()
    for answer in opened:  # a server that a contender brought is below it, and yet a server
        if (pid := answer.get("server")) is not None and client is not None and postgres is not None:
            theirs = tree_seconds(pid) or 0.0
            client, postgres = client - theirs, postgres + theirs
    mine = os.times()
    return {
        "client_cpu": client,
        "server_cpu": postgres,
        "own_cpu": mine.user + mine.system,
        "busy": busy_seconds(),
        **server.instant(),
    }


def per_run(figures: dict[str, Any]) -> dict[str, float | None]:
    """What a reader compares: rate, microseconds of CPU and kilobytes of WAL a run."""
    runs, spent = figures["runs"], figures["spent"]

    def each(key: str, scale: float) -> float | None:
        return None if spent[key] is None or not runs else spent[key] / runs * scale

    return {
        "rate": runs / figures["seconds"],
        "client_us": each("client_cpu", 1e6),
        "server_us": each("server_cpu", 1e6),
        "wal_kb": each("wal", 1e-3),
        "writing": each("writing", 1.0),
        "p50": figures["p50"],
        "p99": figures["p99"],
        **figures.get("counted", {}),
    }
