#!/usr/bin/env python3
"""Random edits of a generated program, each relinked in place and compared with a link from scratch.

usage: relink_edits.py LODE [--steps N] [--seed S] [--compiler CC] [--flags FLAGS] [--link FLAGS] [--files N] [--target wasm]
                       [--archive N] [--shared] [--verify] [--inputs] [--reorder]

A program of several C files is generated; each step edits some of them (functions and data grow, shrink, appear, go,
get another name or visibility, move to other files, change their callers, strings and tables change; a file is broken
and mended), compiles what changed, links with --incremental, and runs the program. Its output has to be what the
generator computes, and the symbols of the output have to be those of a link from scratch.

--archive N  the last N files are members of an archive
--shared     all files but main are a shared library, which is what is relinked
--target     wasm: a module, which node runs, and which has to have the bytes of one that is linked from scratch
--inputs     files come and go, as inputs of their own or as members of the archive
--reorder    files change their places among the inputs; who defines a weak function, and which constructors run first, follow
--verify     with --verify-relink; the link from scratch beside it is made every tenth step only
"""
import argparse, collections, os, random, re, subprocess, sys, tempfile

class Function:
    def __init__(self, name, rng, callees, static):
        self.name, self.static = name, static
        self.mutate(rng, callees)
    def mutate(self, rng, callees):
        self.a, self.b = rng.randrange(1, 100), rng.randrange(1, 1000)
        self.callees = rng.sample(callees, min(len(callees), rng.randrange(0, 4)))
        self.text = ''.join(rng.choice('abcdefgh') for _ in range(rng.randrange(1, 12)))
        self.work = rng.randrange(0, 12)
        self.table = [rng.randrange(0, 256) for _ in range(rng.choice([0, 0, 4, 8, 40]))]
        self.switch = rng.random() < 0.2

MIX = 'unsigned mix(unsigned r, const char *s) { while (*s) r = r * 31u + (unsigned char)*s++; return r; }'

