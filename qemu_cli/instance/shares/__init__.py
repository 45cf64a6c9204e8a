"""Directories of this host that guests can mount.

Two drivers: virtio-fs, which a virtiofsd beside QEMU serves and which is
several times faster, and 9p, which QEMU serves itself.  Which one it is
is pinned: the guest mounts it by another word.
"""
