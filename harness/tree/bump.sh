#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bump.sh - try the series on another version of the base.
#
# Purpose: fetch and import that version, apply the series to it (git apply: no
#          fuzz; offsets are listed). Only if all of it applies base.conf is
#          changed and the mails are written anew.
# Inputs:  VERSION=debian-version, or the newest one that apt knows; DRY=1 to
#          report only.
# Outputs: build/logs/bump.log; base.conf, patches/.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/series.inc.sh"

need git xz-utils apt
lock_build linux
"$TOP/harness/tree/assemble.sh"
log=$LOGS/bump.log
if [[ ! ${VERSION:-} ]]; then
	apt_update || warn "apt-get update failed ($LOGS/apt-update.log); using the lists at hand"
	VERSION=$(candidate "$BASE_PACKAGE")
fi
if [[ $VERSION == "$BASE_VERSION" ]]; then
	say "The base is $BASE_PACKAGE $VERSION already; apt knows:"
	apt-cache madison "$BASE_PACKAGE" | awk -F' *[|] *' '{ print "    " $2 }' | sort -uV
	say "Another one: make bump VERSION=..."
	exit
fi

import_version() {
	local dir=$BUILD/linux.import tar
	tar=$(tarball "$BASE_PACKAGE" "$VERSION" '') ||
		die "cannot download $BASE_PACKAGE $VERSION (log: $LOGS/download.log)"
	rm -rf "$dir"
	unpack "$tar" "$dir"
	suitable "$dir"
	sha256sum <"$tar" | cut -d' ' -f1 >"$BUILD/bump.sha"
	import "$dir" "$LINUX/.git" >"$BUILD/bump.id"
	rm -rf "$dir"
}
# A version that was seen before is in build/linux already.
if ! seen=$(grep -F " $BASE_PACKAGE $VERSION " "$BUILD/bases"); then
	step "import-$VERSION" import_version
	seen="$(<"$BUILD/bump.id") $BASE_PACKAGE $VERSION $(<"$BUILD/bump.sha")"
	say "$seen" >>"$BUILD/bases"
fi
new_base=${seen%% *}
sha=${seen##* }
say "Linux $(git -C "$LINUX" show "$new_base:Makefile" | version_of): $(
	git -C "$LINUX" diff-tree -r --name-only base "$new_base" | wc -l) files differ from the base"

# An || here would switch errexit off inside: so a trap has the last word.
trap 'warn "the series does not apply to $VERSION; base.conf is unchanged. By hand:
    git -C build/linux rebase --onto $new_base base series
    in base.conf: BASE_VERSION=$VERSION
                  BASE_SHA256=$sha
                  BASE_COMMIT=$new_base
    make refresh FORCE=1"' EXIT
new=$(series commit "$new_base" "$log")
trap - EXIT
say "All mails apply (commit ${new:0:12})"
sed -n 's/^\(.*\.patch\): \(Hunk .*offset.*\)/    \1: \2/p' "$log"
[[ ! ${DRY:-} ]] || exit 0

sed -i "s|^BASE_VERSION=.*|BASE_VERSION=$VERSION|; s|^BASE_SHA256=.*|BASE_SHA256=$sha|
	s|^BASE_COMMIT=.*|BASE_COMMIT=$new_base|" "$TOP/base.conf"
# Write the mails again, so that their line numbers are those of this base.
"$TOP/harness/tree/refresh.sh"
say "base.conf names $BASE_PACKAGE $VERSION now. Next: make check-all"
