"""Charts made by hand for the tests of the drawings: states by path, edges by what they wait for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import evolve

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import (
    Action,
    ActionKind,
    Chart,
    Edge,
    Function,
    Invoke,
    Kind,
    State,
    Timer,
    Trigger,
    TriggerKind,
)


def function(label: str) -> Function:
    return Function(lambda *_: None, 1, label)


def assign(label: str) -> Action:
    return Action(ActionKind.ASSIGN, function(label))


class Sketch:
    """Collects states in any order; `chart()` numbers them in document order, as a declaration does."""

    def __init__(self, name: str, version: int = 1, root: Kind = Kind.COMPOUND) -> None:
        self.name, self.version = name, version
        self.states: dict[str, dict[str, Any]] = {"": {"kind": root}}
        self.edges: list[tuple[str, Trigger, tuple[str, ...], dict[str, Any]]] = []

    def state(self, path: str, kind: Kind = Kind.ATOMIC, **more: Any) -> None:
        """`initial`: this is its parent's; `entry`, `exit`, `deferred`, `ok`, `default` as in State."""
        self.states[path] = {"kind": kind, **more}
        parent = self.states[path.rpartition(".")[0]]
        if parent["kind"] is Kind.ATOMIC:
            parent["kind"] = Kind.COMPOUND

    def on(self, source: str, event: str | None, *targets: str, **more: Any) -> None:
        kind = TriggerKind.EVENT if event else TriggerKind.ALWAYS
        self.edges.append((source, Trigger(kind, type(event, (), {}) if event else None), targets, more))

    def any(self, source: str, *targets: str, **more: Any) -> None:
        self.edges.append((source, Trigger(TriggerKind.ANY), targets, more))

    def done(self, source: str, *targets: str) -> None:
        self.edges.append((source, Trigger(TriggerKind.DONE), targets, {}))

    def after(self, source: str, delay: timedelta | Function, *targets: str, **more: Any) -> None:
        timers = self.states[source].setdefault("timers", [])
        timers.append(Timer(len(timers), delay))
        self.edges.append((source, Trigger(TriggerKind.AFTER, slot=len(timers) - 1), targets, more))

    def invoke(self, source: str, name: str, done: str, **errors: str) -> None:
        invokes = self.states[source].setdefault("invokes", [])
        slot = len(invokes)
        invokes.append(Invoke(slot, Activity(print, name, str, str), function("c.order")))
        self.edges.append((source, Trigger(TriggerKind.INVOKE_DONE, slot=slot), (done,), {}))
        for error, target in errors.items():
            kind = Exception if error == "Exception" else type(error, (Exception,), {})
            trigger = Trigger(TriggerKind.INVOKE_ERROR, slot=slot, error=kind)
            self.edges.append((source, trigger, (target,), {}))

    def chart(self) -> Chart:
        paths = self._ordered("")
        number = {path: index for index, path in enumerate(paths)}
        edges = self._numbered(paths, number)
        states = []
        for path in paths:
            children = tuple(number[c] for c in self._children(path))
            facts = dict(self.states[path])
            facts.pop("initial", None)
            first = [number[c] for c in self._children(path) if self.states[c].get("initial")]
            kind = facts["kind"]
            if kind is Kind.COMPOUND and not first:
                first = [c for c in children if self.states[paths[c]]["kind"] is not Kind.CHOICE][:1]
            states.append(
                State(
                    number=number[path],
                    name=path.rpartition(".")[2] or self.name,
                    path=path,
                    kind=kind,
                    parent=None if not path else number[path.rpartition(".")[0]],
                    children=children,
                    initial=children if kind is Kind.PARALLEL else tuple(first),
                    ok=facts.get("ok", True),
                    default=tuple(number[t] for t in facts.get("default", ())),
                    entry=tuple(facts.get("entry", ())),
                    exit=tuple(facts.get("exit", ())),
                    edges=tuple(e for e in edges if e.source == number[path]),
                    timers=tuple(facts.get("timers", ())),
                    invokes=tuple(facts.get("invokes", ())),
                    deferred=tuple(type(name, (), {}) for name in facts.get("deferred", ())),
                )
            )
        empty = function("")
        return Chart(self.name, self.version, tuple(states), object, str, str, str, empty, empty)

    def _children(self, path: str) -> list[str]:
        return [p for p in self.states if p and p.rpartition(".")[0] == path]

    def _ordered(self, path: str) -> list[str]:
        return [path, *(p for child in self._children(path) for p in self._ordered(child))]

    def _numbered(self, paths: list[str], number: dict[str, int]) -> list[Edge]:
        found = sorted(self.edges, key=lambda edge: number[edge[0]])
        return [
            evolve(
                Edge(index, number[source], trigger, tuple(number[t] for t in targets)),
                guard=function(more["when"]) if more.get("when") else None,
                actions=tuple(more.get("actions", ())),
                internal=more.get("internal", False),
            )
            for index, (source, trigger, targets, more) in enumerate(found)
        ]


