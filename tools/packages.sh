#!/bin/bash
# Install those of the named Debian packages that are missing here.
#
#   tools/packages.sh PACKAGE…
#
# One with a "?" behind its name is wanted where apt knows it.
# As root, or else through sudo.  Says nothing when nothing is missing.
set -euo pipefail

missing=()
for package in "$@"; do
    if [ "$package" != "${package%\?}" ]; then
        package=${package%\?}
        apt-cache show "$package" >/dev/null 2>&1 || continue
    fi
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null ||
        true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" \
        </dev/null >>"$log" 2>&1
}

echo "installing Debian packages: ${missing[*]}"
# The package lists may be missing, or older than what the mirror has.
apt install -y --no-install-recommends "${missing[@]}" ||
    { apt update && apt install -y --no-install-recommends "${missing[@]}"; } ||
    {
        tail -n 30 "$log" >&2
        exit 1
    }
