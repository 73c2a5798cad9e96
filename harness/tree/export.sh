#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# export.sh - the series as mails for git send-email.
#
# Purpose: for each topic a thread: cover letter and numbered mails, with
#          recipients, base commit and prerequisites. Nothing is sent.
# Inputs:  branch "series" of build/linux (assembled first), cover.txt of each
#          topic (first line: subject; @NAME@ stands for NAME of base.conf), and
#          patches/cover.txt, with which each of them ends;
#          SIGNOFF="Name <address>" adds the submitter's Signed-off-by and puts
#          the name in place of the neutral author; PREFIX for the subjects;
#          RFC=1; ROUND=2 for a second round.
# Outputs: build/export/TOPIC/*.patch, build/export/TOPIC/recipients.

. "$(dirname "$0")/../lib.inc.sh"
. "$(dirname "$0")/../tree/source.inc.sh"
. "$(dirname "$0")/series.inc.sh"
. "$(dirname "$0")/cover.inc.sh"

need git perl
lock_build linux
"$TOP/harness/tree/assemble.sh"
"$TOP/harness/tree/base.sh" worktree
out=$BUILD/export
common=(--cover-letter --base=base --subject-prefix="${RFC:+RFC }${PREFIX:-PATCH 6.1}"
	--no-renames --abbrev=12 --no-signature --thread=shallow)
[[ ! ${ROUND:-} ]] || common+=(-v "$ROUND")
if [[ ${SIGNOFF:-} ]]; then
	[[ $SIGNOFF =~ ^[^\<\>]+\ \<[^\<\>@\ ]+@[^\<\>\ ]+\>$ ]] ||
		die "SIGNOFF is to be: Name <address>"
	# shellcheck disable=SC2031
	export GIT_COMMITTER_NAME=${SIGNOFF%% <*} GIT_COMMITTER_EMAIL=${SIGNOFF##*<}
	GIT_COMMITTER_EMAIL=${GIT_COMMITTER_EMAIL%>}
	common+=(-s)
else
	export GIT_COMMITTER_NAME=${SERIES_AUTHOR%% <*}
	export GIT_COMMITTER_EMAIL=guest_memfd@localhost
fi

# recipients: who the base's MAINTAINERS names for the files of a mail.
recipients() {
	( cd "$BUILD/linux-base" && ./scripts/get_maintainer.pl --nogit \
		--nogit-fallback --nofixes --norolestats --no-git-blame "$@" )
}

# The cover letter of a topic: its text and what all have in common, in place of
# git's.
cover_text() {
	local text long
	text=$({ cat "$1"; echo; cat "$TOP/patches/cover.txt"; } |
		sed "s|@BASE_PACKAGE@|$BASE_PACKAGE|g; s|@BASE_VERSION@|$BASE_VERSION|g
			s|@BASE_SHA256@|$BASE_SHA256|g; s|@BASE_LOWEST@|$BASE_LOWEST|g")
	long=$(awk 'length > 75' <<<"$text")
	[[ ! $long ]] || die "$1: above 75 columns:
$long"
	say "$text"
}

# export_topic TOPIC RANGE: one thread.
export_topic() {
	local dir=$out/$1 line options=("${common[@]}")
	mkdir -p "$dir"
	git -C "$LINUX" format-patch -q --no-renames -o "$out.tmp" "$2"
	recipients --nol "$out.tmp"/*.patch >"$out.tmp/people"
	recipients --nom --nor "$out.tmp"/*.patch >"$out.tmp/lists"
	{ sed 's/^/To: /' "$out.tmp/lists"; sed 's/^/Cc: /' "$out.tmp/people"; } >"$dir/recipients"
	while IFS= read -r line; do
		options+=("--to=$line")
	done <"$out.tmp/lists"
	while IFS= read -r line; do
		options+=("--cc=$line")
	done <"$out.tmp/people"
	rm -rf "$out.tmp"
	git -C "$LINUX" format-patch -q "${options[@]}" -o "$dir" "$2"
	cover_text "$TOP/patches/$1/cover.txt" | fill_cover "$dir"
	# The neutral author cannot send mail; the submitter can.
	[[ ! ${SIGNOFF:-} ]] || name_submitter "$dir"
	say "  $1: $(find "$dir" -name '[0-9]*.patch' ! -name '0000-*' | wc -l) mails"
}

rm -rf "$out" "$out.tmp"
while read -r topic first last; do
	export_topic "$topic" "$first..$last"
done < <(topic_ends)
[[ ${SIGNOFF:-} ]] ||
	warn "no SIGNOFF=\"Name <address>\": the mails are for reading and git am, not for sending"
say "$(find "$out" -name '*.patch' | wc -l) mails in build/export, one thread a topic; recipients are in the mails"
say "To look at what would be sent: git send-email --dry-run --suppress-cc=all build/export/01-prep/*.patch"
