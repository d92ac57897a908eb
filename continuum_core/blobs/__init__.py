"""A journal whose large payloads are kept apart from its rows, as blobs named by what they hold.

It stands right before the backend, behind payload codecs: what is measured, hashed and kept is what is
stored. So a blob is sealed, and its place bound, like any payload; compression decides what is large; and
nobody who has no key learns from a hash what was in it. The price: codecs that never write the same bytes
twice (encryption) leave nothing to be shared.

Whatever is above sees whole payloads only, whichever limit their writer had. One whose blob is missing or
damaged is handed on as `Unopened`, as what cannot be unsealed is: the run parks on it, and nothing is failed
or half read.

Whole, in their rows, stay: replies and keyed results, which outlive their runs by windows of their own; and
what is written in a transaction of the user's, where a blob would have to be put by another connection.
"""

from continuum_core.blobs.journal import with_blobs

__all__ = ["with_blobs"]
