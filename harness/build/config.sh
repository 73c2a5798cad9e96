#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# config.sh NAME [SOURCE] - write build/obj/NAME/.config.
#
# NAME     default  what everything is tested on
#          debug    default + lockdep, KASAN, fault injection ...
#          base     default without the series' options, for the unpatched tree
#          off      the series applied and switched off
#          modules  default with KVM as modules
#          check    default + what W=1 and sparse want
#          gcov, kcsan  default + counters of lines, the detector of data races
#          peer     default as far as the kernel that we compare with has it
# SOURCE   kernel tree; build/linux, or for "base" build/linux-base and for "peer"
#          build/linux-6.12
#
# Inputs:  configs/*.config.  Outputs: build/obj/NAME/.config, replaced only if
# it differs (a newer date alone would cost a rebuild).
# Every line of every fragment must be in the result; lost ones are listed and
# the script fails, because kconfig drops what it cannot satisfy silently.

. "$(dirname "$0")/../lib.inc.sh"

name=${1:-} src=$LINUX
[ "$name" = base ] && src=$BUILD/linux-base
[ "$name" = peer ] && src=$BUILD/linux-6.12
src=${2:-$src}
obj=$OBJ/$name
log=$LOGS/config-$name.log

[ -f "$src/Kconfig" ] || die "no kernel source in $src; try: make assemble"

fragments=(common)
case $name in
default|base) ;;
debug|off|modules|check|gcov|kcsan|peer) fragments+=("$name") ;;
*) die "config.sh: no configuration called '$name' (see its head)" ;;
esac
# The series' own options exist only from some patch on (export and check
# build every prefix of the series), never in the base.
if [[ $name != @(off|peer) ]] &&
   grep -qsE '^config KVM_SW_PROTECTED_VM' "$src/arch/x86/kvm/Kconfig"; then
	fragments+=(guest_memfd)
fi
if [[ $name == @(debug|check|gcov) ]] &&
   grep -qsE '^config KVM_GMEM_OWNER_CHECK' "$src/arch/x86/kvm/Kconfig"; then
	fragments+=(debug-guest_memfd)
fi

mkdir -p "$obj"
merged=$obj/.config.wanted new=$obj/.config.new

# Later fragments win: keep the last line for each symbol.
files=("${fragments[@]/#/$TOP/configs/}")
awk '
	/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { s = $2 }
	/^CONFIG_[A-Za-z0-9_]+=/ { s = $0; sub(/=.*/, "", s) }
	s != "" { if (!(s in v)) order[++n] = s; v[s] = $0; s = "" }
	END { for (i = 1; i <= n; i++) print v[order[i]] }
' "${files[@]/%/.config}" >"$merged"

# The same answers for the same inputs: kconfig also asks the compiler.
rm -f "$new"
make -C "$src" O="$obj" KCONFIG_CONFIG="$new" KCONFIG_ALLCONFIG="$merged" \
	allnoconfig >"$log" 2>&1 </dev/null ||
	die "kconfig failed for '$name'; its output: $log"

# "is not set" is also true of a symbol that does not appear at all.
lost=$(awk -v result="$new" '
	BEGIN {
		while ((getline line < result) > 0) {
			have[line] = 1
			if (line ~ /^CONFIG_/) {
				sub(/=.*/, "", line)
				set[line] = 1
			}
		}
	}
	/^#/ { if ($2 in set) print; next }
	!($0 in have)
' "$merged")
if [ -n "$lost" ]; then
	while read -r line; do say "    $line" >&2; done <<<"$lost"
	die "configuration '$name': the lines above did not survive kconfig" \
		"(a dependency is missing or the symbol is gone); result: $new"
fi

if cmp -s "$new" "$obj/.config"; then
	rm -f "$new"
else
	mv "$new" "$obj/.config"
	say "  configuration $name: written"
fi
