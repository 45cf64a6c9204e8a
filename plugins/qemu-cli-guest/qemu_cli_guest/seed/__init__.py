"""What cloud-init finds at a guest's first boot: a NoCloud seed.

See ``NoCloud`` among cloud-init's datasources: files on a CD whose volume
is called ``cidata``.
"""

#: The instance's seed, in its directory.
FILE = "seed.iso"
