"""What goes into the verbs and what comes out.

Every verb takes a batch and answers one outcome per member, in order. One member's refusal never
harms another's. The values are made as those of `records` are, and changed by the same `replace`.

- `turns`: what a turn, a start and a delivery write. Begin here.
- `claims`: runs and tasks in somebody's hands. `finishes`: how tasks end.
- `orders`: what operators ask. `pages`: what is looked at, and pruned.
"""

from continuum_core.journal.commit.claims import (
    FIRST_DUE,
    Claims,
    DueEntry,
    RunClaim,
    RunHold,
    TaskClaim,
    TaskClaims,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.commit.finishes import (
    Finished,
    FinishKind,
    FinishOutcome,
    Reservation,
    Reserved,
    ReserveOutcome,
    TaskFinish,
)
from continuum_core.journal.commit.orders import Order, Ordered, OrderKind, OrderOutcome
from continuum_core.journal.commit.pages import Inspection, Page, Pruned, PrunePlan, Query
from continuum_core.journal.commit.turns import (
    Commit,
    CommitOutcome,
    Committed,
    Delivered,
    DeliverOutcome,
    Member,
    NewRun,
    NewTask,
    Reply,
    Started,
    StartOutcome,
)

__all__ = [
    "FIRST_DUE",
    "Claims",
    "Commit",
    "CommitOutcome",
    "Committed",
    "DeliverOutcome",
    "Delivered",
    "DueEntry",
    "FinishKind",
    "FinishOutcome",
    "Finished",
    "Inspection",
    "Member",
    "NewRun",
    "NewTask",
    "Order",
    "OrderKind",
    "OrderOutcome",
    "Ordered",
    "Page",
    "PrunePlan",
    "Pruned",
    "Query",
    "Reply",
    "Reservation",
    "ReserveOutcome",
    "Reserved",
    "RunClaim",
    "RunHold",
    "StartOutcome",
    "Started",
    "TaskClaim",
    "TaskClaims",
    "TaskFinish",
    "TaskHold",
    "TaskWant",
]
