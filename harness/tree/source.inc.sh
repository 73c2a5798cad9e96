# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# source.inc.sh - find a kernel source and turn it into a git commit.
#
# Purpose: shared by base.sh, bump.sh and check-all.sh.
# Inputs:  sourced after lib.inc.sh; base.conf; KSRC.
# Outputs: build/dl/ (tarballs by checksum), commits in build/linux/.git.

# shellcheck source=base.conf
. "$TOP/base.conf"

# A failure inside $(...) is a failure.
shopt -s inherit_errexit

DL=$BUILD/dl

# lock_build WHAT: one script at a time changes a tree in build/ (linux, qemu,
# peer); held until exit.
lock_build() {
	local what=$1 fd
	[[ " ${HARNESS_LOCKED:-} " != *" $what "* ]] || return 0
	exec {fd}>"$BUILD/lock.$what"
	flock -n "$fd" || { say "waiting for another harness script"; flock "$fd"; }
	export HARNESS_LOCKED="${HARNESS_LOCKED:-} $what"
}

# apt_update: fetch the package lists, as root or through sudo.
apt_update() {
	local sudo=()
	(( EUID == 0 )) || sudo=(sudo -n)
	apt_locked "${sudo[@]}" apt-get update >"$LOGS/apt-update.log" 2>&1 </dev/null
}

sha_ok() { [[ -f $1 && $(sha256sum <"$1") == "$2"* ]]; }

# deb_get PACKAGE VERSION: download into build/dl, print the .deb's path.
deb_get() {
	local pkg=$1 ver=$2 deb
	mkdir -p "$DL"
	if ! compgen -G "$DL/${pkg}_${ver}_*.deb" >/dev/null; then
		( cd "$DL" && apt_locked apt-get download "$pkg=$ver" ) \
			>"$LOGS/download.log" 2>&1 </dev/null || return
	fi
	deb=$(compgen -G "$DL/${pkg}_${ver}_*.deb")
	printf '%s\n' "${deb%%$'\n'*}"
}

# candidate PACKAGE: the version that apt would install now.
candidate() { apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'; }

# tarball PACKAGE VERSION SHA256: print the path of the .tar.xz; sha256 ""
# accepts any content.  Returns 1 when that version is nowhere to be found, 2
# when what was found is not what the checksum names.
tarball() {
	local pkg=$1 ver=$2 sha=$3 deb out=$DL/$1_$2.tar.xz
	local sys=/usr/src/$pkg.tar.xz
	if [[ -f $out ]] && { [[ ! $sha ]] || sha_ok "$out" "$sha"; }; then
		printf '%s\n' "$out"
		return
	fi
	if [[ $sha ]] && sha_ok "$sys" "$sha"; then
		printf '%s\n' "$sys"
		return
	fi
	if ! deb=$(deb_get "$pkg" "$ver"); then
		apt_update || true
		deb=$(deb_get "$pkg" "$ver") || return 1
	fi
	dpkg-deb --fsys-tarfile "$deb" |
		tar -xOf - "./usr/src/$pkg.tar.xz" >"$out.part" || return 2
	if [[ $sha ]] && ! sha_ok "$out.part" "$sha"; then
		warn "the tarball in $deb has not sha256 $sha"
		rm -f "$out.part"
		return 2
	fi
	mv "$out.part" "$out"
	rm -f "$deb"
	printf '%s\n' "$out"
}

# unpack TARBALL DIR: DIR must not exist.
unpack() {
	rm -rf "$2.part"
	mkdir -p "$2.part"
	tar -C "$2.part" --strip-components=1 --no-same-owner -xf "$1"
	mv "$2.part" "$2"
}

# copy_ksrc DIR: a kernel.org-style tree named by KSRC, without build products.
copy_ksrc() {
	local stray
	mkdir -p "$1"
	if git -c safe.directory='*' -C "$KSRC" rev-parse -q --verify HEAD >/dev/null 2>&1 &&
	   [[ -e $KSRC/.git ]]; then
		git -c safe.directory='*' -C "$KSRC" archive HEAD | tar -C "$1" -xf -
		return
	fi
	stray=$(find "$KSRC" \( -name '*.o' -o -path "$KSRC/.config" \) -print -quit)
	[[ ! $stray ]] ||
		die "KSRC=$KSRC has been built in ($stray); run 'make mrproper' there"
	cp -a "$KSRC/." "$1/"
}

# version_of: 6.1.192 from the top-level Makefile on standard input.
version_of() {
	awk -F' *= *' '$1 == "VERSION" { v = $2 } $1 == "PATCHLEVEL" { p = $2 }
		$1 == "SUBLEVEL" { print v "." p "." $2; exit }'
}

# suitable DIR [merge]: die unless the tree is a 6.1.y that has what the series
# needs, to be merged or as it is.
suitable() {
	local need v
	[[ -f $1/Makefile && -d $1/virt/kvm ]] || die "$1 is no kernel source tree"
	v=$(version_of <"$1/Makefile")
	[[ $v == 6.1.* ]] || die "the source is Linux $v; the series is for 6.1.y"
	for need in "${BASE_NEEDS[@]}"; do
		grep -qsF "${need#*:}" "$1/${need%%:*}" ||
			die "Linux $v: ${need%%:*} lacks '${need#*:}', without which the series cannot work; see base.conf"
	done
	[[ ${2:-} != merge ]] || return 0
	for need in "${BASE_AM_NEEDS[@]}"; do
		grep -qsF "${need#*:}" "$1/${need%%:*}" ||
			die "Linux $v: ${need%%:*} lacks '${need#*:}'; all mails apply from $BASE_LOWEST on, 'make apply' merges them"
	done
}

# import DIR GITDIR: commit the whole of DIR, print the id.  Identity and date
# are fixed, so equal content gives an equal id.
import() (
	export GIT_DIR=$2 GIT_WORK_TREE=$1 GIT_INDEX_FILE=$2/index.import
	export GIT_AUTHOR_NAME=base GIT_AUTHOR_EMAIL=base@localhost
	export GIT_COMMITTER_NAME=base GIT_COMMITTER_EMAIL=base@localhost
	export GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000'
	if [[ ! -d $2 ]]; then
		git init -q -b series
		git config gc.auto 0
		git config advice.detachedHead false
	fi
	rm -f "$GIT_INDEX_FILE"
	if git rev-parse -q --verify base >/dev/null; then
		git read-tree base
	fi
	cd "$1" || exit
	git add -Af .
	git commit-tree -m base "$(git write-tree)"
)