class Program:
    """files[f] is None once file f is gone; 'main' in dirty: the list of files changed."""
    def __init__(self, rng, files, a):
        self.rng, self.count, self.order, self.a = rng, 0, [], a
        self.files, self.globals, self.hidden = [], [], set()
        self.sequence = []
        self.dirty, self.broken = {'main'}, None
        for f in range(files): self.add_file(0)
        for _ in range(files * 6): self.add(rng.randrange(files))
    def add_file(self, functions):
        f = len(self.files)
        self.files.append([])
        self.sequence.append(f)
        self.globals.append({f'g{f}_{i}': self.rng.randrange(1000) for i in range(3)})
        for _ in range(functions): self.add(f)
        self.dirty |= {f, 'main'}
        return f
    def present(self):
        return [f for f, x in enumerate(self.files) if x is not None]
    def forget(self, fn):
        self.order = [(x, k) for x, k in self.order if x is not fn]
        for x, k in self.order:
            if fn in x.callees:
                x.callees.remove(fn); self.dirty.add(k)
    def all_before(self, fn=None, file=None):
        out = []
        for x, f in self.order:
            if x is fn: break
            if not x.static or f == file: out.append(x)
        return out
    def add(self, f):
        fn = Function(f'fn_{self.count}', self.rng, self.all_before(file=f), self.rng.random() < 0.3)
        self.count += 1
        self.files[f].append(fn)
        self.order.append((fn, f))
        return fn
    def edit(self):
        r, f = self.rng, self.rng.choice(self.present())
        self.dirty = {f}
        kinds = ['mutate', 'mutate', 'mutate', 'add', 'remove', 'global', 'grow', 'shrink', 'new_global', 'touch', 'several', 'text', 'move', 'rename', 'hide', 'break', 'cut']
        if self.a.inputs: kinds += ['add_file', 'remove_file']
        if self.a.reorder: kinds += ['reorder', 'reorder', 'reorder and mutate']
        kind = r.choice(kinds)
        live = [x for x in self.files[f]]
        if kind == 'add': self.add(f)
        elif kind == 'remove' and len(live) > 2:
            fn = r.choice(live)
            self.files[f].remove(fn)
            self.forget(fn)
        elif kind == 'rename':
            fn = r.choice(live)
            fn.name = f'fn_{self.count}_renamed'; self.count += 1
            self.dirty |= {k for x, k in self.order if fn in x.callees}
        elif kind == 'hide':
            fn = r.choice(live)
            self.hidden ^= {fn}
            self.dirty |= {k for x, k in self.order if fn in x.callees}
        elif kind == 'shrink':
            fn = r.choice(live)
            fn.work, fn.table, fn.callees = fn.work // 2, fn.table[:4], fn.callees[:1]
        elif kind == 'break': self.broken = r.choice(live)
        elif kind == 'add_file': self.dirty = set(); self.add_file(r.randrange(3, 8))
        elif kind == 'remove_file' and len(self.present()) > 3:
            for fn in live: self.forget(fn)
            self.files[f] = None
            self.dirty = self.dirty - {f} | {'main'} | {k for k in self.present()}
        elif kind == 'global':
            g = r.choice(list(self.globals[f])); self.globals[f][g] = r.randrange(1000)
        elif kind == 'new_global': self.globals[f][f'g{f}_{len(self.globals[f])}'] = r.randrange(1000)
        elif kind == 'grow': r.choice(live).work += r.randrange(1, 30)
        elif kind == 'text': r.choice(live).text = ''.join(r.choice('xyz') for _ in range(r.randrange(1, 40)))
        elif kind == 'several':
            for k in self.present():
                if r.random() < 0.5 and self.files[k]:
                    fn = r.choice(self.files[k]); fn.mutate(r, self.all_before(fn, k)); self.dirty.add(k)
        elif kind == 'move' and len(live) > 2:
            fn, to = r.choice(live), r.choice(self.present())
            if fn.static or to == f: return 'touch'
            self.files[f].remove(fn); self.files[to].append(fn); self.dirty.add(to)
            self.order = [(x, to if x is fn else k) for x, k in self.order]
            fn.callees = [c for c in fn.callees if not c.static]
        elif kind == 'touch': pass
        elif kind.startswith('reorder'):
            self.dirty = set()
            for _ in range(r.choice([1, 1, 2, len(self.sequence)])):
                k = self.sequence.pop(r.randrange(len(self.sequence)))
                self.sequence.insert(r.randrange(len(self.sequence) + 1), k)
            if kind != 'reorder':
                fn = r.choice(live); fn.mutate(r, self.all_before(fn, f)); self.dirty = {f}
        else:
            fn = r.choice(live); fn.mutate(r, self.all_before(fn, f))
        return kind
    def visibility(self, fn):
        return '__attribute__((visibility("hidden"))) ' if fn in self.hidden else ''
    def source(self, f):
        out = ['#include <string.h>', 'extern unsigned mix(unsigned, const char *);']
        for x, k in self.order:
            if k == f and x.static: out.append(f'static unsigned {x.name}(unsigned);')
            elif not x.static: out.append(f'{self.visibility(x)}unsigned {x.name}(unsigned);')
        for g, v in self.globals[f].items(): out.append(f'unsigned {g} = {v};')
        for k, gs in enumerate(self.globals):
            if k != f and self.files[k] is not None: out += [f'extern unsigned {g};' for g in gs]
        for fn in self.files[f]:
            if fn.table: out.append(f'static const unsigned char t_{fn.name}[] = {{{",".join(map(str, fn.table))}}};')
            out.append(f'{"static " if fn.static else ""}__attribute__((noinline, used)) unsigned {fn.name}(unsigned x) {{')
            out.append(f'  unsigned r = x * {fn.a}u + {fn.b}u;')
            for i in range(fn.work): out.append(f'  r = (r ^ (r >> {i % 13 + 1})) + {i * 7 + fn.a}u;')
            if fn.table: out.append(f'  r += t_{fn.name}[r % {len(fn.table)}u];')
            if fn.switch: out.append('  switch (r % 7u) { case 0: r += 3u; break; case 1: r ^= 77u; break; case 2: r *= 5u; break; case 3: r -= 9u; break; case 4: r += 1000u; break; case 5: r ^= 0xffu; break; default: r += 1u; }')
            out.append(f'  r = mix(r, "{fn.text}");')
            for k, c in enumerate(fn.callees): out.append(f'  if (r % {k + 2}u != 1u) r += {c.name}(r % 17u);')
            gs = list(self.globals[f])
            if gs: out.append(f'  r += {gs[fn.a % len(gs)]};')
            if fn is self.broken: out.append('  extern unsigned nobody_has_this(void); if (r == 77u) r += nobody_has_this();')
            out.append('  return r; }')
        if self.a.reorder:
            out.append(f'__attribute__((weak)) unsigned pick(void) {{ return {f}u; }}')
            out.append(f'extern unsigned seen; __attribute__((constructor)) static void first_{f}(void) {{ seen = seen * 31u + {f}u; }}')
        exported = [x for x in self.files[f]]
        out.append(f'unsigned (*const table_{f}[])(unsigned) = {{{", ".join(x.name for x in exported)}, 0}};')
        return '\n'.join(out) + '\n'
    def main(self):
        out = ['#include <stdio.h>']
        for f in self.present(): out.append(f'extern unsigned (*const table_{f}[])(unsigned);')
        if not self.a.shared: out.append(MIX)
        if self.a.reorder: out.append('unsigned seen; extern unsigned pick(void);')
        out.append('int main(void) { unsigned r = 1;')
        if self.a.reorder: out.append('  r = pick() * 7u + seen;')
        for f in self.present(): out.append(f'  for (int i = 0; table_{f}[i]; i++) r = r * 3u + table_{f}[i](i);')
        out.append('  printf("%u\\n", r); return 0; }')
        return '\n'.join(out) + '\n'
    def expect(self):
        M = 0xffffffff
        def mix(r, s):
            for c in s.encode(): r = (r * 31 + c) & M
            return r
        def call(fn, f, x):
            r = (x * fn.a + fn.b) & M
            for i in range(fn.work): r = ((r ^ (r >> (i % 13 + 1))) + i * 7 + fn.a) & M
            if fn.table: r = (r + fn.table[r % len(fn.table)]) & M
            if fn.switch:
                k = r % 7
                r = [r + 3, r ^ 77, r * 5, r - 9, r + 1000, r ^ 0xff, r + 1][k] & M
            r = mix(r, fn.text)
            for k, c in enumerate(fn.callees):
                if r % (k + 2) != 1: r = (r + call(c, where[c], r % 17)) & M
            gs = list(self.globals[f])
            if gs: r = (r + self.globals[f][gs[fn.a % len(gs)]]) & M
            return r
        where = {x: k for x, k in self.order}
        r = 1
        if self.a.reorder:
            r, seen = 0, 0
            there = [f for f in self.sequence if self.files[f] is not None]
            for f in there: seen = (seen * 31 + f) & M
            r = (there[0] * 7 + seen) & M
        for f in self.present():
            for i, fn in enumerate(self.files[f]): r = (r * 3 + call(fn, f, i)) & M
        return str(r)

