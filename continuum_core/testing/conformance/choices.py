"""What the parity machine may choose from: hypothesis strategies, few values each, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from continuum_core.journal.commit import FinishKind
from continuum_core.journal.protocol import Limits
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Held, RunStatus
from continuum_core.testing.conformance.given import FAR, HOUR, MOMENT, new_task

__all__ = [
    "activities",
    "caps",
    "dedupes",
    "effects",
    "fingerprints",
    "finishes",
    "latest",
    "leases",
    "limits",
    "messages",
    "now_and_then",
    "places",
    "rates",
    "results",
    "takes",
]

leases = st.sampled_from([MOMENT, HOUR])
places = st.sampled_from([*range(7)] * 2 + [7])
latest = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 7])
"""How far back in what was claimed: what is old is held no more, and seldom worth another step."""

caps = st.sampled_from([None, None, None, 1, 2, 3])
rates = st.sampled_from([None, None, None, Rate(1, HOUR, 2), Rate(3, HOUR, 1), Rate(5, HOUR // 3, 4)])
dues = st.sampled_from([None, None, None, 1, 2, 3, FAR, FAR + 1])
dedupes = st.sampled_from([None, None, "a", "b"])
tokens = st.integers(1, 2)
fingerprints = st.sampled_from(["v1", "v2"])
takes = st.sampled_from([frozenset({"v1", "v2"})] * 3 + [frozenset({"v1"})])
results = st.sampled_from([None, b"result"])
now_and_then = st.sampled_from([False, False, False, True])
statuses = st.sampled_from(
    [RunStatus.RUNNING] * 14 + [RunStatus.PARKED] * 2 + [RunStatus.COMPLETED, RunStatus.CANCELLED]
)
limits = st.sampled_from(
    [
        Limits(loss_backoff=MOMENT),
        Limits(loss_backoff=MOMENT, pending=3, dedupe_window=MOMENT, result_window=MOMENT),
        Limits(loss_backoff=HOUR, pending=2),
    ]
)

messages = st.tuples(places, st.sampled_from(["signal", "timer"]), dues, dedupes, tokens)
activities = st.sampled_from(["act", "other"])
tasks = st.builds(
    new_task,
    token=tokens,
    slot=st.integers(0, 1),
    activity=activities,
    queue=st.sampled_from(["queue", "slow"]),
    priority=st.integers(-1, 1),
    key=st.sampled_from([None, "key"]),
    undo=st.booleans(),
    fairness=st.sampled_from(["", "", "a", "b", "é"]),
    lease=st.sampled_from([None, None, MOMENT, HOUR]),
)
effects = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 3),
        "status": statuses,
        "sends": st.lists(messages, max_size=2),
        "tasks": st.lists(tasks, max_size=2, unique_by=lambda task: (task.token, task.slot)),
        "gaps": now_and_then,
        "begins": now_and_then,
        "eternal": st.sampled_from([False] * 15 + [True]),
        "members": st.sampled_from([(), (), (), (0,), (0, 1), (1, 2)]),
        "children": st.sampled_from([0] * 6 + [1, 2]),
        "closed": st.sampled_from([(), (), (1,), (2,), (1, 2)]),
        "consume": st.integers(0, 4),
        "hold": st.sampled_from([None, None, Held.DEFERRED, Held.POISON]),
        "release": now_and_then,
        "fingerprint": fingerprints,
    }
)
finishes = st.fixed_dictionaries(
    {
        "place": latest,
        "kind": st.sampled_from(FinishKind),
        "delay": st.sampled_from([0, HOUR]),
        "result": results,
        "dedupe": dedupes,
        "onward": st.booleans(),
        "chosen": effects,
    }
)
