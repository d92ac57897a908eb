"""Outsiders come in by the doors that are documented, and by no other: a journal, a plugin, two beginners."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from continuum_core.hooks.loading import CHOICE
from continuum_core.testing.verdicts import PAGE, promises
from tests.house.installed import Installed


def ran(environment: Installed, folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in a stranger's folder, in the fresh environment."""
    command = [str(environment.python), *arguments]
    cwd = environment.elsewhere / folder
    every = {name: value for name, value in os.environ.items() if name not in (CHOICE, "PYTHONPATH")}
    return subprocess.run(command, cwd=cwd, env=every, capture_output=True, text=True, check=False)


def checked(environment: Installed, folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    plain = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q")
    return ran(environment, folder, *plain, *arguments)


def test_a_strangers_journal_conforms_at_what_it_declares(strangers: Installed, tmp_path: Path) -> None:
    """The whole kit and its own tests, in a fresh environment; and the page that its author publishes."""
    page = tmp_path / "conformance.md"
    done = checked(strangers, "dbm", "--journal-report", str(page), "--journal-examples", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nCONFORMS\n" in done.stdout
    skipped = set(re.findall(r"^skipped: \d+ for want of '(.*)'$", done.stdout, re.M))
    assert skipped == {
        "blobs",
        "carries",
        "crews",
        "forgets",
        "looks",
        "presence",
        "replies",
        "search",
        "shared",
        "migrates",
    }
    written = page.read_text()
    assert "# Conformance of continuum-dbm, `dbm:`" in written
    assert "**Conforms**, at the capabilities that it declares." in written
    assert "| backend | continuum-dbm 1.0.0 |" in written
    assert re.search(r"\| durability \| what was acknowledged survives the process", written)
    assert "| `durable` | yes |" in written
    assert "| `shared` | no |" in written
    kept = re.findall(r"^\| (\d+) \| kept \|", written, re.M)
    assert [int(number) for number in kept] == sorted(set(promises()) - {23, 24, 25, 27, 28}), (
        "of those that carry, search, start child runs and keep blobs"
    )


def test_a_strangers_plugin_adds_a_command_a_codec_and_an_observer(strangers: Installed) -> None:
    done = checked(strangers, "seal")
    assert done.returncode == 0, done.stdout + done.stderr
    key = ran(strangers, "seal", "-m", "continuum_core", "seal", "--new").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", key)


def test_a_new_backend_is_told_promise_by_promise_what_to_write(strangers: Installed) -> None:
    """Its own tests are green at once; each red one of the kit says what to read, the first one first."""
    first = checked(strangers, "continuum-fresh-store")
    assert first.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 3 passed" in first.stdout
    assert "claim_runs is not written yet: promises 4, 6, 9" in first.stdout
    assert f"Promise 1: {promises()[1]}" in first.stdout
    some = checked(strangers, "continuum-fresh-store", "--maxfail=0", "-k", "p07 or p19 or p21")
    red = re.findall(r"^FAILED \S*test_p(\d\d)_", some.stdout, re.M)
    told = re.findall(rf"^Promise (\d+): .*\nRead: {re.escape(PAGE)}, section", some.stdout, re.M)
    assert [int(number) for number in told] == [int(number) for number in red] != []
    assert re.search(r"\d+ failed, [1-9]\d* passed", some.stdout)
    assert "DOES NOT CONFORM: promises that failed: 7, 19, 21" in some.stdout


def test_a_new_plugin_works_at_once(strangers: Installed) -> None:
    done = checked(strangers, "continuum-fresh-ends")
    assert done.returncode == 0, done.stdout + done.stderr
    told = ran(strangers, ".", "-m", "continuum_core", "fresh-ends")
    assert told.stdout == "continuum-fresh-ends is installed\n"
    listed = ran(strangers, ".", "-m", "continuum_core", "backends")
    assert "continuum-fresh-store" in listed.stdout
    assert "continuum-dbm" in listed.stdout
