#!/usr/bin/env bash
# usage: tests/bluez/make-guest.sh FOLDER
# Makes in FOLDER what QEMU boots for the tests against real BlueZ: Debian's kernel (vmlinuz) and a root with
# bluetoothd, btvirt and the gateway's locked packages (root.cpio). Made once: the project itself is added at each run.
# Needs an amd64 Debian with mmdebstrap, cpio and kmod; everything comes by this machine's own apt settings.
set -euo pipefail

project=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$project/.venv/bin/python}
folder=$(mkdir -p "$1" && cd "$1" && pwd)
. /etc/os-release
recipe=$(cat "$0" "$project"/tests/bluez/copy_packages.py "$project"/requirements/{gateway,server,demo}.lock <(echo "$VERSION_CODENAME") | sha256sum)
if [ "$(cat "$folder/recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "already there: the guest with Linux $(cat "$folder/version")"
    exit 0
fi

work=$(mktemp -d "$folder/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root" "$work/kernel"

sources=/etc/apt/sources.list.d/debian.sources
[ -s "$sources" ] || sources=/etc/apt/sources.list
apt-config dump | grep '^Acquire::' > "$work/apt.conf" || true
# Debian 12 offers two kernels. Its own, 6.1.192, has a fault (list corruption in hci_chan_del) that ends bluetoothd when
# a device has lost its bond; and 6.12 is the one gateways run.
newest=linux-image-6.12-amd64
apt-cache show "$newest" >/dev/null 2>&1 || newest=linux-image-amd64
kernel=$(apt-cache depends "$newest" | awk '/Depends: linux-image-/{print $2; exit}')
(cd "$work" && apt-get -qq -o APT::Sandbox::User= download "$kernel") &
# With python3-minimal comes no package that the standard library does not need, and no manual is read in there.
mmdebstrap --quiet --mode=auto --variant=minbase --format=tar --aptopt="$work/apt.conf" \
    --include=dbus,bluez,bluez-test-tools,busybox-static,kmod,python3-minimal,libpython3-stdlib \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' \
    "$VERSION_CODENAME" - "$sources" | tar -x -C "$root" --exclude='./dev/*' &
wait -n && wait -n

# The kernel, and of its modules those that Bluetooth needs: without the ciphers it cannot pair.
dpkg-deb -x "$work/$kernel"_*.deb "$work/kernel"
version=${kernel#linux-image-}
from=$work/kernel/lib/modules/$version
to=$root/lib/modules/$version
mkdir -p "$to/kernel/net" "$to/kernel/drivers/hid"
cp "$from"/modules.{builtin,builtin.modinfo,order} "$to"
cp -r "$from/kernel/crypto" "$to/kernel/"
cp -r "$from/kernel/lib" "$from/kernel/arch" "$to/kernel/"
cp -r "$from/kernel/net/"{bluetooth,rfkill} "$to/kernel/net/"
mkdir -p "$to/kernel/drivers/bluetooth"
cp "$from/kernel/drivers/bluetooth/hci_vhci.ko"* "$to/kernel/drivers/bluetooth/"
cp "$from/kernel/drivers/hid/uhid.ko"* "$from/kernel/drivers/hid/hid.ko"* "$to/kernel/drivers/hid/"
find "$to" -name '*.ko.xz' -exec unxz {} +
PATH=$PATH:/sbin:/usr/sbin depmod -b "$root" "$version"

guest_python=$(cd "$root/usr/lib" && ls -d python3.* | sed s/python//)
"$python" "$project/tests/bluez/copy_packages.py" "$root/opt/packages" "$guest_python"

(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) > "$folder/root.cpio"
cp "$work/kernel/boot/vmlinuz-$version" "$folder/vmlinuz"
echo "$version" > "$folder/version"
echo "$recipe" > "$folder/recipe"
echo "made the guest: Linux $version, Python $guest_python"
