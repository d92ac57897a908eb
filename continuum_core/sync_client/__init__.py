"""The client for programs without an event loop: the same client, on a thread of its own.

Nothing is written twice: each method hands its asynchronous twin to the loop on that thread and
waits. It may be called from any thread, and from several at once.
"""

from continuum_core.sync_client.client import SyncClient
from continuum_core.sync_client.handle import SyncHandle

__all__ = ["SyncClient", "SyncHandle"]
