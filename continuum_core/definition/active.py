"""What a run can be in, and what is declared there: edges, timers, activities, child runs, undoing.

The types are half of the work: the context type flows from `root(Ctx)` into every function of every edge,
the event's class into the functions of `on`, the activity's types into `invoke`, so that type checkers see
what a machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from continuum_core.arguments import Length
from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import ActionKind, TriggerKind
from continuum_core.definition.crews import is_machine
from continuum_core.definition.draft import ActionDraft, CompensationDraft, CrewDraft, InvokeDraft, TimerDraft
from continuum_core.definition.failure import Failure
from continuum_core.definition.machine import Machine
from continuum_core.definition.memory import Word
from continuum_core.definition.place import caller
from continuum_core.definition.target import (
    Messages,
    OfContext,
    Target,
    Targets,
    To,
    action_drafts,
    add_edge,
    add_ends,
    unsealed,
)

__all__ = ["Acting", "Active", "Leaving"]

C = TypeVar("C")  # the context
E = TypeVar("E")  # the event
A = TypeVar("A")  # the input of an activity
B = TypeVar("B")  # its output
R = TypeVar("R")  # what a question is answered with
E_co = TypeVar("E_co", covariant=True)


class Asked(Protocol[E_co, R]):
    """A question, as type checkers see it: of its own class, and of what it is answered with."""

    def __question__(self, reply: R) -> tuple[E_co, R]: ...


Close = Literal["cancel", "terminate", "abandon"]
"""What becomes of child runs when the state that started them is left, or the run ends: see `Closing`."""


class Acting(Target[C]):
    """What has entry and exit actions."""

    __slots__ = ()

    def entry(
        self,
        assign: Callable[[C], C] | None = None,
        *,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
    ) -> None:
        """Run these whenever the state is entered, before its children are."""
        unsealed(self.node).entry.extend(action_drafts(assign, raise_, send))

    def exit(
        self,
        assign: Callable[[C], C] | None = None,
        *,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
    ) -> None:
        """Run these whenever the state is exited, after its children were."""
        unsealed(self.node).exit.extend(action_drafts(assign, raise_, send))


class Leaving(Target[C]):
    """What has eventless edges."""

    __slots__ = ()

    def always(
        self,
        target: Targets[C] = None,
        *,
        when: Callable[[C], bool] | None = None,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge as soon as the state is active and the guard holds; no event is needed.

        :param checkpoint: see `on`.
        """
        actions = action_drafts(assign, raise_, send)
        add_edge(self, TriggerKind.ALWAYS, target, when, actions, checkpoint=checkpoint)


