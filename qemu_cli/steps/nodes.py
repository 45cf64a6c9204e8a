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


def stands_on_another(node: Mapping[str, Any]) -> bool:
    """Tell whether an overlay was put on what it stands on.

    (``backing_file_depth`` is 0 in every flat reply, and the image's
    ``backing-filename`` is what its header says.)
    """
    return bool(node.get("backing_file"))


def _options(node: Mapping[str, Any]) -> dict[str, Any]:
    name = str(node["file"])
    if not name.startswith("json:"):
        return {}
    return dict(json.loads(name[5:]))
