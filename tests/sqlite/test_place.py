"""A URL is understood in full or refused, and a place that cannot hold a journal is refused too."""

from __future__ import annotations

from pathlib import Path

import pytest

from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.protocol import Limits
from continuum_sqlite import connect
from continuum_sqlite.place import Place, check_place, filesystem, parse

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /srv rw - ext4 /dev/vdb rw
31 30 0:41 / /srv/share rw shared:7 - nfs4 server:/export rw
32 22 0:42 / /mnt/with\\040blank rw - cifs //server/x rw
33 31 0:43 / /srv/share/local rw - xfs /dev/vdc rw
"""


def test_a_url_names_a_file() -> None:
    assert parse("sqlite:////var/lib/orders.db") == Place("/var/lib/orders.db")
    assert parse("sqlite:///orders.db").path == str(Path.cwd() / "orders.db")
    assert parse("sqlite:////a%20b/c%3Fd.db").path == "/a b/c?d.db"
    assert parse("sqlite:////x.db?busy_timeout=250ms&beside=yes&network=no") == Place(
        "/x.db", 0.25, True, False
    )


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("sqlite://", "memory://"),
        ("sqlite:///", "memory://"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///file::memory:", "memory://"),
        ("sqlite:////var/lib/", "names no file"),
        ("sqlite://host/x.db", "sqlite:////absolute"),
        ("sqlite:////x.db#part", "%23"),
        ("sqlite:////x%00.db", "NUL"),
        ("sqlite:////x.db?synchronous=OFF", "unknown option 'synchronous'"),
        ("sqlite:////x.db?busy_timeout=soon", "500ms or 10s"),
        ("sqlite:////x.db?beside=perhaps", "neither yes nor no"),
        ("sqlite:////x.db?beside=yes&beside=no", "given twice"),
    ],
)
def test_a_wrong_url_is_refused_with_a_remedy(url: str, hint: str) -> None:
    with pytest.raises(IncompatibleJournal) as refusal:
        connect(url, "test", Limits())
    assert hint in str(refusal.value)


def test_connecting_touches_nothing(tmp_path: Path) -> None:
    connect(f"sqlite:///{tmp_path}/new.db", "test", Limits())
    assert not list(tmp_path.iterdir())


def test_a_directory_must_exist_and_a_file_be_named(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleJournal, match="does not exist"):
        check_place(Place(str(tmp_path / "no" / "x.db")))
    with pytest.raises(IncompatibleJournal, match="is a directory"):
        check_place(Place(str(tmp_path)))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x.db", "ext4"),
        ("/srv/x.db", "ext4"),
        ("/srv/share/x.db", "nfs4"),
        ("/srv/shared/x.db", "ext4"),
        ("/srv/share/local/x.db", "xfs"),
        ("/mnt/with blank/x.db", "cifs"),
    ],
)
def test_the_filesystem_is_that_of_the_nearest_mount(path: str, kind: str, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert filesystem(Path(path), mounts) == kind


def test_a_network_filesystem_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("continuum_sqlite.place.filesystem", lambda path: "nfs4")
    place = Place(str(tmp_path / "x.db"))
    with pytest.raises(IncompatibleJournal, match=r"nfs4.*network=yes"):
        check_place(place)
    check_place(Place(place.path, network=True))
