# SPDX-License-Identifier: GPL-2.0-only
#
# judge.awk - compare what a test machine did with what is expected of it.
#
# Usage:   awk -f judge.awk -v kernel=NAME -v nonce=WORD \
#		LIST ALLOW RUNS OUTPUT CONSOLE
# Inputs:  LIST, ALLOW: see tests/README.  RUNS: one line per boot, its exit
#	   status.  OUTPUT, CONSOLE: ttyS1 and ttyS0 of all boots in a row.
#	   "stuck NAME" in OUTPUT: see machine.inc.sh.
# Outputs: one line per check, separated by tabs: ok, FAIL or skip; kernel;
#	   name; detail.  The last line is "lost", kernel, and how often the
#	   emulator lost a guest, here or in gmem-run's own second try.
#
# Only what is expected is ok.  Missing, unfinished, skipped without being
# listed, a report of the kernel, a TAP plan that does not add up, a listed
# failure that passes: all FAIL.

BEGIN {
	FS = "\t"
	# Reports, and lines that explain a call trace without being one.
	report = "WARNING: |BUG: |BUG at |INFO: (possible|trying|task|rcu|lockdep|inconsistent)" \
		"|KASAN|UBSAN|Oops|general protection fault|soft lockup" \
		"|hard LOCKUP|stall(ed|s) |Kernel panic|invalid opcode" \
		"|unchecked MSR access|list_(add|del) corruption|refcount_t: " \
		"|page_table_check|double fault|stack segment|Bad (page|rss)" \
		"|unreferenced object|DEBUG_LOCKS_WARN_ON|nobody cared" \
		"|FAULT_INJECTION|invoked oom-killer|page allocation failure|vmalloc error"
}

function where(file) { return file == ARGV[1] ? "list" : file == ARGV[2] ? "allow" : \
	file == ARGV[3] ? "runs" : file == ARGV[4] ? "output" : "console" }
FNR == 1 { part = where(FILENAME); cur = ""; head = ""; age = 1000 }
{ sub(/\r$/, "") }

# name, kernels, seconds, expectation, command, reason
part == "list" {
	names[++n] = $1; expect[$1] = $4; why[$1] = $6
	next
}
part == "allow" {
	if ($0 ~ /^[^#]/) { allow_for[++na] = $1; allow[na] = $2 }
	next
}
part == "runs" { boots++; last_rc = $1; next }

part == "output" && index($0, "@@" nonce " ") == 1 {
	split(substr($0, length(nonce) + 4), w, " ")
	if (w[1] == "begin") { cur = w[2]; begun[cur]++; seen[cur] }
	# The emulator failed, not the test: what it said so far does not count.
	if (w[1] == "again") {
		t = w[2]; again[t]++; lost++
		delete plans[t]; delete planned[t]; delete points[t]; delete subskips[t]
		delete notok[t]; delete first[t]
	}
	# The same, and the machine was ended.
	if (w[1] == "stuck") {
		t = w[2]; again[t]++; lost++; stuck++; stuck_in[t]; begun[t]--
		delete plans[t]; delete planned[t]; delete points[t]; delete subskips[t]
		delete notok[t]; delete first[t]; cur = ""
	}
	if (w[1] == "changed" && !changes[w[2]]++) {
		changed[w[2]] = substr($0, index($0, " changed " w[2]) + 10 + length(w[2]))
	}
	if (w[1] == "end") { rc[w[2]] = w[3]; secs[w[2]] = w[4]; ended[w[2]]++; cur = "" }
	if (w[1] == "done") finished++
	next
}
part == "output" && cur != "" {
	if ($0 ~ /^ +again +the emulator lost the guest:/) lost++
	if ($0 ~ /[^ \t]/) last[cur] = substr($0, 1, 100)
	if ($0 ~ /^1\.\.[0-9]+/) {
		sub(/^1\.\./, ""); plans[cur]++; planned[cur] += $0 + 0
	} else if ($0 ~ /^ok [0-9]/ || $0 ~ /^ok$/) {
		points[cur]++
		if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) subskips[cur]++
	} else if ($0 ~ /^not ok/) {
		points[cur]++
		if ($0 !~ /# *[Tt][Oo][Dd][Oo]/) {
			notok[cur]++
			if (!(cur in first)) first[cur] = $0
		}
	}
	next
}

# The kernel's log.  Before the first test the machine boots, after the last it
# shuts down: both belong to the check "vm".
function blame(text,	i) {
	sub(/^\[[^]]*\] *(\[[^]]*\] *)?/, "", text)
	# What other CPUs say of one that does not go on.
	if (owner in stuck_in && runs_of[owner] == 1 &&
	    text ~ /stall(ed|s) |soft lockup|INFO: (task|rcu)/) return
	for (i = 1; i <= na; i++)
		if ((allow_for[i] == "*" || allow_for[i] == owner) && text ~ allow[i]) return
	if (!splats[owner]++) splat[owner] = text
}
part == "console" && /gmem-test: begin / { sub(/.*gmem-test: begin /, ""); owner = $0; runs_of[owner]++; head = ""; next }
part == "console" && /gmem-test: (end|start|done)/ { owner = "vm"; head = ""; next }
part == "console" {
	if (owner == "") owner = "vm"
	age++
	# All data races are looked at together: kcsan.sh.
	if (kernel == "kcsan" && $0 ~ /BUG: KCSAN: /) next
	if ($0 ~ report) { blame($0); head = $0; age = 0 }
	else if ($0 ~ /Call Trace:/ && (head == "" || age > 80)) { blame($0); head = $0; age = 0 }
}

