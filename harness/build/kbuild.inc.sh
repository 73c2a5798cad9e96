# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# kbuild.inc.sh - how everything that is compiled here is compiled.
#
# Purpose: reproducible output, and one compiler cache for all trees and all
#	   configurations, so that a changed patch rebuilds in seconds.
# Inputs:  sourced after lib.inc.sh; CCACHE_DIR if the caller has one.
# Outputs: kmake(), and the environment that ccache and kbuild read.

export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache}
export CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}
export CCACHE_SLOPPINESS=time_macros,locale
# Preprocessing every file twice costs a fifth of a cold build, but finds the
# objects of one configuration again for others whose autoconf.h differs by a
# line or two: base, off, modules and check.  The two kernels that everybody
# builds, and QEMU, do without: see build.sh; not if SHARE_OBJECTS is set, since
# between two topics little but autoconf.h differs.
# The same objects today and tomorrow, here and elsewhere.
export KBUILD_BUILD_TIMESTAMP='2026-01-01 00:00:00 UTC'
export KBUILD_BUILD_USER=user KBUILD_BUILD_HOST=host KBUILD_BUILD_VERSION=1
unset MAKEFLAGS MAKELEVEL MFLAGS CFLAGS LDFLAGS

# kmake SOURCE OBJECTS ARGUMENT...: the kernel's make. LOCALVERSION= (set and
# empty) stops it from appending "+" to a release that has no tag.
kmake() {
	local src=$1 obj=$2
	shift 2
	make -C "$src" O="$obj" -j"$JOBS" LOCALVERSION= CC="ccache gcc" "$@"
}

# tree_id SOURCE: which source this is, for the banner of a test run.
tree_id() {
	local id dirty=''
	id=$(git -C "$1" rev-parse --short=12 'HEAD^{tree}' 2>/dev/null) ||
		id=unknown
	git -C "$1" diff --quiet HEAD 2>/dev/null || dirty=-dirty
	printf '%s%s\n' "$id" "$dirty"
}
