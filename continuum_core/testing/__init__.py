"""What users' tests need: a machine driven by hand, an engine with virtual time, stubs, golden histories."""

from continuum_core.testing.clock import VirtualClock, VirtualHost
from continuum_core.testing.drive import Drive, OpenActivity, OpenTimer
from continuum_core.testing.engine import Engine
from continuum_core.testing.histories import golden
from continuum_core.testing.stubs import Stub

__all__ = ["Drive", "Engine", "OpenActivity", "OpenTimer", "Stub", "VirtualClock", "VirtualHost", "golden"]
