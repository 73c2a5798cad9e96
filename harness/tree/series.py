#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""series.py - the series as files, as commits, and as lines with owners.

Purpose: what git does not have.  In the repository a line of our code exists
         once.  A new kernel file stands at its in-tree path, as the last mail
         leaves it; a change of a file of the base stands in a mail.  A mail is
         a file in patches/TOPIC/, and patches/TOPIC/series says in which order
         they come and which new files, or which lines of them, each brings:

             KVM-x86-mmu-Map-something.patch
                     arch/x86/kvm/mmu/something.c
                     virt/kvm/guest_memfd.c 12-40,77

         So every line has one owner, the mail that adds it, and no mail changes
         what an earlier one has added.  From lines and owners each step of the
         series follows; an edit goes to the owners of the lines around it.
Usage:   series.py GIT TOP COMMAND ARGUMENT..., with GIT the repository that has
         the base, and TOP the directory that has patches/:
           list                topic and name of each mail
           strays              files below kernel directories that no mail brings
           inputs              checksum of all that the series is made of
           commit BASE LOG     commit the series on BASE, print the last commit
           write ROOT TIP OUT  ROOT..TIP as OUT/patches and new files in OUT
           absorb ROOT TIP TREE  give what TREE has beyond TIP to its owners, print
                               the last commit; to the mail PATCH if that is set
         "patches" without topics (qemu/) has its new files inside of its mails.
