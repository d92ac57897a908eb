"""What plugins say of their health, looked over: people and programs are shown it, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from continuum_core.hooks.facts import HealthSection
from continuum_core.hooks.hook import Hook

__all__ = ["sections_of"]

_TAKEN = ("section", "ok")


def sections_of(hook: Hook, failed: Callable[[str, str, BaseException], None]) -> list[HealthSection]:
    """The sections that plugins give; of one that fails in that, a section that is not well.

    :param failed: counts what is wrong with an answer; what a plugin raised is counted already.
    """
    sections: list[HealthSection] = []
    unwell: list[HealthSection] = []
    for each in hook.one_by_one(dict[str, Any]):
        error = each.error
        if error is None:
            try:
                sections += _whole(each.answer)
                continue
            except Exception as wrong:
                failed(each.plugin, hook.name, wrong)
                error = wrong
        told = {"raised in": hook.name, "error": f"{type(error).__name__}: {error}"}
        unwell.append(HealthSection(each.plugin, False, told))
    return sections + unwell


def _whole(answer: Any) -> list[HealthSection]:
    """The sections of an answer. Raises TypeError for what is none."""
    found: list[Any] = [] if answer is None else list(answer)
    for each in found:
        _check(each)
    return found


def _check(section: Any) -> None:
    if not isinstance(section, HealthSection):
        raise TypeError(f"health_sections gave {section!r}, which is no HealthSection")
    name: Any = section.name  # a stranger's, whatever is annotated
    ok: Any = section.ok
    facts: Any = section.facts
    if not all((isinstance(name, str), isinstance(ok, bool), isinstance(facts, Mapping))):
        raise TypeError(f"{section!r}: name is a text, ok a bool, and facts is a mapping")
    told: dict[Any, Any] = dict(facts)
    if wrong := [key for key in told if not isinstance(key, str) or key in _TAKEN]:
        raise TypeError(f"a fact of section {name!r} cannot be named {wrong[0]!r}: take another text")
    try:
        json.dumps(told, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the facts of section {name!r} are no JSON values: {error}") from error
