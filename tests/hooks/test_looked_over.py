"""A plugin is looked over as it comes in; whom it concerns is named, and what there is to do."""

from __future__ import annotations

import inspect
import logging
import sys
import types
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import pytest

from continuum_core.hooks import (
    HOOKS_VERSION,
    HealthSection,
    PluginRefused,
    Plugins,
    RunFacts,
    hookimpl,
    spec,
)
from continuum_core.hooks.checking import HOOKS
from continuum_core.hooks.loading import CHOICE, GROUP, load
from continuum_core.hooks.redaction import redaction_of


class WrongArgument:
    @hookimpl
    def run_failed(self, rnu: RunFacts) -> None:
        """It is not offered that."""


class OneTooMany:
    @hookimpl
    def run_failed(self, run: RunFacts, worker: object) -> None:
        """It is not offered the second."""


class NothingOffered:
    @hookimpl
    def redactors(self, run: RunFacts) -> None:
        """It is offered nothing."""


class Default:
    @hookimpl
    def run_failed(self, run: RunFacts | None = None) -> None:
        """It would always get None."""


class ByKeyword:
    @hookimpl
    def run_failed(self, *, run: RunFacts) -> None:
        """It would fail at each call."""


class AnyKeyword:
    @hookimpl
    def run_failed(self, **facts: object) -> None:
        """It would get {}."""


class AnyPosition:
    @hookimpl
    def run_failed(self, *facts: object) -> None:
        """It would get ()."""


class AsyncGenerator:
    @hookimpl
    async def run_failed(self, run: RunFacts) -> AsyncIterator[None]:
        yield


class Generates:
    @hookimpl
    def run_failed(self, run: RunFacts) -> Iterator[None]:
        yield


class BareAround:
    @hookimpl
    def around_attempt(self) -> Iterator[None]:
        yield


class Plain:
    @hookimpl
    def run_failed(self, run: RunFacts) -> None:
        """As it should be."""


class Misspelt:
    @hookimpl
    def run_failde(self, run: RunFacts) -> None:
        """There is no such hook."""


class MisspeltElsewhere:
    @hookimpl(specname="run_failde")
    def mine(self, run: RunFacts) -> None:
        """There is no such hook."""


class Strange:
    @hookimpl
    def zzz(self) -> None:
        """Nor this."""


class TextVersion:
    HOOKS_VERSION = "2"


class RaisesWhenLookedAt:
    def __dir__(self) -> list[str]:
        raise LookupError("no settings here")


REFUSED: dict[str, tuple[object, str]] = {
    "wrong argument": (WrongArgument(), r"run_failed asks for 'rnu', .*\(did you mean 'run'\?\); .*: run$"),
    "one too many": (OneTooMany(), r"run_failed asks for 'worker', which it is not offered; .*: run$"),
    "nothing offered": (NothingOffered(), r"redactors asks for 'run', .* it is offered: nothing$"),
    "default": (Default(), "run_failed gives run a default, .* leave the default out"),
    "by keyword": (ByKeyword(), r"run_failed takes run by keyword only, .* leave the \* out"),
    "any keyword": (AnyKeyword(), r"run_failed takes \*\*facts.*name what it wants \(run\)"),
    "any position": (AnyPosition(), r"run_failed takes \*facts.*name what it wants \(run\)"),
    "asynchronous generator": (AsyncGenerator(), "run_failed is an asynchronous generator, .* never run"),
    "generator": (Generates(), "run_failed is a generator, .* leave the yield out"),
    "bare around": (BareAround(), "around_attempt is a generator, .* @contextmanager under @hookimpl"),
    "class": (Plain, r"run_failed needs an instance, .* the class Plain: give Plain\(\)"),
    "misspelt": (Misspelt(), r"there is no hook 'run_failde' \(did you mean 'run_failed'\?\)$"),
    "misspelt elsewhere": (MisspeltElsewhere(), r"no hook 'run_failde' \(did you mean 'run_failed'\?\)$"),
    "strange": (
        Strange(),
        f"no hook 'zzz'; hooks version {HOOKS_VERSION} has: around_attempt, .*",
    ),
    "version": (TextVersion(), f"HOOKS_VERSION = '2', which is no whole number: .* {HOOKS_VERSION}$"),
    "unreadable": (RaisesWhenLookedAt(), "cannot be used: LookupError: no settings here"),
}
"""A plugin, and what is told of it after its name."""


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An entry point `tally` of an installed distribution, for a plugin; or for a module's source."""
    monkeypatch.delenv(CHOICE, raising=False)
    info = tmp_path / "continuum_tally-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: continuum-tally\nVersion: 1.5\n")

    def point(plugin: object) -> EntryPoint:
        module = types.ModuleType("tally_of_this_test")
        module.plugin = plugin  # type: ignore[attr-defined]  # a module made here
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = EntryPoint("tally", "tally_of_this_test:plugin", GROUP)
        of: Any = entry  # as metadata makes its own
        found: EntryPoint = of._for(Distribution.at(info))
        return found

    return point