"""
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

KERNEL_DIRS = '''arch block crypto Documentation drivers fs include init io_uring
ipc kernel lib mm net samples scripts security sound tools usr virt'''.split()
HUNK = re.compile(r'@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@')
# A file that the base has, and of which we own a section.
SECTION = 'MAINTAINERS'


def die(text):
    sys.exit(f'error: {text}')


class Git:
    """git in one repository, with an index of its own."""

    def __init__(self, path):
        self.path = path
        self.env = dict(os.environ, LC_ALL='C')
        handle, self.env['GIT_INDEX_FILE'] = tempfile.mkstemp()
        os.close(handle)
        os.unlink(self.env['GIT_INDEX_FILE'])

    def run(self, *args, data=None, env=None, may_fail=False):
        done = subprocess.run(['git', '-C', self.path, *args], input=data,
                              capture_output=True,
                              env={**self.env, **(env or {})}, check=False)
        if done.returncode and not may_fail:
            die(f"git {' '.join(args)[:100]}: {done.stderr.decode()}")
        return None if done.returncode else done.stdout

    def out(self, *args, **more):
        return self.run(*args, **more).decode('utf-8', 'surrogateescape')

    def blob(self, data):
        return self.out('hash-object', '-w', '--stdin', data=data).strip()

    def lines(self, tree, path):
        """The lines of a file, or None if TREE has none."""
        data = self.run('cat-file', 'blob', f'{tree}:{path}', may_fail=True)
        if data is None:
            return None
        text = data.decode('utf-8', 'surrogateescape')
        if text and not text.endswith('\n'):
            die(f'{path} does not end with a newline')
        return text.split('\n')[:-1]

    def modes(self, tree):
        out = self.out('ls-tree', '-r', tree)
        return {line.split('\t')[1]: line.split()[0] for line in out.splitlines()}

    def hunks(self, old, new, path):
        """(line in old, lines removed, line in new, lines added), from 0."""
        diff = self.out('diff-tree', '-p', '-U0', '--no-renames', '--patience',
                        old, new, '--', path)
        for line in diff.splitlines():
            match = HUNK.match(line)
            if match:
                a, b, c, d = (1 if g is None else int(g) for g in match.groups())
                yield a - (b > 0), b, c - (d > 0), d

    def commit(self, tree, parent, message, author):
        name, mail, date = author
        env = {'GIT_AUTHOR_NAME': name, 'GIT_AUTHOR_EMAIL': mail,
               'GIT_AUTHOR_DATE': date, 'GIT_COMMITTER_NAME': name,
               'GIT_COMMITTER_EMAIL': mail, 'GIT_COMMITTER_DATE': date}
        return self.out('commit-tree', '-p', parent, tree, env=env,
                        data=message.encode('utf-8', 'surrogateescape')).strip()


def ranges(numbers):
    """[0, 1, 2, 6] -> "1-3,7"."""
    out, numbers = [], [n + 1 for n in numbers]
    while numbers:
        n = 1
        while n < len(numbers) and numbers[n] == numbers[0] + n:
            n += 1
        out.append(f'{numbers[0]}-{numbers[n - 1]}' if n > 1 else f'{numbers[0]}')
        numbers = numbers[n:]
    return ','.join(out)


def unrange(text):
    for part in text.split(','):
        first, _, last = part.partition('-')
        yield from range(int(first) - 1, int(last or first))


def with_section(base, section):
    """MAINTAINERS with our section before the first one with the same first
    letter that sorts after it."""
    title, seen = section[0].upper(), False
    for n, line in enumerate(base):
        seen = seen or line.startswith('Maintainers List')
        if seen and n and base[n - 1] == '' and not re.match('[A-Z]:', line) and \
                line[:1].upper() == title[0] and line.upper() > title:
            return base[:n] + section + [''] + base[n:]
    return die(f'{SECTION}: no place found for our section')


class Series:
    """patches/ and the new files, as they stand in the repository."""

    def __init__(self, top, check=True):
        self.top = Path(top)
        self.patches = self.top / 'patches'
        self.mails = []         # (topic, name)
        self.brings = []        # for each mail: {path: line numbers or None}
        self.flat = (self.patches / 'series').exists()
        found = [self.patches] if self.flat else sorted(
            p for p in self.patches.iterdir() if (p / 'series').exists())
        for topic in found:
            self.read(topic)
        listed = {self.file(n) for n in range(len(self.mails))}
        for mail in self.patches.glob('**/*.patch'):
            if mail not in listed:
                die(f'{mail.relative_to(self.top)} is in no line of a series')
        if check:
            self.check()

    def file(self, n):
        topic, name = self.mails[n]
        return self.patches / topic / name

    def read(self, topic):
        name = '' if self.flat else topic.name
        for n, line in enumerate((topic / 'series').read_text().splitlines(), 1):
            line, where = line.split('#')[0].rstrip(), f'{name}/series:{n}'
            if not line:
                continue
            if not line[0].isspace():
                if not (topic / line).is_file():
                    die(f'{where}: no patches/{name}/{line}')
                self.mails.append((name, line))
                self.brings.append({})
                continue
            path, _, lines = line.strip().partition(' ')
            if not self.brings:
                die(f'{where}: {path} stands before the first mail')
            if not (self.top / path).is_file():
                die(f'{where}: {path} is missing, or no regular file')
            self.brings[-1][path] = list(unrange(lines)) if lines else None

    def check(self):
        """Each line of each new file is brought by one mail."""
        for path in self.new_files():
            got = sorted(n for b in self.brings if b.get(path) for n in b[path])
            if any(path in b and b[path] is None for b in self.brings):
                if got or sum(path in b for b in self.brings) > 1:
                    die(f'{path} is listed whole, and again')
            elif got != list(range(len(self.text(path)))):
                die(f'{path}: the lines in patches/*/series are not those of the file.'
                    '\n    It was edited here: make refresh')

    def new_files(self):
        return sorted({path for b in self.brings for path in b})

    def text(self, path):
        data = (self.top / path).read_bytes().decode('utf-8', 'surrogateescape')
        return data.split('\n')[:-1]

    def strays(self):
        known = set(self.new_files())
        for name in KERNEL_DIRS:
            for path in sorted((self.top / name).glob('**/*')):
                path = path.relative_to(self.top)
                if (self.top / path).is_file() and str(path) not in known:
                    yield str(path)

    def inputs(self):
        total = hashlib.sha256()
        files = [self.file(n) for n in range(len(self.mails))]
        files += sorted(self.patches.glob('**/series'))
        files += [self.top / path for path in self.new_files()]
        for file in files:
            total.update(f'{file.relative_to(self.top)} {file.stat().st_mode:o}\n'.encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()

    def entries(self, git, base, n):
        """Lines for update-index: what mail N brings, on top of those before."""
        for path in self.brings[n]:
            text, mode = self.text(path), '100644'
            have = set()
            for b in self.brings[:n + 1]:
                if path in b:
                    have |= set(range(len(text)) if b[path] is None else b[path])
            text = [line for i, line in enumerate(text) if i in have]
            if path == SECTION:
                text = with_section(git.lines(base, path), text)
            elif os.access(self.top / path, os.X_OK):
                mode = '100755'
            data = ''.join(line + '\n' for line in text)
            yield f"{mode} {git.blob(data.encode('utf-8', 'surrogateescape'))}\t{path}\n"

    def commit(self, git, base, log):
        """Commit the series on BASE; no fuzz; LOG gets what git apply says."""
        head = git.out('rev-parse', base).strip()
        git.run('read-tree', head)
        clash = set(git.modes(head)) & (set(self.new_files()) - {SECTION})
        if clash:
            die(f"new in the series, but the base has it too: {' '.join(clash)}")
        said = []
        for n, (topic, name) in enumerate(self.mails):
            head = self.commit_mail(git, base, n, head, said)
        Path(log).write_text(''.join(said))
        return head

    def commit_mail(self, git, base, n, head, said):
        mail, where = self.file(n), '/'.join(filter(None, self.mails[n]))
        with tempfile.TemporaryDirectory() as tmp:
            info = git.out('mailinfo', '-k', f'{tmp}/msg', f'{tmp}/patch',
                           data=mail.read_bytes())
            info = dict(l.split(': ', 1) for l in info.splitlines() if ': ' in l)
            entries = ''.join(self.entries(git, base, n))
            if entries:
                git.run('update-index', '--index-info', data=entries.encode())
            if 'diff --git ' in Path(f'{tmp}/patch').read_text(errors='surrogateescape'):
                done = subprocess.run(
                    ['git', '-C', git.path, 'apply', '--cached', '-v',
                     '--whitespace=nowarn', f'{tmp}/patch'], env=git.env,
                    capture_output=True, text=True, check=False)
                if done.returncode:
                    text = [l for l in done.stderr.splitlines() if 'Checking' not in l]
                    die(f'patches/{where} does not apply:\n' + '\n'.join(text))
                said += [f'{where}: {l}\n' for l in done.stderr.splitlines()]
            text = info['Subject'] + '\n\n' + \
                Path(f'{tmp}/msg').read_text(errors='surrogateescape')
        message = git.out('stripspace', data=text.encode('utf-8', 'surrogateescape'))
        return git.commit(git.out('write-tree').strip(), head, message,
                          (info['Author'], info['Email'], info['Date']))


class Line:
    """A line of the base (kind " "), one that a mail removes ("-") or adds."""
    __slots__ = 'kind', 'text', 'owner'

    def __init__(self, kind, text, owner=None):
        self.kind, self.text, self.owner = kind, text, owner

    def visible(self, n=None):
        """Whether it is there after mail N, or after all."""
        if self.kind == '+':
            return n is None or self.owner <= n
        return self.kind == ' ' or (n is not None and self.owner > n)


class Owners:
    """All files that ROOT..TIP touches, as lines with owners."""

    def __init__(self, git, root, tip):
        self.git, self.root, self.tip = git, root, tip
        log = git.out('log', '--reverse', '--format=%H', f'{root}..{tip}')
        self.commits = log.split()
        self.files, self.modes, self.churn = {}, git.modes(tip), []
        self.known = git.modes(root)
        old = root
        for n, commit in enumerate(self.commits):
            names = git.out('diff-tree', '-r', '--no-renames', '--name-only', old, commit)
            for path in names.splitlines():
                self.edit(old, commit, path, n)
            old = commit

    def load(self, path):
        if path not in self.files:
            text = self.git.lines(self.root, path) or []
            self.files[path] = [Line(' ', t) for t in text]
        return self.files[path]

    def edit(self, old, new, path, owner):
        """Apply the difference; an owner of None follows the lines around it."""
        lines, text = self.load(path), self.git.lines(new, path) or []
        out, at, visible = [], 0, 0
        for first, removed, start, added in self.git.hunks(old, new, path):
            while visible < first:
                visible += lines[at].visible()
                out.append(lines[at])
                at += 1
            gone = []
            while len(gone) < removed:
                line = lines[at]
                at += 1
                if line.visible():
                    gone.append(line)
                else:
                    out.append(line)
            visible += removed
            self.replace(out, lines, at, gone, text[start:start + added], owner, path)
        self.files[path] = out + lines[at:]

    def replace(self, out, lines, at, gone, new, owner, path):
        ours = [l.owner for l in gone if l.kind == '+']
        if ours and owner is not None:
            self.churn.append((owner, path, [l for l in gone if l.kind == '+']))
        near = self.near(out, lines[at:], path) if owner is None else owner
        if owner is None and ours:
            near = max(ours)
        for line in gone:
            if line.kind == ' ':
                out.append(Line('-', line.text, near))
        for n, text in enumerate(new):
            aligned = len(gone) == len(new) and gone[n].kind == '+' and owner is None
            out.append(Line('+', text, gone[n].owner if aligned else near))

    def near(self, before, after, path):
        """The owner of new lines: of those around them, the later one."""
        found = [lines[0].owner for lines in (before[:-2:-1], after[:1])
                 if lines and lines[0].kind != ' ']
        if found:
            return max(found)
        found = [l.owner for l in self.files[path] if l.kind != ' ']
        return max(found) if found else \
            die(f'edited, but in no mail: {path}; say which: make refresh PATCH=...')

    def version(self, path, n):
        return [l.text for l in self.files[path] if l.visible(n)]

    def touched(self, n):
        return [p for p, lines in sorted(self.files.items())
                if any(l.kind != ' ' and l.owner == n for l in lines)]

    def rebuild(self):
        """The commits again, from the lines."""
        git, head = self.git, self.root
        git.run('read-tree', self.root)
        for n, commit in enumerate(self.commits):
            entries = []
            for path in self.touched(n):
                text = self.version(path, n)
                if not text and path not in self.modes:
                    entries.append(f"0 {'0' * 40}\t{path}\n")
                    continue
                data = ''.join(line + '\n' for line in text)
                oid = git.blob(data.encode('utf-8', 'surrogateescape'))
                entries.append(f"{self.modes[path]} {oid}\t{path}\n")
            git.run('update-index', '--index-info', data=''.join(entries).encode())
            said = git.out('log', '-1', '--format=%an%x00%ae%x00%aD%x00%B', commit)
            name, mail, date, message = said.split('\0')
            head = git.commit(git.out('write-tree').strip(), head, message.strip() + '\n',
                              (name, mail, date))
        return head


def absorb(git, root, tip, tree):
    """A series with the tree of TREE, in which no mail changes another's lines."""
    owners = Owners(git, root, tip)
    owners.churn.clear()
    owners.modes = git.modes(tree)
    wanted = None
    if os.environ.get('PATCH'):
        name = os.path.basename(os.environ['PATCH'])
        slugs = [git.out('log', '-1', '--format=%f', c).strip() + '.patch'
                 for c in owners.commits]
        if name not in slugs:
            die(f'PATCH={name} names no mail of the series')
        wanted = slugs.index(name)
    names = git.out('diff-tree', '-r', '--no-renames', '--name-only', tip, tree)
    for path in names.splitlines():
        owners.edit(tip, tree, path, wanted)
    return owners.rebuild()


