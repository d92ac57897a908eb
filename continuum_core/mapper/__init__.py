"""The only translator between the interpreter's values and the journal's rows.

Step → Commit, Event ⇄ Delivery, Snapshot ⇄ bytes. The formats written here are storage formats: each
envelope carries its version `v`, and what was once written must be readable for ever.

States are stored by path, never by number, so that a chart may gain states between two turns.
Payloads of users' types are written by their codec and spliced as they are: an event that arrives
is not encoded a second time for the record that tells of it.
"""

from continuum_core.mapper.asking import Asked, ask
from continuum_core.mapper.attributes import Described, described, given, rewritten
from continuum_core.mapper.crews import filled
from continuum_core.mapper.ends import (
    decode_outcome,
    encode_outcome,
    encode_termination,
    ending,
    left_undone,
    outcome_failure,
    status_of,
)
from continuum_core.mapper.events import (
    decode_event,
    decode_start,
    encode_cancel,
    encode_failed,
    encode_forced,
    encode_output,
    encode_signal,
    encode_signal_raw,
    encode_start,
    encode_start_raw,
    peek_event,
    signal_delivery,
    with_deadline,
)
from continuum_core.mapper.failures import decode_failure, encode_failure
from continuum_core.mapper.forks import decode_fork, encode_fork, take_up
from continuum_core.mapper.ids import derive_run_id, machine_name, start_digest
from continuum_core.mapper.images import Image, decode_image, encode_image, imaged, unborn
from continuum_core.mapper.kin import child_id, closings, crews_of, origin_in, origin_of_start, told_parent
from continuum_core.mapper.migrations import (
    Migrated,
    commands_of,
    decode_migration,
    encode_migration,
    migrated,
    upgrade_word,
)
from continuum_core.mapper.replies import (
    ASK,
    GUARDED,
    REPLIED,
    UNANSWERED,
    UNEXPECTED,
    decode_reply,
    encode_reply,
    is_asked,
)
from continuum_core.mapper.steps import (
    decode_control,
    decode_step,
    encode_control,
    encode_step,
    record_kind,
    step_word,
)

__all__ = [
    "ASK",
    "GUARDED",
    "REPLIED",
    "UNANSWERED",
    "UNEXPECTED",
    "Asked",
    "Described",
    "Image",
    "Migrated",
    "ask",
    "child_id",
    "closings",
    "commands_of",
    "crews_of",
    "decode_control",
    "decode_event",
    "decode_failure",
    "decode_fork",
    "decode_image",
    "decode_migration",
    "decode_outcome",
    "decode_reply",
    "decode_start",
    "decode_step",
    "derive_run_id",
    "described",
    "encode_cancel",
    "encode_control",
    "encode_failed",
    "encode_failure",
    "encode_forced",
    "encode_fork",
    "encode_image",
    "encode_migration",
    "encode_outcome",
    "encode_output",
    "encode_reply",
    "encode_signal",
    "encode_signal_raw",
    "encode_start",
    "encode_start_raw",
    "encode_step",
    "encode_termination",
    "ending",
    "filled",
    "given",
    "imaged",
    "is_asked",
    "left_undone",
    "machine_name",
    "migrated",
    "origin_in",
    "origin_of_start",
    "outcome_failure",
    "peek_event",
    "record_kind",
    "rewritten",
    "signal_delivery",
    "start_digest",
    "status_of",
    "step_word",
    "take_up",
    "told_parent",
    "unborn",
    "upgrade_word",
    "with_deadline",
]
