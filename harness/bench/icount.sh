#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# icount.sh COMMAND... - run a command in a machine that counts instructions.
#
# One emulated CPU and one nanosecond per instruction: time in the machine is
# the number of instructions, and the same twice.  For measurements only.
#
# Inputs:  build/bzImage, build/initramfs.cpio; COMMAND relative to /tests.
# Outputs: the command's output and exit status.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../vm/vm.inc.sh"

(( $# )) || die "usage: icount.sh COMMAND [ARGUMENT...]"
dir=$BUILD/icount
mkdir -p "$dir"
vm_config "$dir" mode=run "command=$*"
VM_ACCEL=tcg,thread=single VM_CPUS=1
VM_ARGS=(-icount "shift=0,sleep=off")
vm_start "$dir" "${KERNEL:-$BUILD/bzImage}" 3600 stdio quiet </dev/null |
	tr -d '\r'
exit "$(vm_exit "$dir")"
