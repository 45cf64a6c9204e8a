"""What block nodes are, by what QEMU says of them.

A node whose backing file is another than its image says is called
``json:{…}``: so is every overlay that was put on while its VM ran.
"""

import json
from collections.abc import Mapping
from typing import Any


def file_of(node: Mapping[str, Any]) -> str:
    """Return the name of the file behind a node.

    :param node: as ``query-named-block-nodes`` shows it
    """
    options = _options(node)
    while options and "filename" not in options:
        options = options.get("file", {})
    return str(options["filename"]) if options else str(node["file"])


def lacks_backing(node: Mapping[str, Any]) -> bool:
    """Tell whether an overlay was opened without what it stands on.

    (``backing_file_depth`` is 0 in every flat reply.)
    """
    options = _options(node)
    return "backing" in options and options["backing"] is None


def _options(node: Mapping[str, Any]) -> dict[str, Any]:
    name = str(node["file"])
    if not name.startswith("json:"):
        return {}
    return dict(json.loads(name[5:]))
