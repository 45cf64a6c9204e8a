"""Which file a block node is, by what QEMU says of it."""

import json
from collections.abc import Mapping
from typing import Any


def file_of(node: Mapping[str, Any]) -> str:
    """Return the name of the file behind a node.

    A node whose backing file is another than its image says is called
    ``json:{…}``: so is every overlay that was put on while its VM ran.

    :param node: as ``query-named-block-nodes`` shows it
    """
    name = str(node["file"])
    if not name.startswith("json:"):
        return name
    options = json.loads(name[5:])
    while isinstance(options, dict) and "filename" not in options:
        options = options.get("file")
    return str(options["filename"]) if options else name
