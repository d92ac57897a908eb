"""The verb `plugins`: which plugins this installation loads, and what each of them does."""

from __future__ import annotations

from typing import Any

from continuum_core.cli.options import AsJson, Debug
from continuum_core.cli.output import Rows, print_json, safe
from continuum_core.hooks.loading import installed
from continuum_core.hooks.plugins import Plugin, Plugins
from continuum_core.hooks.sealing import pipeline_of

__all__ = ["plugins"]


def plugins(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the loaded plugins, where they come from, their hooks, what is off, and what they raised here."""
    loaded = installed()
    codecs = _codecs(loaded)
    facts = [_facts(loaded, plugin, codecs.get(plugin.name, [])) for plugin in loaded.loaded()]
    if as_json:
        for each in facts:
            print_json(each)
        return
    rows = Rows([("plugin", 12), ("from", 28), ("state", 14), ("hooks", 0)])
    rows.add(
        (
            safe(each["plugin"]),
            f"{safe(each['distribution'])}\n{safe(each['entry_point'])}",
            safe(_state(each)),
            "\n".join(map(safe, each["hooks"])) or "none",
        )
        for each in facts
    )


def _codecs(loaded: Plugins) -> dict[str, list[str]]:
    """The tags of the payload codecs that are configured. Raises PluginRefused for wrong settings."""
    pipeline_of(loaded)
    found: dict[str, list[str]] = {}
    for plugin, codec in [] if loaded.payload_codecs is None else loaded.payload_codecs.demanded():
        found.setdefault(plugin, []).append(codec.tag if codec.writes else f"{codec.tag} (reads only)")
    return found


def _facts(loaded: Plugins, plugin: Plugin, codecs: list[str]) -> dict[str, Any]:
    return {
        "plugin": plugin.name,
        "distribution": plugin.origin,
        "entry_point": plugin.value,
        "hooks": list(plugin.hooks),
        "off": plugin.name in loaded.off(),
        "payload_codecs": codecs,
        "failures": {hook: n for (name, hook), n in loaded.failures.items() if name == plugin.name},
    }


def _state(facts: dict[str, Any]) -> str:
    words = ["off" if facts["off"] else "on"]
    words += [f"codec {tag}" for tag in facts["payload_codecs"]]
    words += [f"raised in {hook}" for hook in facts["failures"]]
    return ", ".join(words)
