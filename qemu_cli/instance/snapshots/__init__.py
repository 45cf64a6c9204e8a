"""Snapshots of an instance, of both kinds, in one tree."""
