"""The git-style front-end to QEMU."""

__version__ = "0.1.0"
