#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# base.sh - fetch the base kernel and import it as one commit.
#
# Usage:   harness/tree/base.sh            the base as branch "base" of build/linux
#          harness/tree/base.sh worktree   also checked out in build/linux-base
#          harness/tree/base.sh peer       the peer's source in build/linux-6.12
# Inputs:  base.conf; KSRC=DIR takes that kernel.org tree instead.
# Outputs: build/linux, build/linux-base or build/linux-6.12; build/dl/ keeps
#          the downloads, build/bases the commit of each source seen so far.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"

need git xz-utils apt

# source_key: what identifies the source that is asked for.
source_key() {
	if [[ ! ${KSRC:-} ]]; then
		say "$BASE_PACKAGE $BASE_VERSION $BASE_SHA256"
	elif [[ -e $KSRC/.git ]]; then
		say "git $(git -c safe.directory='*' -C "$KSRC" rev-parse HEAD)"
	else
		say "tree $(find "$KSRC" -printf '%P %s %T@\n' | sort | sha256sum)"
	fi
}

# get DIR: the source that is asked for, unpacked into DIR.
get() {
	local tar rc=0 version=$BASE_VERSION
	rm -rf "$1"
	if [[ ${KSRC:-} ]]; then
		copy_ksrc "$1"
		return
	fi
	tar=$(tarball "$BASE_PACKAGE" "$version" "$BASE_SHA256") || rc=$?
	(( rc < 2 )) ||
		die "$BASE_PACKAGE $version is not what base.conf names; remove $DL and try again, or correct BASE_SHA256"
	if (( rc )); then
		version=$(candidate "$BASE_PACKAGE")
		[[ $version && $version != '(none)' ]] ||
			die "$BASE_PACKAGE $BASE_VERSION: not to be had, and no other version either (log: $LOGS/download.log); give a kernel.org tree with KSRC=DIR"
		warn "$BASE_PACKAGE $BASE_VERSION is gone; taking $version"
		tar=$(tarball "$BASE_PACKAGE" "$version" '') ||
			die "cannot download $BASE_PACKAGE $version (log: $LOGS/download.log); give a kernel.org tree with KSRC=DIR"
	fi
	unpack "$tar" "$1"
}

fetch_base() {
	local dir=$BUILD/linux.import commit
	rm -f "$BUILD/import.id"
	get "$dir"
	suitable "$dir"
	if [[ -d $LINUX/.git ]]; then
		commit=$(import "$dir" "$LINUX/.git")
		rm -rf "$dir"
	else
		commit=$(import "$dir" "$dir/.git")
		mv "$dir/.git/index.import" "$dir/.git/index"
		git -C "$dir" update-ref --no-deref HEAD "$commit"
		git -C "$dir" checkout -q --detach "$commit"
		rm -rf "$LINUX"
		mv "$dir" "$LINUX"
	fi
	say "$commit" >"$BUILD/import.id"
}

do_base() {
	local key commit='' known=$BUILD/bases
	key=$(source_key)
	if [[ -d $LINUX/.git && -f $known ]]; then
		commit=$(awk -v k="$key" '{ c = $1; sub(/^[^ ]* /, "") } $0 == k { print c }' "$known" | tail -n 1)
	fi
	if [[ ! $commit ]]; then
		[[ -d $LINUX/.git ]] || rm -f "$known"
		say "Importing ${KSRC:-$BASE_PACKAGE $BASE_VERSION}"
		step import fetch_base
		grep -h '^warning:' "$LOGS/import.log" >&2 || true
		commit=$(<"$BUILD/import.id")
		say "$commit $key" >>"$known"
	fi
	[[ $(git -C "$LINUX" rev-parse -q --verify base) == "$commit" ]] ||
		git -C "$LINUX" branch -qf base "$commit"
	[[ $commit == "$BASE_COMMIT" ]] ||
		warn "another base than base.conf's: Linux $(git -C "$LINUX" show base:Makefile | version_of)"
}

do_worktree() {
	local dir=$BUILD/linux-base
	if ! git -C "$dir" checkout -q --detach base 2>/dev/null ||
	   [[ $(git -C "$dir" rev-parse --show-toplevel) != "$dir" ]]; then
		rm -rf "$dir"
		git -C "$LINUX" worktree prune
		step base-worktree git -C "$LINUX" worktree add -f --detach "$dir" base
	fi
}

fetch_peer() {
	local tar
	tar=$(tarball "$PEER_PACKAGE" "$PEER_VERSION" "$PEER_SHA256") ||
		die "cannot download $PEER_PACKAGE $PEER_VERSION (log: $LOGS/download.log); put its tarball at $DL/${PEER_PACKAGE}_$PEER_VERSION.tar.xz"
	rm -rf "$BUILD/linux-6.12"
	unpack "$tar" "$BUILD/linux-6.12"
	say "$PEER_SHA256" >"$BUILD/linux-6.12.sha256"
}

do_peer() {
	[[ -d $BUILD/linux-6.12 ]] &&
		[[ $(cat "$BUILD/linux-6.12.sha256" 2>/dev/null) == "$PEER_SHA256" ]] && return
	say "Unpacking $PEER_PACKAGE $PEER_VERSION"
	step peer fetch_peer
}

case ${1:-} in
'')		lock_build linux; do_base ;;
worktree)	lock_build linux; do_base; do_worktree ;;
peer)		lock_build peer; do_peer ;;
*)		die "usage: harness/tree/base.sh [worktree|peer]" ;;
esac
