# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# series.sh - read patches/series and turn it into commits.
#
# Purpose: shared by assemble.sh, refresh.sh, bump.sh and check.sh.
# Inputs:  sourced after lib.sh and source.sh.
# Outputs: objects in build/linux/.git; no work tree is touched here.
#
# A new file stands in the repository as the last mail leaves it.  A mail later
# than the one it enters with may change it: then what the file was before is
# found by taking those hunks off again, last mail first.

# Kernel directories whose files must all be named in the series.
readonly KERNEL_DIRS='arch block crypto Documentation drivers fs include init
io_uring ipc kernel lib mm net samples scripts security sound tools usr virt'

# series_read DIR: DIR/patches/series into MAILS (in order) and ENTERS[file],
# the number of the mail that the file enters with.
series_read() {
	local line file n=0
	MAILS=()
	declare -gA ENTERS=()
	[[ -f $1/patches/series ]] || die "no $1/patches/series"
	while IFS= read -r line || [[ $line ]]; do
		n=$((n + 1))
		line=${line%%#*}
		line=${line%"${line##*[![:space:]]}"}
		[[ $line ]] || continue
		if [[ $line == [[:space:]]* ]]; then
			file=${line#"${line%%[![:space:]]*}"}
			(( ${#MAILS[@]} )) || die "series:$n: $file stands before the first mail"
			[[ ! ${ENTERS[$file]+x} ]] || die "series:$n: $file is listed twice"
			[[ -f $1/$file && ! -L $1/$file ]] ||
				die "series:$n: $file is missing, or no regular file"
			ENTERS[$file]=$(( ${#MAILS[@]} - 1 ))
		else
			[[ -f $1/patches/$line ]] || die "series:$n: no patches/$line"
			MAILS+=("$line")
		fi
	done <"$1/patches/series"
	for file in "$1"/patches/*.patch; do
		[[ -f $file ]] || continue
		[[ " ${MAILS[*]} " == *" ${file##*/} "* ]] ||
			die "patches/${file##*/} is in no line of patches/series"
	done
}

# series_strays DIR: files below kernel directories that no line names.
series_strays() {
	local dir file
	for dir in $KERNEL_DIRS; do
		[[ -d $1/$dir ]] || continue
		find "$1/$dir" ! -type d -printf "$dir/%P\n"
	done | while IFS= read -r file; do
		[[ ${ENTERS[$file]+x} ]] || say "$file"
	done
}

# series_inputs DIR: a checksum of everything that an assembled tree is made of.
series_inputs() (
	cd "$1" || exit
	{ printf '%s\n' "${!ENTERS[@]}" | sed '/^$/d' | sort
	  echo patches/series
	  printf 'patches/%s\n' "${MAILS[@]}"; } >"$2"
	[[ ${#MAILS[@]} -gt 0 ]] || sed -i '/^patches\/$/d' "$2"
	{ xargs -d '\n' stat -c '%a %n' <"$2"
	  xargs -d '\n' sha256sum <"$2"; } | sha256sum
)

# maintainers_insert FRAGMENT <MAINTAINERS: put the section before the first
# one with the same first letter that sorts after it.
maintainers_insert() {
	awk -v frag="$1" '
	BEGIN {
		while ((getline line < frag) > 0)
			text = text line "\n"
		title = toupper(substr(text, 1, index(text, "\n") - 1))
	}
	/^Maintainers List/ { list = 1 }
	list && !done && blank && !/^[A-Z]:/ && toupper($0) > title &&
	substr($0, 1, 1) == substr(title, 1, 1) {
		printf "%s\n", text
		done = 1
	}
	{ print; blank = /^$/ }
	END { exit !done }'
}

# series_blobs: split each mail into N.info, N.msg and N.patch, and write what
# enters with it to N.new, as lines for git update-index --index-info.
series_blobs() {
	local i file oid hooks=()
	for i in "${!MAILS[@]}"; do
		git mailinfo -k "$i.msg" "$i.patch" <"$src/patches/${MAILS[i]}" >"$i.info"
	done
	(( ${#ENTERS[@]} )) || return 0
	git ls-tree -r --name-only "$head" |
		awk 'NR == FNR { want[$0]; next } $0 in want && $0 != "MAINTAINERS"' \
			<(printf '%s\n' "${!ENTERS[@]}") - >clash
	[[ ! -s clash ]] || die "in the series as a new file, but the base has it too: $(tr '\n' ' ' <clash)"
	for file in "${!ENTERS[@]}"; do
		[[ -x $src/$file ]] && printf '100755 ' || printf '100644 '
		if [[ $file == MAINTAINERS ]]; then
			git cat-file blob "$head:$file" >old
			maintainers_insert "$src/$file" <old >new ||
				die "MAINTAINERS: no place found for our section"
			oid=$(git hash-object -w --stdin <new)
		else
			oid=@
		fi
		printf '%s\t%s\n' "$oid" "$file"
	done >final
	awk -F'\t' -v src="$src" '/ @\t/ { print src "/" $2 }' final |
		git hash-object -w --no-filters --stdin-paths >oids
	awk '/ @\t/ { getline oid <"oids"; sub(/@/, oid) } { print }' final |
		git update-index --index-info
	for (( i = ${#MAILS[@]} - 1; i >= 0; i-- )); do
		hooks=()
		while IFS= read -r file; do
			[[ ! ${ENTERS[$file]+x} ]] || hooks+=("--include=$file")
		done < <(sed -n 's|^diff --git a/.* b/||p' "$i.patch")
		(( ${#hooks[@]} )) || continue
		git apply --cached -R --whitespace=nowarn "${hooks[@]}" "$i.patch" 2>apply.err ||
			die "$(sed "s|^error: ||;q" apply.err)
    The new file was edited where patches/${MAILS[i]} changes it. Copy your version
    to build/linux, restore the repository's and run: make refresh"
	done
	git ls-files -s >first
	while read -r file; do
		printf '%s\n' "$file" >>"${ENTERS[${file#*$'\t'}]}.new"
	done <first
}

# series_commit DIR BASE [LOG]: commit the series of DIR on BASE (call
# series_read first) and print the id of the last commit.  LOG gets what
# git apply -v says.
series_commit() (
	src=$1 head=$2 committer=${SERIES_AUTHOR##*<} log=${3:-/dev/null}
	tmp=$(mktemp -d "$BUILD/series.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	export GIT_DIR=$LINUX/.git GIT_INDEX_FILE=$tmp/index.new
	cd "$tmp" || exit
	series_blobs
	export GIT_INDEX_FILE=$tmp/index
	git read-tree "$head"
	: >"$log"
	for i in "${!MAILS[@]}"; do
		[[ ! -s $i.new ]] || git update-index --index-info <"$i.new"
		if grep -q '^diff --git ' "$i.patch"; then
			git apply --cached -v --whitespace=nowarn "$i.patch" 2>apply.err ||
				die "patches/${MAILS[i]} does not apply:
$(grep -v '^Checking' apply.err)"
			sed "s|^|${MAILS[i]}: |" apply.err >>"$log"
		fi
		{ sed -n 's/^Subject: //p' "$i.info"; echo; cat "$i.msg"; } |
			git stripspace >message
		export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_DATE
		export GIT_COMMITTER_NAME=${SERIES_AUTHOR%% <*}
		export GIT_COMMITTER_EMAIL=${committer%>}
		GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' "$i.info")
		GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' "$i.info")
		GIT_AUTHOR_DATE=$(sed -n 's/^Date: //p' "$i.info")
		GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
		head=$(git commit-tree -p "$head" -F message "$(git write-tree)")
	done
	say "$head"
)
