"""The `machine` directive: draws a machine of `docs/examples` where the page stands.

    ```{machine} orders:Order
    :caption: The order's life.
    ```

The picture comes from the declaration itself when the manual is built, so it cannot disagree with it.
"""

from __future__ import annotations

import base64
import html
import importlib
import inspect
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from continuum_core.definition.chart import Chart
from continuum_core.definition.svg import svg


class MachineDirective(SphinxDirective):
    """`{machine} module:Machine`, optionally with a `:caption:`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        module_name, _, machine_name = self.arguments[0].partition(":")
        try:
            module = importlib.import_module(module_name)
            machine = getattr(module, machine_name)
        except (ImportError, AttributeError) as missing:
            raise self.error(f"no machine {self.arguments[0]!r} in docs/examples: {missing}") from missing
        self.env.note_dependency(inspect.getfile(module))
        figure = nodes.figure(classes=["machine"])
        figure += nodes.raw("", _image(machine.chart), format="html")
        if caption := self.options.get("caption"):
            children, messages = self.state.inline_text(caption, self.lineno)
            figure += [nodes.caption(caption, "", *children), *messages]
        return [figure]


def _image(chart: Chart) -> str:
    """An image element that holds the picture itself: as part of the page, the styles and ids of several
    pictures would meet.
    """
    data = base64.b64encode(svg(chart, theme="auto").encode()).decode()
    return f'<img alt="The machine {html.escape(chart.name)}, drawn" src="data:image/svg+xml;base64,{data}">'


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("machine", MachineDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
