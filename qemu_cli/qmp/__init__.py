"""The monitors of QEMU: probe, sessions, guest agent, schema, jobs.

The whole package talks to QEMU and to nobody else; it knows addresses
(:class:`~qemu_cli.qmp.address.Monitors`), not VMs.  ``address``, ``probe``
and ``trace`` are cheap to import; ``session`` costs the 100 ms of
``qemu.qmp`` and is imported when a command really talks.
"""
