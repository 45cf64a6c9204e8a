"""The devices of a VM, its CPUs and its memory: looked at and changed.

What has a table of its own in the definition, a disk for example, has
commands of its own, too.  All other devices are in ``[[devices]]``.
"""
