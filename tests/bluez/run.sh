#!/usr/bin/env bash
# usage: tests/bluez/run.sh FOLDER RESULTS CONSOLE [STORY...]
# Boots the guest in FOLDER with the project as it stands here, runs the stories (all, or those named) and writes what
# they tell into RESULTS, one JSON object a line, and the guest's console into CONSOLE. Emulated, so it runs anywhere.
set -euo pipefail

project=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1 results=$2 console=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/guest/hearthwatch/tests"
cp "$project/tests/bluez/init" "$work/guest/init"
cp -a "$project/devices" "$work/guest/hearthwatch/"
cp -a "$project/tests/bluez" "$work/guest/hearthwatch/tests/"
(cd "$work/guest" && find . | cpio --quiet -o -H newc -R 0:0) > "$work/project.cpio"
cat "$folder/root.cpio" "$work/project.cpio" > "$work/initrd"

timeout --foreground 300 qemu-system-x86_64 -accel tcg -cpu max -smp ${SMP:-2} -m 1600 -display none -no-reboot -nodefaults \
    -kernel "$folder/vmlinuz" -initrd "$work/initrd" -append "console=ttyS0 quiet oops=panic panic=-1 ${TRACE:+trace} ${*/#/story=}" \
    -serial "file:$console" -serial "file:$results"
