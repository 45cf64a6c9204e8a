"""The disks and CD drives of an instance: looked at and changed.

A disk's file in the definition is its *active layer*, the top of a
backing chain; what it stands on is only read.  Each module is one verb:
it gathers facts, refuses what QEMU would refuse less clearly or what
would lose data, and has a pure planner.
"""
