"""What each command prints with ``-f json``: keys and their types.

``integer?`` may be null.  Keys are only ever added; one that is changed
otherwise raises ``schema`` of ``qemu version``.  A functional test holds
this against what real commands print.
"""

from typing import NamedTuple

from qemu_cli.commandmanager import CommandManager

#: Types in the words of JSON.
TYPES = ("text", "integer", "number", "boolean", "array", "object")


class Schema(NamedTuple):
    """The output of one command.

    :param rows: an array of such objects, not one
    :param keys: the type of each; ``?`` after it: or null
    """

    rows: bool
    keys: dict[str, str]


def _schema(*lines: str, rows: bool = True) -> Schema:
    """Read ``key key2 key3:type`` …: a type is that of the keys before."""
    keys: dict[str, str] = {}
    waiting: list[str] = []
    for word in " ".join(lines).split():
        name, _, kind = word.partition(":")
        waiting.append(name)
        if kind:
            keys |= dict.fromkeys(waiting, kind)
            waiting = []
    assert not waiting, f"no type: {waiting}"  # noqa: S101
    return Schema(rows, keys)


#: Commands on VMs, with one row each: start, shutdown, pause …
#: ``result`` is data, a text, or null when it failed.
OUTCOME = _schema("name:text result:any code:integer error:text?")

_SNAPSHOT = (
    "name:text parent:text? current:boolean kind:text ram:boolean",
    "size_bytes ram_bytes:integer? created_s age_s:number? disks:array",
    "comment:text? ours:boolean problem:text?",
)

SCHEMAS = {
    "list": _schema(
        "name state reason:text run_state:text? origin:text pid:integer?",
        "arch machine accel:text? cpus memory_mib:integer? uptime_s:number?",
        "forwards:array qemu_version:text? monitor:text user:text?",
        "monitor_reason:text monitor_holder:object? joined:boolean",
    ),
    "show": _schema(
        "name state reason:text run_state:text? origin:text joined:boolean?",
        "own_name:text? problems:array change:object? directory:text?",
        "user command:text? pid:integer? uptime_s cpu_time_s:number?",
        "rss_bytes:integer? last_exit:object? arch machine accel cpu:text?",
        "cpus memory_mib:integer? profile:text? firmware:object? boot:text?",
        "display:text? tpm:boolean? uuid created qemu_version:text?",
        "qemu_binary:text? qemu_args:array? next_start:object?",
        "disks cdroms nics forwards monitors:array? console:object?",
        "files plugin:object?",
        rows=False,
    ),
    "stats": _schema(
        "name state origin:text pid:integer? time interval_s:number?",
        "cpu_percent:number? vcpus:array? rss_bytes memory_bytes:integer?",
        "balloon_bytes:integer? disk_read_bytes_s:number?",
        "disk_write_bytes_s disk_read_ops_s disk_write_ops_s:number?",
        "disks:array? net_in_bytes_s net_out_bytes_s:number? nics:array?",
        "exits_s:number?",
    ),
    "log": _schema(
        "time:number action outcome user command:text? details:object?"
    ),
    "config list": _schema("key value scope origin doc:text"),
    "plugin list": _schema(
        "name version:text? status adds:text commands columns formats:array",
        "hooks profiles conditions:array import_s hooks_s:number? why:text?",
    ),
    "doctor": _schema("check status detail:text fix:text?"),
    "version": _schema(
        "qemu-cli:text schema:integer python cliff stevedore:text",
        "pluggy qemu.qmp msgspec:text qemu:array",
        rows=False,
    ),
    "snapshot list": _schema(*_SNAPSHOT),
    "snapshot show": _schema(
        *_SNAPSHOT,
        "children layers:array tag:text? ram_is_on:text?",
        "running:boolean? qemu_version:text?",
        rows=False,
    ),
    "disk list": _schema(
        "disk kind:text bus slot:text? depth:integer file format:text?",
        "virtual_size_bytes actual_size_bytes:integer? node:text?",
        "read_only:boolean? snapshots:array? problem:text?",
    ),
    "disk info": _schema(
        "disk kind:text problem bus slot cache:text? read_only:boolean?",
        "throttle:object? file format:text? virtual_size_bytes:integer?",
        "actual_size_bytes:integer? node:text?",
        "snapshots bitmaps filters chain:array?",
        rows=False,
    ),
    "device list": _schema(
        "id driver kind:text place:text?",
        "hotpluggable hotplugged:boolean? problem:text?",
    ),
    "export list": _schema(
        "vm name:text disk:text? kind:text size pid:integer?",
        "uri id created:text?",
    ),
    "image info": _schema(
        "file format:text virtual_size_bytes actual_size_bytes:integer",
        "cluster_size_bytes:integer? backing_file backing_format:text?",
        "data_file:text? extents flags snapshots bitmaps chain:array?",
        "used_by open_by:array",
        rows=False,
    ),
    "image check": _schema(
        "file format verdict:text errors corruptions leaks:integer?",
        "corruptions_fixed leaks_fixed allocated_clusters:integer?",
        "total_clusters fragmented_clusters:integer?",
        "compressed_clusters:integer? used_by open_by:array",
        rows=False,
    ),
    "image compare": _schema(
        "file other:text same:boolean difference_bytes:integer?",
        "file_size_bytes other_size_bytes:integer?",
        rows=False,
    ),
    "image map": _schema(
        "start_bytes length_bytes:integer kind:text depth:integer?",
        "file:text? offset_bytes:integer?",
    ),
    "capture": _schema(
        "file:text? asked:boolean definition:text report:array", rows=False
    ),
    "wait": _schema("name condition seen:text?"),
}


def of(words: str) -> Schema | None:
    """The schema of a command, or None when it depends on what was done."""
    if known := SCHEMAS.get(words):
        return known
    from qemu_cli.command import VMCommand

    command = CommandManager().load(words)
    return OUTCOME if issubclass(command, VMCommand) else None
