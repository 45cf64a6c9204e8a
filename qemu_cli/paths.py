"""Every directory and file name on disk, one comment each.

Nothing else in the program spells a file name.  ``QEMU_CLI_HOME`` moves
everything below one directory; without it the XDG base directories are
used.  Sockets do not live in ``XDG_RUNTIME_DIR``: logind wipes that at
logout, and running VMs would be unreachable.

A unix socket's path fits in 107 bytes (sun_path, unix(7)).  We stop at
100, and shorten a long instance name to eight hex digits before that.
"""

import os
import zlib
from pathlib import Path

SOCKET_PATH_MAX = 100

#: The longest of the names in :class:`InstancePaths` that are sockets.
_LONGEST_SOCKET = "follower1.sock"


class Paths:
    """Where this user's things are.

    :param data: instances
    :param state: sockets of running VMs
    :param cache: what can be thrown away: schemas, guest facts
    :param config: the user's settings
    :param system_config: the host's settings
    """

    def __init__(
        self,
        *,
        data: Path,
        state: Path,
        cache: Path,
        config: Path,
        system_config: Path = Path("/etc/qemu-cli/config.toml"),
    ) -> None:
        self.instances = data / "instances"  # one directory per instance
        self.runtime = state / "run"  # one directory per started instance
        self.cache = cache
        self.user_config = config / "config.toml"
        self.system_config = system_config

    @classmethod
    def from_environment(cls, environ: "os._Environ[str]") -> "Paths":
        """Read ``QEMU_CLI_HOME``, or the XDG variables, or ``HOME``.

        Links are followed: a running VM is recognized by its paths, and
        must be found by whatever name one comes.
        """
        if home := environ.get("QEMU_CLI_HOME"):
            root = Path(os.path.realpath(home))
            return cls(
                data=root, state=root, cache=root / "cache", config=root
            )
        user = Path(environ.get("HOME") or Path.home())

        def xdg(variable: str, default: str) -> Path:
            value = environ.get(variable, "")
            # The specification: a relative path is to be ignored.
            base = Path(value) if value.startswith("/") else user / default
            return Path(os.path.realpath(base / "qemu-cli"))

        return cls(
            data=xdg("XDG_DATA_HOME", ".local/share"),
            state=xdg("XDG_STATE_HOME", ".local/state"),
            cache=xdg("XDG_CACHE_HOME", ".cache"),
            config=xdg("XDG_CONFIG_HOME", ".config"),
        )

    @property
    def pending(self) -> Path:
        """The journals of changes under way, one file an instance."""
        return self.instances / ".pending"

    @property
    def definitions_cache(self) -> Path:
        """What ``list`` shows of definitions, so as not to parse them."""
        return self.cache / "definitions.json"

    @property
    def accelerator_cache(self) -> Path:
        """What the accelerator self-test found out."""
        return self.cache / "accelerator.json"

    @property
    def monitor_history(self) -> Path:
        """What was typed at the prompt of ``qemu monitor``."""
        return self.runtime.parent / "monitor-history"

    def binary_facts(self, key: int) -> Path:
        """What one QEMU binary can do; ``key`` is 32 bits of its path."""
        return self.cache / "binaries" / f"{key:08x}.json"

    def instance(self, name: str) -> "InstancePaths":
        """The files of one instance; nothing is created or looked at."""
        runtime = self.runtime / name
        longest = os.fsencode(runtime / _LONGEST_SOCKET)
        if len(longest) > SOCKET_PATH_MAX:
            short = f"{zlib.crc32(name.encode()):08x}"
            runtime = self.runtime / short
        return InstancePaths(self.instances / name, runtime)

    @property
    def foreign(self) -> Path:
        """Where our things for VMs that others started are."""
        return self.runtime / ".foreign"

    def stranger(self, pid: int, start_time: int) -> "InstancePaths":
        """Return the files for a VM that somebody else started.

        It has no definition.  What is there is ours: locks, a journal,
        records of what is exported, and files for that.  It all goes when
        the process has ended.

        :param start_time: of its process, in clock ticks
        """
        own = self.foreign / f"{pid}-{start_time}"
        # Called as the VM can always be called.
        return InstancePaths(own / f"pid:{pid}", own)

    @property
    def joined(self) -> Path:
        """Our names for VMs that others started, one directory each."""
        return self.runtime / ".joined"

    def joined_record(self, name: str) -> Path:
        """Which process has a name of ours."""
        return self.joined / name / "joined.json"

    def joined_stranger(
        self, name: str, pid: int, start_time: int
    ) -> "InstancePaths":
        """Return the same for one that was given a name, and a log."""
        runtime = self.stranger(pid, start_time).runtime
        return InstancePaths(self.joined / name, runtime)


