"""What an error tells, in the types it is told in: the error lives below them and knows none."""

from continuum_core.definition.fault import Fault
from continuum_core.errors import DefinitionError


def faults_of(error: DefinitionError) -> list[Fault]:
    """All of them; nothing else may stand among them."""
    faults = [fault for fault in error.faults if isinstance(fault, Fault)]
    assert len(faults) == len(error.faults)
    return faults