class Active(Acting[C], Leaving[C]):
    """What a run can be in: states that wait for events, timers and activities."""

    __slots__ = ()

    def on(
        self,
        event: type[E],
        target: Targets[C] = None,
        *,
        when: Callable[[C, E], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, E], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, E], object] | OfContext[C, object] | None = None,
        send: Callable[[C, E], Messages] | OfContext[C, Messages] | None = None,
        internal: bool = False,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge when an event of this class arrives and the guard holds.

        :param event: a class marked with `@event`, or `AnyEvent` for every class.
        :param target: the state to enter, several in different regions, or None to stay.
        :param when: the guard, of context and event.
        :param assign: the reducer: gives the next context.
        :param raise_: gives an event (or several) for this machine itself, taken before any other.
        :param send: gives a `Message` (or several) for other runs.
        :param internal: do not exit a compound source whose own descendant is the target.
        :param checkpoint: a step that takes it leaves a record where states remember selectively.
        """
        actions = action_drafts(assign, raise_, send)
        how: dict[str, Any] = {"internal": internal, "checkpoint": checkpoint, "pair": True}
        add_edge(self, TriggerKind.EVENT, target, when, actions, event=event, **how)

    def answer(
        self,
        event: type[Asked[E, R]],
        reply: Callable[[C, E], R] | OfContext[C, R],
        target: Targets[C] = None,
        *,
        when: Callable[[C, E], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, E], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, E], object] | OfContext[C, object] | None = None,
        send: Callable[[C, E], Messages] | OfContext[C, Messages] | None = None,
        internal: bool = False,
    ) -> None:
        """Take this edge when a question arrives and the guard holds, and tell whoever asked the reply.

        :param event: an event class that is a `Question`.
        :param reply: gives the reply, of the context as `assign` left it, and of the event.

        The rest is as for `on`.
        """
        actions = (*action_drafts(assign, raise_, send), ActionDraft(ActionKind.REPLY, reply))
        add_edge(self, TriggerKind.EVENT, target, when, actions, event=event, internal=internal, pair=True)

    def after(
        self,
        delay: Length | Callable[[C], Length],
        target: Targets[C] = None,
        *,
        when: Callable[[C], bool] | None = None,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge when the state was active for so long.

        :param delay: a `timedelta`, or seconds, or a function of the context evaluated on entry.
        :param checkpoint: see `on`.
        """
        node = unsealed(self.node)
        slot = len(node.timers)
        node.timers.append(TimerDraft(slot, delay, caller()[0]))
        actions = action_drafts(assign, raise_, send)
        add_edge(self, TriggerKind.AFTER, target, when, actions, slot=slot, checkpoint=checkpoint)

    def done(
        self,
        target: Targets[C] = None,
        *,
        when: Callable[[C], bool] | None = None,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge when a final child was entered; of a parallel state, in every region.

        :param checkpoint: see `on`.
        """
        add_edge(
            self, TriggerKind.DONE, target, when, action_drafts(assign, raise_, send), checkpoint=checkpoint
        )

    def invoke(
        self,
        work: Activity[A, B] | type[Machine[Any, A, B]],
        input: Callable[[C], A],
        *,
        done: Targets[C] = None,
        assign: Callable[[C, B], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, B], object] | OfContext[C, object] | None = None,
        send: Callable[[C, B], Messages] | OfContext[C, Messages] | None = None,
        error: Mapping[type[BaseException], Target[C] | To[C]] | Target[C] | To[C] | None = None,
        key: Callable[[C], str] | None = None,
        closing: Close = "cancel",
    ) -> None:
        """Run an activity, or a child run, while the state is active; leaving the state cancels it.

        :param work: the activity, or the machine of the child run.
        :param input: gives its input.
        :param done: where its success leads; None to stay.
        :param assign: the reducer of context and output; `raise_` and `send` likewise.
        :param error: where its failure leads, by exception class, first fitting class first; a state
            alone stands for every class. Must handle `Exception`.
        :param key: gives a key under which an activity is done once over all runs.
        :param closing: what leaving the state, or the end of the run, does to a child run that goes on:
            ``"cancel"`` asks it to stop, ``"terminate"`` ends it, ``"abandon"`` lets it be.
        """
        node, place = unsealed(self.node), caller()[0]
        actions = action_drafts(assign, raise_, send)
        if is_machine(work):
            draft = CrewDraft(len(node.crews), "invoke", work, input, error, place, closing=closing, key=key)
            node.crews.append(draft)
            add_ends(self, TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR, draft.slot, done, actions, error)
            return
        slot = len(node.invokes)
        node.invokes.append(InvokeDraft(slot, work, input, key, error, assign, place))
        add_ends(self, TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR, slot, done, actions, error)

    def spawn(
        self,
        machine: type[Machine[Any, A, Any]],
        input: Callable[[C], A],
        *,
        closing: Close = "abandon",
    ) -> None:
        """Start a child run when the state is entered, and forget it: its end is told to nobody.

        :param closing: as `invoke` has it; by default the child run goes on whatever becomes of this one.
        """
        node = unsealed(self.node)
        slot, place = len(node.crews), caller()[0]
        node.crews.append(CrewDraft(slot, "spawn", machine, input, None, place, closing=closing))

    def each(
        self,
        work: Activity[A, B] | type[Machine[Any, A, B]],
        members: Callable[[C], Sequence[A]],
        *,
        limit: int = 100,
        done: Targets[C] = None,
        assign: Callable[[C, tuple[B, ...]], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, tuple[B, ...]], object] | OfContext[C, object] | None = None,
        send: Callable[[C, tuple[B, ...]], Messages] | OfContext[C, Messages] | None = None,
        error: Mapping[type[BaseException], Target[C] | To[C]] | Target[C] | To[C] | None = None,
        closing: Close = "cancel",
    ) -> None:
        """Run an activity, or a child run, for each member of a collection while the state is active.

        :param members: gives the inputs, at most 100,000 of them. It is asked once, and again, with the
            context as it was then, when members that waited are to be started.
        :param limit: how many are under way at once, 1,000 at most; the others wait.
        :param done: where it leads when all have ended; at once where there are none.
        :param assign: the reducer of context and outputs, in the order of `members`; `raise_` and `send`
            likewise.
        :param error: where the first failure leads, as with `invoke`; the other members are cancelled.
        :param closing: what becomes of child runs under way, as with `invoke`.
        """
        self._crew("each", work, members, limit, done, action_drafts(assign, raise_, send), error, closing)

    def collect(
        self,
        work: Activity[A, B] | type[Machine[Any, A, B]],
        members: Callable[[C], Sequence[A]],
        *,
        limit: int = 100,
        done: Targets[C] = None,
        assign: Callable[[C, tuple[B | Failure, ...]], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, tuple[B | Failure, ...]], object] | OfContext[C, object] | None = None,
        send: Callable[[C, tuple[B | Failure, ...]], Messages] | OfContext[C, Messages] | None = None,
        closing: Close = "cancel",
    ) -> None:
        """Like `each`, but all end, whatever fails: a `Failure` stands in the place of each that did."""
        self._crew("collect", work, members, limit, done, action_drafts(assign, raise_, send), None, closing)

    def _crew(
        self,
        word: str,
        work: Any,
        members: Any,
        limit: int,
        done: Any,
        actions: tuple[ActionDraft, ...],
        error: Any,
        closing: Close,
    ) -> None:
        node = unsealed(self.node)
        slot, place = len(node.crews), caller()[0]
        node.crews.append(CrewDraft(slot, word, work, members, error, place, limit, closing))
        add_ends(self, TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR, slot, done, actions, error)

    def compensate(
        self,
        done: Targets[C],
        *,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        parallel: bool = False,
    ) -> None:
        """While the state is active, undo what the run has done: every activity with an `undo=`.

        First it waits until the outcome of each such activity that was started is known; then their undos
        run, newest first, each an ordinary activity that is given what the one it undoes returned. One that
        fails for good parks the run, and unparking tries it again; the rest is never skipped.

        :param done: where to go when nothing is left to undo, which may be at once.
        :param parallel: run the undos all at once.
        """
        node = unsealed(self.node)
        node.compensations.append(CompensationDraft(parallel, caller()[0]))
        add_edge(self, TriggerKind.COMPENSATED, done, None, action_drafts(assign, raise_, send))

    def on_cancel(
        self,
        target: Targets[C] = None,
        *,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        within: Length | Callable[[C], Length] | None = None,
    ) -> None:
        """Take this edge when somebody cancels the run; without any, the run ends cancelled at once.

        A run that goes to a state so and then reaches a final state with ``ok=False`` ends *cancelled*; with
        ``ok=True`` it ends completed. Without a target the run stays where it is, and the cancel is over.

        :param within: if the run is not over by then, it is terminated, and nothing more of the machine's is
            run; a `timedelta`, or seconds, or a function of the context. Without it nothing bounds what the
            machine does.
        """
        actions = action_drafts(assign, raise_, send)
        add_edge(self, TriggerKind.CANCEL, target, None, actions, within=within)

    def on_deadline(
        self,
        target: Targets[C] = None,
        *,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        within: Length | Callable[[C], Length] | None = None,
    ) -> None:
        """Take this edge when the run's deadline passes.

        Where no active state says this, the run does what `on_cancel` says, and without that it ends at
        once. A run that goes to a state so and then reaches a final state with ``ok=False`` is *timed out*;
        with ``ok=True`` it ends completed. Without a target the run stays where it is, and goes on.

        :param within: as `on_cancel` has it.
        """
        actions = action_drafts(assign, raise_, send)
        add_edge(self, TriggerKind.DEADLINE, target, None, actions, within=within)

    def remember(self, memory: Word) -> None:
        """Say which steps leave a record while this state is active; what is inside may say otherwise.

        What a run is now is as durable whatever is said. The innermost active state that says something
        decides, in parallel regions the one that keeps most; a step is judged by the states before and after.

        :param memory: ``"ephemeral"``: none. ``"selective"``: the first step, checkpoints and the last.
            ``"all"``, as it is where nothing is said: every step, until it is pruned. ``"eternal"``: every
            step, and a run that was ever in this state is never pruned.
        """
        unsealed(self.node).memories.append((memory, caller()[0]))

    def checkpoint(self) -> None:
        """Let each step that enters this state leave a record where states remember selectively."""
        unsealed(self.node).checkpoints.append(caller()[0])

    def defer(self, *events: type[Any]) -> None:
        """Keep events of these classes for later while this state is active."""
        unsealed(self.node).deferred.extend(events)
