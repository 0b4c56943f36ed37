#!/bin/sh
# Formatting, lints, types and tests of the Python client, in a virtual environment of its own, against the Catchment in
# $CATCHMENT_BIN (target/release/catchment if unset).
#
#     check.sh [folder of the environment]     target/client-python if it is not told
#
# $PYTHON is the interpreter, python3 if unset. The published `prometheus` 0.3.0 is tested where a Python 3.6 to 3.9 is found, or told
# as $OLD_PYTHON. Arguments for pytest go into $PYTEST_FLAGS.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
home=${1:-$root/target/client-python}
venv=$home/venv
published=$home/published

if [ -z "${CATCHMENT_BIN:-}" ]; then
    CATCHMENT_BIN=$root/target/release/catchment
fi
CATCHMENT_BIN=$(realpath "$CATCHMENT_BIN")
export CATCHMENT_BIN PYTHONDONTWRITEBYTECODE=1
if [ ! -x "$CATCHMENT_BIN" ]; then
    echo "$0: no binary at $CATCHMENT_BIN: run cargo build --release, or set CATCHMENT_BIN" >&2
    exit 1
fi

# What an environment was made from lies in it, so that a change makes it anew.
install_packages() {
    cat "$here/requirements-test.txt" "$here/pyproject.toml" >"$home/wanted.txt"
    if cmp -s "$home/wanted.txt" "$venv/made-from.txt"; then
        return
    fi
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements-test.txt"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --editable "$here"
    mv "$home/wanted.txt" "$venv/made-from.txt"
}

find_old_python() {
    if [ -n "${OLD_PYTHON:-}" ]; then
        echo "$OLD_PYTHON"
        return
    fi
    for version in 3.9 3.8 3.7 3.6; do
        for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
            if "$python" -c "import venv, ensurepip" 2>/dev/null; then
                echo "$python"
                return
            fi
        done
    done
}

# Its setup.py asks for a pip before 10, which no longer knows where the index is: the newer one is asked.
install_published_prometheus() {
    python=$(find_old_python)
    if [ -x "$published/bin/has-prometheus" ] || [ -z "$python" ]; then
        return 0
    fi
    rm -rf "$published"
    "$python" -m venv "$published" &&
        pip="$published/bin/python -m pip --disable-pip-version-check" &&
        index=$($pip config get global.index-url 2>/dev/null || "$published/bin/python" -c \
            'from pip._internal.models.index import PyPI; print(PyPI.simple_url)') &&
        $pip install --quiet setuptools==44.1.1 &&
        $pip install --quiet pip==9.0.3 &&
        $pip install --quiet --index-url "$index" prometheus==0.3.0 >"$home/published.log" 2>&1 &&
        "$published/bin/python" -W ignore -c 'import prometheus.pusher' &&
        ln -s python "$published/bin/has-prometheus" ||
        echo "$0: prometheus 0.3.0 could not be installed; see $home/published.log" >&2
}

mkdir -p "$home"
install_packages
install_published_prometheus
if [ -x "$published/bin/has-prometheus" ]; then
    export PUBLISHED_PROMETHEUS_PYTHON="$published/bin/python"
fi

cd "$here"
"$venv/bin/ruff" format --no-cache --check .
"$venv/bin/ruff" check --no-cache .
"$venv/bin/mypy" --cache-dir "$home/mypy" --strict
# shellcheck disable=SC2086
"$venv/bin/python" -m pytest ${PYTEST_FLAGS:-}
