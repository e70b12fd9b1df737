#!/usr/bin/env bash
# Installs, upgrades and rolls back a gateway on Raspberry Pi OS (or Debian). Run from a checkout, as root:
#
#   sudo deploy/gateway/install.sh                     install this version, or upgrade to it
#   sudo deploy/gateway/install.sh --pair CODE URL     the same, and introduce the gateway to its service
#   sudo deploy/gateway/install.sh --rollback          back to the version before
#
# Every version has a folder of its own, and `current` points at the one that runs. A version that does not start, or
# does not stay up for a minute, is put back by itself. The readings in /var/lib/hearthwatch are never touched.
set -euo pipefail
cd "$(dirname "$0")/../.."

prefix=${HEARTHWATCH_PREFIX:-/opt/hearthwatch}      # where versions live
state=${HEARTHWATCH_STATE:-/var/lib/hearthwatch}    # what must survive
keep=3                                              # versions
unit=hearthwatch-gateway.service
with_system=${HEARTHWATCH_WITH_SYSTEM:-yes}         # no: only the files, for an image that is built elsewhere

say() { printf 'hearthwatch: %s\n' "$*"; }
fail() { printf 'hearthwatch: %s\n' "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || fail "run this as root: sudo $0"; }

system_packages() {
    [ "$with_system" = yes ] || return 0
    local missing=()
    for package in python3-venv bluez tzdata espeak-ng; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    say "installing ${missing[*]}"
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

user_and_state() {
    [ "$with_system" = yes ] || { install -d -m 700 "$state"; return 0; }
    id hearthwatch >/dev/null 2>&1 ||
        useradd --system --home-dir "$state" --shell /usr/sbin/nologin hearthwatch
    install -d -m 700 -o hearthwatch -g hearthwatch "$state"
}

version() {
    [ -z "${HEARTHWATCH_VERSION:-}" ] || { echo "$HEARTHWATCH_VERSION"; return; }
    local number commit
    number=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
    commit=$(git rev-parse --short HEAD 2>/dev/null || echo release)
    echo "$number-$commit"
}

# A version is built beside the ones that work, and becomes one only when it is whole.
build() {
    local release=$prefix/releases/$1 building=$prefix/releases/.building
    [ -x "$release/bin/hearthwatch" ] && { say "$1 is here already"; return 0; }
    local free_mb
    install -d "$prefix/releases"
    free_mb=$(df --output=avail -m "$prefix" | tail -n 1)
    [ "$free_mb" -ge 600 ] || fail "$free_mb MB are free in $prefix; an installation needs 600"
    say "building $1 (some minutes on a Pi)"
    rm -rf "$building" "$release"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed"
    python3 -m venv "$release"
    # shellcheck disable=SC2064  # what is half built now goes, wherever it fails
    trap "rm -rf '$release' '$building'" EXIT
    local pip=("$release/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir install)
    "${pip[@]}" --require-hashes -r requirements/gateway.lock
    "${pip[@]}" --require-hashes -r requirements/build.lock
    install -d "$building"
    cp -r api alerts clinicians devices store migrations pyproject.toml README.md LICENSE "$building/"
    "${pip[@]}" --no-deps --no-build-isolation "$building"
    rm -rf "$building"
    "$release/bin/python" -m compileall -q "$release/lib" || true # a card that is read-only later has them already
    "$release/bin/hearthwatch" gateway --help >/dev/null
    cp "deploy/gateway/$unit" "$release/$unit"
    trap - EXIT
}

point_at() {
    ln -sfn "releases/$1" "$prefix/current.new"
    mv -T "$prefix/current.new" "$prefix/current" # in one step: a loss of power finds the old one or the new one
}

running() { [ -L "$prefix/current" ] && basename "$(readlink "$prefix/current")" || true; }

# The unit belongs to its version: what rolls back, rolls back whole.
start() {
    [ "$with_system" = yes ] || return 0
    install -m 644 "$prefix/current/$unit" "/etc/systemd/system/$unit"
    install -m 644 deploy/gateway/70-hearthwatch-bluetooth.rules /etc/udev/rules.d/
    install -m 755 deploy/gateway/hearthwatch /usr/local/bin/hearthwatch
    install -d /etc/hearthwatch
    [ -e /etc/hearthwatch/gateway.env ] || install -m 640 -g hearthwatch deploy/gateway/gateway.env /etc/hearthwatch/
    systemctl daemon-reload
    systemctl enable --quiet "$unit"
    systemctl restart "$unit"
}

is_paired() { [ -s "$state/outbox.db" ] && "$prefix/current/bin/python" - "$state/outbox.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
sys.exit(db.execute("SELECT 1 FROM memory WHERE key = 'key'").fetchone() is None)
PY
}

stays_up() {
    if [ "$with_system" != yes ]; then "$prefix/current/bin/hearthwatch" gateway --help >/dev/null; return; fi
    is_paired || return 0 # one that is not paired cannot stay up, whatever its version
    local began
    sleep 5
    began=$(systemctl show -p NRestarts --value "$unit")
    for _ in $(seq 12); do
        sleep 5
        systemctl is-active --quiet "$unit" || return 1
        [ "$(systemctl show -p NRestarts --value "$unit")" = "$began" ] || return 1
    done
}

install_version() {
    local new=$1 before
    before=$(running)
    point_at "$new"
    start && stays_up && {
        [ "$before" = "$new" ] || [ -z "$before" ] || ln -sfn "releases/$before" "$prefix/previous"
        say "$new runs"
        return 0
    }
    [ -n "$before" ] && [ "$before" != "$new" ] || fail "$new does not stay up: journalctl -u $unit"
    point_at "$before"
    start
    fail "$new does not stay up; $before runs again: journalctl -u $unit"
}

forget_old() {
    local current previous
    current=$(running)
    previous=$([ -L "$prefix/previous" ] && basename "$(readlink "$prefix/previous")" || true)
    find "$prefix/releases" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -rn | tail -n +$((keep + 1)) |
        while read -r _ old; do
            [ "$old" = "$current" ] || [ "$old" = "$previous" ] || rm -rf "${prefix:?}/releases/$old"
        done
}

pair() {
    local as=()
    [ "$with_system" != yes ] || as=(runuser -u hearthwatch --)
    "${as[@]}" "$prefix/current/bin/hearthwatch" gateway pair "$1" --server "$2" --data "$state"
    [ "$with_system" != yes ] || systemctl restart "$unit"
}

main() {
    case ${1:-} in
    --rollback)
        [ "$with_system" != yes ] || need_root
        [ -L "$prefix/previous" ] || fail "there is no version before this one"
        install_version "$(basename "$(readlink "$prefix/previous")")"
        ;;
    "" | --pair)
        [ "${1:-}" != --pair ] || [ $# = 3 ] || fail "use: $0 --pair CODE https://care.example.org"
        [ "$with_system" != yes ] || need_root
        system_packages
        user_and_state
        build "$(version)"
        install_version "$(version)"
        forget_old
        [ "${1:-}" != --pair ] || pair "$2" "$3"
        ;;
    *) fail "use: $0 [--pair CODE URL | --rollback]" ;;
    esac
}

main "$@"
