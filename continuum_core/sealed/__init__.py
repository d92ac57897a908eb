"""A journal whose payloads are sealed on their way in and opened on their way out.

The port speaks of rows and opaque bytes, so this is the one place where all of a user's data passes:
payloads, contexts (in snapshots), records, outcomes, failures, heartbeat details, keyed results, and the
texts of why a run is parked. Without payload codecs there is no such journal between the engine and a
backend.

What cannot be opened is handed on as `Unopened`: the engine parks the run on it, or hands the task back,
and writes it back as it was. Nothing is failed for the want of a key.
"""

from continuum_core.sealed.journal import sealed

__all__ = ["sealed"]
