#!/bin/sh
# Runs the end-to-end tests: real clients, a real Prometheus server, and the binary in $CATCHMENT_BIN
# (target/release/catchment if unset). Arguments go to pytest. $E2E_LOAD_SECONDS sets how long the load test pushes;
# $E2E_FLEET_SECONDS how long the fleet works; $E2E_DATAGRAMS how many datagrams are sent. CI=true makes a missing Prometheus a failure instead of a skip. Go and the
# official Pushgateway are used if they are there, and may be missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/.e2e/venv
go_client=$root/.e2e/go-client

if [ -n "${CATCHMENT_BIN:-}" ]; then
    binary=$(realpath "$CATCHMENT_BIN")
else
    binary=$root/target/release/catchment
fi
if [ ! -x "$binary" ]; then
    echo "$0: no binary at $binary: run cargo build --release, or set CATCHMENT_BIN" >&2
    exit 1
fi

install_python_packages() {
    if cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
        return
    fi
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
}

# Debian's packages bring promtool as well, and services that are not wanted here.
install_from_debian() {
    if command -v "$1" >/dev/null; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$0: $1 is missing and cannot be installed from here" >&2
        return
    fi
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT INT TERM
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" >/dev/null ||
        echo "$0: $1 could not be installed" >&2
    if [ -d /run/systemd/system ]; then
        systemctl disable --quiet --now "$1" || true
    fi
}

# The official Go client, which pushes protobuf. Without a toolchain its tests are skipped.
build_go_client() {
    if command -v go >/dev/null; then
        (cd "$here/go" && go build -o "$go_client" .)
    fi
}

install_python_packages
install_from_debian prometheus
# The official Pushgateway is what Catchment in its place is compared with; without it that is skipped.
command -v pushgateway >/dev/null || install_from_debian prometheus-pushgateway
build_go_client
cd "$root"
export CATCHMENT_BIN="$binary" GO_CLIENT="$go_client" PYTHONDONTWRITEBYTECODE=1
"$venv/bin/python" -m pytest -p no:cacheprovider "$here" "$@"
