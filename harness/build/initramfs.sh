#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# initramfs.sh [SET...] - everything the test machine has besides the kernel.
#
# SET      tests to take along, see selftests.sh; ours, peer, mainline,
#	   sample, qemu and debian.
# Inputs:  static busybox, harness/vm/inside/, build/tests/SET/ (what of it exists).
# Outputs: build/initramfs.cpio, not compressed: unpacking costs time under
#	   emulation, copying does not.  No root needed.

. "$(dirname "$0")/../lib.inc.sh"

stage=$(mktemp -d "$BUILD/tmp.XXXXXX")
trap 'rm -rf "$stage"' EXIT
busybox=$(command -v busybox) || die "no busybox; package: busybox-static"
# No "grep -q" behind a pipe: it ends early, and pipefail takes that amiss.
"$busybox" --list 2>/dev/null | grep -x setsid >/dev/null ||
	die "$busybox lacks applets; package: busybox-static"
if readelf -l "$busybox" | grep INTERP >/dev/null; then
	die "$busybox is not static; package: busybox-static"
fi

mkdir -p "$stage"/{bin,sbin,dev,proc,sys,tmp,run,root,tests,etc}
install -m 755 "$busybox" "$stage/bin/busybox"
ln -s busybox "$stage/bin/sh"
# The shell finds busybox's applets by itself; these are for C programs.
for i in cat mount umount modprobe grep sleep true false; do
	ln -s busybox "$stage/bin/$i"
done
install -m 755 "$TOP/harness/vm/inside/init" "$stage/init"
install -m 755 "$TOP"/harness/vm/inside/{run-list,state,no-leak,gcov-data} "$stage/bin/"
echo 'root:x:0:0:root:/root:/bin/sh' >"$stage/etc/passwd"

(( $# )) || set -- ours peer mainline sample qemu debian
for set in "${@/#/$BUILD/tests/}"; do
	[ -d "$set" ] || continue
	while IFS= read -r -d '' prog; do
		out=$stage/tests/${set##*/}/${prog#"$set/"}
		mkdir -p "${out%/*}"
		strip -o "$out" "$prog" 2>/dev/null || cp "$prog" "$out"
	done < <(find "$set" -type f -perm -u+x -print0)
	# QEMU's firmware, and for its guest an initramfs and the tested kernel.
	if [[ ${set##*/} == qemu ]]; then
		cp "$set"/boot.rom "$set"/guest.cpio "$BUILD/bzImage" "$stage/tests/qemu/"
	fi
	[[ ! -d $set/share ]] || cp -r "$set/share" "$stage/tests/${set##*/}/"
done

(cd "$stage" && find . -mindepth 1 | sort |
	cpio --quiet -o -H newc -R 0:0 --reproducible) >"$BUILD/initramfs.cpio.new"
mv "$BUILD/initramfs.cpio.new" "$BUILD/initramfs.cpio"
