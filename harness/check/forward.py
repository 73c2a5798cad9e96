#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""forward.py - do documentation and comments name what is not there yet?

Purpose: at the end of each topic, what the series has added to Documentation and
         to comments names no identifier that only the code of a later topic has,
         and no file that only a later topic adds.
Usage:   forward.py GIT BASE END...   END: the last commit of each topic, in order
Outputs: one line for each finding; exit status 1 if there is any.
"""
import re
import subprocess
import sys

NAME = re.compile(r'\b[A-Za-z_]\w{5,}\b(?!\.[chS]\b|\.rst\b)')
FILE = re.compile(r'[\w-]+\.(?:c|h|S|rst)\b')
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
SOURCE = re.compile(r'\.[chS]$')
# What the whole series is about.
KNOWN = {'guest_memfd'}


def git(*args, data=None):
    return subprocess.run(['git', '-C', REPO, *args], stdout=subprocess.PIPE, input=data,
                          encoding='utf-8', errors='replace', check=False).stdout


def names(said):
    """Names that look like identifiers, and names of files."""
    return {n for n in NAME.findall(said) if '_' in n or re.search('[a-z][A-Z]', n)} - KNOWN | \
        set(FILE.findall(said))


def look(path, old, new):
    """(names that people are told in a version of a file, names in its code)"""
    if not old.strip('0'):
        lines = git('cat-file', 'blob', new)
    else:
        diff = git('diff', '-U0', old, new)
        lines = '\n'.join(l[1:] for l in diff.splitlines() if re.match(r'\+(?!\+\+)', l))
    if not SOURCE.search(path):
        return names(lines) if path.startswith('Documentation/') else set(), set()
    # The second half is lines in the middle of a comment.
    told = names('\n'.join(COMMENT.findall(lines) + re.findall(r'^\s*\*\s.*', lines, re.M)))
    kernel = not path.startswith(('tools/', 'samples/'))
    return told, names(COMMENT.sub(' ', lines)) if kernel else set()


def look_all(commit):
    """({name: a file that tells it}, names in code or of new files)"""
    told, there = {}, set()
    raw = git('diff-tree', '-r', '--no-renames', '--raw', '--no-abbrev', BASE, commit)
    for line in raw.splitlines():
        (_, _, old, new, status), path = line.split('\t')[0].split(), line.split('\t')[1]
        if (path, new) not in SEEN:
            SEEN[path, new] = look(path, old, new)
        for name in SEEN[path, new][0]:
            told.setdefault(name, path)
        there |= SEEN[path, new][1] | ({path.split('/')[-1]} if status == 'A' else set())
    return told, there


def in_base(found):
    """Those of FOUND that the base has, in code or as a file."""
    where = ['mm', 'virt', 'arch/x86', 'include', 'kernel', 'lib', 'fs', 'tools/testing/selftests']
    has = git('grep', '-howF', '-f', '-', BASE, '--', *where, data='\n'.join(found))
    has += git('ls-tree', '-r', '--name-only', BASE)
    return found & set(re.split(r'[\n/]', has))


REPO, BASE, ENDS, SEEN = sys.argv[1], sys.argv[2], sys.argv[3:], {}
topics = [look_all(end) for end in ENDS]
late = [told.keys() & set().union(*(t[1] for t in topics[n + 1:])) - there
        for n, (told, there) in enumerate(topics)]
late_all = set().union(*late)
old = in_base(late_all) if late_all else set()
for n, found in enumerate(late):
    for name in sorted(found - old):
        print(f'topic {n + 1}: {topics[n][0][name]} names {name}, which a later topic brings')
sys.exit(any(found - old for found in late))