def header(git, commit, author):
    fields = git.out('log', '-1', '--format=%an%x00%ae%x00%aD%x00%s%x00%b', commit)
    name, mail, date, subject, body = fields.split('\0')
    if not re.fullmatch(r'[^@ ]+@[^@ ]+\.[^@ ]+', mail):
        name, mail = author
    out = [f'From: {name} <{mail}>', f'Date: {date}', f'Subject: {subject}']
    if not (name + subject + body).isascii():
        out += ['MIME-Version: 1.0', 'Content-Type: text/plain; charset=UTF-8',
                'Content-Transfer-Encoding: 8bit']
    return '\n'.join(out) + f'\n\n{body.strip()}\n---\n'


def write(git, top, root, tip, out):
    """ROOT..TIP in the layout of the repository."""
    owners, out = Owners(git, root, tip), Path(out)
    flat = (Path(top) / 'patches/series').exists()
    for n, path, lines in [] if flat else owners.churn:
        name = git.out('log', '-1', '--format=%f', owners.commits[n]).strip()
        who = git.out('log', '-1', '--format=%f', owners.commits[lines[0].owner]).strip()
        print(f'{name} changes {len(lines)} lines of {path} that {who} adds',
              file=sys.stderr)
    if owners.churn and not flat:
        die('no mail may change what an earlier one has added; as an edit of the '
            'earlier one:\n    git -C build/linux reset --soft series; make refresh')
    old = {name: topic for topic, name in Series(top, check=False).mails}
    author = re.fullmatch('(.*) <(.*)>', os.environ['SERIES_AUTHOR']).groups()
    new = set() if flat else {p for p in owners.files if p not in owners.known} | \
        ({SECTION} & set(owners.files))
    topic, said = '', {}
    for n, commit in enumerate(owners.commits):
        name = git.out('log', '-1', '--format=%f', commit).strip() + '.patch'
        topic = old.get(name, os.environ.get('TOPIC') or topic)
        place = out / 'patches' / topic
        place.mkdir(parents=True, exist_ok=True)
        if (place / name).exists():
            die(f'two commits have the subject of {name}')
        touched = git.out('diff-tree', '-r', '--no-commit-id', '--no-renames',
                          '--name-only', commit).splitlines()
        rest = [p for p in touched if p not in new]
        diff = git.out('diff-tree', '-p', '--no-commit-id', '--no-renames',
                       '--abbrev=12', commit, '--', *rest) if rest else ''
        text = header(git, commit, author) + ('\n' + diff if diff else '')
        (place / name).write_text(text, errors='surrogateescape')
        entry = said.setdefault(topic, [])
        entry.append(name + '\n')
        entry += [f'\t{p}{part(owners, p, n)}\n' for p in touched if p in new]
    for name, entry in said.items():
        series = Path(top) / 'patches' / name / 'series'
        head = ''
        if series.exists():
            head = re.match(r'(?:#.*\n|\s*\n)*', series.read_text()).group()
        (out / 'patches' / name / 'series').write_text(
            (head.rstrip('\n') + '\n\n' if head.strip() else '') + ''.join(entry))
    for path in sorted(new):
        lines = [l.text for l in ours(owners, path)]
        file = out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(''.join(l + '\n' for l in lines), errors='surrogateescape')
        if owners.modes.get(path) == '100755':
            file.chmod(0o755)


def ours(owners, path):
    """The lines of a new file; of our section without the empty ones around it."""
    lines = [l for l in owners.files[path]
             if l.kind == '+' or (l.kind == ' ' and path != SECTION)]
    if path == SECTION:
        while not lines[0].text:
            del lines[0]
        while not lines[-1].text:
            del lines[-1]
    return lines


def part(owners, path, n):
    """Which lines of a new file mail N brings, if not all."""
    lines = ours(owners, path)
    mine = [i for i, l in enumerate(lines) if l.owner == n]
    return '' if len(mine) == len(lines) else ' ' + ranges(mine)


def main(args):
    git, top, command, rest = Git(args[0]), args[1], args[2], args[3:]
    if command == 'write':
        write(git, top, *rest)
    elif command == 'absorb':
        print(absorb(git, *rest))
    else:
        series = Series(top, check=command != 'list')
        if command == 'list':
            for topic, name in series.mails:
                print(f'{topic}\t{name}')
        elif command == 'strays':
            print(*series.strays(), sep='\n')
        elif command == 'inputs':
            print(series.inputs())
        elif command == 'commit':
            print(series.commit(git, *rest))
        else:
            die(f'no command {command}')


if __name__ == '__main__':
    main(sys.argv[1:])
