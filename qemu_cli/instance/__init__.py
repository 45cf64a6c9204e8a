"""A virtual machine: its definition, its process, its life."""
