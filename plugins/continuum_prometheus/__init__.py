"""Metrics for Prometheus. ``CONTINUUM_PROMETHEUS`` takes it into use; `exposition` is for programs.

``on`` collects into the registry of `prometheus_client`, for a process that shows it by itself. A port, or
``HOST:PORT``, also opens an endpoint there while workers run: on 127.0.0.1 unless a host is named.
"""

from __future__ import annotations

import os

from continuum_core.hooks import PluginRefused

__all__ = ["SETTING", "Idle", "chosen", "plugin"]

SETTING = "CONTINUUM_PROMETHEUS"
"""``on``, a port, or ``HOST:PORT``; unset or ``off`` for nothing."""


class Idle:
    """The plugin where nothing is asked of it: it implements no hook, so that nothing is gathered for it."""

    HOOKS_VERSION = 2


def chosen(setting: str) -> object:
    """The plugin that a setting asks for. Raises PluginRefused."""
    if setting.lower() in ("", "off"):
        return Idle()
    try:
        from continuum_prometheus.exposition import Prometheus  # noqa: PLC0415 (an extra, where it is in use)
    except ImportError as error:
        raise PluginRefused(
            f'{SETTING} needs its client: pip install "continuum-core[prometheus]" ({error})'
        ) from error
    if setting.lower() == "on":
        return Prometheus()
    host, _, port = setting.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536):
        raise PluginRefused(f"{SETTING} should be on, off, a port or HOST:PORT, not {setting!r}")
    return Prometheus(port=int(port), host=host.strip("[]") or "127.0.0.1")


plugin = chosen(os.environ.get(SETTING, "").strip())
