# SPDX-License-Identifier: GPL-2.0-only
#
# table.awk - one table of what guest_memfd_bench has said on several kernels.
#
# Inputs:  COLUMN.txt..., COLUMN.PROGRAM.txt of other programs; their lines: 52
#	   characters of work, what it cost, what it should at most; dir.
# Outputs: the table; dir/bench.json with the same figures.

FNR == 1 {
	column = FILENAME
	sub(/.*\//, "", column)
	sub(/\..*/, "", column)
	if (!(column in seen))
		columns[++nr_columns] = column
	seen[column]
}

match(substr($0, 53), /^ +[0-9]+ +[0-9]+/) {
	work = substr($0, 1, 52)
	sub(/ +$/, "", work)
	split(substr($0, 53), figure, " ")
	if (!(work in row)) {
		row[work] = ++nr_works
		works[nr_works] = work
	}
	cost[work, column] = figure[1]
	if (column == "ours")
		limit[work] = figure[2]
}

function json_of(work,	i, text) {
	text = sprintf("  {\"work\": \"%s\", \"at_most\": %d", work, limit[work])
	for (i = 1; i <= nr_columns; i++)
		if ((work, columns[i]) in cost)
			text = text sprintf(", \"%s\": %s", columns[i], cost[work, columns[i]])
	return text "}"
}

# The figure of a column, or "-".
function figure_of(work, column) {
	return (work, column) in cost ? cost[work, column] : "-"
}

function ratio_of(work,	ours) {
	ours = cost[work, "ours"]
	if (!ours || !((work, "peer") in cost))
		return "-"
	return sprintf("%.1f", cost[work, "peer"] / ours)
}

END {
	json = dir "/bench.json"
	printf "%-44s %9s", "instructions", "at most"
	for (i = 1; i <= nr_columns; i++)
		printf " %12s", columns[i]
	printf " %9s\n", "peer/ours"
	print "[" >json
	for (n = 1; n <= nr_works; n++) {
		work = works[n]
		printf "%-44s %9s", work, limit[work] ? limit[work] : "-"
		for (i = 1; i <= nr_columns; i++)
			printf " %12s", figure_of(work, columns[i])
		printf " %9s\n", ratio_of(work)
		print json_of(work) (n < nr_works ? "," : "") >json
	}
	print "]" >json
}
