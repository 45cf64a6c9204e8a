"""Machine recipes: what a machine type needs to be a usable VM."""
