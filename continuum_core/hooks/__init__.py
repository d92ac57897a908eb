"""Hooks for plugins: `spec` says which there are, `loading` finds who implements them."""

from continuum_core.hooks.spec import HOOKS_VERSION, hookimpl

__all__ = ["HOOKS_VERSION", "hookimpl"]
