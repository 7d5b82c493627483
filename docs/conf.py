"""Sphinx configuration; `make docs` builds with warnings as errors."""

import os
from importlib import metadata

# Autodoc imports simulators and drawing libraries: neither may look for a display or greet.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

project = "dreamgym"
author = "The dreamgym authors"
copyright = "2026, The dreamgym authors"
release = version = metadata.version("dreamgym")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "results/*.md"]

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

autosummary_generate = True
# A room re-exports what its modules hold: each thing is documented once, where it is written.
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "member-order": "bysource",
    "ignore-module-all": True,
}
autodoc_inherit_docstrings = False  # a method that fulfils a contract is documented by the contract
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "dreamgym"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
