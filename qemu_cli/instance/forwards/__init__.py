"""Ports of the host that lead into a guest's user network."""