def run(cmd, **k):
    return subprocess.run(cmd, capture_output=True, text=True, **k)

def symbols(path):
    out = collections.Counter()
    for line in run(['nm', '--no-sort', '-S', path]).stdout.splitlines():
        p = line.split()
        if len(p) >= 3 and p[-2] in 'tTdDrRbB': out[(p[-1], p[-2], p[1] if len(p) == 4 else '')] += 1
    return out

WASI = """import {WASI} from 'node:wasi'; import fs from 'node:fs';
const wasi = new WASI({version: 'preview1', args: ['p'], env: {}, returnOnExit: true});
const module = await WebAssembly.compile(fs.readFileSync(process.argv[2]));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, {wasi_snapshot_preview1: wasi.wasiImport}));
"""

class Build:
    """The program as files: sources, objects, the archive, and the commands that link it."""
    def __init__(self, program, a):
        self.program, self.a = program, a
        self.members = set(list(range(a.files))[a.files - a.archive:]) if a.archive else set()
        self.output = 'libprog.so' if a.shared else 'prog'
    def driver(self):
        return [self.a.compiler, *(['--target=wasm32-wasi'] if self.a.wasm else [])]
    def compile(self, name, text):
        open(f'{name}.c', 'w').write(text)
        subprocess.run([*self.driver(), '-c', *self.a.flags.split(), f'{name}.c'], check=True)
    def update(self):
        p = self.program
        if self.a.shared and not os.path.exists('mix.o'): self.compile('mix', MIX + '\n')
        if 'main' in p.dirty:
            self.compile('main', p.main())
            for f in p.present():
                if self.a.archive and f >= self.a.files and f not in self.members and p.rng.random() < 0.5: self.members.add(f)
        for f in p.present():
            if f in p.dirty: self.compile(f'f{f}', p.source(f))
        members = [f'f{f}.o' for f in p.present() if f in self.members]
        if self.a.archive and (p.dirty & (self.members | {'main'})):
            if os.path.exists('libf.a'): os.unlink('libf.a')
            subprocess.run(['llvm-ar-19' if 'clang' in self.a.compiler else 'ar', 'rcs', 'libf.a', *members], check=True)
    def command(self, output, options=()):
        a, p = self.a, self.program
        objects = [f'f{f}.o' for f in p.sequence if p.files[f] is not None and f not in self.members]
        if a.archive: objects.append('libf.a')
        if a.shared: objects = ['-shared', 'mix.o', *(['-Wl,--whole-archive', *objects, '-Wl,--no-whole-archive'] if a.archive else objects)]
        else: objects.insert(0, 'main.o')
        if a.inputs and not a.shared: objects = ['main.o', *objects[1:]]
        return [*self.driver(), f'-fuse-ld={os.getcwd()}/bin/wasm-ld' if a.wasm else '--ld-path=bin/ld' if 'clang' in a.compiler else '-Bbin', *objects, *a.link.split(), '-o', output, *options]
    def program_of(self, output):
        """What is run; for a library, a program that loads it."""
        if self.a.wasm:
            open('run.mjs', 'w').write(WASI)
            return ['node', '--no-warnings', 'run.mjs', output]
        if not self.a.shared: return ['./' + output]
        by = ['--ld-path=bin/ld'] if '-flto' in self.a.flags else []  # the host is IR then, too
        run([self.a.compiler, *by, 'main.o', output, '-Wl,-rpath,$ORIGIN', '-rdynamic', '-o', 'host'], check=True)
        return ['./host']

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('lode'); ap.add_argument('--steps', type=int, default=50); ap.add_argument('--seed', type=int, default=1)
    ap.add_argument('--compiler', default='gcc'); ap.add_argument('--flags', default='-O1 -ffunction-sections -fdata-sections')
    ap.add_argument('--link', default=''); ap.add_argument('--files', type=int, default=6); ap.add_argument('--keep', default='')
    ap.add_argument('--archive', type=int, default=0); ap.add_argument('--shared', action='store_true')
    ap.add_argument('--target', choices=['native', 'wasm'], default='native')
    ap.add_argument('--inputs', action='store_true'); ap.add_argument('--verify', action='store_true')
    ap.add_argument('--reorder', action='store_true'); ap.add_argument('--verbose', action='store_true')
    a = ap.parse_args()
    a.wasm = a.target == 'wasm'
    if a.wasm and 'clang' not in a.compiler: a.compiler = 'clang-19'
    if a.wasm and (a.shared or a.verify): sys.exit('wasm has no shared libraries here, and nothing to verify: the bytes are compared')
    if a.reorder and (a.wasm or a.shared or a.archive): sys.exit('--reorder is for the objects of a program')
    rng = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as tmp:
        os.chdir(a.keep or tmp)
        for folder in ['bin', 'scratch']: os.makedirs(folder, exist_ok=True)
        for name in ['bin/ld', 'bin/wasm-ld']:
            if os.path.lexists(name): os.unlink(name)
            os.symlink(os.path.abspath(a.lode) if os.path.isabs(a.lode) else os.path.join(start, a.lode), name)
        sweep(a, Program(rng, a.files, a), rng)

