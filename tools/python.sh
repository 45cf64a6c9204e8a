#!/bin/sh
# Print the path of a Python that is new enough: the one named, or else the
# system's, which users have and which is often built with more care than
# others, or else the first on PATH.  A shim, as of pyenv, is looked through.
for python in "$@" /usr/bin/python3 python3; do
    "$python" -c 'import sys
sys.exit(print(sys.executable) if sys.version_info >= (3, 11) else 1)' \
        2>/dev/null && exit 0
done
echo "Python 3.11 or newer is needed" >&2
exit 1
