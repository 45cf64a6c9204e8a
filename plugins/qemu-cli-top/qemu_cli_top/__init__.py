"""``qemu top``: a full-screen view of all VMs."""
