# SPDX-License-Identifier: GPL-2.0-only
#
# plot.gp - cost against size, of what guest_memfd_bench -p has said.
#
# Inputs:  dir/COLUMN.plot; dir.  Outputs: dir/bench.svg.

set terminal svg size 960,420 noenhanced font "sans,11" background "white"
set output dir . "/bench.svg"
set multiplot layout 1,2
set logscale xy
set grid
set key top left Left reverse
set xlabel "size"
set ylabel "instructions"
set format y "1e%L"
set xtics ("64 KiB" 2.**16, "1 MiB" 2.**20, "16 MiB" 2.**24, "256 MiB" 2.**28, \
	   "4 GiB" 2.**32, "64 GiB" 2.**36, "1 TiB" 2.**40) rotate by -35
file(column) = dir . "/" . column . ".plot"
get(work, column) = sprintf("< awk '$1 == \"%s\" { print $2, $3 }' %s", work, file(column))

set title "first touch by the guest, a word of each page"
plot get("touch", "ours") with linespoints title "guest_memfd, 6.1 + series", \
     get("touch", "peer") with linespoints title "guest_memfd, Debian's 6.12", \
     get("touch", "anon-4k") with linespoints title "anonymous, 4 KiB", \
     get("touch", "anon-thp") with linespoints title "anonymous, THP"

set title "KVM_SET_MEMORY_ATTRIBUTES of an empty range"
plot get("attributes", "ours") with linespoints title "6.1 + series", \
     get("attributes", "peer") with linespoints title "Debian's 6.12"
unset multiplot
