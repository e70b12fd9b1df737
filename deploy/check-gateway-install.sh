#!/usr/bin/env bash
# Proves that the gateway stands alone: installed by its own script it must start, without the service's libraries,
# be upgraded and rolled back; its unit must be one that systemd reads and finds well confined; its whole lock must
# exist ready-built for aarch64.
set -euo pipefail
cd "$(dirname "$0")/.."
project=$PWD
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1

# As on a Pi, but without its systemd: only the files.
export HEARTHWATCH_WITH_SYSTEM=no HEARTHWATCH_PREFIX=$place/opt HEARTHWATCH_STATE=$place/state
install() { HEARTHWATCH_VERSION=$1 deploy/gateway/install.sh "${@:2}"; }
current() { basename "$(readlink "$HEARTHWATCH_PREFIX/current")"; }
install one
mkdir "$place/broken"
cp -r api alerts clinicians deploy devices migrations requirements store pyproject.toml README.md LICENSE "$place/broken/"
echo 'raise SystemExit("this version is broken")' >"$place/broken/api/cli.py"
said=$(cd "$place/broken" && install broken 2>&1) && { echo "a version that does not start was installed"; exit 1; }
grep -q "this version is broken" <<<"$said" || { echo "a broken version failed for another reason: $said"; exit 1; }
[ ! -e "$HEARTHWATCH_PREFIX/releases/broken" ] || { echo "half a version was left lying"; exit 1; }
[ "$(current)" = one ] || { echo "a version that does not start is the one that runs"; exit 1; }
install two
[ "$(current)" = two ] || { echo "an upgrade did not take place"; exit 1; }
install two --rollback
[ "$(current)" = one ] || { echo "a rollback did not take place"; exit 1; }
ln -s "$HEARTHWATCH_PREFIX/current" "$place/venv"
sed "s#^ExecStart=.*#ExecStart=/bin/true#; s#rfkill unblock bluetooth#true#" deploy/gateway/hearthwatch-gateway.service >"$place/hearthwatch-gateway.service"
systemd-analyze verify --man=no "$place/hearthwatch-gateway.service"
systemd-analyze security --offline=true --threshold=25 "$place/hearthwatch-gateway.service" | tail -n 1

for absent in fastapi psycopg twilio bumble bthome_ble sklearn; do
    if "$place/venv/bin/python" -c "import $absent" 2>/dev/null; then
        echo "$absent came along with the gateway"; exit 1
    fi
done
"$place/venv/bin/hearthwatch" gateway --help >/dev/null
cd "$place"
said=$("$place/venv/bin/hearthwatch" gateway --data "$place/data" 2>&1) && { echo "an unpaired gateway claims to run"; exit 1; }
grep -q "this gateway is not paired" <<<"$said" || { echo "an unpaired gateway says: $said"; exit 1; }
"$place/venv/bin/python" -c 'import devices.gateway, devices.collector, devices.agent, devices.drivers, devices.falls.model as falls; falls.shipped()'

"$place/venv/bin/python" -m pip download --quiet --dest "$place/wheels" --only-binary=:all: --no-deps --require-hashes \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux_2_34_aarch64 \
    --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
    -r "$project/requirements/gateway.lock"
echo "the gateway stands alone: $(find "$place/wheels" -name '*.whl' | wc -l) wheels for aarch64"
