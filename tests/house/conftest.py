"""The distribution as a stranger gets it: built, then installed in an environment of its own.

An editable install puts the whole checkout on the path, so nothing that is tested through it shows what a
wheel lacks or carries too much of.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.house.installed import ROOT, Installed, build, environment


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    archive = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as packed:
        # As attribute, because the argument `filter` came with Python 3.11.4.
        packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        packed.extractall(directory)
    (unpacked,) = directory.iterdir()
    return unpacked


@pytest.fixture(scope="session")
def wheel_of_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    return build(sdist, "wheel", tmp_path_factory.mktemp("again"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a fresh environment; what it depends on comes from ours, so that no index is asked."""
    directory = tmp_path_factory.mktemp("environment")
    return environment([wheel], directory, tmp_path_factory.mktemp("elsewhere"))
