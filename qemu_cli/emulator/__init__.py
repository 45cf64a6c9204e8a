"""QEMU as a program: where it is, what it can do, what it runs on.

No VM is known here.
"""
