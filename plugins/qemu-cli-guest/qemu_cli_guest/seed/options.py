"""The options of ``qemu create`` and ``qemu run`` that make a seed."""

import argparse
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qemu_cli.command.options import CreateOptions, exclude
from qemu_cli.errors import NotFoundError, UsageError
from qemu_cli.instance.host import Host
from qemu_cli.instance.parts import Newborn, NewFile, Parts
from qemu_cli_guest.seed import FILE, data, iso

#: RFC 1123, 2.1, and what cloud-init makes of dots.
_HOSTNAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
#: useradd(8).
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
#: authorized_keys(5): options may come before the type.
_KEY = re.compile(
    r"(^|\s)(ssh-[a-z0-9]+|ecdsa-sha2-\S+|sk-(ssh|ecdsa)-\S+) AAAA\S+"
)


class CloudInit(CreateOptions):
    """A seed from the user's own files, or from what is said of a user."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("cloud-init")
        own = group.add_argument(
            "--cloud-init",
            type=Path,
            metavar="FILE",
            help="user-data for cloud-init; a directory may also hold "
            "meta-data, network-config and vendor-data",
        )
        group.add_argument(
            "--hostname", help="the guest's name; the VM's unless told"
        )
        made = (
            group.add_argument(
                "--ssh-key",
                type=Path,
                action="append",
                default=[],
                metavar="FILE",
                help="a public key that may log in (repeatable)",
            ),
            group.add_argument(
                "--user",
                help="who may log in and use sudo; the image's own user "
                "unless told",
            ),
            group.add_argument(
                "--password-file",
                type=Path,
                metavar="FILE",
                help="its first line is the user's password; the guest gets "
                "its hash only",
            ),
        )
        exclude(parser, own, *made)

    def extra(
        self, args: argparse.Namespace, host: Host
    ) -> Callable[[Newborn], Parts] | None:
        if args.hostname is not None and not _HOSTNAME.fullmatch(
            args.hostname
        ):
            raise UsageError(f"{args.hostname!r} is no name of a host")
        if args.cloud_init is not None:
            files = _files(args.cloud_init)
            table: dict[str, Any] = {}
        elif args.user or args.ssh_key or args.password_file:
            files = {"user-data": _made(args)}
            table = _way_in(args)
        elif args.hostname:
            files, table = {"user-data": data.user_data(None, (), None)}, {}
        else:
            return None
        known = data.check_mapping(
            files.get("meta-data", b""), f"{args.cloud_init}/meta-data"
        )
        name = args.hostname

        def parts(vm: Newborn) -> Parts:
            wanted = name or (
                None if "local-hostname" in known else hostname(vm.name)
            )
            meta = data.meta_data(known, vm.uuid, wanted)
            content = iso.write({**files, "meta-data": meta})
            what = "what cloud-init reads"
            return Parts(
                plugin="guest",
                files=(NewFile(FILE, content, what),),
                cdroms=(FILE,),
                table=table,
            )

        return parts


def hostname(name: str) -> str:
    """What a guest is called after its VM; ``_`` and ``.`` become ``-``."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:63] or "guest"


def _files(source: Path) -> dict[str, bytes]:
    """The user's own, checked."""
    source = source.expanduser()
    if not source.is_dir():
        found = {"user-data": _read(source)}
        data.check_user_data(found["user-data"], str(source))
        return found
    found = {
        name: _read(source / name)
        for name in iso.NAMES
        if (source / name).exists()
    }
    if "user-data" not in found:
        raise NotFoundError(f"there is no {source}/user-data")
    for name, content in found.items():
        where = str(source / name)
        if name in ("user-data", "vendor-data"):
            data.check_user_data(content, where)
        else:
            data.check_mapping(content, where)
    return found


def _made(args: argparse.Namespace) -> bytes:
    if args.user is not None and not _USER.fullmatch(args.user):
        raise UsageError(f"{args.user!r} is no name of a user")
    keys = [key for file in args.ssh_key for key in _keys(file.expanduser())]
    password = args.password_file and _hash(args.password_file.expanduser())
    return data.user_data(args.user, keys, password)


def _keys(file: Path) -> Sequence[str]:
    """The public keys in a file.

    :raise UsageError: it holds none, or a private one
    """
    text = _read(file).decode(errors="replace")
    if "PRIVATE KEY" in text:
        public = file.with_name(f"{file.name}.pub")
        raise UsageError(
            f"{file} is a private key, which stays with you",
            hint=f"--ssh-key {public}" if public.exists() else None,
        )
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    wrong = [line for line in keys if not _KEY.search(line)]
    if wrong or not keys:
        raise UsageError(f"{file} holds no public key for ssh")
    return keys


def _hash(file: Path) -> str:
    """The hash of the password in a file, as crypt(5) has it."""
    content = _read(file)
    password = content.partition(b"\n")[0].removesuffix(b"\r")
    if not password or b"\0" in password:
        raise UsageError(f"{file}: its first line is no password")
    from passlib.hash import sha512_crypt  # type: ignore[import-untyped]

    return str(sha512_crypt.hash(password))


def _way_in(args: argparse.Namespace) -> dict[str, Any]:
    """What ``qemu ssh`` is told, so that it need not be said again."""
    table: dict[str, Any] = {}
    if args.user:
        table["ssh_user"] = args.user
    for file in args.ssh_key:
        public = file.expanduser().absolute()
        private = public.with_suffix("")
        if public.suffix == ".pub" and private.is_file():
            table["ssh_key"] = str(private)
            break
    return table


def _read(file: Path) -> bytes:
    """Read a file; a pipe will do, as in ``--password-file <(pass web)``.

    :raise NotFoundError: there is none
    """
    try:
        if stat.S_ISDIR(file.stat().st_mode):
            raise UsageError(f"{file} is a directory")
        return file.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}") from None
