"""Test doubles and real ones, for plug-in authors and for ourselves."""
