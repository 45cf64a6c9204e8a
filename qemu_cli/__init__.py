"""The git-style front-end to QEMU."""

#: The version of the distribution.
__version__ = "0.1.0"

#: The version of what plug-ins may use: doc/plugins/api.md.  The second
#: number grows when something is added, the first when something is gone.
API_VERSION = (1, 0)
