#!/usr/bin/env bash
# Proves that hearthwatch[gateway] stands alone: installed by itself it must start, without the service's
# libraries, and its whole lock must exist ready-built for aarch64. (pyric alone comes as source: pure Python,
# the same on every machine, nothing to compile.)
set -euo pipefail
cd "$(dirname "$0")/.."
project=$PWD
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --require-hashes -r requirements/gateway.lock
"$place/venv/bin/python" -m pip install --quiet --require-hashes -r requirements/build.lock
mkdir "$place/source"
cp -r api alerts clinicians devices store migrations pyproject.toml README.md LICENSE "$place/source/"
"$place/venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation "$place/source"
cd "$place"
for absent in fastapi psycopg twilio bumble; do
    if "$place/venv/bin/python" -c "import $absent" 2>/dev/null; then
        echo "$absent came along with the gateway"; exit 1
    fi
done
"$place/venv/bin/hearthwatch" gateway --help >/dev/null
said=$("$place/venv/bin/hearthwatch" gateway --data "$place/data" 2>&1) && { echo "an unpaired gateway claims to run"; exit 1; }
grep -q "this gateway is not paired" <<<"$said" || { echo "an unpaired gateway says: $said"; exit 1; }
"$place/venv/bin/python" -c 'import devices.gateway, devices.collector, devices.agent, devices.drivers'

"$place/venv/bin/python" -m pip download --quiet --dest "$place/wheels" --only-binary=:all: --no-binary=pyric --no-deps --require-hashes \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux_2_34_aarch64 \
    --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
    -r "$project/requirements/gateway.lock"
echo "the gateway stands alone: $(find "$place/wheels" -name '*.whl' | wc -l) wheels for aarch64"
