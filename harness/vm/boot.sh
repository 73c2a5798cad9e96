#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# boot.sh [default|debug] [BOOT-ARGUMENT...] - a shell in the booted kernel.
#
# Inputs:  as test.sh.  Outputs: the terminal; build/boot/console.log.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../vm/vm.inc.sh"

name=${1:-default}
image=$BUILD/bzImage
case $name in
default) ;;
debug) image=$BUILD/debug/bzImage ;;
*) die "boot.sh: '$name'? (default, debug)" ;;
esac
(( $# == 0 )) || shift
dir=$BUILD/boot
mkdir -p "$dir"
vm_config "$dir" mode=shell
# Ctrl-C is for the machine; Ctrl-A X ends it.
VM_ARGS=(-chardev "stdio,id=term,mux=on,signal=off")
vm_start "$dir" "$image" 86400 chardev:term console=ttyS1 loglevel=5 "$@"
say "The kernel's log: $dir/console.log"
