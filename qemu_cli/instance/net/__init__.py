"""A VM's network: its cards, their links, and what goes through them."""
