"""Traces and metrics by OpenTelemetry. ``CONTINUUM_OTEL`` takes it into use; `telemetry` is for programs.

The plugin speaks to the API of OpenTelemetry alone: which SDK, which exporters and what is sampled is said
where a process configures OpenTelemetry, and nowhere here.
"""

from __future__ import annotations

import os

from continuum_core.hooks import PluginRefused

__all__ = ["SETTING", "Idle", "chosen", "plugin"]

SETTING = "CONTINUUM_OTEL"
"""``on`` for both, ``traces`` or ``metrics`` for one; unset or ``off`` for nothing."""


class Idle:
    """The plugin where nothing is asked of it: it implements no hook, so that nothing is gathered for it."""

    HOOKS_VERSION = 2


def chosen(setting: str) -> object:
    """The plugin that a setting asks for. Raises PluginRefused."""
    if setting in ("", "off", "0"):
        return Idle()
    try:
        from continuum_otel import telemetry  # noqa: PLC0415 (an extra, and only where it is in use)
    except ImportError as error:
        raise PluginRefused(
            f'{SETTING} needs OpenTelemetry: pip install "continuum-core[otel]" ({error})'
        ) from error
    made = {
        "traces": telemetry.Traces,
        "metrics": telemetry.Metrics,
        "on": telemetry.Otel,
        "1": telemetry.Otel,
    }
    if setting not in made:
        raise PluginRefused(f"{SETTING} should be on, traces, metrics or off, not {setting!r}")
    return made[setting]()


plugin = chosen(os.environ.get(SETTING, "").strip().lower())