def sweep(a, p, rng):
    build = Build(p, a)
    reasons, in_place, kinds = collections.Counter(), 0, collections.Counter()
    incremental = ['-Wl,--incremental,' + ('--verbose' if a.wasm else '--stats') + (',--verify-relink' if a.verify else '')]
    for step in range(a.steps + 1):
        kind = p.edit() if step else 'first'
        kinds[kind] += 1
        build.update()
        at = f'seed {a.seed} step {step} ({kind})'
        if kind == 'break' and not a.shared or kind == 'cut':
            # A link that fails says so, and the next one is right whatever it left.
            cut = f'f{min(p.dirty)}.o' if kind == 'cut' and not min(p.dirty) in build.members else ''
            if cut: os.truncate(cut, os.path.getsize(cut) // 2)
            r = run(build.command(build.output, incremental))
            wants = cut or kind == 'break'
            if wants and r.returncode == 0: sys.exit(f'{at}: a broken program was linked: {r.stdout}')
            if wants and not ('nobody_has_this' in r.stderr or cut and cut in r.stderr): sys.exit(f'{at}: the error is not named: {r.stderr}')
            if rng.random() < 0.3: run(build.command(build.output, incremental))
            p.broken = None
            build.update()
        p.broken = None
        if kind == 'break' and a.shared: build.update()
        r = run(build.command(build.output, incremental))
        line = next((l for l in r.stdout.splitlines() if l.startswith('relink:')), '')
        if a.verbose: print(step, kind, sorted(map(str, p.dirty)), line, flush=True)
        if r.returncode: sys.exit(f'{at}: link failed: {r.stderr}; {line}')
        if a.verify and not line.startswith('relink: full') and '--verify-relink:' not in r.stdout: sys.exit(f'{at}: nothing was verified: {r.stdout}')
        if line.startswith('relink: full'): reasons[re.sub(r'(symbol|reference to|;) \S+|\S*fn_\S+|\S*table_\S+', r'\1 X', line)] += 1
        else: in_place += 1
        got = run(build.program_of(build.output))
        want = p.expect()
        if got.stdout.strip() != want: sys.exit(f'{at}: got {got.stdout!r} status {got.returncode}, want {want}; {line}')
        if a.verify and step % 10: continue
        full = os.path.join('scratch', build.output) if a.wasm else 'full'  # a module holds its file's name
        r = run(build.command(full))
        if r.returncode: sys.exit(f'{at}: full link failed: {r.stderr}')
        if a.wasm:
            if open(build.output, 'rb').read() != open(full, 'rb').read(): sys.exit(f'{at}: the bytes differ from those of a full link; {line}')
            continue
        places = collections.Counter(l.split()[0] for l in run(['readelf', '-Wr', build.output]).stdout.splitlines() if ' R_' in l and 'NONE' not in l)
        twice = [k for k, v in places.items() if v > 1]
        if twice: sys.exit(f'{at}: several relocations of {twice}; {line}')
        x, y = symbols(build.output), symbols('full')
        if x != y and not a.verify: sys.exit(f'{at}: symbols differ: only relinked {dict(x - y)}, only full {dict(y - x)}; {line}')
    print(f'seed {a.seed}: {in_place} of {a.steps} in place or unchanged;', dict(reasons), dict(kinds) if a.verbose else '')

start = os.getcwd()
if __name__ == '__main__': main()
