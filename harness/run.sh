#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [ARGUMENT...] - boot the kernel and run the sample VMM in it.
#
# Inputs:  build/bzImage, build/initramfs.cpio with sample/guest_memfd_vmm;
#	   arguments are the VMM's.
# Outputs: the VMM's own words on stdout, its exit status; the kernel's log in
#	   build/run/console.log.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vm.sh"

dir=$BUILD/run
mkdir -p "$dir"
[ -x "$BUILD/tests/sample/guest_memfd_vmm" ] ||
	die "no build/tests/sample/guest_memfd_vmm; try: make run"
vm_config "$dir" mode=run "command=sample/guest_memfd_vmm $*"
say "Booting $(cat "$BUILD/bzImage.tree" 2>/dev/null) in QEMU (emulated CPU, no /dev/kvm of this machine used)"
rc=0
# The serial line of an emulated machine ends lines with CR LF.
vm_start "$dir" "$BUILD/bzImage" 600 stdio </dev/null |
	tr -d '\r' || rc=$?
(( rc != 124 )) || die "the machine hung; its kernel's log: $dir/console.log"
if grep -qaE 'WARNING: |BUG: |Oops|Kernel panic' "$dir/console.log"; then
	grep -aE -m 3 'WARNING: |BUG: |Oops|Kernel panic' "$dir/console.log" >&2
	die "the kernel complained; its log: $dir/console.log"
fi
rc=$(vm_exit "$dir")
(( rc == 0 )) ||
	die "guest_memfd_vmm: exit status $rc (255: the machine died); the kernel's log: $dir/console.log"
