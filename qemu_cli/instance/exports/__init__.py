"""Disks of a VM, served to NBD clients (the NBD protocol, doc/uri.md).

:mod:`.model` has the data; :mod:`.records` keeps what we serve in files;
:mod:`.plan` works out the steps; :mod:`.export` and :mod:`.stop` do them.
"""
