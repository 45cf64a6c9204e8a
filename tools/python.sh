#!/bin/sh
# Print the path of a Python that is new enough: the one named, or else the
# first on PATH, or else the system's.  A shim, as of pyenv, is looked through.
for python in "$@" python3 /usr/bin/python3; do
    "$python" -c 'import sys
sys.exit(print(sys.executable) if sys.version_info >= (3, 11) else 1)' \
        2>/dev/null && exit 0
done
echo "Python 3.11 or newer is needed" >&2
exit 1
