# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# source.inc.sh - Debian's QEMU and our patches, as commits.
#
# Purpose: shared by qemu.sh, qemu-refresh.sh and the checks.
# Inputs:  sourced after lib.inc.sh, source.inc.sh, series.inc.sh, tree.inc.sh; base.conf;
#	   qemu/patches/.
# Outputs: build/qemu-src, a git tree: branch "base" is the unpacked source
#	   package, "series" that with our patches; build/apt, build/dl.

QEMU_SRC=$BUILD/qemu-src
APT=$BUILD/apt

# qemu_apt COMMAND...: apt-get that sees only the suite of base.conf, on the
# mirror that this machine uses anyway.  The machine's own lists stay as they are.
qemu_apt() {
	apt-get -o Dir::Etc::SourceList="$APT/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$APT/lists" \
		-o Dir::Cache="$APT/cache" -o Dir::State::status="$APT/status" \
		-o APT::Update::Error-Mode=any -o APT::Sandbox::User=root "$@"
}

qemu_apt_setup() {
	local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	uri=$(. /etc/os-release
		# shellcheck disable=SC2016
		apt-get indextargets --format '$(CODENAME)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
			awk -F'|' -v c="$VERSION_CODENAME" '$1 == c && $2 == "main" { print $3; exit }')
	[[ $uri ]] || die "apt knows no mirror of this Debian release; put the files of $QEMU_PACKAGE $QEMU_VERSION into $DL"
	mkdir -p "$APT"/{lists,cache/archives}/partial
	: >"$APT/status"
	printf '%s [signed-by=%s] %s %s main\n' deb-src "$keyring" "$uri" "$QEMU_SUITE" \
		deb "$keyring" "$uri" "$QEMU_SUITE" >"$APT/sources.list"
	qemu_apt update >"$LOGS/qemu-apt.log" 2>&1 </dev/null ||
		die "cannot read the package lists of $QEMU_SUITE at $uri (log: $LOGS/qemu-apt.log)"
}

# qemu_meson: the directory for PYTHONPATH if the machine's meson is too old.
qemu_meson() {
	local dir=$BUILD/meson deb=$DL/meson_${MESON_VERSION}_all.deb
	if dpkg --compare-versions "$(dpkg-query -W -f '${Version}' meson 2>/dev/null)" ge 1.5; then
		return
	fi
	if [[ ! -d $dir ]]; then
		if ! sha_ok "$deb" "$MESON_SHA256"; then
			[[ -f $APT/sources.list ]] || qemu_apt_setup
			( cd "$DL" && qemu_apt download "meson=$MESON_VERSION" ) \
				>>"$LOGS/qemu-apt.log" 2>&1 </dev/null || true
			sha_ok "$deb" "$MESON_SHA256" ||
				die "cannot get meson $MESON_VERSION with sha256 $MESON_SHA256 (log: $LOGS/qemu-apt.log)"
		fi
		dpkg-deb -x "$deb" "$dir.new"
		mv "$dir.new" "$dir"
	fi
	say "$dir/usr/lib/python3/dist-packages"
}

# qemu_download PACKAGE[=VERSION]: print the path of its .dsc; apt checks what it
# gets against the signed lists of the suite.
qemu_download() {
	local file
	file=$(qemu_apt source --print-uris "$1" 2>>"$LOGS/qemu-apt.log" |
		awk '$2 ~ /\.dsc$/ { print $2 }')
	[[ $file ]] && ( cd "$DL" && qemu_apt source --download-only "$1" ) \
		>>"$LOGS/qemu-apt.log" 2>&1 </dev/null && say "$DL/$file"
}

# The .dsc names all other files by their checksums, and dpkg-source looks.
qemu_import() {
	local dsc=$DL/${QEMU_PACKAGE}_${QEMU_VERSION#*:}.dsc dir=$BUILD/qemu.import
	mkdir -p "$DL"
	if ! sha_ok "$dsc" "$QEMU_SHA256"; then
		qemu_apt_setup
		if qemu_download "$QEMU_PACKAGE=$QEMU_VERSION"; then
			sha_ok "$dsc" "$QEMU_SHA256" || die "$dsc has not sha256 $QEMU_SHA256"
		else
			# A point release of Debian replaces what it brings anew.
			dsc=$(qemu_download "$QEMU_PACKAGE") || {
				tail -n 3 "$LOGS/qemu-apt.log"
				die "cannot download $QEMU_PACKAGE $QEMU_VERSION; put its files into $DL"
			}
			warn "$QEMU_PACKAGE $QEMU_VERSION is gone; taking ${dsc##*/}"
		fi
	fi
	rm -rf "$dir"
	dpkg-source --no-check -x "$dsc" "$dir"
	rm -rf "$dir/.pc"
	git -C "$BUILD" init -q -b series "$dir"
	git -C "$dir" config gc.auto 0
	git -C "$dir" config advice.detachedHead false
	git -C "$dir" branch base "$(import "$dir" "$dir/.git")"
	mv "$dir/.git/index.import" "$dir/.git/index"
	git -C "$dir" checkout -q --detach base
	rm -rf "$QEMU_SRC"
	mv "$dir" "$QEMU_SRC"
}

# qemu_base: build/qemu-src exists; its base is what base.conf names, or it is
# said that it is not.
qemu_base() {
	need dpkg-dev git
	if [[ ! -d $QEMU_SRC/.git ]]; then
		step qemu-source qemu_import
		grep -h '^warning:' "$LOGS/qemu-source.log" >&2 || true
	fi
	[[ $(git -C "$QEMU_SRC" rev-parse base) == "$QEMU_COMMIT" ]] ||
		warn "build/qemu-src is not $QEMU_PACKAGE $QEMU_VERSION as base.conf names it"
	QEMU_COMMIT=$(git -C "$QEMU_SRC" rev-parse base)
}

# qemu_series COMMAND ARGUMENT...: series.py on QEMU, of which new files are in
# the mails.
qemu_series() {
	SERIES_AUTHOR=$SERIES_AUTHOR python3 "$TOP/harness/tree/series.py" "$QEMU_SRC" "$TOP/qemu" "$@"
}

# qemu_assemble: check base + patches out, touching only what differs.
qemu_assemble() {
	local LINUX=$QEMU_SRC new head old
	new=$(qemu_series commit base "$LOGS/qemu-apply.log")
	head=$(git -C "$LINUX" rev-parse HEAD)
	old=$(git -C "$LINUX" rev-parse -q --verify series || say "$QEMU_COMMIT")
	[[ $head != "$new" ]] || return 0
	if [[ $head != "$old" && $head != "$QEMU_COMMIT" &&
	      $(git -C "$LINUX" rev-parse "$head^{tree}") != $(git -C "$LINUX" rev-parse "$new^{tree}") ]]; then
		die "build/qemu-src has commits that are not in qemu/patches.
    Take them in:  make refresh-qemu
    Drop them:     git -C build/qemu-src checkout --detach series"
	fi
	linux_move "$new" || die "edits in build/qemu-src are in the way; make refresh-qemu, or undo them"
	git -C "$LINUX" branch -qf series "$new"
	! grep -q offset "$LOGS/qemu-apply.log" ||
		warn "hunks of qemu/patches apply at an offset ($LOGS/qemu-apply.log)"
	say "Assembled QEMU ${QEMU_VERSION#*:}: $(qemu_series list | wc -l) patches"
}
