"""How the manual is built: `python3 dev.py docs`. Warnings are errors, so a dead reference does not pass."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE / "examples")]

project = "continuum_core"
author = "The continuum_core authors"
release = metadata.version("continuum-core")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "machine"]
exclude_patterns = ["_build", "examples"]
root_doc = "index"

html_theme = "furo"
html_title = f"continuum_core {release}"
html_static_path = ["_static"]
html_css_files = ["machine.css"]
html_copy_source = False
html_show_copyright = False  # the licence says it

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

default_role = "code"  # `name` in a docstring is a name
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

nitpicky = True
# Prose must not point at names that are gone, so the project's own names are checked. Annotations name types
# of the standard library and of dependencies too; resolving those would need a network at build time.
nitpick_ignore_regex = [
    ("py:.*", r"(?!continuum_).*"),
    ("py:.*", r"continuum_.*\.[A-Z](_co|_contra)?"),  # type variables
    ("py:class", r"continuum_.*\.(Asked|NothingGiven|OfContext|Place|Policy)"),  # what only type checkers see
    (
        "py:class",
        r"continuum_core\.(host\.Host|registry\.\w+|runtime\.attempt\.Runner|hooks\.\w+\.\w+)",
    ),  # ports
    ("py:class", r"continuum_core\.(client|sync_client)\.\w+\.\w+"),  # parts of the clients
]
