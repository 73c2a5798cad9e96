#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""coverage.py DIR TREE REASONS - what of the series was run.

Inputs:  DIR/**/*.json, gcov's; DIR/files, what counts; TREE, the source;
         REASONS: file, text of the line, why it is not run, separated by tabs.
         "file, *, why" is for all of a file's lines.
Outputs: DIR/table; DIR/uncovered, in the form of REASONS, the reason known or
         "?"; DIR/untaken, branches; exit status 1 if a goal is missed or a
         reason is missing, or is for a line that does not exist.
"""
import json
import pathlib
import sys

LINES, BRANCHES = 95, 85


def counted(out, files):
    """{file: {line: count}} and {file: {(line, function, n): count}}"""
    lines = {f: {} for f in files}
    branches = {f: {} for f in files}
    for name in out.rglob('*.json'):
        text = name.read_text()
        if not text.strip():
            continue
        for unit in text.splitlines():
            for entry in json.loads(unit)['files']:
                # The objects' directory is beside the sources'.
                path = entry['file'].split('/linux/', 1)[-1]
                if path not in lines:
                    continue
                for line in entry['lines']:
                    number = line['line_number']
                    mine = lines[path]
                    mine[number] = mine.get(number, 0) + line['count']
                    for n, branch in enumerate(line.get('branches', [])):
                        key = number, line.get('function_name', ''), n
                        taken = branches[path]
                        taken[key] = taken.get(key, 0) + branch['count']
    return lines, branches


def part(done, of):
    return f'{100 * done / of:6.1f} %' if of else '      -'


def main():
    out, tree, reasons = map(pathlib.Path, sys.argv[1:])
    files = (out / 'files').read_text().split()
    lines, branches = counted(out, files)
    source = {f: (tree / f).read_text().splitlines() for f in files}
    why, stale = {}, []
    for entry in reasons.read_text().splitlines():
        if not entry or entry.startswith('#'):
            continue
        path, text, reason = entry.split('\t')
        why[path, text] = reason
        if path not in source or (text != '*' and
                                  text not in map(str.strip, source[path])):
            stale.append(f'{path}: no line "{text}"')
    table, missing, untaken = [], [], []
    sums = [0, 0, 0, 0]
    for f in files:
        here = lines[f]
        if not here:
            continue
        got = [sum(1 for c in here.values() if c), len(here),
               sum(1 for c in branches[f].values() if c), len(branches[f])]
        sums = [a + b for a, b in zip(sums, got)]
        table.append(f'{f:44} {got[0]:5}/{got[1]:<5}{part(*got[:2])}'
                     f' {got[2]:5}/{got[3]:<5}{part(*got[2:])}')
        for number, count in sorted(here.items()):
            if not count:
                text = source[f][number - 1].strip()
                reason = why.get((f, text)) or why.get((f, '*')) or '?'
                missing.append((f, text, reason, number))
        for (number, _, _), count in sorted(branches[f].items()):
            if not count and here.get(number):
                untaken.append(f'{f}:{number}: {source[f][number - 1].strip()}')
    head = f'{"":44} {"lines":>18} {"branches":>20}'
    total = (f'{"all":44} {sums[0]:5}/{sums[1]:<5}{part(*sums[:2])}'
             f' {sums[2]:5}/{sums[3]:<5}{part(*sums[2:])}')
    (out / 'table').write_text('\n'.join([head, *table, total]) + '\n')
    (out / 'uncovered').write_text(''.join(
        f'{f}\t{text}\t{reason}\n' for f, text, reason, _ in missing))
    (out / 'untaken').write_text('\n'.join(untaken) + '\n')
    bad = stale + [f'{f}:{n}: not run, no reason: {text}'
                   for f, text, reason, n in missing if reason == '?']
    if not sums[1] or 100 * sums[0] < LINES * sums[1]:
        bad.append(f'less than {LINES} % of the lines were run')
    if not sums[3] or 100 * sums[2] < BRANCHES * sums[3]:
        bad.append(f'less than {BRANCHES} % of the branches were taken')
    print('\n'.join(bad))
    return bool(bad)


sys.exit(main())