WHOSE = r"plugin 'tally' \(tally_of_this_test:plugin, of continuum-tally 1\.5\)"


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_never_be_called_or_always_fail_is_refused_by_name(point: Any, what: str) -> None:
    plugin, told = REFUSED[what]
    with pytest.raises(PluginRefused, match=f"^{WHOSE}:? .*{told}"):
        load([point(plugin)])


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), SyntaxError("no")], ids=repr)
def test_whatever_an_import_raises_is_the_plugins(
    point: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """SystemExit, too: otherwise every command would end with it, and say nothing."""

    def loading(_: EntryPoint) -> object:
        raise error

    entry = point(None)
    monkeypatch.setattr(EntryPoint, "load", loading)
    name = type(error).__name__
    with pytest.raises(
        PluginRefused, match=f"^{WHOSE} cannot be loaded: {name}: .* leave it out of {CHOICE}"
    ):
        load([entry])


def test_an_interrupt_says_which_plugin_it_met(point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a plugin that hangs nothing else tells."""

    def loading(_: EntryPoint) -> object:
        raise KeyboardInterrupt

    class Hangs:
        @hookimpl
        def redactors(self) -> None:
            raise KeyboardInterrupt

    entry = point(Hangs())
    loaded = load([entry])
    with pytest.raises(KeyboardInterrupt) as caught:
        redaction_of(loaded)
    [note] = caught.value.__notes__
    assert note.startswith("interrupted while plugin 'tally' (")
    assert note.endswith(f") was called for redactors; to go on without it, leave it out of {CHOICE}")
    monkeypatch.setattr(EntryPoint, "load", loading)
    with pytest.raises(KeyboardInterrupt) as caught:
        load([entry])
    assert "was imported; to go on" in caught.value.__notes__[0]


def test_what_may_be_meant_is_told_to_the_log_and_goes(point: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Forgotten:
        def run_failed(self, run: RunFacts) -> None:
            """Not marked."""

        @hookimpl(optionalhook=True)
        def run_failde(self, run: RunFacts) -> None:
            """Of another release, or misspelt."""

    with caplog.at_level(logging.WARNING):
        loaded = load([point(Forgotten())])
    assert loaded.run_failed is None
    one, two = sorted(record.getMessage() for record in caplog.records)
    assert ": run_failed is named like a hook and not marked" in one
    assert "put @hookimpl above it" in one
    assert two.endswith(
        ": there is no hook 'run_failde' here, so it is never called (did you mean 'run_failed'?)"
    )


def test_what_is_right_in_other_ways_is_taken() -> None:
    told: list[object] = []

    class Various:
        @staticmethod
        @hookimpl
        def run_failed(run: object) -> None:
            told.append(run)

        @hookimpl(specname="run_completed")
        def mine(self, run: object, _log: list[object] = told) -> None:
            _log.append(run)

        @hookimpl
        def payload_codecs(self) -> Iterator[Any]:
            yield from ()

        @hookimpl
        @contextmanager
        def around_attempt(self, attempt: object) -> Generator[None]:
            yield

    class Static:
        @classmethod
        @hookimpl
        def run_failed(cls, run: object) -> None:
            told.append((cls.__name__, run))

    plugins = Plugins(Various(), Static)
    assert plugins.run_failed is not None
    assert plugins.run_completed is not None
    plugins.run_failed(run=1)
    plugins.run_completed(run=2)
    assert told == [1, ("Static", 1), 2]
    assert plugins.failures == {}


def test_the_hooks_that_may_be_generators_are_those_whose_answer_is_gone_through() -> None:
    many = {name for name in HOOKS if "Iterable" in inspect.get_annotations(getattr(spec, name))["return"]}
    for name in HOOKS:
        function = hookimpl(specname=name)(_generator())
        plugin = types.SimpleNamespace(given=function)
        if name in many:
            Plugins(plugin)
        else:
            with pytest.raises(PluginRefused, match="is a generator"):
                Plugins(plugin)


def _generator() -> Any:
    def given() -> Iterator[None]:
        yield

    return given


# --- the order in which they are called


class Step:
    """A plugin that notes when it is called, in each of the ways there are."""

    def __init__(self, word: str, told: list[str]) -> None:
        self.word = word
        self.told = told

    @hookimpl
    def run_failed(self) -> None:
        self.told.append(self.word)

    @hookimpl
    def turn_headers(self) -> dict[str, str]:
        return {"last": self.word}

    @hookimpl
    def redactors(self) -> list[Any]:
        return [self.word]


class First(Step):
    run_failed = hookimpl(tryfirst=True)(lambda self: self.told.append(self.word))
    turn_headers = hookimpl(tryfirst=True)(lambda self: {"last": self.word})
    redactors = hookimpl(tryfirst=True)(lambda self: [self.word])


class Last(Step):
    run_failed = hookimpl(trylast=True)(lambda self: self.told.append(self.word))
    turn_headers = hookimpl(trylast=True)(lambda self: {"last": self.word})
    redactors = hookimpl(trylast=True)(lambda self: [self.word])


def test_first_is_called_first_and_last_last_in_every_way_hooks_are_called() -> None:
    told: list[str] = []
    steps = [Last("z", told), Step("m", told), First("a", told), Step("n", told), First("b", told)]
    plugins = Plugins(*steps, Last("zz", told))
    expected = ["a", "b", "m", "n", "z", "zz"]
    assert plugins.run_failed is not None
    plugins.run_failed()
    assert told == expected
    assert plugins.turn_headers is not None
    assert [answer["last"] for _, answer in plugins.turn_headers.answers()] == expected
    assert [each.answer["last"] for each in plugins.turn_headers.one_by_one(dict)] == expected
    assert plugins.redactors is not None
    assert [answer for _, answer in plugins.redactors.demanded()] == expected


def test_installed_plugins_are_called_by_name_whatever_the_path_says(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("steps_of_this_test")
    told: list[str] = []
    for word in "cab":
        setattr(module, word, Step(word, told))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv(CHOICE, raising=False)
    plugins = load([EntryPoint(word, f"{module.__name__}:{word}", GROUP) for word in "cab"])
    assert plugins.run_failed is not None
    plugins.run_failed()
    assert told == ["a", "b", "c"]


# --- what they give


class Sections:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def health_sections(self) -> Iterable[HealthSection]:
        return self.answer  # type: ignore[no-any-return]  # whatever a stranger gives


WRONG_SECTIONS: dict[str, tuple[Any, str]] = {
    "no section": ([1], "gave 1, which is no HealthSection"),
    "no list": (5, "not iterable"),
    "no JSON": ([HealthSection("a", True, {"x": object()})], "section 'a' are no JSON values"),
    "no number": ([HealthSection("a", True, {"x": float("nan")})], "section 'a' are no JSON values"),
    "no text": ([HealthSection("a", True, {1: "x"})], "cannot be named 1"),  # type: ignore[dict-item]
    "the section's own": ([HealthSection("a", False, {"ok": True})], "cannot be named 'ok'"),
    "no bool": ([HealthSection("a", "yes", {})], "ok a bool"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", WRONG_SECTIONS)
def test_a_health_section_that_is_none_becomes_one_that_is_not_well(what: str) -> None:
    answer, told = WRONG_SECTIONS[what]
    good = HealthSection("good", True, {"sent": 3})
    plugins = Plugins(named={"tally": Sections(answer), "fine": Sections([good]), "none": Sections(None)})
    _, first, second = plugins.health()
    assert first == good
    assert (second.name, second.ok, second.facts["raised in"]) == ("tally", False, "health_sections")
    assert told in str(second.facts["error"])
    assert plugins.failures == {("tally", "health_sections"): 1}


def test_a_redactor_that_is_none_is_refused_before_anything_is_shown() -> None:
    class Wrong:
        @hookimpl
        def redactors(self) -> list[Any]:
            return [object()]

    with pytest.raises(PluginRefused, match="plugin 'wrong': its redactor object has no data, text;"):
        redaction_of(Plugins(named={"wrong": Wrong()}))
