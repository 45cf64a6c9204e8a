"""Network cards, and what they are plugged into.  Pure."""

import re
from collections.abc import Mapping

from qemu_cli.instance.capture.draft import Draft
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.words import Option, join
from qemu_cli.instance.model import Forward, Nic

_CARDS = frozenset({"virtio-net-pci", "virtio-net"})

#: QEMU's own MACs, in the order of the cards (net/net.c).
_MAC = "52:54:00:12:34:{:02x}"
_FIRST_MAC = 0x56

_FORWARD = re.compile(r"(tcp|udp)?:([^:]*):(\d+)-:(\d+)")

#: Networks that need nobody but QEMU and what is in the host's kernel.
_PLAIN = frozenset({"user", "socket", "hubport", "l2tpv3", "none", "nic"})

#: Keys of a user network that run a program, which our sandbox forbids.
_PROGRAMS = ("smb", "smbserver", "guestfwd")

_GONE = (
    "it needs what the program that started it had set up: it is a user "
    "network now"
)


def nics(draft: Draft, ground: Ground) -> tuple[Nic, ...]:
    """Take the cards that a definition can say, and look after the rest."""
    networks = {option.get("id"): option for option in draft.left("netdev")}
    found: list[Nic] = []
    # Cards of -nic and -net come first, and take the first MACs.
    others = sum(
        (option.name, option.get("type")) != ("net", "user")
        for option in draft.options
        if option.name in ("nic", "net") and option.value != "none"
    )
    for option in list(draft.left("device")):
        if "netdev" not in dict(option.pairs):
            continue
        network = networks.get(option.get("netdev"))
        device = ground.device(option.get("id")) or draft.nameless.get(
            option.number
        )
        mac = option.get("mac").lower() or _MAC.format(_FIRST_MAC + others)
        others += not option.get("mac")
        if ground.live and device is None:
            continue
        if device and isinstance(device.properties.get("mac"), str):
            mac = device.properties["mac"]
        if network is None or option.get("driver") not in _CARDS:
            continue
        if _is_shared(draft, network):
            continue
        pairs = dict(option.pairs)
        place = device.pci if device else None
        slot = f"{device.bus}:{place}" if device and place else "auto"
        left_out = {"driver", "netdev", "mac", "id"}
        left_out |= {"bus", "addr"} if place else set()
        name = _name(option.get("id"), found, draft, (option, network))
        nic = _plug(draft, network, name, slot, mac)
        if nic is None:
            continue
        found.append(
            _with(nic, {k: v for k, v in pairs.items() if k not in left_out})
        )
        draft.typed(option)
    for option in list(draft.left("netdev", "nic", "net")):
        _keep(draft, option)
    return tuple(found)


def _with(nic: Nic, properties: Mapping[str, str]) -> Nic:
    import msgspec

    return msgspec.structs.replace(nic, properties=dict(properties))


def _plug(
    draft: Draft, network: Option, name: str, slot: str, mac: str
) -> Nic | None:
    """Make a card in its network; None: a definition can't say that one."""
    kind = network.get("type")
    if kind == "user":
        forwards = _forwards(network)
        if forwards is None:
            return None
        draft.typed(network)
        return Nic(id=name, slot=slot, mac=mac, forwards=forwards)
    keys = dict(network.pairs)
    if kind == "bridge" and not keys.keys() - {"type", "id", "br"}:
        draft.typed(network)
        bridge = keys.get("br", "br0")
        return Nic(
            id=name, slot=slot, mac=mac, backend="bridge", bridge=bridge
        )
    if _can_stay(network):
        return None
    draft.drop(network, _GONE)
    return Nic(id=name, slot=slot, mac=mac)


def _forwards(network: Option) -> tuple[Forward, ...] | None:
    """The forwards of a user network; None: there is more to it."""
    found = []
    for key, value in network.pairs:
        if key in ("type", "id"):
            continue
        match = _FORWARD.fullmatch(value)
        if key != "hostfwd" or not match:
            return None
        address = match[2] or "0.0.0.0"  # noqa: S104  so it was
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", address):
            return None
        found.append(
            Forward(
                host_port=int(match[3]),
                guest_port=int(match[4]),
                host_address=address,
                protocol="udp" if match[1] == "udp" else "tcp",
            )
        )
    return tuple(found)


def _is_shared(draft: Draft, network: Option) -> bool:
    """Whether a filter or a hub names it, too."""
    return any(
        option.get("netdev") == network.get("id")
        for option in draft.options
        if option.name in ("object", "netdev", "nic")
    )


def _name(
    wanted: str, found: list[Nic], draft: Draft, own: tuple[Option, ...]
) -> str:
    taken = {nic.id for nic in found} | {
        option.get(key)
        for option in draft.options
        if option not in own
        for key in ("id", "node-name")
    }
    number = 0
    while wanted in taken or not re.fullmatch(
        r"[A-Za-z][A-Za-z0-9._-]{0,30}", wanted
    ):
        wanted = f"net{number}"
        number += 1
    return wanted


def _can_stay(network: Option) -> bool:
    keys = dict(network.pairs)
    kind = keys.get("type", "user")
    if kind == "tap":
        return (
            "ifname" in keys
            and keys.get("script") == "no"
            and keys.get("downscript") == "no"
        )
    return (
        kind in _PLAIN
        and not any(key in keys for key in _PROGRAMS)
        and not any(key in ("fd", "fds", "vhostfd") for key in keys)
    )


def _keep(draft: Draft, option: Option) -> None:
    if option.value == "none" or _can_stay(option):
        draft.keep(option)
        return
    pairs = option.pairs
    if dict(pairs).get("type") == "user":
        rest = [pair for pair in pairs if pair[0] not in _PROGRAMS]
        draft.rewrite(
            option,
            join(rest, "type"),
            "QEMU may not run programs for its guest",
        )
        return
    kept = [
        pair
        for pair in pairs
        if pair[0] in ("id", "model", "mac", "macaddr", "addr", "netdev")
    ]
    draft.change(
        option,
        (f"-{option.name}", join([("type", "user"), *kept], "type")),
        _GONE,
    )
