#!/usr/bin/env python3
"""Random switches: what lode makes of clang's bitcode must take the same cases as what clang makes of it.

    switches.py --count 10000 [--first 1] [--level O0|O1|O2|...] [--target x86_64|wasm32] [--keep FOLDER]

Each switch has its own number, which decides all of it: an operand of 8, 16, 32 or 64 bits (signed or not) or of an odd width (_BitInt),
as a parameter, cut from a wider value or in memory; cases around a boundary of that width or of a smaller one: one, a dense run, a run
with holes, runs far from each other, sparse ones, all that there are; targets shared or not, with and without values on their edges. It
is tried with every case, the values beside it, all boundaries and random values. A program holds many of them and prints a line for each.
"""
import argparse
import os
import random
import sys
import tempfile

import sweep
from sweep import CLANG, run

PRELUDE = """typedef unsigned long long u64;
int printf(const char *, ...);
static u64 state;
#define ACTION(n) __attribute__((noinline)) static u64 act##n(u64 x) { state = (state ^ x) * 1099511628211u + n; return state >> 7; }
ACTION(0) ACTION(1) ACTION(2) ACTION(3) ACTION(4) ACTION(5) ACTION(6) ACTION(7)
"""


class Switch:
    def __init__(self, number):
        self.number = number
        self.r = r = random.Random(number)
        self.bits = r.choice([8, 16, 32, 32, 64, 64]) if r.random() < 0.85 else r.choice([3, 5, 7, 9, 17, 24, 31, 33, 40, 63])
        self.signed = r.random() < 0.5
        plain = {8: "char", 16: "short", 32: "int", 64: "long long"}.get(self.bits, f"_BitInt({self.bits})")
        self.type = ("signed " if self.signed else "unsigned ") + plain
        self.values = sorted(self.cases())

    def wrap(self, v):
        """v as a value of the operand's type."""
        v &= (1 << self.bits) - 1
        return v - (1 << self.bits) if self.signed and v >> (self.bits - 1) else v

    def boundaries(self):
        widths = sorted({w for w in (8, 16, 31, 32, 33, self.bits, self.bits - 1) if w <= self.bits})
        return [0] + [s * (1 << w) + d for w in widths for s in (1, -1) for d in (0, -1)] + [s << (w - 1) for w in widths for s in (1, -1)]

    def base(self):
        return self.r.choice(self.boundaries()) + self.r.choice([0, 0, 0, 1, -1, self.r.randrange(-12, 12)])

    def run_of(self, length, density):
        base = self.base() - self.r.choice([0, 0, length - 1, length // 2])
        return {self.wrap(base + k) for k in range(length) if k == 0 or self.r.random() < density}

    def cases(self):
        r = self.r
        shape = r.choice(["one", "dense", "dense", "dense", "holes", "holes", "runs", "sparse", "stride", "all", "all" if self.bits <= 8 else "mixed"])
        if shape == "one":
            return {self.wrap(self.base())}
        if shape == "dense":
            return self.run_of(r.choice([2, 3, 4, 5, 6, 7, 8, 12, 20, 40]), 1)
        if shape == "holes":
            return self.run_of(r.choice([6, 9, 12, 20, 40, 70]), r.choice([0.3, 0.4, 0.5, 0.7, 0.9]))
        if shape == "stride":
            base, step = self.base(), r.choice([2, 3, 4, 8, 16, 100])
            return {self.wrap(base + step * k) for k in range(r.randrange(3, 20))}
        if shape == "sparse":
            return {self.wrap(r.getrandbits(64)) for _ in range(r.randrange(2, 16))} | {self.wrap(self.base()) for _ in range(r.randrange(1, 6))}
        if shape == "all" and self.bits <= 8:
            everything = {self.wrap(k) for k in range(1 << self.bits)}
            return everything if r.random() < 0.7 else everything - {self.wrap(self.base()) for _ in range(3)}
        cases = set()
        for _ in range(r.randrange(2, 5)):
            cases |= self.run_of(r.choice([1, 2, 3, 4, 6, 10, 20]), r.choice([1, 1, 0.6]))
        return cases

    def literal(self, v):
        return f"({self.type}){v & (1 << 64) - 1}ull"

    def tried(self):
        r, values = self.r, set()
        for v in self.values:
            values |= {v, self.wrap(v - 1), self.wrap(v + 1)}
        values |= {self.wrap(b + d) for b in self.boundaries() for d in (-1, 0, 1)} | {self.wrap(r.getrandbits(64)) for _ in range(8)}
        # What differs from a case in its upper bits only, and the other way round.
        values |= {self.wrap(r.choice(self.values) ^ (1 << r.randrange(self.bits))) for _ in range(8)}
        if self.unreachable:
            values &= set(self.values)
        values = sorted(values)
        return values if len(values) < 150 else sorted(r.sample(values, 150))

    def text(self):
        r, n = self.r, self.number
        # -O0 keeps what is behind __builtin_unreachable() apart; without a default in reach only cases may be tried.
        self.unreachable = r.random() < 0.12
        way = r.choice(["parameter", "cut", "memory", "sum"])
        parameter = {"parameter": self.type + " x", "cut": "u64 w", "memory": f"const {self.type} *p", "sum": f"{self.type} x"}[way]
        operand = {"parameter": "x", "cut": f"({self.type})w", "memory": "*p", "sum": f"({self.type})(x + ({self.type})a)"}[way]
        kinds = r.choice([["act"], ["act", "set", "add"], ["set"], ["act", "set", "fall"], ["same"], ["set", "same"]])
        shared = r.choice([1, 2, 3, 1000, 1000, 1000])
        groups = []
        for v in self.values:
            if groups and (len(groups) >= shared or r.random() < 0.15):
                groups[r.randrange(len(groups)) if r.random() < 0.5 else -1].append(v)
            else:
                groups.append([v])
        r.shuffle(groups)
        lines = []
        for k, group in enumerate(groups):
            labels = "".join(f"case {self.literal(v)}: " for v in group)
            kind = r.choice(kinds)
            body = {"act": f"return act{r.randrange(8)}({k} + b);", "set": f"r = {r.choice(['a', 'b', 'a ^ b', f'b + {k}'])}; break;",
                    "add": f"r += a * {k + 3}; break;", "fall": f"r += act{r.randrange(8)}({k});", "same": f"r = a + {k % 3}; break;"}[kind]
            lines.append(f"    {labels}{body}")
        if self.unreachable:
            lines.append("    break; default: __builtin_unreachable();")
        elif r.random() < 0.7:
            lines.insert(r.randrange(len(lines) + 1) if kinds != ["act", "set", "fall"] else len(lines), f"    default: r ^= act{r.randrange(8)}(a); break;")
        again = r.random() < 0.2  # in a loop, with the operand changed by what the case did
        loop = ("  for (int k = 0; k < 3; k++) {\n", f"  x = ({self.type})(x + ({self.type})r); }}\n") if again and way == "parameter" and not self.unreachable else ("", "")
        text = (f"__attribute__((noinline)) static u64 s{n}({parameter}, u64 a, u64 b) {{\n  u64 r = b * 3;\n{loop[0]}  switch ({operand}) {{\n" +
                "\n".join(lines) + f"\n  }}\n{loop[1]}  return r ^ a;\n}}\n")
        values = self.tried()
        text += f"static const {self.type} t{n}[] = {{{', '.join(self.literal(v) for v in values)}}};\n"
        argument = {"parameter": f"t{n}[k]", "cut": f"(u64)t{n}[k] + (state << {self.bits - 1} << 1)", "memory": f"t{n} + k",
                    "sum": f"({self.type})(t{n}[k] - ({self.type})h)"}[way]
        call = (f"  {{ u64 h = state = {n}; for (unsigned k = 0; k < {len(values)}; k++) h = (h ^ s{n}({argument}, h, k)) * 1099511628211u;\n"
                f"    printf(\"{n} %llx\\n\", h ^ state); }}\n")
        return text, call


def program(numbers):
    parts = [Switch(n).text() for n in numbers]
    return PRELUDE + "".join(t for t, _ in parts) + "int main(void) {\n" + "".join(c for _, c in parts) + "  return 0;\n}\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=10000, help="switches")
    p.add_argument("--first", type=int, default=1, help="number of the first")
    p.add_argument("--per-program", type=int, default=200)
    p.add_argument("--target", choices=["x86_64", "riscv64", "wasm32"], default="x86_64")
    p.add_argument("--level", default="O1")
    p.add_argument("--keep", help="folder for the sources of switches that fail")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    target = sweep.Target(a.target)
    sweep.needs(*target.tools())
    temp = tempfile.mkdtemp(prefix="lode-switches-")
    cache = sweep.Cache(a.cache)
    wasm = sweep.WasmRunner(a.jobs) if target.wasm else None
    extra = [target.stack_guard_stub(cache.path)] if target.wasm else []
    flags = target.clang_flags + ["-std=c2x", "-fwrapv", "-" + a.level, "-w"]

    def execute(program):
        return wasm.run(program, a.timeout) if wasm else run(target.runner + [program], a.timeout)

    def keep(number):
        if a.keep:
            os.makedirs(a.keep, exist_ok=True)
            with open(os.path.join(a.keep, f"{number}.c"), "w") as f:
                f.write(program([number]))

    left_out = []

    def one(first):
        numbers = range(first, min(first + a.per_program, a.first + a.count))
        base = os.path.join(temp, str(first))
        with open(base + ".c", "w") as f:
            f.write(program(numbers))
        def every(reason):
            return [(f"switch {n}", reason) for n in numbers]
        try:
            for command in ([CLANG, *flags, "-c", "-emit-llvm", base + ".c", "-o", base + ".bc"],
                            [CLANG, *target.clang_flags, "-" + a.level, "-w", "-c", base + ".bc", "-o", base + ".o"],
                            ["wasm-ld-19" if wasm else "ld.lld-19", *target.static_link([base + ".o", *extra], base + ".clang")]):
                r = run(command, 300)
                if not r.ok():
                    return every(f"clang: {r.reason()}")
            want = execute(base + ".clang")
            if not want.ok():  # nothing to compare with; at -O0 LLVM 19's wasm code mixes integers of two widths
                left_out.append(f"switches {numbers[0]} to {numbers[-1]}: clang's own program does not run: {want.reason()}")
                return []
            r = run([a.lode, *(["-m", "wasm32"] if wasm else []), *target.static_link([base + ".bc", *extra], base + ".lode")], 120)
            if not r.ok():
                return every(f"lode: {r.reason()}")
            got = execute(base + ".lode")
            mine, theirs = (dict(line.split(" ") for line in out.out.decode().splitlines()) for out in (got, want))
            results = []
            for n in numbers:
                value, reason = mine.get(str(n)), None
                if value is None:
                    reason = f"run: {got.reason()}"
                elif value != theirs[str(n)]:
                    reason = "wrong case"
                if reason:
                    keep(n)
                results.append((f"switch {n}", reason))
            return results
        finally:
            for suffix in (".c", ".bc", ".o", ".clang", ".lode"):
                if os.path.exists(base + suffix):
                    os.unlink(base + suffix)

    batches = sweep.parallel(one, list(range(a.first, a.first + a.count, a.per_program)), a.jobs, "switches")
    if wasm:
        wasm.close()
    os.rmdir(temp)
    for text in left_out:
        print("left out:", text)
    out = a.out or os.path.join(sweep.TOP, "build/sweeps", f"switches-{a.target}-{a.level}.txt")
    sys.exit(sweep.report(f"switches {a.target} -{a.level}", [x for b in batches for x in b], out))


if __name__ == "__main__":
    main()
