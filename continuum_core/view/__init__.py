"""Runs and their histories as values for people: what the CLI prints and tests assert.

Everything here is read from stored rows. Where this process has the machine's code, contexts are typed
values and edges are told in words; where it has not, they are JSON values and numbers.
"""

from continuum_core.view.runs import RunView, TaskView, Waiting, outcome_view, page_views, run_view
from continuum_core.view.steps import Step, edge_text, step_view

__all__ = [
    "RunView",
    "Step",
    "TaskView",
    "Waiting",
    "edge_text",
    "outcome_view",
    "page_views",
    "run_view",
    "step_view",
]
