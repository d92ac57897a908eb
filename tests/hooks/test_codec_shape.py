"""A payload codec that lacks something is refused with what it lacks, before anything is stored."""

from __future__ import annotations

from typing import Any, cast

import pytest

from continuum_core.hooks import PayloadCodec, PluginRefused
from continuum_core.hooks.sealing import Pipeline


class Whole:
    tag = "whole"
    order = 1
    writes = True
    required = False

    def encode(self, data: bytes, bound: bytes) -> bytes:
        return data

    def decode(self, data: bytes, bound: bytes) -> bytes:
        return data

    def digest(self, data: bytes) -> bytes | None:
        return None


MEMBERS = sorted(name for name in vars(PayloadCodec) if not name.startswith("_"))


def test_a_whole_one_is_taken() -> None:
    assert Pipeline([("test", Whole())])
    assert set(MEMBERS) == {name for name in vars(Whole) if not name.startswith("_")}


@pytest.mark.parametrize("name", MEMBERS)
def test_one_that_lacks_something_is_refused(name: str) -> None:
    """As one that was written for a release whose codecs had less to say."""
    members = {key: value for key, value in vars(Whole).items() if not key.startswith("_") and key != name}
    lacking = cast("Any", type("Lacking", (), members))()
    with pytest.raises(PluginRefused, match=f"plugin 'test': its payload codec Lacking has no {name};"):
        Pipeline([("test", lacking)])
