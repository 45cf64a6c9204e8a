"""QEMUs that somebody else started: found, named, and looked at.

Everything comes from /proc and from the process's own command line; only
sockets that it calls a QMP monitor are ever connected to.
"""
