"""Snapshots as bytes: what they carry from one version of a machine to the next."""

from __future__ import annotations

import json

import pytest

from continuum_core.errors import UnknownVersion
from continuum_core.interpreter.events import Cancel
from continuum_core.interpreter.macrostep import step
from continuum_core.mapper import Image, decode_image, encode_image, imaged, unborn
from tests.mapper.machines import NOW, Dig, Home, Larger, Leave, Return, RicherCtx, Smaller, after, entry_of

HOME, LARGER, SMALLER = entry_of(Home), entry_of(Larger), entry_of(Smaller)


@pytest.mark.parametrize("events", [(), (Dig(),), (Dig(), Leave()), (Leave("a"), Return(), Dig())])
def test_a_run_at_rest_comes_back_as_it_was(events: tuple[object, ...]) -> None:
    image = after(HOME, *events)
    data = encode_image(HOME, image)
    back = decode_image(HOME, image.snapshot.version, data)
    assert back == image
    assert encode_image(HOME, back) == data


def test_the_stored_form_names_states_by_path_and_leaves_only() -> None:
    assert json.loads(encode_image(HOME, after(HOME, Dig()))) == {
        "v": 1,
        "states": ["home.garden"],
        "now": NOW,
        "context": {"name": "ann", "log": []},
        "tokens": {"home.garden": 2 << 16 | 1},
    }
    assert json.loads(encode_image(HOME, after(HOME, Dig(), Leave())))["history"] == {
        "home.back": ["home.garden"]
    }


def test_a_chart_that_gained_states_reads_runs_of_the_old_one_by_their_paths() -> None:
    image = after(HOME, Dig(), Leave())
    adopted = decode_image(LARGER, image.snapshot.version, encode_image(HOME, image))
    assert LARGER.leaves(adopted.snapshot.configuration) == ("away",)
    assert adopted.snapshot.configuration != image.snapshot.configuration, "the numbers did change"
    assert adopted.snapshot.context == RicherCtx("ann", ("bye",)), "the new field has its default"
    back = after(LARGER, Return(), image=adopted)
    assert LARGER.leaves(back.snapshot.configuration) == ("home.garden",), "it remembers across the deploy"


def test_tokens_survive_the_adoption_so_that_open_timers_and_activities_still_belong() -> None:
    image = after(HOME, Dig())
    adopted = decode_image(LARGER, image.snapshot.version, encode_image(HOME, image))
    assert adopted.snapshot.tokens == {LARGER.numbers["home.garden"]: image.snapshot.tokens[3]}


def test_a_history_that_was_removed_is_forgotten() -> None:
    image = after(HOME, Dig(), Leave())
    read = decode_image(SMALLER, image.snapshot.version, encode_image(HOME, image))
    assert read.snapshot.history == {}
    assert SMALLER.leaves(after(SMALLER, Return(), image=read).snapshot.configuration) == ("home",)


def test_a_history_whose_states_are_gone_falls_back_to_its_default() -> None:
    image = after(HOME, Dig(), Leave())
    told = json.loads(encode_image(HOME, image))
    told["history"] = {"home.back": ["home.shed"]}
    read = decode_image(HOME, image.snapshot.version, json.dumps(told).encode())
    assert read.snapshot.history == {}
    assert HOME.leaves(after(HOME, Return(), image=read).snapshot.configuration) == ("home.inside",)


def test_a_run_in_a_state_that_is_gone_is_not_guessed_at() -> None:
    image = after(HOME, Dig())
    with pytest.raises(UnknownVersion, match=r"no state 'home\.garden' any more"):
        decode_image(SMALLER, image.snapshot.version, encode_image(HOME, image))


def test_a_run_before_its_first_step_keeps_the_version_that_orders_gave_it() -> None:
    assert decode_image(HOME, 0, b"") == unborn()
    assert decode_image(HOME, 3, b"") == unborn(3)
    assert after(HOME, image=unborn(3)).snapshot.version == 4


def test_a_run_cancelled_before_it_began_never_had_a_context() -> None:
    before = unborn(1)
    cancelled = step(HOME.program, before.snapshot, Cancel("no"), NOW).snapshot
    image = imaged(HOME, before, cancelled)
    data = encode_image(HOME, image)
    assert json.loads(data) == {"v": 1, "states": [], "now": NOW, "context": None}
    back = decode_image(HOME, 2, data)
    assert (back.snapshot.context, back.snapshot.configuration) == (None, 0)


def test_a_run_cancelled_in_the_middle_keeps_its_context_to_be_looked_at() -> None:
    before = after(HOME, Leave("so long"))
    cancelled = step(HOME.program, before.snapshot, Cancel("no"), NOW).snapshot
    data = encode_image(HOME, imaged(HOME, before, cancelled))
    back = decode_image(HOME, cancelled.version, data)
    assert back.snapshot.context.log == ("so long",)
    assert back.snapshot.configuration == 0


def test_a_step_that_leaves_the_context_alone_does_not_encode_it_again() -> None:
    before = Image(after(HOME).snapshot, b'{"name":"ann", "log":[]}')  # a spelling of its own
    assert after(HOME, Dig(), image=before).context == before.context
    assert after(HOME, Leave(), image=before).context != before.context
