"""What the command line tells of plugins and of a journal's health, and what plugins do to it."""

from __future__ import annotations

import base64
import sys
import types

import pytest

from continuum_core.cli import main, output
from continuum_core.hooks import HealthSection, Plugins, RunFacts, hookimpl
from tests.cli.conftest import Command

KEY = base64.b64encode(b"k" * 32).decode()


class Sick:
    @hookimpl
    def health_sections(self) -> list[HealthSection]:
        return [HealthSection("exporter", False, {"last sent": "never"})]


class Broken:
    @hookimpl
    def health_sections(self) -> list[HealthSection]:
        raise RuntimeError("no luck")

    @hookimpl
    def run_parked(self, run: RunFacts) -> None:
        """Nothing."""


def test_the_plugins_that_come_along_are_listed_and_do_nothing_until_they_are_asked(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {each["plugin"]: each for each in continuum("plugins", "--json").jsons()}
    assert {"compress", "crypto", "redact"} <= set(listed)
    crypto = listed["crypto"]
    assert crypto["distribution"].startswith("continuum-core ")
    assert crypto["entry_point"] == "continuum_crypto"
    assert crypto["hooks"] == ["payload_codecs"]
    assert (crypto["off"], crypto["payload_codecs"], crypto["failures"]) == (False, [], {})
    monkeypatch.setenv("CONTINUUM_CRYPTO_KEYS", f"2026-a:{KEY}")
    monkeypatch.setenv("CONTINUUM_COMPRESS", "read")
    monkeypatch.setenv("CONTINUUM_PLUGINS_OFF", "redact")
    listed = {each["plugin"]: each for each in continuum("plugins", "--json").jsons()}
    assert listed["crypto"]["payload_codecs"] == ["aes"]
    assert listed["compress"]["payload_codecs"] == ["zstd (reads only)"]
    assert listed["redact"]["off"]
    shown = continuum("plugins").out
    assert "on, codec aes" in shown
    assert "continuum_crypto" in shown


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CONTINUUM_CRYPTO_KEYS", "none", "a key is ID:BASE64"),
        ("CONTINUUM_CRYPTO_KEYS", "a:???", "key 'a' is no base64"),
        ("CONTINUUM_CRYPTO_KEYS", "a:AAAA", "key 'a' has 3 bytes; it must have 32"),
        ("CONTINUUM_CRYPTO_KEYS", f"a:{KEY},a:{KEY}", "two keys have the same id"),
        ("CONTINUUM_CRYPTO_KEYS", f"a/b:{KEY}", "a key's id cannot be 'a/b'"),
        ("CONTINUUM_CRYPTO_KEYS_FROM", "vault", "should be MODULE:FUNCTION"),
        ("CONTINUUM_CRYPTO_KEYS_FROM", "os:nothing", "module os has no function 'nothing'"),
        ("CONTINUUM_COMPRESS", "gzip", "should be zstd, zstd:LEVEL or read"),
        ("CONTINUUM_COMPRESS", "zstd:20", "1 to 19, not 20"),
    ],
)
def test_wrong_settings_stop_a_command_before_it_stores_anything(
    continuum: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    done = continuum("list")
    assert done.code == 3
    assert told in done.err
    assert KEY not in done.err


def test_keys_may_come_from_a_function(continuum: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    crypto = pytest.importorskip("continuum_crypto", reason="it comes along")
    vault = types.ModuleType("vault_of_this_test")
    vault.keys = lambda: [crypto.Key("from-the-vault", b"k" * 32)]  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, vault.__name__, vault)
    monkeypatch.setenv("CONTINUUM_CRYPTO_KEYS_FROM", "vault_of_this_test:keys")
    listed = {each["plugin"]: each for each in continuum("plugins", "--json").jsons()}
    assert listed["crypto"]["payload_codecs"] == ["aes"]
    monkeypatch.setenv("CONTINUUM_CRYPTO_KEYS", f"a:{KEY}")
    assert "are both set" in continuum("list").err


def test_health_tells_of_the_journal_and_of_plugins(
    continuum: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert continuum("migrate").code == 0  # makes the journal
    done = continuum("health", "--json")
    assert done.code == 0
    journal, queues, plugins = done.jsons()
    assert journal == {
        "section": "journal",
        "ok": True,
        "namespace": "default",
        "due": 0,
        "oldest due": None,
        "parked": 0,
        "suspended": 0,
    }
    assert queues == {"section": "queues", "ok": True}
    assert plugins["section"] == "plugins"
    sick = Plugins(Sick(), Broken())
    monkeypatch.setattr(main, "installed", lambda: sick)
    monkeypatch.setattr("continuum_core.client.connected.installed", lambda: sick)
    done = continuum("health")
    assert done.code == 3
    assert "journal: ok" in done.out
    assert "exporter: NOT WELL" in done.out
    assert "Broken: NOT WELL" in done.out


def test_what_is_hidden_is_in_no_output(continuum: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_REDACT", "*order_id*")
    order = ["--app", "tests.cli.shop:Order", "--input", '{"order_id": "o-7d41", "total": 5}']
    started = continuum("start", "order", *order, "--json")
    assert started.json()["context"]["order"] == {"order_id": "[hidden]", "total": 5}
    run = started.json()["run"]
    for verb, *options in (("show",), ("show", "--json"), ("history", "--full"), ("history", "--json")):
        done = continuum(verb, run, *options)
        assert done.code == 0
        assert "o-7d41" not in done.out
        assert "[hidden]" in done.out
    monkeypatch.setenv("CONTINUUM_REDACT", "*")
    wrong = continuum("list")
    assert wrong.code == 3
    assert "'*' is no pattern of names" in wrong.err
    output.hide_with(None)


def test_verbs_of_plugins_are_added_to_the_program_alone(continuum: Command) -> None:
    own = [len(main.app.registered_commands), len(main.app.registered_groups)]
    assert "scxml" in continuum("--help").out
    assert "scxml" in continuum("--help").out
    assert [len(main.app.registered_commands), len(main.app.registered_groups)] == own
