#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deps.sh - install the Debian packages that building and running need.
#
# Outputs: nothing if all are there; else one line that names them, and
#	   build/logs/apt-*.log.

. "$(dirname "$0")/../lib.inc.sh"

need gcc libc6-dev make flex bison bc libelf-dev libssl-dev ccache \
	qemu-system-x86 busybox-static cpio kmod rsync xz-utils zstd git \
	perl python3 binutils