class InstancePaths:
    """The files of one instance.

    :param directory: what stays, also when the VM is stopped
    :param runtime: the sockets of one run
    """

    def __init__(self, directory: Path, runtime: Path) -> None:
        self.directory = directory
        self.runtime = runtime

    @property
    def name(self) -> str:
        """The instance's name, which is its directory's."""
        return self.directory.name

    @property
    def doomed(self) -> Path:
        """The directory's name while its files are being removed."""
        return self.directory.parent / f".deleted-{self.name}"

    @property
    def definition(self) -> Path:
        """The definition of the VM, for people to read and edit."""
        return self.directory / "instance.toml"

    @property
    def draft(self) -> Path:
        """What the user is making of the definition in an editor."""
        return self.directory / "instance.draft.toml"

    @property
    def command(self) -> Path:
        """A shell script with the same argv, runnable without us."""
        return self.directory / "command.sh"

    @property
    def history(self) -> Path:
        """One JSON object a line: what was done to the instance."""
        return self.directory / "history.jsonl"

    @property
    def journal(self) -> Path:
        """The journal of a change under way; gone when it is done.

        Beside the instance, not in it: creating and deleting are
        journalled too.
        """
        return self.directory.parent / ".pending" / f"{self.name}.jsonl"

    @property
    def lock(self) -> Path:
        """Locked while a command changes the instance; names it."""
        return self.directory.parent / ".locks" / f"{self.name}.lock"

    @property
    def nvram(self) -> Path:
        """The UEFI variables as they are made at create.

        The definition says in which file they are later.
        """
        return self.directory / "nvram.qcow2"

    @property
    def snapshots(self) -> Path:
        """What is known of the instance's snapshots."""
        return self.directory / "snapshots"

    @property
    def snapshot_tree(self) -> Path:
        """All snapshots, and which one today stands on."""
        return self.snapshots / "tree.json"

    def snapshot_definition(self, key: str) -> Path:
        """The definition that a snapshot was taken with."""
        return self.snapshots / f"{key}.toml"

    def snapshot_ram(self, key: str) -> Path:
        """The RAM of an external snapshot."""
        return self.snapshots / f"{key}.ram"

    @property
    def saved_ram(self) -> Path:
        """The RAM that ``qemu save`` wrote and ``start`` resumes."""
        return self.directory / "saved.ram"

    @property
    def saved_facts(self) -> Path:
        """What must be unchanged for the saved RAM to fit."""
        return self.directory / "saved.json"

    @property
    def tpm_state(self) -> Path:
        """swtpm's state directory."""
        return self.directory / "tpm"

    @property
    def serial_log(self) -> Path:
        """Everything the guest wrote to its first serial port."""
        return self.directory / "serial.log"

    @property
    def qemu_log(self) -> Path:
        """QEMU's own stdout and stderr."""
        return self.directory / "qemu.log"

    @property
    def events(self) -> Path:
        """Base name of the recorder's pair: ``.in`` and ``.out``."""
        return self.directory / "events"

    @property
    def events_in(self) -> Path:
        """The FIFO that QEMU reads its one command from."""
        return self.directory / "events.in"

    @property
    def events_out(self) -> Path:
        """The regular file that QEMU writes every event to."""
        return self.directory / "events.out"

    @property
    def pid_file(self) -> Path:
        """QEMU's ``-pidfile``: removed on exit, left behind by a crash.

        Not beside the sockets: when those are wiped while a VM runs, it
        is still found.
        """
        return self.directory / "qemu.pid"

    @property
    def monitor_lock(self) -> Path:
        """Locked while somebody talks on the control monitor."""
        return self.runtime / "control.lock"

    @property
    def control_socket(self) -> Path:
        """The monitor for changes."""
        return self.runtime / "control.sock"

    @property
    def probe_socket(self) -> Path:
        """The monitor for ``list``, held under a second."""
        return self.runtime / "probe.sock"

    @property
    def follower_sockets(self) -> tuple[Path, Path]:
        """Two monitors for those who wait for events."""
        return (
            self.runtime / "follower1.sock",
            self.runtime / "follower2.sock",
        )

    @property
    def agent_socket(self) -> Path:
        """The guest agent's virtio-serial port."""
        return self.runtime / "agent.sock"

    @property
    def serial_socket(self) -> Path:
        """The first serial port, for ``qemu console``."""
        return self.runtime / "serial.sock"

    @property
    def console_lock(self) -> Path:
        """Locked while somebody is attached to the serial port."""
        return self.runtime / "console.lock"

    @property
    def vnc_socket(self) -> Path:
        """The display, when it is VNC."""
        return self.runtime / "vnc.sock"

    @property
    def nbd_socket(self) -> Path:
        """Where the VM's QEMU serves disks; never anywhere else."""
        return self.runtime / "nbd.sock"

    @property
    def links(self) -> Path:
        """The network cards whose link we have taken down in this run."""
        return self.runtime / "links.json"

    @property
    def exports(self) -> Path:
        """The records of what is served, ``ID.json`` each."""
        return self.runtime / "exports"

    def daemon_pid_file(self, daemon_id: str) -> Path:
        """The pid file of a daemon that serves an export, or listens."""
        return self.exports / f"{daemon_id}.pid"

    def daemon_socket(self, daemon_id: str) -> Path:
        """Where a daemon serves an export; ids are short, as in ``e1``."""
        return self.runtime / f"nbd-{daemon_id}.sock"

    def daemon_monitor(self, daemon_id: str) -> Path:
        """The QMP monitor of a daemon that listens."""
        return self.runtime / f"qmp-{daemon_id}.sock"

    def daemon_keys(self, daemon_id: str) -> Path:
        """A directory with a link to the keys that clients must have."""
        return self.exports / f"{daemon_id}.keys"

    def scratch(self, export_id: str, use: str) -> Path:
        """A file that lives as long as an export."""
        return self.directory / f"export-{export_id}.{use}.qcow2"

    def share_socket(self, id: str) -> Path:
        """The virtiofsd of a shared directory listens on it."""
        return self.runtime / f"{id}.fs"

    def share_sockets(self) -> list[Path]:
        """Those of the last start, by what their programs left."""
        files = sorted(self.runtime.glob("*.fs-pid"))
        return [file.with_suffix(".fs") for file in files]

    @property
    def tpm_socket(self) -> Path:
        """swtpm's control socket."""
        return self.runtime / "tpm.sock"

    @property
    def tpm_pid_file(self) -> Path:
        """swtpm's pid file."""
        return self.runtime / "swtpm.pid"


def unit_directory(environ: "os._Environ[str]", *, system: bool) -> Path:
    """Where systemd finds the units of the host or of this user.

    See systemd.unit(5), "Unit File Load Path".
    """
    if system:
        return Path("/etc/systemd/system")
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        base = f"{environ.get('HOME') or Path.home()}/.config"
    return Path(base, "systemd/user")