def flat() -> Chart:
    s = Sketch("turnstile", 1)
    s.state("locked", initial=True)
    s.state("unlocked", entry=(assign("count_visit"),))
    s.state("broken")
    s.state("scrapped", Kind.FINAL)
    s.on("locked", "Coin", "unlocked", when="c.amount >= 50")
    s.on("locked", "Push", "locked", actions=(assign("complain"),))
    s.on("unlocked", "Push", "locked")
    s.after("unlocked", timedelta(seconds=45), "locked")
    s.on("locked", "Kick", "broken")
    s.on("broken", "Repair", "locked")
    s.on("broken", "Scrap", "scrapped")
    s.on("broken", "Coin")
    return s.chart()


def nested() -> Chart:
    s = Sketch("call", 3)
    s.state("idle", initial=True)
    s.state("talking", entry=(assign("start_clock"),), exit=(assign("stop_clock"),), deferred=("Voicemail",))
    s.state("talking.speaking", initial=True)
    s.state("talking.held")
    s.state("talking.held.music", initial=True)
    s.state("talking.held.silence")
    s.state("ringing")
    s.state("over", Kind.FINAL)
    s.state("dropped", Kind.FINAL, ok=False)
    s.on("idle", "Dial", "ringing")
    s.on("ringing", "Answer", "talking")
    s.on("ringing", "Transfer", "talking.held.silence", when="was_transferred")
    s.after("ringing", timedelta(seconds=30), "over")
    s.on("talking.speaking", "Hold", "talking.held")
    s.on("talking.held", "Resume", "talking.speaking")
    s.on("talking.held.music", "Mute", "talking.held.silence")
    s.on("talking.held.silence", "Unmute", "talking.held.music")
    s.after("talking.held.silence", timedelta(minutes=10), "dropped")
    s.on("talking", "HangUp", "over")
    s.on("talking", "Restart", "talking.speaking")
    s.on("", "LineDown", "dropped")
    return s.chart()


def parallel() -> Chart:
    s = Sketch("washer", 1)
    s.state("off", initial=True)
    s.state("on", Kind.PARALLEL)
    s.state("on.drum")
    s.state("on.drum.filling", initial=True)
    s.state("on.drum.turning")
    s.state("on.drum.drained", Kind.FINAL)
    s.state("on.heater")
    s.state("on.heater.cold", initial=True)
    s.state("on.heater.hot")
    s.state("on.heater.cooled", Kind.FINAL)
    s.state("on.door")
    s.state("flooded", Kind.FINAL, ok=False)
    s.state("finished", Kind.FINAL)
    s.on("off", "Start", "on")
    s.on("off", "Express", "on.drum.turning", "on.heater.hot")
    s.on("on.drum.filling", "Full", "on.drum.turning")
    s.invoke("on.drum.turning", "spin_drum", "on.drum.drained", Leak="flooded", Exception="off")
    s.after("on.heater.cold", timedelta(minutes=4), "on.heater.hot")
    s.on("on.heater.hot", "Target", "on.heater.cooled", when="temperature >= 60")
    s.on("on.heater.hot", "Open", "on.drum.filling")
    s.on("on", "Stop", "off")
    s.on("on", "Reset", "on")
    s.done("on", "finished")
    return s.chart()


