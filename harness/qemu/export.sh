#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# export.sh - the QEMU patches as mails for git send-email.
#
# Inputs:  base.conf, qemu/patches/; SIGNOFF="Name <address>" adds the
#          submitter's Signed-off-by and puts the name in place of the neutral
#          author; ROUND=2 for a second round.
# Outputs: build/export-qemu/*.patch.  Nothing is sent.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/../tree/cover.inc.sh"

"$TOP/harness/qemu/build.sh" source
out=$BUILD/export-qemu
options=(--cover-letter --base=base --subject-prefix='PATCH qemu' --no-renames
	--abbrev=12 --no-signature --thread=shallow -q -o "$out")
[[ ! ${ROUND:-} ]] || options+=(-v "$ROUND")
# shellcheck disable=SC2031
export GIT_COMMITTER_NAME=${SERIES_AUTHOR%% <*} GIT_COMMITTER_EMAIL=guest_memfd@localhost
if [[ ${SIGNOFF:-} ]]; then
	[[ $SIGNOFF =~ ^[^\<\>]+\ \<[^\<\>@\ ]+@[^\<\>\ ]+\>$ ]] ||
		die "SIGNOFF is to be: Name <address>"
	GIT_COMMITTER_NAME=${SIGNOFF%% <*} GIT_COMMITTER_EMAIL=${SIGNOFF##*<}
	GIT_COMMITTER_EMAIL=${GIT_COMMITTER_EMAIL%>}
	options+=(-s)
fi
rm -rf "$out"
git -C "$BUILD/qemu-src" format-patch "${options[@]}" base..series
sed "s|@QEMU_PACKAGE@|$QEMU_PACKAGE|g; s|@QEMU_VERSION@|$QEMU_VERSION|g" "$TOP/qemu/patches/cover.txt" |
	fill_cover "$out"
[[ ! ${SIGNOFF:-} ]] || name_submitter "$out"
say "$(find "$out" -name '*.patch' | wc -l) mails in build/export-qemu"
