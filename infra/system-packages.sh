#!/usr/bin/env bash
# Programs that some tests use and that no Python package brings: a browser that opens the pages, PostgreSQL, and the checker of monitoring rules.
# Named as an argument: faketime, which the drills use to set the clock.
# Installs what is missing where apt-get and root are at hand; elsewhere it says what is missing. Those tests skip then.
set -uo pipefail

declare -A package_of=([chromium]=chromium [chromedriver]=chromium-driver [postgres]=postgresql [promtool]=prometheus [faketime]=libfaketime)
found() {
    command -v "$1" > /dev/null && return
    # Debian keeps the server out of the path.
    [ "$1" = postgres ] && compgen -G "/usr/lib/postgresql/*/bin/postgres" > /dev/null && return
    [ "$1" = faketime ] && compgen -G "/usr/lib/*/faketime/libfaketime.so.1" > /dev/null
}

missing=()
for program in chromium chromedriver postgres promtool "$@"; do
    found "$program" || missing+=("${package_of[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get > /dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "system-packages: not installed: ${missing[*]}; the tests that need them will be skipped"
    exit 0
fi
echo "system-packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The index may be absent or old: it is fetched only where the packages cannot be had without.
install=(apt-get install --yes --quiet --no-install-recommends "${missing[@]}")
if ! "${install[@]}" > "$log" 2>&1 && ! { apt-get update --quiet && "${install[@]}"; } > "$log" 2>&1; then
    echo "system-packages: could not be installed: ${missing[*]}; the tests that need them will be skipped"
    tail -n 3 "$log"
fi
exit 0
