"""Sphinx's settings of the book: `make docs` builds it into docs/_build/html with warnings as errors."""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The pages' kernels import the benchmarks' modules and docs/defaults.py as scripts in these folders would.
sys.path[:0] = PATHS = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT / "docs")]
# The shell commands of the pages use this Python and its scripts.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["TTY_COMPATIBLE"] = "0"  # no progress bars in the outputs of shell commands

from docstrings import as_restructured_text, readable_signature, restore_colons  # noqa: E402

project = "pac_surrogate"
author = "the pac_surrogate authors"
project_copyright = f"2026, {author}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "sg_execution_times.rst", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5", "gallery/*.json"]
nitpicky = True  # every link to a name of this project leads somewhere; those of other projects have no target here
nitpick_ignore_regex = [("py:.*", r"(?!(pac_surrogate|simulators)\.).*")]
default_role = "code"  # a name between single backticks in a docstring

html_theme = "furo"
html_title = "pac_surrogate"
html_theme_options = {"source_repository": "", "navigation_with_keys": True}

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
html_static_path = ["_static"]
html_css_files = ["book.css"]
# MathJax is one file of the book. Its package is never imported, it only carries the file.
MATHJAX = importlib.util.find_spec("sphinx-mathjax-offline")
if MATHJAX is not None and MATHJAX.origin is not None:  # else the browser loads MathJax from Sphinx's default host
    html_static_path.append(str(Path(MATHJAX.origin).parent / "static" / "mathjax" / "tex-svg.js"))
    mathjax_path = "tex-svg.js"
    mathjax3_config = {"options": {"enableMenu": False}}  # the menu would load further files

nb_execution_mode = os.environ.get("BOOK_EXECUTION", "force")
nb_execution_in_temp = True
nb_execution_timeout = 1800  # seconds for a cell that takes ten where no other process is at work
nb_execution_raise_on_error = True
nb_merge_streams = True
if nb_execution_mode == "off":  # cells that were not run do not state their language
    suppress_warnings = ["myst-nb.lexer"]
nb_render_markdown_format = "myst"  # tables, mathematics and links in the Markdown that a cell returns

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "plot_gallery": os.environ.get("BOOK_EXECUTION", "force") != "off",
}


def setup(app):
    """Read docstrings as this project writes them."""
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)  # before napoleon reads the sections
    app.connect("autodoc-process-docstring", restore_colons, priority=900)  # after it
    app.connect("autodoc-process-signature", readable_signature)
