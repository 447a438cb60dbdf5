#!/usr/bin/env python3
"""Relinks that are killed, starved and lied to: the next one makes the program that the sources say.

usage: relink_kills.py LODE [--rounds N] [--seed S] [--compiler CC] [--flags FLAGS] [--link FLAGS] [--files N] [--other LODE]

Each round edits a generated program (relink_edits.py), and then something goes wrong, one of
  kill      the link gets SIGKILL at a random moment, once or several times
  state     the state file is deleted, cut, overwritten in a random place, or that of another program
  image     the output, or its second name, is deleted, cut, or written to
  other     another lode (--other) makes a link in between
  clock     a link is made by a clock that is set back (libfaketime, where it is), or inputs get old times
  twins     two links of the same output run at the same time
  full      the disk is full: a small tmpfs is filled up, where this may be mounted
  readonly  the output's file system is read-only, where it may be mounted
Then the link is made again, and the program must print what the generator computes. What the link that went wrong may
do: end well, or with an error that is said. A signal other than our own is a failure, whichever link had it.
"""
import argparse, collections, os, random, shutil, signal, subprocess, sys, tempfile, time
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from relink_edits import Build, Program, run

FAKETIME = next((p for p in ('/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1', '/usr/lib/faketime/libfaketime.so.1')
                 if os.path.exists(p)), None)

class Failed(Exception): pass

