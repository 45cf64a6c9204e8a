"""From a running QEMU to a definition that starts the same machine."""
