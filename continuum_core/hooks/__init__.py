"""Hooks for plugins: `spec` says which there are, `loading` finds plugins, `plugins` calls them."""

from continuum_core.hooks.contributions import PayloadCodec, Redactor, TypeHandler
from continuum_core.hooks.facts import (
    AttemptFacts,
    BatchFacts,
    Headers,
    HealthSection,
    JournalFacts,
    MachineFacts,
    Outgoing,
    ReportFacts,
    RunFacts,
    TurnFacts,
    WorkerFacts,
)
from continuum_core.hooks.plugins import PluginRefused, Plugins
from continuum_core.hooks.spec import HOOKS_VERSION, hookimpl
from continuum_core.journal.gauges import Gauges, QueueGauge

__all__ = [
    "HOOKS_VERSION",
    "AttemptFacts",
    "BatchFacts",
    "Gauges",
    "Headers",
    "HealthSection",
    "JournalFacts",
    "MachineFacts",
    "Outgoing",
    "PayloadCodec",
    "PluginRefused",
    "Plugins",
    "QueueGauge",
    "Redactor",
    "ReportFacts",
    "RunFacts",
    "TurnFacts",
    "TypeHandler",
    "WorkerFacts",
    "hookimpl",
]
