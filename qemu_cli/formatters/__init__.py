"""Output formats: ours, in the form that cliff asks of a formatter.

A formatter has ``emit_list`` and ``emit_one``, as in
:mod:`cliff.formatters.base`.  It gets plain data (dicts, lists, strings,
numbers), or the values as the command made them if it has
``human = True``.  It has no options; what it can be told are settings,
which it finds as ``parsed_args.config``.
"""
