#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh - what private memory costs, in instructions: ours, the newest
# guest_memfd kernel that Debian 12 has, and the VMM's ordinary memory.
#
# One emulated CPU, one nanosecond per instruction (see icount.sh): the same
# figures on each machine, to about 0.1 %.
#
# Inputs:  build/bzImage, build/peer/bzImage, build/initramfs.cpio;
#	   BENCH="A B": only these columns of RUNS and PLOTS.
# Outputs: build/bench/COLUMN.txt, ours.migrate.txt, ours.compact.txt,
#	   COLUMN.plot, convert.txt; table.txt,
#	   bench.json and bench.svg made of all that are there; the tables on
#	   stdout.

. "$(dirname "$0")/../lib.inc.sh"

dir=$BUILD/bench
export VM_MEM=10240	# 4 GiB on one node
# COLUMN KERNEL ARGUMENT...; the first one is what others are compared with.
RUNS=(
	"ours bzImage -c"
	"peer peer/bzImage"
	"pages bzImage -m never"
	"anon-4k bzImage -a -m never"
	"anon-thp bzImage -a -m always"
)
# The peer needs memory and time for each page of a range: not beyond 64 GiB.
PLOTS=(
	"ours bzImage -p -s 4096"
	"peer peer/bzImage -p -s 4096 -g 64"
	"anon-4k bzImage -p -a -m never -s 4096"
	"anon-thp bzImage -p -a -m always -s 4096"
)

measure() {
	local prog=ours/$1 suffix=$2 column=$3 kernel=$4 rc=0
	shift 4
	[[ " ${BENCH:-$column} " == *" $column "* ]] || return 0
	KERNEL=$BUILD/$kernel "$TOP/harness/bench/icount.sh" "$prog" "$@" \
		>"$dir/$column.$suffix.new" || rc=$?
	mv "$dir/$column.$suffix.new" "$dir/$column.$suffix"
	(( rc == 0 )) || { cat "$dir/$column.$suffix"; return "$rc"; }
}

need gnuplot-nox
mkdir -p "$dir"
for run in "${RUNS[@]}"; do
	read -ra args <<<"$run"
	step "bench-${args[0]}" measure x86_64/guest_memfd_bench txt "${args[@]}"
done
step bench-migrate measure x86_64/guest_memfd_migrate_bench migrate.txt ours bzImage -c
step bench-compact measure x86_64/guest_memfd_compact_bench compact.txt ours bzImage -c -s 1024
step bench-convert measure guest_memfd_convert_bench txt convert bzImage
for run in "${PLOTS[@]}"; do
	read -ra args <<<"$run"
	step "bench-plot-${args[0]}" measure x86_64/guest_memfd_bench plot "${args[@]}"
done
[[ -e $dir/ours.txt ]] || exit 0
awk -v dir="$dir" -f "$TOP/harness/bench/table.awk" \
	"$dir"/{ours,ours.migrate,ours.compact,peer,pages,anon-4k,anon-thp}.txt \
	>"$dir/table.txt"
gnuplot -e "dir='$dir'" "$TOP/harness/bench/plot.gp"
cat "$dir/table.txt"
say
say "Conversion in place, private and shared again (ns are instructions):"
sed -n 's/^# \(.*to private.*\)/    \1/p' "$dir/convert.txt"
say
say "As JSON: $dir/bench.json; as a plot: $dir/bench.svg"
