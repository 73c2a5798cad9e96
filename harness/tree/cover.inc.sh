# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# cover.inc.sh - what git format-patch leaves to its user.
#
# Purpose: shared by export.sh and qemu-export.sh.
# Inputs:  sourced after lib.inc.sh; base.conf; SIGNOFF.
# Outputs: fill_cover(), name_submitter().

# fill_cover DIR: the text on stdin, its first line the subject, in place of git's
# in the cover letter of the mails in DIR.
fill_cover() {
	local cover
	cover=$(compgen -G "$1/*0000-cover-letter.patch")
	awk -v cover="$cover" '
		NR == 1 { subject = $0; next }
		NR == 2 && /^$/ { next }
		{ text = text $0 "\n" }
		END {
			while ((getline line < cover) > 0) {
				i = index(line, "*** SUBJECT HERE ***")
				if (i)
					line = substr(line, 1, i - 1) subject
				if (line == "*** BLURB HERE ***")
					printf "%s", text
				else
					print line
			}
		}' >"$cover.new"
	mv "$cover.new" "$cover"
}

# name_submitter DIR: the neutral author cannot send mail; the submitter can.
name_submitter() {
	local mail
	for mail in "$1"/*.patch; do
		awk -v from="From: $SERIES_AUTHOR" -v to="From: $SIGNOFF" \
			'!done && $0 == from { $0 = to; done = 1 } { print }' "$mail" >"$mail.new"
		mv "$mail.new" "$mail"
	done
}
