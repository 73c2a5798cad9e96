#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh PROGRAM [ARGUMENT...] - boot the kernel and run a program in it.
#
# PROGRAM  below build/tests, and in build/initramfs.cpio.
# Inputs:  build/bzImage, build/initramfs.cpio.
# Outputs: the program's own words on stdout, its exit status; the kernel's log
#	   in build/run/console.log.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../vm/vm.inc.sh"

dir=$BUILD/run
mkdir -p "$dir"
[ -x "$BUILD/tests/$1" ] || die "no build/tests/$1; try: make run"
vm_config "$dir" mode=run "command=$*"
say "Booting $(cat "$BUILD/bzImage.tree" 2>/dev/null) in QEMU (emulated CPU, no /dev/kvm of this machine used)"
rc=0
# The serial line of an emulated machine ends lines with CR LF.
vm_start "$dir" "$BUILD/bzImage" "${RUN_LIMIT:-600}" stdio </dev/null |
	tr -d '\r' || rc=$?
(( rc != 124 )) || die "the machine hung. QEMU's emulated SVM can do that to any kernel, rarely:
    run it again. If it hangs again, its kernel's log may say why: $dir/console.log"
if grep -qaE 'WARNING: |BUG: |Oops|Kernel panic' "$dir/console.log"; then
	grep -aE -m 3 'WARNING: |BUG: |Oops|Kernel panic' "$dir/console.log" >&2
	die "the kernel complained; its log: $dir/console.log"
fi
rc=$(vm_exit "$dir")
(( rc == 0 )) ||
	die "${1##*/}: exit status $rc (255: the machine died); the kernel's log: $dir/console.log"