class Rounds:
    def __init__(self, a):
        self.a, self.rng = a, random.Random(a.seed)
        self.program = Program(self.rng, a.files, a)
        self.build = Build(self.program, a)
        self.counts, self.mounted = collections.Counter(), False
        self.duration = 0.05

    def command(self):
        """Of lode itself, so that the process that is killed is the linker."""
        return self.linker_command

    def learn_command(self):
        """What the compiler driver would run, with libraries and start files: from gcc -###."""
        out = run([*self.build.command('out/prog', ['-###', '-Wl,--incremental,--stats'])]).stderr
        line = [l for l in out.splitlines() if 'collect2' in l or '/ld' in l or 'lode' in l][-1]
        import shlex
        words = shlex.split(line)
        words = [w for w in words if not w.startswith('-plugin') and 'liblto_plugin' not in w and 'lto-wrapper' not in w]
        words[0] = os.path.abspath('bin/ld')
        self.linker_command = words

    def link(self, env=None):
        began = time.time()
        r = run(self.command(), env=env)
        self.duration = 0.8 * self.duration + 0.2 * (time.time() - began)
        if r.returncode < 0 or r.returncode > 1: raise Failed(f'the linker died: {r.returncode}: {r.stderr}')
        return r

    def started(self):
        return subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    # What goes wrong.

    def kill(self):
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            p = self.started()
            time.sleep(self.rng.random() * self.duration * 1.3)
            p.kill()
            p.communicate()
            self.counts['killed in time' if p.returncode == -signal.SIGKILL else 'too late'] += 1

    def damage(self, path):
        how = self.rng.choice(['delete', 'cut', 'write', 'grow', 'swap'])
        if not os.path.exists(path): return
        size = os.path.getsize(path)
        if how == 'delete': os.unlink(path)
        elif how == 'cut': os.truncate(path, self.rng.randrange(size))
        elif how == 'grow': os.truncate(path, size + self.rng.choice([1, 4096, 100000]))
        elif how == 'write':
            with open(path, 'r+b') as f:
                for _ in range(self.rng.choice([1, 1, 5, 50])):
                    f.seek(self.rng.choice([self.rng.randrange(size), self.rng.randrange(min(size, 4096))]))
                    f.write(bytes([self.rng.randrange(256)]))
        elif os.path.exists('other' + os.path.splitext(path)[1]): shutil.copy('other' + os.path.splitext(path)[1], path)

    def state(self): self.damage('out/prog.lode')

    def image(self): self.damage(self.rng.choice(['out/prog', 'out/prog.lode-image']))

    def other(self):
        if not self.a.other: return self.kill()
        r = run([self.a.other, *self.command()[1:]])
        if r.returncode < 0: raise Failed(f'the other linker died: {r.stderr}')

    def clock(self):
        if FAKETIME and self.rng.random() < 0.6:
            self.link(env={**os.environ, 'LD_PRELOAD': FAKETIME, 'FAKETIME': self.rng.choice(['-1d', '-5s', '+1d'])})
        else:
            t = self.rng.choice([1, time.time() - 100000, time.time() + 100000])
            os.utime(f'f{self.rng.choice(self.program.present())}.o', (t, t))

    def twins(self):
        two = [self.started(), self.started()]
        for p in two:
            out, err = p.communicate()
            if p.returncode not in (0, 1) or (p.returncode == 1 and not err): raise Failed(f'of two links one ended with {p.returncode}: {err}')

    def full(self):
        if not self.mounted: return self.kill()
        free = os.statvfs('out').f_bavail * os.statvfs('out').f_frsize
        left = self.rng.choice([0, 4096, 65536, self.rng.randrange(max(1, min(free, 1 << 20)))])
        with open('out/filler', 'wb') as f: f.write(bytes(max(0, free - left)))
        if self.rng.random() < 0.5 and os.path.exists('out/prog'): os.unlink('out/prog')
        r = self.link()
        if r.returncode and not r.stderr: raise Failed('a link on a full disk failed and did not say so')
        self.counts['disk full: ' + ('an error' if r.returncode else 'done all the same')] += 1
        os.unlink('out/filler')

    def readonly(self):
        if not self.mounted: return self.kill()
        subprocess.run(['mount', '-o', 'remount,ro', 'out'], check=True)
        try:
            r = self.link()
            if not r.returncode: raise Failed(f'a link to a read-only file system succeeded: {r.stdout}')
            if not r.stderr: raise Failed('a link to a read-only file system failed and did not say so')
        finally:
            subprocess.run(['mount', '-o', 'remount,rw', 'out'], check=True)

    def go(self):
        kinds = ['kill'] * 6 + ['state', 'image', 'other', 'clock', 'twins', 'full', 'readonly']
        if self.a.only: kinds = [self.a.only]
        for n in range(self.a.rounds + 1):
            edit = self.program.edit() if n else 'first'
            self.program.broken = None
            self.build.update()
            kind = self.rng.choice(kinds) if n else 'nothing'
            self.counts[kind] += 1
            here = f'seed {self.a.seed} round {n} ({edit}, {kind})'
            if not n: self.learn_command()
            try:
                if n: getattr(self, kind)()
                for again in range(self.rng.choice([1, 1, 2])):
                    r = self.link()
                    if r.returncode: raise Failed(f'the link afterwards failed: {r.stderr}')
            except Failed as e:
                sys.exit(f'{here}: {e}')
            line = next((l for l in r.stdout.splitlines() if l.startswith('relink:')), '')
            if self.a.verbose: print(n, edit, kind, line, flush=True)
            got, want = run(['out/prog']), self.program.expect()
            if got.stdout.strip() != want: sys.exit(f'{here}: got {got.stdout!r} status {got.returncode}, want {want}; {line}')
            self.counts['afterwards in place' if not line.startswith('relink: full') else 'afterwards full'] += 1
            if not n:
                for e in ('.lode', '.lode-image'): shutil.copy('out/prog' + e, 'other' + e)
        print(f'seed {self.a.seed}: {self.a.rounds} rounds, none wrong:', dict(self.counts))

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('lode'); ap.add_argument('--rounds', type=int, default=100); ap.add_argument('--seed', type=int, default=1)
    ap.add_argument('--compiler', default='gcc'); ap.add_argument('--flags', default='-O1 -ffunction-sections -fdata-sections')
    ap.add_argument('--link', default=''); ap.add_argument('--files', type=int, default=6)
    ap.add_argument('--other', default=''); ap.add_argument('--only', default=''); ap.add_argument('--verbose', action='store_true')
    a = ap.parse_args()
    a.archive, a.shared, a.inputs, a.wasm, a.reorder = 0, False, False, False, False
    a.lode, a.other = os.path.abspath(a.lode), os.path.abspath(a.other) if a.other else ''
    with tempfile.TemporaryDirectory() as tmp:
        os.chdir(tmp)
        os.makedirs('bin'); os.makedirs('out')
        os.symlink(a.lode, 'bin/ld')
        rounds = Rounds(a)
        rounds.mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', 'out'], capture_output=True).returncode == 0
        if not rounds.mounted: print('no tmpfs may be mounted here: full and readonly are left out')
        if not FAKETIME: print('no libfaketime here: clock is by the times of inputs only')
        try:
            rounds.go()
        finally:
            if rounds.mounted: subprocess.run(['umount', '-l', 'out'])
            os.chdir('/')

main()
