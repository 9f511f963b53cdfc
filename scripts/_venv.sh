# Sourced by the other scripts. Goes to the repository, and makes sure that .venv is there and up to date.
# shellcheck shell=sh
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

make_with_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    [ -x .venv/bin/python ] || uv venv --quiet --python '>=3.11' .venv || return 1
    uv pip install --quiet --python .venv/bin/python -c constraints.txt -e . --group dev
}

make_with_pip() {
    if ! [ -x .venv/bin/python ]; then
        python=$(find_python)
        if [ -z "$python" ]; then
            say "Prism needs Python 3.11 or later, and finds $(python3 --version 2>/dev/null || echo none) here."
            say "Install one, for instance with: apt install python3.11 python3.11-venv, or from python.org."
            exit 2
        fi
        if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            say "This Python ($python) cannot make virtual environments."
            say "On Debian and Ubuntu, install what is missing with: apt install python$version-venv"
            exit 2
        fi
        "$python" -m venv .venv || return 1
    fi
    pip='.venv/bin/python -m pip --quiet --disable-pip-version-check'
    # Dependency groups are known since pip 25.1.
    $pip install 'pip>=25.1' && $pip install -c constraints.txt -e . --group dev
}

# What the environment was made for: this folder, these requirements.
wanted=$(pwd && cksum pyproject.toml constraints.txt)
if ! .venv/bin/python -c '' >/dev/null 2>&1 && [ -f .venv/pyvenv.cfg ]; then
    say "The Python of .venv is gone; making it again."
    rm -rf .venv
fi
if [ "$(cat .venv/prism-installed 2>/dev/null || true)" != "$wanted" ]; then
    say "Installing into .venv (once; again when pyproject.toml or constraints.txt change) ..."
    if ! make_with_uv && ! make_with_pip; then
        say "Installing failed; what pip said is above. Prism needs a network for this step."
        exit 3
    fi
    printf '%s\n' "$wanted" >.venv/prism-installed
fi
