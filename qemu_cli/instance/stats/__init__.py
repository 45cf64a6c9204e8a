"""What VMs use: CPU, memory, disks, network.

A :class:`~.sampler.Sampler` looks at VMs and returns a
:class:`~.sample.Sample` of each: counters, at one moment.
:func:`~.rates.usage` makes rates of two samples of the same VM.  Plug-ins
may use all three.
"""