# A test that changed the machine and did not restore it fails, whatever else.
function verdict(t,	v) {
	v = by_itself(t)
	if (!changes[t]) return v
	return "FAIL\t" (v ~ /^FAIL/ ? substr(v, 6) "; and it" : "it") " did not restore " \
		changes[t] " setting(s): " changed[t]
}

function by_itself(t,	e, skips) {
	e = expect[t]
	skips = 0
	if (match(e, /skips=[0-9]+/)) skips = substr(e, RSTART + 6, RLENGTH - 6) + 0
	sub(/,.*/, "", e)
	if (!(t in begun)) return "FAIL\tmissing: never started"
	if (!(t in ended)) return "FAIL\tthe machine was lost during this test"
	if (begun[t] > 1 || ended[t] > 1) return "FAIL\tran more than once"
	if (splats[t]) return "FAIL\t" splats[t] " kernel report(s): " splat[t]
	if (rc[t] == 4 && e == "skip") return "skip\t" why[t]
	if (rc[t] == 4) return "FAIL\tskipped, and that is not listed"
	if (e == "skip") return "FAIL\tlisted as skipped, but ran (exit " rc[t] "): update the list"
	if (e == "fail" && rc[t] == 0 && !notok[t]) return "FAIL\tlisted as failing, but passed: update the list"
	if (e == "fail") return "ok\tfails as listed: " why[t]
	if (rc[t] == 143 || rc[t] == 137) return "FAIL\tkilled after " secs[t] " s (exit " rc[t] ")"
	if (rc[t] != 0) return "FAIL\texit " rc[t] ": " (t in first ? first[t] : last[t])
	if (notok[t]) return "FAIL\t" notok[t] " sub-test(s) failed: " first[t]
	if (plans[t] && planned[t] != points[t]) return "FAIL\tTAP: planned " planned[t] ", ran " points[t] + 0
	if (!plans[t] && points[t]) return "FAIL\tTAP: " points[t] " results, no plan"
	if (subskips[t] + 0 != skips) return "FAIL\t" subskips[t] + 0 " sub-test(s) skipped, listed are " skips
	return "ok\t" (points[t] ? points[t] " sub-tests, " : "") secs[t] " s" (skips ? ", " skips " skipped: " why[t] : "") \
		(again[t] ? ", run again: the emulator had lost the guest" : "")
}

END {
	for (i = 1; i <= n; i++) {
		split(verdict(names[i]), v, "\t")
		printf "%s\t%s\t%s\t%s\n", v[1], kernel, names[i], v[2]
		known[names[i]]
	}
	for (t in begun)
		if (!(t in known)) printf "FAIL\t%s\t%s\tran, but is in no list\n", kernel, t
	why_vm = ""
	if (splats["vm"]) why_vm = splats["vm"] " kernel report(s) outside of tests: " splat["vm"]
	else if (finished != 1 || last_rc != 0) why_vm = "the machine did not end by itself (QEMU exit " last_rc + 0 ")"
	else if (boots - stuck != 1) why_vm = "the machine was lost " boots - stuck - 1 " time(s)"
	printf "%s\t%s\tvm\t%s\n", why_vm == "" ? "ok" : "FAIL", kernel, \
		why_vm == "" ? "booted, ran its list, powered off" : why_vm
	printf "lost\t%s\t%d\n", kernel, lost
}
