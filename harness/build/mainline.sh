#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mainline.sh - the source of the newest kernel that Debian has, for its KVM
# selftests.
#
# Inputs:  base.conf (suite, package, version, content); the machine's mirror.
# Outputs: build/linux-mainline, build/mainline.version; build/dl keeps the
#	   tarball.  If that version is gone: the newest of the suite, with a
#	   warning.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"
. "$(dirname "$0")/../qemu/source.inc.sh"

# The same private apt as for QEMU, for another suite.
APT=$BUILD/apt-mainline
QEMU_SUITE=$MAINLINE_SUITE
dir=$BUILD/linux-mainline

# newest: package and version of the newest linux-source of the suite.
newest() {
	local package version
	package=$(apt_cache search --names-only '^linux-source-[0-9.]+$' |
		cut -d' ' -f1 | sort -V | tail -n 1)
	version=$(apt_cache madison "$package" | awk '{ print $3; exit }')
	say "$package" "$version"
}

apt_cache() {
	apt-cache -o Dir::Etc::SourceList="$APT/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$APT/lists" \
		-o Dir::Cache="$APT/cache" -o Dir::State::status="$APT/status" "$@"
}

# get PACKAGE VERSION SHA256: the tarball, as build/dl/PACKAGE_VERSION.tar.xz;
# sha256 "" accepts any content.
get() {
	local out=$DL/$1_$2.tar.xz deb
	( cd "$DL" && qemu_apt download "$1=$2" ) || return 1
	deb=$(compgen -G "$DL/$1_*.deb")
	dpkg-deb --fsys-tarfile "$deb" | tar -xOf - "./usr/src/$1.tar.xz" >"$out.part"
	rm -f "$deb"
	[[ ! $3 ]] || sha_ok "$out.part" "$3" || return 2
	mv "$out.part" "$out"
}

fetch() {
	local package=$MAINLINE_PACKAGE version=$MAINLINE_VERSION rc=0
	local tar=$DL/${package}_$version.tar.xz
	mkdir -p "$DL"
	if ! sha_ok "$tar" "$MAINLINE_SHA256"; then
		qemu_apt_setup
		get "$package" "$version" "$MAINLINE_SHA256" || rc=$?
		(( rc < 2 )) || die "$package $version is not what base.conf names"
		if (( rc )); then
			{ read -r package; read -r version; } < <(newest)
			say "warning: $MAINLINE_PACKAGE $MAINLINE_VERSION is gone; taking $package $version"
			get "$package" "$version" ''
		fi
		tar=$DL/${package}_$version.tar.xz
	fi
	rm -rf "$dir"
	unpack "$tar" "$dir"
	say "$MAINLINE_SHA256 $package $version" >"$BUILD/mainline.version"
}

need xz-utils apt
lock_build linux
if [[ ! -d $dir || $(cat "$BUILD/mainline.version" 2>/dev/null) != "$MAINLINE_SHA256 "* ]]; then
	say "Unpacking $MAINLINE_PACKAGE $MAINLINE_VERSION"
	step mainline fetch
	grep '^warning:' "$LOGS/mainline.log" >&2 || true
fi
