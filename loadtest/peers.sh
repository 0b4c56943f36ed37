#!/bin/sh
# Installs into the directory that is named those peers that can be had here: with Go, with cargo, from the distribution.
# Each is optional; what is missing is left out of the comparison.
#
#   loadtest/peers.sh .peers
#   catchment-load compare --peers-dir .peers
set -u

if [ $# != 1 ]; then
    echo "usage: $0 DIRECTORY" >&2
    exit 2
fi
mkdir -p "$1" || exit 1
peers=$(cd "$1" && pwd)

# Peers' programs have the same name, so each is built in a folder of its own and then given the name it is looked for under.
with_go() {
    name=$1 package=$2
    if [ -x "$peers/$name" ]; then
        return
    fi
    if command -v go >/dev/null && GOBIN="$peers/go-$name" go install "$package" >"$peers/$name.log" 2>&1; then
        mv "$peers/go-$name"/* "$peers/$name" && rmdir "$peers/go-$name"
        echo "$name: installed"
    else
        echo "$name: not available, see $peers/$name.log" >&2
    fi
}

with_cargo() {
    name=$1
    if [ -x "$peers/$name" ]; then
        return
    fi
    if command -v cargo >/dev/null && cargo install --locked --root "$peers/cargo-$name" "$name" >"$peers/$name.log" 2>&1; then
        mv "$peers/cargo-$name/bin/$name" "$peers/$name" && rm -r "$peers/cargo-$name"
        echo "$name: installed"
    else
        echo "$name: not available, see $peers/$name.log" >&2
    fi
}

with_go prom-aggregation-gateway github.com/zapier/prom-aggregation-gateway@v0.9.0
with_go weaveworks-prom-aggregation-gateway github.com/weaveworks/prom-aggregation-gateway/cmd/prom-aggregation-gateway@latest
with_go pushgateway github.com/prometheus/pushgateway@v1.11.2
with_cargo gravel-gateway

if [ ! -x "$peers/pushgateway" ] && command -v prometheus-pushgateway >/dev/null; then
    echo "pushgateway: that of the distribution is used"
elif [ ! -x "$peers/pushgateway" ]; then
    echo "pushgateway: the distribution's package prometheus-pushgateway does as well" >&2
fi
# The by-job fork calls itself by the module name of what it was forked from, so Go does not install it. Build it from its
# sources and name it: catchment-load compare --peer by-job=FILE
