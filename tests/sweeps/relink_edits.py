#!/usr/bin/env python3
"""Random edits of a generated program, each relinked in place and compared with a link from scratch.

usage: relink_edits.py LODE [--steps N] [--seed S] [--compiler CC] [--flags FLAGS] [--link FLAGS] [--files N]

A program of several C files is generated; each step edits some of them (functions and data grow, shrink, appear, go,
change their callers, strings and tables change), compiles what changed, links with --incremental, and runs the program.
Its output has to be what the generator computes, and the symbols of the output have to be those of a link from scratch.
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

class Program:
    def __init__(self, rng, files):
        self.rng, self.count, self.order = rng, 0, []
        self.files = [[] for _ in range(files)]
        self.globals = [{} for _ in range(files)]
        for _ in range(files * 6):
            self.add(rng.randrange(files))
        for f in range(files):
            for _ in range(3):
                self.globals[f][f'g{f}_{len(self.globals[f])}'] = rng.randrange(1000)
        self.dirty = set(range(files))
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
        r, f = self.rng, self.rng.randrange(len(self.files))
        self.dirty = {f}
        kind = r.choice(['mutate', 'mutate', 'mutate', 'add', 'remove', 'global', 'grow', 'new_global', 'touch', 'several', 'text', 'move'])
        live = [x for x in self.files[f]]
        if kind == 'add': self.add(f)
        elif kind == 'remove' and len(live) > 2:
            fn = r.choice(live)
            self.files[f].remove(fn)
            self.order = [(x, k) for x, k in self.order if x is not fn]
            for x, k in self.order:
                if fn in x.callees:
                    x.callees.remove(fn); self.dirty.add(k)
        elif kind == 'global':
            g = r.choice(list(self.globals[f])); self.globals[f][g] = r.randrange(1000)
        elif kind == 'new_global': self.globals[f][f'g{f}_{len(self.globals[f])}'] = r.randrange(1000)
        elif kind == 'grow': r.choice(live).work += r.randrange(1, 30)
        elif kind == 'text': r.choice(live).text = ''.join(r.choice('xyz') for _ in range(r.randrange(1, 40)))
        elif kind == 'several':
            for k in range(len(self.files)):
                if r.random() < 0.5 and self.files[k]:
                    fn = r.choice(self.files[k]); fn.mutate(r, self.all_before(fn, k)); self.dirty.add(k)
        elif kind == 'move' and len(live) > 2:
            fn, to = r.choice(live), r.randrange(len(self.files))
            if fn.static or to == f: return 'touch'
            self.files[f].remove(fn); self.files[to].append(fn); self.dirty.add(to)
            self.order = [(x, to if x is fn else k) for x, k in self.order]
            fn.callees = [c for c in fn.callees if not c.static]
        elif kind == 'touch': pass
        else:
            fn = r.choice(live); fn.mutate(r, self.all_before(fn, f))
        return kind
    def source(self, f):
        out = ['#include <string.h>', 'extern unsigned mix(unsigned, const char *);']
        for x, k in self.order:
            if k == f and x.static: out.append(f'static unsigned {x.name}(unsigned);')
            elif not x.static: out.append(f'unsigned {x.name}(unsigned);')
        for g, v in self.globals[f].items(): out.append(f'unsigned {g} = {v};')
        for k, gs in enumerate(self.globals):
            if k != f: out += [f'extern unsigned {g};' for g in gs]
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
            out.append('  return r; }')
        exported = [x for x in self.files[f]]
        out.append(f'unsigned (*const table_{f}[])(unsigned) = {{{", ".join(x.name for x in exported)}, 0}};')
        return '\n'.join(out) + '\n'
    def main(self):
        out = ['#include <stdio.h>']
        for f in range(len(self.files)): out.append(f'extern unsigned (*const table_{f}[])(unsigned);')
        out.append('unsigned mix(unsigned r, const char *s) { while (*s) r = r * 31u + (unsigned char)*s++; return r; }')
        out.append('int main(void) { unsigned r = 1;')
        for f in range(len(self.files)): out.append(f'  for (int i = 0; table_{f}[i]; i++) r = r * 3u + table_{f}[i](i);')
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
        for f in range(len(self.files)):
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

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('lode'); ap.add_argument('--steps', type=int, default=50); ap.add_argument('--seed', type=int, default=1)
    ap.add_argument('--compiler', default='gcc'); ap.add_argument('--flags', default='-O1 -ffunction-sections -fdata-sections')
    ap.add_argument('--link', default=''); ap.add_argument('--files', type=int, default=6); ap.add_argument('--keep', default='')
    ap.add_argument('--verbose', action='store_true')
    a = ap.parse_args()
    rng = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as tmp:
        os.chdir(a.keep or tmp)
        os.makedirs('bin', exist_ok=True)
        if os.path.lexists('bin/ld'): os.unlink('bin/ld')
        os.symlink(os.path.abspath(a.lode) if os.path.isabs(a.lode) else os.path.join(start, a.lode), 'bin/ld')
        p = Program(rng, a.files)
        open('main.c', 'w').write(p.main())
        subprocess.run([a.compiler, '-c', *a.flags.split(), 'main.c'], check=True)
        reasons, in_place = collections.Counter(), 0
        for step in range(a.steps + 1):
            kind = p.edit() if step else 'first'
            for f in sorted(p.dirty):
                open(f'f{f}.c', 'w').write(p.source(f))
                subprocess.run([a.compiler, '-c', *a.flags.split(), f'f{f}.c'], check=True)
            objects = ['main.o'] + [f'f{f}.o' for f in range(a.files)]
            driver = a.compiler if 'clang' not in a.compiler else a.compiler
            base = [driver, '-Bbin' if 'clang' not in a.compiler else '--ld-path=bin/ld', *objects, *a.link.split()]
            r = run([*base, '-o', 'prog', '-Wl,--incremental,--stats'])
            line = next((l for l in r.stdout.splitlines() if l.startswith('relink:')), '')
            if a.verbose: print(step, kind, sorted(p.dirty), line, flush=True)
            if r.returncode: sys.exit(f'step {step} ({kind}): link failed: {r.stderr}')
            if line.startswith('relink: full'): reasons[line] += 1
            else: in_place += 1
            got = run(['./prog'])
            want = p.expect()
            if got.stdout.strip() != want: sys.exit(f'seed {a.seed} step {step} ({kind}): got {got.stdout!r} status {got.returncode}, want {want}; {line}')
            r = run([*base, '-o', 'full'])
            if r.returncode: sys.exit(f'step {step}: full link failed: {r.stderr}')
            places = collections.Counter(l.split()[0] for l in run(['readelf', '-Wr', 'prog']).stdout.splitlines() if ' R_' in l and 'NONE' not in l)
            twice = [k for k, v in places.items() if v > 1]
            if twice: sys.exit(f'seed {a.seed} step {step} ({kind}): several relocations of {twice}; {line}')
            x, y = symbols('prog'), symbols('full')
            if x != y: sys.exit(f'seed {a.seed} step {step} ({kind}): symbols differ: only relinked {dict(x - y)}, only full {dict(y - x)}; {line}')
        print(f'seed {a.seed}: {in_place} of {a.steps} in place or unchanged;', dict(reasons))

start = os.getcwd()
main()
