#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# export.sh - the series as mails for git send-email.
#
# Purpose: cover letter and numbered mails, with recipients and base commit.
#          Nothing is sent.
# Inputs:  branch "series" of build/linux (assembled first), patches/cover.txt
#          (first line: subject; @NAME@ stands for NAME of base.conf);
#          SIGNOFF="Name <address>" adds the submitter's Signed-off-by and puts
#          the name in place of the neutral author; PREFIX for the subjects;
#          RFC=1; ROUND=2 for a second round.
# Outputs: build/export/*.patch, build/export/recipients.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/source.sh"
. "$(dirname "$0")/cover.sh"

need git perl
lock_build
"$TOP/harness/assemble.sh"
"$TOP/harness/base.sh" worktree
out=$BUILD/export
[[ $(git -C "$LINUX" rev-list --count base..series) -gt 0 ]] ||
	die "the series is empty: patches/series names no mail"

options=(--cover-letter --base=base --subject-prefix="${RFC:+RFC }${PREFIX:-PATCH 6.1}"
	--no-renames --abbrev=12 --no-signature --thread=shallow)
[[ ! ${ROUND:-} ]] || options+=(-v "$ROUND")
range=base..series
if [[ ${SIGNOFF:-} ]]; then
	[[ $SIGNOFF =~ ^[^\<\>]+\ \<[^\<\>@\ ]+@[^\<\>\ ]+\>$ ]] ||
		die "SIGNOFF is to be: Name <address>"
	# shellcheck disable=SC2031
	export GIT_COMMITTER_NAME=${SIGNOFF%% <*} GIT_COMMITTER_EMAIL=${SIGNOFF##*<}
	GIT_COMMITTER_EMAIL=${GIT_COMMITTER_EMAIL%>}
	options+=(-s)
else
	export GIT_COMMITTER_NAME=${SERIES_AUTHOR%% <*}
	export GIT_COMMITTER_EMAIL=guest_memfd@localhost
fi

# recipients: who the base's MAINTAINERS names for the files of a mail.
recipients() {
	( cd "$BUILD/linux-base" && ./scripts/get_maintainer.pl --nogit \
		--nogit-fallback --nofixes --norolestats --no-git-blame "$@" )
}

rm -rf "$out" "$out.tmp"
mkdir -p "$out"
git -C "$LINUX" format-patch -q --no-renames -o "$out.tmp" "$range"
recipients --nol "$out.tmp"/*.patch >"$out.tmp/people"
recipients --nom --nor "$out.tmp"/*.patch >"$out.tmp/lists"
{ sed 's/^/To: /' "$out.tmp/lists"; sed 's/^/Cc: /' "$out.tmp/people"; } >"$out/recipients"
while IFS= read -r line; do
	options+=("--to=$line")
done <"$out.tmp/lists"
while IFS= read -r line; do
	options+=("--cc=$line")
done <"$out.tmp/people"
rm -rf "$out.tmp"

git -C "$LINUX" format-patch -q "${options[@]}" -o "$out" "$range"

# The cover letter: our text in place of git's.
expand() {
	sed "s|@BASE_PACKAGE@|$BASE_PACKAGE|g; s|@BASE_VERSION@|$BASE_VERSION|g
		s|@BASE_SHA256@|$BASE_SHA256|g; s|@BASE_LOWEST@|$BASE_LOWEST|g
		s|@PEER_PACKAGE@|$PEER_PACKAGE|g; s|@PEER_VERSION@|$PEER_VERSION|g" \
		"$TOP/patches/cover.txt"
}
expand | fill_cover "$out"

# The neutral author cannot send mail; the submitter can.
if [[ ${SIGNOFF:-} ]]; then
	name_submitter "$out"
else
	warn "no SIGNOFF=\"Name <address>\": the mails are for reading and git am, not for sending"
fi
say "$(find "$out" -name '*.patch' | wc -l) mails in build/export, $(wc -l <"$out/recipients") recipients in build/export/recipients (also in the mails)"
say "To look at what would be sent: git send-email --dry-run --suppress-cc=all build/export/*.patch"
