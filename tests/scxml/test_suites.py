"""Documents that nobody wrote for us: each is imported as code that compiles, or refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from continuum_scxml import FormatRefused, outline_of, read_scxml, skeleton
from tests.interpreter.scxml.suites import FOLDER
from tests.scxml.carrying import imported, shape

FILES = sorted(FOLDER.glob("**/*.scxml"))
REFUSED: dict[str, str] = {}

absent = pytest.mark.skipif(not FILES, reason=f"the conformance suites are not at {FOLDER}")


@absent
@pytest.mark.parametrize("file", [pytest.param(f, id=f.relative_to(FOLDER).as_posix()) for f in FILES])
def test_a_file_of_the_suites_is_imported_or_refused(file: Path) -> None:
    name = file.relative_to(FOLDER).as_posix()
    if name in REFUSED:
        with pytest.raises(FormatRefused, match=REFUSED[name]):
            read_scxml(file.read_bytes())
        return
    outline = read_scxml(file.read_bytes())
    compile(skeleton(outline, "SCXML"), name, "exec", dont_inherit=True)


@absent
@pytest.mark.parametrize(
    "name",
    [
        "scion/history/history3.scxml",
        "scion/hierarchy/hier2.scxml",
        "scion/more-parallel/test3.scxml",
        "scion/parallel+interrupt/test16.scxml",
        "scion/delayedSend/send1.scxml",
    ],
)
def test_code_made_of_a_file_declares_the_same_states_and_edges(name: str, tmp_path: Path) -> None:
    outline = read_scxml((FOLDER / name).read_bytes())
    chart, _ = imported(skeleton(outline, "SCXML"), tmp_path)
    assert shape(outline_of(chart).root) == shape(outline.root)
