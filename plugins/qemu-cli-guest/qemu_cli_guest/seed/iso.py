"""A seed as an ISO 9660 image, and back."""

import io
from collections.abc import Mapping

from qemu_cli.errors import QemuCliError

#: By this cloud-init knows the volume.
VOLUME = "cidata"

#: All that a seed can hold.
NAMES = ("user-data", "meta-data", "network-config", "vendor-data")


def write(files: Mapping[str, bytes]) -> bytes:
    """Make an image that holds these files, by their names.

    Rock Ridge and Joliet keep their names, which ISO 9660 has no room for.
    """
    import pycdlib

    image = pycdlib.PyCdlib()
    image.new(
        interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=VOLUME
    )
    for name, data in files.items():
        image.add_fp(
            io.BytesIO(data),
            len(data),
            f"/{name.replace('-', '').upper()}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    """The files that an image of ours holds, by their names.

    :raise QemuCliError: it is none
    """
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    image = pycdlib.PyCdlib()
    found = {}
    try:
        image.open_fp(io.BytesIO(data))
        for record in image.list_children(rr_path="/"):
            if record.is_file():
                name = record.rock_ridge.name().decode()
                content = io.BytesIO()
                image.get_file_from_iso_fp(content, rr_path=f"/{name}")
                found[name] = content.getvalue()
        image.close()
    except PyCdlibException as error:
        raise QemuCliError(f"it is no seed of ours: {error}") from None
    return found
