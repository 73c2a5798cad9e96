#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build.sh [source] - build what the test machine boots guests with.
#
# source   no more than build/qemu-src, with the patches in it
# Inputs:  base.conf, qemu/.
# Outputs: build/tests/qemu/: QEMU (static), boot.rom, gmem-run, and guest.cpio,
#	   the guest's initramfs; objects in build/qemu.  The guest's kernel is
#	   build/bzImage; initramfs.sh adds it.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/../build/kbuild.inc.sh"
. "$(dirname "$0")/../qemu/source.inc.sh"

obj=$BUILD/qemu
out=$BUILD/tests/qemu

configure() {
	local options
	mapfile -t options < <(sed 's/#.*//; /^[[:space:]]*$/d' "$TOP/qemu/configure.options")
	rm -rf "$obj"
	mkdir -p "$obj"
	cd "$obj" || exit
	"$QEMU_SRC/configure" --cc="ccache gcc" --python=/usr/bin/python3 "${options[@]}"
}

guest() {
	local stage
	stage=$(mktemp -d "$BUILD/tmp.XXXXXX")
	mkdir -p "$stage"/{bin,dev,proc,sys,tmp,root,etc}
	install -m 755 "$(command -v busybox)" "$stage/bin/busybox"
	ln -s busybox "$stage/bin/sh"
	strip -o "$stage/proof" "$obj/gmem/proof"
	(cd "$stage" && find . -mindepth 1 | sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible) >"$out/guest.cpio"
	rm -rf "$stage"
}

install_qemu() {
	mkdir -p "$out" "$obj/gmem"
	make -s -C "$TOP/qemu" CC="ccache gcc" OUT="$obj/gmem"
	[[ $obj/qemu-system-x86_64 -ot $out/qemu-system-x86_64 ]] ||
		strip -o "$out/qemu-system-x86_64" "$obj/qemu-system-x86_64"
	strip -o "$out/gmem-run" "$obj/gmem/gmem-run"
	install -m 644 "$obj/gmem/boot.rom" "$out/boot.rom"
	guest
}

need gcc libc6-dev ccache ninja-build pkg-config python3-venv libglib2.0-dev \
	libfdt-dev zlib1g-dev flex bison busybox-static cpio
lock_build qemu
qemu_base
qemu_assemble
[[ ${1:-} != source ]] || exit 0
export CCACHE_DEPEND=1
PYTHONPATH=$(qemu_meson)
export PYTHONPATH
# The list of devices is ours, but QEMU looks for it in its own tree.
cmp -s "$TOP/qemu/devices.mak" "$QEMU_SRC/configs/devices/x86_64-softmmu/gmem.mak" ||
	cp "$TOP/qemu/devices.mak" "$QEMU_SRC/configs/devices/x86_64-softmmu/gmem.mak"
key=$(cat "$TOP/qemu/configure.options" "$TOP/qemu/devices.mak" | sha256sum)
if [[ $(cat "$obj/configured" 2>/dev/null) != "$key" ]]; then
	step qemu-configure configure
	say "$key" >"$obj/configured"
fi
step qemu-build ninja -C "$obj" -j"$JOBS" qemu-system-x86_64
step qemu-install install_qemu
