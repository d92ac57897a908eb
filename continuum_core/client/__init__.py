"""Start runs, send them events, wait for results, look at them, order them about.

A client speaks to the journal and to nothing else; it needs no worker to be alive. One that knows a
machine's class takes the first turn of a run itself, in the transaction that starts it.
"""

from continuum_core.client.broadcasting import Broadcast
from continuum_core.client.client import Client
from continuum_core.client.connected import Here
from continuum_core.client.finding import Count, Wanted
from continuum_core.client.handle import Handle

__all__ = ["Broadcast", "Client", "Count", "Handle", "Here", "Wanted"]
