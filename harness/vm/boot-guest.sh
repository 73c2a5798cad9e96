#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# boot-guest.sh [ARGUMENT...] - a shell in a private guest on the booted kernel.
#
# Inputs:  build/bzImage, build/initramfs.cpio with qemu/; arguments are those of
#	   gmem-run.
# Outputs: the terminal; build/boot/console.log, the host's kernel's log.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../vm/vm.inc.sh"

dir=$BUILD/boot
mkdir -p "$dir"
[ -x "$BUILD/tests/qemu/gmem-run" ] || die "no build/tests/qemu/gmem-run; try: make boot-guest"
vm_config "$dir" mode=terminal "command=qemu/gmem-run $* shell"
say "Two machines start, one in the other. Ctrl-A X ends both at once."
# shellcheck disable=SC2034 # read by vm_start
VM_ARGS=(-chardev "stdio,id=term,mux=on,signal=off")
vm_start "$dir" "$BUILD/bzImage" 86400 chardev:term loglevel=5
say "The host kernel's log: $dir/console.log"
