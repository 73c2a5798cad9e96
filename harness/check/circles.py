#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""circles.py - do files of C call each other?

Purpose: calls between the series' files go one way.  A function is called where
         its name stands outside of comments and strings.  KVM's hooks for an
         architecture (kvm_arch_*) are the calls back that KVM is built of.
Usage:   circles.py FILE...
Outputs: one line for each call that is part of a circle; exit status 1 if there
         is any.
"""
import re
import sys
from pathlib import Path

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
DEFINED = re.compile(r'^(?!static|#|typedef|\s)[^\n;{}()=]*?\b(\w+)\([^;{}]*\)\s*\n\{', re.M)


def calls(files):
    """{file: {file that it calls: a function}}"""
    code = {f: NOISE.sub(' ', Path(f).read_text(encoding='utf-8')) for f in files}
    home = {name: f for f in files for name in DEFINED.findall(code[f])
            if not name.startswith('kvm_arch_')}
    out = {}
    for file in files:
        used = {n: home[n] for n in set(re.findall(r'\w+', code[file])) & home.keys()}
        out[file] = {to: n for n, to in sorted(used.items()) if to != file}
    return out


def reach(graph, start):
    seen, todo = set(), [start]
    while todo:
        for to in graph[todo.pop()].keys() - seen:
            seen.add(to)
            todo.append(to)
    return seen


GRAPH = calls(sys.argv[1:])
REACH = {f: reach(GRAPH, f) for f in GRAPH}
if not any(GRAPH.values()):
    sys.exit('no file calls another: wrong files?')
bad = [f'{f} calls {n}() of {to}' for f in GRAPH for to, n in GRAPH[f].items()
       if f in REACH[to]]
print("\n".join(bad))
sys.exit(bool(bad))
