"""Sessions under virtual time: queues, delays, invocations. Each macrostep is one `step`."""

from __future__ import annotations

import heapq
from collections import deque
from pathlib import Path
from typing import Any, cast

from attrs import define, evolve, field

from continuum_core.interpreter.commands import Close, StartActivity
from continuum_core.interpreter.events import Event, Signal, Start
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.interpreter.program import ascending
from continuum_core.interpreter.snapshot import Snapshot
from continuum_scxml.document import Node
from tests.interpreter.scxml.datamodel import Datamodel, ScxmlEvent
from tests.interpreter.scxml.loader import Document, Invited, load
from tests.interpreter.scxml.session import PROCESSOR, Cancelled, Sent, Session


@define(eq=False)
class Running:
    """A session, its run, and who invoked it."""

    document: Document
    session: Session
    snapshot: Snapshot
    parent: Running | None = None
    invited: Invited | None = None
    queue: deque[ScxmlEvent] = field(factory=deque)
    children: dict[int, list[Running]] = field(factory=dict)  # token → invoked sessions

    def invoked(self) -> list[Running]:
        return [child for children in self.children.values() for child in children]

    def active(self) -> set[str]:
        """The ids of all active states."""
        return {self.document.ids[number] for number in ascending(self.snapshot.configuration)}

    def leaves(self) -> set[str]:
        """The ids of the active atomic states."""
        leaves = self.snapshot.configuration & self.document.program.leaves
        return {self.document.ids[number] for number in ascending(leaves)}


class Processor:
    """All sessions that one document starts."""

    def __init__(self, root: Node, folder: Path, language: str) -> None:
        self.folder = folder
        self.language = language
        self.now = 0
        self.count = 0
        self.sessions: list[Running] = []
        self.delayed: list[tuple[int, int, Running, Sent]] = []
        self.main = self._begin(root, None, None)
        self.settle()

    # --- driving --------------------------------------------------------------------------------

    def send(self, name: str, data: Any = None) -> None:
        """An event from outside, and everything that follows at once."""
        self.main.queue.append(ScxmlEvent(name, data=data))
        self.settle()

    def advance(self, length: int) -> None:
        """Let time pass: microseconds."""
        until = self.now + length
        while self.delayed and self.delayed[0][0] <= until:
            due, _, sender, sent = heapq.heappop(self.delayed)
            self.now = max(self.now, due)
            if sender in self.sessions:
                self._route(sender, sent)
                self.settle()
        self.now = until

    def settle(self) -> None:
        """Take events until no session has any."""
        while waiting := next((running for running in self.sessions if running.queue), None):
            event = waiting.queue.popleft()
            for child in waiting.invoked():
                invited = child.invited
                if invited is None:
                    continue
                if invited.id == event.invokeid and invited.finalize is not None:
                    invited.finalize(waiting.session, event, waiting.snapshot.configuration)
                if invited.forward:
                    child.queue.append(event)
            self._step(waiting, Signal(event))

    # --- one session ----------------------------------------------------------------------------

    def _begin(self, root: Node, parent: Running | None, invited: Invited | None) -> Running:
        self.count += 1
        document = load(root)
        name = f"session{self.count}"
        place = {"location": f"#_scxml_{name}"}
        language = root.get("datamodel") or self.language
        if language != "python":  # one file says c89; its expressions are ECMAScript as well
            language = "ecmascript"
        system = {
            "_event": None,
            "_sessionid": name,
            "_name": root.get("name") or "",
            "_ioprocessors": {"scxml": place, PROCESSOR: place},
        }
        data = Datamodel(language, system)
        given = {} if invited is None else invited.given
        session = Session(data, name, self.folder, self, given, document.numbers)
        data.system["In"] = data.scope["In"] = session.contains
        running = Running(document, session, unborn(document.program), parent, invited)
        self.sessions.append(running)
        self._step(running, Start(session))
        return running

    def _step(self, running: Running, event: Event) -> None:
        made = step(running.document.program, running.snapshot, event, self.now)
        running.snapshot = made.snapshot
        self._empty(running)
        for command in made.commands:
            if isinstance(command, Close):
                for child in running.children.pop(command.token, []):
                    self._end(child)
        if running.snapshot.outcome is not None:
            self._finished(running)
            return
        for command in made.commands:
            if isinstance(command, StartActivity):
                child = self._begin(command.input.document, running, command.input)
                if child in self.sessions:
                    running.children.setdefault(command.token, []).append(child)

    def _empty(self, running: Running) -> None:
        outbox, running.session.outbox = running.session.outbox, []
        for item in outbox:
            if isinstance(item, Cancelled):
                self.delayed = [
                    entry
                    for entry in self.delayed
                    if entry[2] is not running or entry[3].event.sendid != item.sendid
                ]
                heapq.heapify(self.delayed)
            elif item.delay:
                self.count += 1
                heapq.heappush(self.delayed, (self.now + item.delay, self.count, running, item))
            else:
                self._route(running, item)

    def _finished(self, running: Running) -> None:
        final = running.snapshot.outcome.state if running.snapshot.outcome else None
        self._end(running)
        if running.parent is not None and running.invited is not None and final is not None:
            _, data = running.document.done_data(running.session, final)
            name = running.invited.id
            done = ScxmlEvent(f"done.invoke.{name}", "external", data, invokeid=name)
            running.parent.queue.append(done)

    def _end(self, running: Running) -> None:
        for child in running.invoked():
            self._end(child)
        self.sessions = [other for other in self.sessions if other is not running]

    # --- the event processor --------------------------------------------------------------------

    def reachable(self, session: Session, target: str) -> bool:
        """Whether a send to this target would find somebody."""
        sender = next(running for running in self.sessions if running.session is session)
        return self._target(sender, target) is not None

    def _target(self, sender: Running, target: str | None) -> Running | None:
        if target is None:
            return sender
        if target == "#_parent":
            return sender.parent
        named = target.removeprefix("#_scxml_")
        if named != target:
            return next((running for running in self.sessions if running.session.sessionid == named), None)
        invoked = [child for child in sender.invoked() if child.invited]
        name = target.removeprefix("#_")
        return next((child for child in invoked if child.invited and child.invited.id == name), None)

    def _route(self, sender: Running, sent: Sent) -> None:
        receiver = self._target(sender, sent.target)
        if receiver is None:
            return
        event = sent.event
        if receiver is sender.parent and sender.invited is not None:
            event = evolve(cast(Any, event), invokeid=sender.invited.id)  # @event made it an attrs class
        receiver.queue.append(event)
