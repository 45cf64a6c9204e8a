"""How Sphinx builds the documentation: ``make docs``."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "qemu-cli"
author = "the qemu-cli developers"
release = version = installed_version("qemu-cli")

extensions = ["myst_parser", "sphinx.ext.autodoc", "program_reference"]
exclude_patterns = ["_build", "_ext", "changelog/next"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "qemu-cli"

autodoc_typehints = "description"
autodoc_member_order = "bysource"

# The contracts in explanation/ are Python with gaps (…).
suppress_warnings = ["misc.highlighting_failure"]
