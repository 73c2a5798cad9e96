#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# debian.sh - Debian's own QEMU for the test machine: the newest binary,
# unmodified, with its libraries and firmware.
#
# Inputs:  base.conf (the suite), the machine's own mirror.
# Outputs: build/tests/debian/: qemu-system-x86_64, ld.so, lib/, share/, version;
#	   what is there stays until "make clean".

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/../qemu/source.inc.sh"

out=$BUILD/tests/debian
lib=usr/lib/x86_64-linux-gnu

take_along() {
	local root=$1 deb file
	for deb in "$APT"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink
	done
	mkdir -p "$root/out"/{lib,share}
	install "$root/usr/bin/qemu-system-x86_64" "$root/out/"
	install "$root/$lib/ld-linux-x86-64.so.2" "$root/out/ld.so"
	while read -r file; do
		install "$file" "$root/out/lib/"
	done < <("$root/out/ld.so" --library-path "$root/$lib" \
		--list "$root/out/qemu-system-x86_64" | awk '$3 ~ "^/" { print $3 }')
	install -m 644 "$root"/usr/share/seabios/bios-256k.bin \
		"$root"/usr/share/qemu/{kvmvapic,linuxboot,linuxboot_dma}.bin "$root/out/share/"
	"$root/out/ld.so" --library-path "$root/out/lib" "$root/out/qemu-system-x86_64" \
		--version | sed -n 1p >"$root/out/version"
	mkdir -p "${out%/*}"
	mv "$root/out" "$out"
}

fetch() {
	local root
	qemu_apt_setup
	rm -f "$APT"/cache/archives/*.deb
	qemu_apt install -y --download-only --no-install-recommends qemu-system-x86
	root=$(mktemp -d "$BUILD/tmp.XXXXXX")
	take_along "$root"
	rm -rf "$root" "$APT"/cache/archives/*.deb
}

lock_build qemu
[[ -e $out/version ]] || step qemu-debian fetch
