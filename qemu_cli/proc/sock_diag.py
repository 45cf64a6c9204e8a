"""What the kernel tells of one socket: sock_diag(7), over netlink."""

import socket
import struct

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = 1  # NLM_F_REQUEST
_SHOW_PEER = 4  # UDIAG_SHOW_PEER
_PEER_ATTRIBUTE = 2  # UNIX_DIAG_PEER


def peer_inode(inode: int) -> int | None:
    """Ask the kernel for the other end of a connected unix socket.

    :param inode: of one end, from /proc/PID/net/unix
    :return: the inode of the other end; None when it is closed
    """
    # struct nlmsghdr, then struct unix_diag_req (linux/unix_diag.h)
    request = struct.pack(
        "=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode,
        _SHOW_PEER, 0xFFFFFFFF, 0xFFFFFFFF,
    )  # fmt: skip
    header = struct.pack(
        "=IHHII", 16 + len(request), _BY_FAMILY, _REQUEST, 1, 0
    )
    family = _NETLINK_SOCK_DIAG
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as kernel:
        kernel.send(header + request)
        reply = kernel.recv(4096)
    kind = struct.unpack_from("=H", reply, 4)[0]
    if kind != _BY_FAMILY:
        return None  # NLMSG_ERROR: no such socket any more
    at = 16 + 16  # behind nlmsghdr and struct unix_diag_msg
    while at + 4 <= len(reply):
        length, attribute = struct.unpack_from("=HH", reply, at)
        if attribute == _PEER_ATTRIBUTE:
            peer: int = struct.unpack_from("=I", reply, at + 4)[0]
            return peer
        at += (length + 3) & ~3
    return None
