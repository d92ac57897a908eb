"""How a URL finds its backend, with real distributions made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from continuum_core.errors import IncompatibleJournal, UnknownBackend, UsageError
from continuum_core.journal.connect import Installed, available, capabilities, connect
from continuum_core.journal.protocol import PORT_VERSION, Limits
from continuum_memory import MemoryJournal
from tests.conformance.strange import WORKING, Install


def reached(url: str, namespace: str | None = None) -> Any:
    """The module and what its `connect` was given, of a backend that is `WORKING`."""
    journal: Any = connect(url, namespace)
    return (type(journal).__module__, *journal.given)


def test_a_url_finds_its_backend() -> None:
    journal = connect("memory://", "shop", Limits(pending=3))
    assert isinstance(journal, MemoryJournal)
    assert (journal.namespace, journal.limits.pending) == ("shop", 3)
    assert connect("MEMORY://".lower()).namespace == "default"


def test_a_stranger_comes_in_by_the_same_door(install: Install) -> None:
    module, _ = install("strange")
    assert reached("strange://host/x", "shop") == (module, "strange://host/x", "shop", Limits())
    assert reached("Strange:x")[0] == module
    assert capabilities("strange://") == frozenset({"durable"})


def test_the_exact_scheme_goes_before_its_first_part(install: Install) -> None:
    plain, _ = install("strange")
    assert reached("strange+driver://")[0] == plain
    exact, _ = install("strange+driver")
    assert reached("strange+driver://")[0] == exact
    assert reached("strange+other://")[0] == plain


def test_two_claimants_are_an_error_that_names_both(install: Install) -> None:
    _, one = install("strange")
    _, two = install("strange")
    with pytest.raises(UnknownBackend, match=f"{one} and {two} both claim 'strange'"):
        connect("strange://")
    assert {backend.distribution for backend in available()} >= {one, two}


def test_one_distribution_found_twice_is_one(
    install: Install,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An editable install beside a wheel of the same distribution is no second claimant."""
    module, distribution = install("strange")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    info = f"{distribution.replace('-', '_')}-1.0.dist-info"
    (tmp_path / info).rename(elsewhere / info)
    (tmp_path / info).symlink_to(elsewhere / info)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert reached("strange://")[0] == module


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (PORT_VERSION - 1, "install a newer release of {}$"),
        (PORT_VERSION + 1, "install a newer release of continuum-core, or an older one of {}$"),
    ],
    ids=["older", "newer"],
)
def test_another_port_version_is_refused(install: Install, version: int, remedy: str) -> None:
    """By name, with both versions, and with what to install: which depends on who is behind."""
    _, distribution = install("strange", WORKING.replace("PORT_VERSION = 1", f"PORT_VERSION = {version}"))
    said = f"was written for version {version} of .* has version {PORT_VERSION}: {remedy}"
    with pytest.raises(UnknownBackend, match=said.format(distribution)):
        connect("strange://")
    (told,) = (each.fault for each in available() if each.scheme == "strange")
    assert f"version {version}" in told


def test_a_backend_that_states_no_port_version_is_refused(install: Install) -> None:
    _, distribution = install("nameless", "CAPABILITIES = frozenset()")
    with pytest.raises(UnknownBackend, match=f"no version .* install a newer release of {distribution}"):
        connect("nameless://")


def test_a_missing_driver_says_what_to_install(install: Install) -> None:
    """By the backend's own word, or, where it cannot even be imported, by the extra named like the scheme."""
    install("strange", "MISSING = 'pip install \"strange[driver]\"'")
    with pytest.raises(UnknownBackend, match=r'pip install "strange\[driver\]"'):
        connect("strange://")
    _, distribution = install("driven", "import no_such_driver", extras=("driven", "other"))
    with pytest.raises(UnknownBackend, match=rf'pip install "{distribution}\[driven\]"') as caught:
        connect("driven://host")
    assert isinstance(caught.value.__cause__, ImportError)
    install("plain", "import no_such_driver")
    with pytest.raises(UnknownBackend, match=r"No module named 'no_such_driver'$"):
        connect("plain://")


def test_an_unknown_scheme_lists_what_there_is() -> None:
    with pytest.raises(UnknownBackend, match=r"did you mean 'sqlite'\? \(installed: .*memory.*sqlite"):
        connect("sqlit:///x.db")
    with pytest.raises(UnknownBackend, match=r"serves 'zzz' journals \(installed"):
        connect("zzz://")


@pytest.mark.parametrize("url", ["", "orders.db", "/var/lib/orders.db", "://x", ":"])
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    with pytest.raises(UnknownBackend, match="is not a journal URL"):
        connect(url)


@pytest.mark.parametrize("url", ["memory:", "memory:/x", "memory://a/b", "memory://x?y=1", "memory://a b"])
def test_a_wrong_url_of_a_known_scheme_is_the_backends_to_refuse(url: str) -> None:
    with pytest.raises(IncompatibleJournal, match="memory://name"):
        connect(url)


def test_a_journal_may_be_passed_instead() -> None:
    journal = connect("memory://", "shop")
    assert connect(journal) is journal
    assert connect(journal, "shop") is journal
    with pytest.raises(UsageError, match=r"'shop'.*'other'"):
        connect(journal, "other")


def test_the_clock_can_be_set_where_the_backend_says_so(install: Install) -> None:
    journal = connect("memory://", clock=lambda: 7)
    assert isinstance(journal, MemoryJournal)
    with journal.store.lock:
        assert journal.store.now() == 7
    install("strange")
    with pytest.raises(UsageError, match="keeps its own time"):
        connect("strange://", clock=lambda: 7)


def test_all_backends_are_listed_and_the_broken_say_why(install: Install) -> None:
    _, good = install("aaa")
    _, bad = install("bbb", "import no_such_driver")
    listed = {backend.scheme: backend for backend in available()}
    assert listed["aaa"] == Installed("aaa", good, frozenset({"durable"}), 1)
    assert (listed["bbb"].distribution, listed["bbb"].port_version) == (bad, 0)
    assert "no_such_driver" in listed["bbb"].fault
    assert listed["memory"].fault == ""
    assert [backend.scheme for backend in available()] == sorted(backend.scheme for backend in available())
