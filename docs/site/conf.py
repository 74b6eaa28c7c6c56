"""How Sphinx makes the site of the pages that `docs/make_site.py` has laid out."""

from __future__ import annotations

import importlib.metadata

project = "melafuse"
author = "the authors of melafuse"
version = release = importlib.metadata.version("melafuse")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/ham10000"

html_theme = "furo"
html_title = "melafuse"
html_copy_source = False
html_show_sourcelink = False

# Headings down to the fourth level can be linked to, as on a repository host.
myst_heading_anchors = 4
# Real output holds signs that lexers of YAML or JSON do not know, for example an ellipsis.
suppress_warnings = ["misc.highlighting_failure"]

# Docstrings are Google's; a single backtick means code in them.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
