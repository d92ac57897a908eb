"""What plugins see of attempts: a context manager around each body, and how its report was answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import replace

from continuum_core.headers import check_headers, task_headers, with_headers
from continuum_core.hooks.facts import AttemptFacts, ReportFacts
from continuum_core.hooks.plugins import Plugins
from continuum_core.journal.commit import Finished, TaskClaim, TaskFinish
from continuum_core.runtime.attempt import Attempt, Cancelled, Ended, Raised

__all__ = ["AttemptWatch", "attempt_watch"]

_HOOK = "around_attempt"


def attempt_watch(plugins: Plugins, namespace: str, clock: Callable[[], float]) -> AttemptWatch | None:
    """The watch of attempts; None where no plugin listens. :param clock: seconds that never go back."""
    return AttemptWatch(plugins, namespace, clock) if plugins.implement(_HOOK, "attempt_reported") else None


class AttemptWatch:
    """Tells plugins of attempts."""

    def __init__(self, plugins: Plugins, namespace: str, clock: Callable[[], float]) -> None:
        self._plugins = plugins
        self._namespace = namespace
        self._clock = clock

    def facts(self, claim: TaskClaim, attempt: Attempt) -> AttemptFacts:
        """What plugins are told of an attempt, from its beginning to its report."""
        task = claim.task
        return AttemptFacts(
            namespace=self._namespace,
            run_id=task.run_id,
            machine=claim.machine,
            fingerprint=claim.fingerprint,
            activity=task.activity,
            queue=task.queue,
            token=task.token,
            slot=task.slot,
            number=attempt.number,
            losses=task.losses,
            key=attempt.key,
            scheduled=task.scheduled,
            due=task.due,
            headers=task_headers(task.payload),
        )

    async def around(self, facts: AttemptFacts, body: Awaitable[Ended]) -> tuple[Ended, Mapping[str, str]]:
        """How the body ended, inside of the plugins' context managers; and the headers for its outcome."""
        headers: dict[str, str] = {}
        entered: list[tuple[str, AbstractContextManager[Any]]] = []
        hook = self._plugins.around_attempt
        for plugin, manager in () if hook is None else hook.answers(attempt=facts):
            try:
                given = manager.__enter__()
                entered.append((plugin, manager))
                headers = check_headers({**headers, **(given or {})})
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._plugins.failed(plugin, _HOOK, error)
        began = self._clock()
        try:
            ended = await body
            self._note(facts, ended)
        finally:  # also when the worker is stopped in the middle of the body: then it has not ended
            facts.seconds = self._clock() - began
            for plugin, manager in reversed(entered):
                self._leave(plugin, manager)
        return ended, headers

    @staticmethod
    def _note(facts: AttemptFacts, ended: Ended) -> None:
        if isinstance(ended, Raised):
            facts.ended, facts.failure = "raised", ended.failure.type
        else:
            facts.ended = "cancelled" if isinstance(ended, Cancelled) else "succeeded"

    def _leave(self, plugin: str, manager: AbstractContextManager[Any]) -> None:
        try:
            manager.__exit__(None, None, None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._plugins.failed(plugin, _HOOK, error)

    @staticmethod
    def carrying(finish: TaskFinish, headers: Mapping[str, str]) -> TaskFinish:
        """The same finish, whose outcome carries headers."""
        if not headers or finish.delivery is None:
            return finish
        delivery = finish.delivery
        return replace(finish, delivery=replace(delivery, payload=with_headers(delivery.payload, headers)))

    def reported(self, facts: AttemptFacts, finish: TaskFinish, answer: Finished) -> None:
        """The journal has answered."""
        if self._plugins.attempt_reported is not None:
            report = ReportFacts(facts, finish.kind, answer.outcome, finish.delay)
            self._plugins.attempt_reported(report=report)