def choosing() -> Chart:
    s = Sketch("form", 2)
    s.state("editing", initial=True)
    s.state("editing.address", initial=True)
    s.state("editing.payment")
    s.state("editing.again", Kind.SHALLOW_HISTORY, default=("editing.address",))
    s.state("paused")
    s.state("checking", Kind.CHOICE)
    s.state("review")
    s.state("sent", Kind.FINAL)
    s.state("refused", Kind.FINAL, ok=False)
    s.on("editing.address", "Next", "editing.payment")
    s.on("editing.payment", "Back", "editing.address")
    s.on("editing", "Pause", "paused")
    s.on("paused", "Resume", "editing.again")
    s.after("paused", timedelta(days=7), "refused")
    s.on("editing.payment", "Submit", "checking")
    s.on("checking", None, "review", when="amount > 1000")
    s.on("checking", None, "refused", when="is_blocked")
    s.on("checking", None, "sent")
    s.on("review", "Approve", "sent")
    s.on("review", "Reject", "refused")
    s.on("review", "Reopen", "editing.again")
    return s.chart()


def order() -> Chart:
    s = Sketch("order", 2)
    s.state("reserving", initial=True)
    s.state("screening", Kind.CHOICE)
    s.state("review")
    s.state("paying")
    s.state("charging")
    s.state("fulfilling", Kind.PARALLEL)
    s.state("fulfilling.goods")
    s.state("fulfilling.goods.picking", initial=True)
    s.state("fulfilling.goods.shipping")
    s.state("fulfilling.goods.gone", Kind.FINAL)
    s.state("fulfilling.papers")
    s.state("fulfilling.papers.invoicing", initial=True)
    s.state("fulfilling.papers.invoiced", Kind.FINAL)
    s.state("undoing")
    s.state("completed", Kind.FINAL)
    s.state("cancelled", Kind.FINAL, ok=False)
    s.invoke("reserving", "reserve", "screening", OutOfStock="cancelled", Exception="undoing")
    s.on("screening", None, "review", when="is_big")
    s.on("screening", None, "paying")
    s.on("review", "Approved", "paying")
    s.on("paying", "Authorised", "charging", when="covers", actions=(assign("evolve(c, token=e.token)"),))
    s.after("paying", timedelta(minutes=30), "undoing")
    s.invoke("charging", "charge", "fulfilling", Declined="paying", Exception="undoing")
    s.on("fulfilling.goods.picking", "Picked", "fulfilling.goods.shipping")
    s.invoke("fulfilling.goods.shipping", "ship", "fulfilling.goods.gone", Exception="undoing")
    s.invoke("fulfilling.papers.invoicing", "send_invoice", "fulfilling.papers.invoiced", Exception="undoing")
    s.done("fulfilling", "completed")
    s.on("", "Cancel", "undoing")
    s.on("undoing", "Cancel")
    s.invoke("undoing", "release", "cancelled", Exception="cancelled")
    return s.chart()


def resuming() -> Chart:
    """The history of a parallel state, which no region is."""
    s = Sketch("fulfilment", 1)
    s.state("open", initial=True)
    s.state("open.working", Kind.PARALLEL, initial=True)
    s.state("open.working.goods")
    s.state("open.working.goods.picking", initial=True)
    s.state("open.working.goods.packed", Kind.FINAL)
    s.state("open.working.papers")
    s.state("open.working.papers.invoicing", initial=True)
    s.state("open.working.papers.invoiced", Kind.FINAL)
    default = ("open.working.goods.picking", "open.working.papers.invoicing")
    s.state("open.working.before", Kind.DEEP_HISTORY, default=default)
    s.state("open.held")
    s.state("done", Kind.FINAL)
    s.on("open.working.goods.picking", "Picked", "open.working.goods.packed")
    s.on("open.working.papers.invoicing", "Sent", "open.working.papers.invoiced")
    s.on("open.working", "Hold", "open.held")
    s.on("open.held", "Resume", "open.working.before")
    s.on("open.working", "Again", "open.working.before")
    s.done("open.working", "done")
    return s.chart()


FIXTURES = {
    "flat": flat,
    "nested": nested,
    "parallel": parallel,
    "choosing": choosing,
    "order": order,
    "resuming": resuming,
}
