#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# together.sh COMMAND... - run scripts of the harness side by side.
#
# Purpose: unpacking, configuring and the end of a kernel's build keep one core
#          busy; beside one another they fill all.
# Inputs:  COMMAND: a script in harness/ and its arguments, as one word.
# Outputs: what each prints, when it has ended; exit status 1 if one failed.

. "$(dirname "$0")/../lib.inc.sh"

declare -A running=()
trap '[[ ! ${running[*]} ]] || kill "${running[@]}" 2>/dev/null' EXIT
for command in "$@"; do
	read -ra words <<<"$command"
	"$TOP/harness/${words[0]}" "${words[@]:1}" >"$LOGS/${command//[\/ ]/-}.out" 2>&1 </dev/null &
	running[$command]=$!
done
say "Side by side: $(printf '%s, ' "$@" | sed 's/, $//'); logs: build/logs/"

failed=0
while (( ${#running[@]} )); do
	sleep 0.5
	for command in "${!running[@]}"; do
		kill -0 "${running[$command]}" 2>/dev/null && continue
		wait "${running[$command]}" || failed=1
		unset "running[$command]"
		cat "$LOGS/${command//[\/ ]/-}.out"
	done
done
(( ! failed ))
