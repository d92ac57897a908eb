"""What users' tests need: a machine driven by hand, paths through it, an engine with virtual time, stubs."""

from continuum_core.testing.clock import VirtualClock, VirtualHost
from continuum_core.testing.drive import Drive
from continuum_core.testing.engine import Engine
from continuum_core.testing.histories import golden
from continuum_core.testing.moves import Advance, Cancel, Complete, Fail, Send
from continuum_core.testing.opened import OpenActivity, OpenTimer
from continuum_core.testing.paths import Explored, Gap, Path, explore
from continuum_core.testing.stubs import Held, Stub

__all__ = [
    "Advance",
    "Cancel",
    "Complete",
    "Drive",
    "Engine",
    "Explored",
    "Fail",
    "Gap",
    "Held",
    "OpenActivity",
    "OpenTimer",
    "Path",
    "Send",
    "Stub",
    "VirtualClock",
    "VirtualHost",
    "explore",
    "golden",
]
