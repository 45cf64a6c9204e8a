"""What is written into a seed, and what of it is checked.

cloud-init says nothing when it can't read its data: the guest then has no
user and no key, and nobody can look why.  So what can be seen is seen here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qemu_cli.errors import UsageError

#: The first lines that cloud-init knows ("User-data formats"), and those of
#: a MIME message, which may hold several of them.
HEADERS = (
    *("#cloud-config", "#!", "#include", "#cloud-boothook", "#part-handler"),
    *("## template: jinja", "Content-Type:", "MIME-Version:"),
)
_GZIP = b"\x1f\x8b"


def check_user_data(data: bytes, where: str) -> None:
    """Refuse what cloud-init would pass over.

    :param where: the file, for messages
    :raise UsageError: it does not begin as user-data does, or is no YAML
    """
    if data.startswith(_GZIP):
        return
    text = _text(data, where)
    # A script's "#!" may have no blank before it, but a header may.
    first = text.lstrip().partition("\n")[0]
    if not first.lower().startswith(tuple(each.lower() for each in HEADERS)):
        raise UsageError(
            f"{where}: cloud-init would ignore it: its first line is "
            f"{first[:40]!r}",
            hint="it begins with '#cloud-config', or with '#!' when it is a "
            "script",
        )
    if first.rstrip() == "#cloud-config":
        check_mapping(data, where)


def check_mapping(data: bytes, where: str) -> dict[str, Any]:
    """Read YAML, which is to be a mapping, or nothing at all.

    :raise UsageError: it is not; the line is named
    """
    import yaml

    try:
        found = yaml.safe_load(_text(data, where))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is no YAML"
        raise UsageError(f"{where}{line}: {problem}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"{where}: it is no mapping of keys to values")
    return found


def user_data(
    user: str | None, keys: Sequence[str], password: str | None
) -> bytes:
    """Make user-data for somebody who logs in.

    :param user: who may also use sudo; None: the image's own user
    :param keys: public keys, as in authorized_keys(5)
    :param password: the hash of one, as in shadow(5)
    """
    config: dict[str, Any] = {}
    if user:
        who: dict[str, Any] = {
            "name": user,
            "shell": "/bin/bash",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd": password is None,
        }
        if keys:
            who["ssh_authorized_keys"] = list(keys)
        if password:
            who["passwd"] = password
        config["users"] = [who]
    else:
        if keys:
            config["ssh_authorized_keys"] = list(keys)
        if password:
            config["password"] = password
            config["chpasswd"] = {"expire": False}
    if password:
        config["ssh_pwauth"] = True
    return b"#cloud-config\n" + (dump(config) if config else b"")


def meta_data(
    known: Mapping[str, Any], uuid: str, hostname: str | None
) -> bytes:
    """Make meta-data.

    :param known: what it says already
    :param uuid: by another one cloud-init sees a new machine, whose first
        boot it is
    """
    found = {**known, "instance-id": uuid}
    if hostname:
        found["local-hostname"] = hostname
    return dump(found)


def dump(config: Mapping[str, Any]) -> bytes:
    """Write YAML, in the order given."""
    import yaml

    text: str = yaml.safe_dump(dict(config), sort_keys=False, width=10_000)
    return text.encode()


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where}: it is no UTF-8 text, at byte {error.start}"
        ) from None
