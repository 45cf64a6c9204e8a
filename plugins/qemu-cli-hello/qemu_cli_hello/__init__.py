"""The smallest plug-in of qemu-cli."""
