#!/usr/bin/env python3
"""Random programs of vector operations: what lode makes of clang's bitcode must print what clang's own build prints.

    vectors.py --seeds 1-100 --level O0|O1|O2|... [--target x86_64|riscv64|wasm32] [--wide] [--march x86-64-v3]

Each program has functions over vectors of 4, 8, 16 and, asked for, of 32 and 64 bytes (GNU C vector extensions and clang's builtins): arithmetic,
shifts, comparisons, selections, shuffles of random lanes, single lanes by constant and by variable, conversions, reductions, loads
and stores, arguments and results, with values around the edges of the types.
"""
import argparse
import os
import random
import sys
import tempfile

import sweep
from sweep import CLANG, run

INTS = {8: "char", 16: "short", 32: "int", 64: "long long"}

PRELUDE = """#include <stdio.h>
#include <string.h>
typedef unsigned long long u64;
static u64 state = %d, hash = 14695981039346656037u;
static u64 rnd(void) {
  static const u64 edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull, 0x8000000000000000u, 0x7f80ff7f8000ff01u};
  state = state * 6364136223846793005u + 1442695040888963407u;
  u64 x = state >> 7 ^ state << 21;
  return (state >> 60) < 5 ? edges[(state >> 40) %% 14] : x;
}
static void mix(const void *p, unsigned n) { const unsigned char *b = (const unsigned char *)p; for (unsigned i = 0; i < n; i++) hash = (hash ^ b[i]) * 1099511628211u; }
static void mixd(double d) { if (d != d) d = 0.5; mix(&d, sizeof d); }
"""


class Type:
    def __init__(self, kind, bits, lanes):
        self.kind, self.bits, self.lanes = kind, bits, lanes  # kind: s, u, f
        self.name = f"{kind}{bits}x{lanes}"
        self.element = {32: "float", 64: "double"}[bits] if kind == "f" else ("signed " if kind == "s" else "unsigned ") + INTS[bits]

    def declare(self):
        return f"typedef {self.element} {self.name} __attribute__((vector_size({self.bits * self.lanes // 8})));"


class Program:
    def __init__(self, seed, wide):
        self.r = random.Random(seed)
        self.types = []
        self.wide = wide
        for size in [16, 16, 8, 4] + ([32, 64] if wide else []):
            for kind, bits in [("s", 8), ("u", 8), ("s", 16), ("u", 16), ("s", 32), ("u", 32), ("s", 64), ("u", 64), ("f", 32), ("f", 64)]:
                if size * 8 // bits >= 2:
                    t = Type(kind, bits, size * 8 // bits)
                    if t.name not in [x.name for x in self.types]:
                        self.types.append(t)
        self.seed = seed

    def type(self, **want):
        options = [t for t in self.types if all(getattr(t, k) == v for k, v in want.items())]
        # Sixteen bytes are what most is about.
        full = [t for t in options if t.bits * t.lanes == (256 if self.wide and self.r.random() < 0.5 else 128)]
        return self.r.choice(full if full and self.r.random() < 0.65 else options)

    def constant(self, t):
        if t.kind == "f":
            one = lambda: f"{self.r.choice([0.5, -1.0, 3.25, 1e3, -0.0, 7.0])}" + ("f" if t.bits == 32 else "")
        else:
            one = lambda: f"({t.element}){self.r.choice([0, 1, -1, 2, 3, 100, 127, 128, 255, 1 << (t.bits - 1), self.r.getrandbits(t.bits)])}u" + ("ll" if t.bits == 64 else "")
        lanes = [one()] * t.lanes if self.r.random() < 0.5 else [one() for _ in range(t.lanes)]
        return f"({t.name}){{{', '.join(lanes)}}}"

    def operand(self, t, depth):
        if depth > 0 and self.r.random() < 0.75:
            return self.expression(t, depth - 1)
        if self.r.random() < 0.2:
            return self.constant(t)
        known = [n for n, x in self.scope if x is t]
        if known:
            return self.r.choice(known)
        self.loads += 1
        return f"*({t.name} *)(m + {self.r.randrange(7) * 64})"

    def mask_type(self, t):
        return next(x for x in self.types if x.kind == "s" and x.bits == t.bits and x.lanes == t.lanes)

    def condition(self, t, depth):
        """A vector of masks for t's lanes."""
        s = self.mask_type(t)
        same = [x for x in self.types if x.bits == t.bits and x.lanes == t.lanes]
        c = self.r.choice(same)
        e = f"({self.operand(c, depth)} {self.r.choice(['<', '>', '<=', '>=', '==', '!='])} {self.operand(c, depth)})"
        if self.r.random() < 0.3:
            e = f"({s.name})({e} {self.r.choice(['&', '|', '^'])} ({self.operand(c, depth)} < {self.operand(c, depth)}))"
        if self.r.random() < 0.2:
            e = f"~{e}"
        return e

    def expression(self, t, depth):
        r, x = self.r, lambda: self.operand(t, depth)
        integer = t.kind != "f"
        ways = ["binary"] * 5 + ["select", "shuffle", "shuffle", "convert", "bitcast", "insert", "insert_at"]
        ways += ["shift", "shift", "compare", "minmax", "abs", "saturate", "neg"] if integer else ["neg", "abs", "sqrt", "copysign"]
        way = r.choice(ways)
        if way == "binary":
            op = r.choice(["+", "-", "*", "&", "|", "^"] if integer else ["+", "-", "*", "/"])
            return f"({x()} {op} {x()})"
        if way == "shift":
            if r.random() < 0.6:
                count = f"{r.randrange(t.bits)}"
            elif r.random() < 0.5:
                count = f"({t.name}){{{', '.join(str(r.randrange(t.bits)) for _ in range(t.lanes))}}}"
            else:
                count = f"({x()} & {t.bits - 1})"
            return f"({x()} {r.choice(['<<', '>>'])} {count})"
        if way == "compare":
            return f"({t.name}){self.condition(t, depth)}"
        if way == "select":
            return f"({self.condition(t, depth)} ? {x()} : {x()})"
        if way == "minmax":
            return f"__builtin_elementwise_{r.choice(['min', 'max'])}({x()}, {x()})"
        if way == "abs":
            if integer and t.kind == "u":
                return f"({t.name})__builtin_elementwise_abs(({self.mask_type(t).name}){x()})"
            return f"__builtin_elementwise_abs({x()})"
        if way == "saturate":
            return f"__builtin_elementwise_{r.choice(['add', 'sub'])}_sat({x()}, {x()})"
        if way == "neg":
            return f"(-{x()})" if r.random() < 0.7 or not integer else f"(~{x()})"
        if way == "sqrt":
            return f"__builtin_elementwise_sqrt({x()})"
        if way == "copysign":
            return f"__builtin_elementwise_copysign({x()}, {x()})"
        if way == "shuffle":
            s = r.choice([y for y in self.types if y.kind == t.kind and y.bits == t.bits])
            n = s.lanes
            kind = r.randrange(7)
            if kind == 0:
                lanes = [r.randrange(2 * n)] * t.lanes
            elif kind == 1:
                lanes = [(k + r.randrange(1, 2)) % (2 * n) for k in range(t.lanes)]
            elif kind == 2:
                lanes = [(k // 2 + (n if k % 2 else 0)) % (2 * n) for k in range(t.lanes)]
            elif kind == 3:
                lanes = [r.choice([k % n, k % n + n]) for k in range(t.lanes)]
            elif kind == 4:
                lanes = [r.randrange(n) for k in range(t.lanes)]
            elif kind == 5:
                base = [r.randrange(n // 2) * 2 for _ in range((t.lanes + 1) // 2)]
                lanes = [base[k // 2] + k % 2 for k in range(t.lanes)]
            else:
                lanes = [r.randrange(2 * n) for k in range(t.lanes)]
            return f"__builtin_shufflevector({self.operand(s, depth)}, {self.operand(s, depth)}, {', '.join(map(str, lanes))})"
        if way == "convert":
            options = [y for y in self.types if y.lanes == t.lanes and y is not t]
            s = r.choice(options) if options else t
            e = self.operand(s, depth)
            if s.kind == "f" and integer:  # within the range
                i = next(y for y in self.types if y.kind == "s" and y.bits == s.bits and y.lanes == s.lanes)
                e = f"__builtin_convertvector(({i.name}){e} & 63, {s.name})"
            return f"__builtin_convertvector({e}, {t.name})"
        if way == "bitcast":
            s = r.choice([y for y in self.types if y.lanes * y.bits == t.lanes * t.bits])
            return f"(({t.name}){self.operand(s, depth)})" if integer or s.kind == "f" and s.bits == t.bits else x()
        lane = str(r.randrange(t.lanes)) if way == "insert" else f"(i & {t.lanes - 1})"
        s = self.type(kind=t.kind, bits=t.bits)
        other = str(r.randrange(s.lanes)) if r.random() < 0.6 else f"(i & {s.lanes - 1})"
        return f"({{ {t.name} v_ = {x()}; v_[{lane}] = ({self.operand(s, depth)})[{other}]; v_; }})"

    def function(self, index):
        r = self.r
        out, args = self.type(), [self.type() for _ in range(r.randrange(1, 5))]
        self.scope = [(f"a{k}", t) for k, t in enumerate(args)]
        self.loads = 0
        body = []
        for k in range(r.randrange(1, 5)):
            t = self.type()
            body.append(f"  {t.name} v{k} = {self.operand(t, 2)};")
            self.scope.append((f"v{k}", t))
        loop = r.random() < 0.5
        if loop:
            n, t = r.choice(self.scope)
            body.append(f"  for (int j = 0; j < n; j++) {{ i += j; {n} = {self.operand(t, 2)}; }}")
        if r.random() < 0.4:
            t = self.type()
            e = self.operand(t, 1)
            if t.kind == "f":
                body.append(f"  {{ {t.name} t_ = {e}; for (int j = 0; j < {t.lanes}; j++) mixd(t_[j]); }}")
            else:
                op = r.choice(["add", "mul", "and", "or", "xor", "min", "max"])
                body.append(f"  {{ {t.element} t_ = __builtin_reduce_{op}({e}); mix(&t_, sizeof t_); }}")
        if r.random() < 0.3:
            t = self.type()
            c = self.condition(t, 1)
            body.append(f"  if (__builtin_reduce_or({c})) i++;")
        body.append(f"  return {self.operand(out, 3)};")
        parameters = ", ".join(f"{t.name} a{k}" for k, t in enumerate(args))
        text = f"__attribute__((noinline)) static {out.name} f{index}(unsigned char *m, unsigned i, int n, {parameters}) {{\n" + "\n".join(body) + "\n}\n"
        call = [f"    {{ {t.name} x{k} = FILL_{t.kind}({t.name}, {t.element});" for k, t in enumerate(args)]
        use = f"mixd((double)z[k]);" if out.kind == "f" else "{ __typeof__(z[0]) e = z[k]; mix(&e, sizeof e); }"
        call.append(f"      {out.name} z = f{index}(memory, (unsigned)rnd(), r, {', '.join(f'x{k}' for k in range(len(args)))});")
        call.append(f"      for (int k = 0; k < {out.lanes}; k++) {use} " + "}" * len(args))
        return text, "\n".join(call)

    def text(self):
        parts = [PRELUDE % (self.seed * 7919 + 1)] + [t.declare() for t in self.types]
        parts.append("#define FILL_s(T, E) ({ T x_; for (unsigned k_ = 0; k_ < sizeof(T) / sizeof(E); k_++) x_[k_] = (E)rnd(); x_; })")
        parts.append("#define FILL_u FILL_s")
        parts.append("#define FILL_f(T, E) ({ T x_; for (unsigned k_ = 0; k_ < sizeof(T) / sizeof(E); k_++) x_[k_] = (E)((int)rnd() % 1000) / 8; x_; })")
        calls = []
        for k in range(12):
            f, c = self.function(k)
            parts.append(f)
            calls.append(c)
        parts.append("static unsigned char memory[512] __attribute__((aligned(64)));")
        parts.append("int main(void) {\n  for (int r = 0; r < 6; r++) {\n    for (int k = 0; k < 128; k++) { float f = (int)rnd() % 500; unsigned u = (unsigned)rnd(); memcpy(memory + 4 * k, k % 2 ? (void *)&f : (void *)&u, 4); }\n" +
                     "\n".join(calls) + '\n    printf("%llx\\n", hash);\n  }\n  return 0;\n}\n')
        return "\n".join(parts)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", default="1-100", help="first-last")
    p.add_argument("--target", choices=["x86_64", "riscv64", "wasm32"], default="x86_64")
    p.add_argument("--level", default="O1")
    p.add_argument("--wide", action="store_true", help="vectors of 32 and 64 bytes too")
    p.add_argument("--march", help="clang's -march: what the functions may use")
    p.add_argument("--keep", help="folder for the sources of programs that fail")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    first, _, last = a.seeds.partition("-")
    target = sweep.Target(a.target)
    sweep.needs(*target.tools())
    temp = tempfile.mkdtemp(prefix="lode-vectors-")
    cache = sweep.Cache(a.cache)
    wasm = sweep.WasmRunner(a.jobs) if target.wasm else None
    extra = [target.stack_guard_stub(cache.path)] if target.wasm else []
    flags = target.clang_flags + ["-x", "c++", "-fno-exceptions", "-" + a.level, "-w", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv"]
    if a.march:
        flags.append("-march=" + a.march)

    def execute(program):
        return wasm.run(program, 20) if wasm else run(target.runner + [program], 20)

    def one(seed):
        base = os.path.join(temp, str(seed))
        with open(base + ".c", "w") as f:
            f.write(Program(seed, a.wide).text())
        for command in ([CLANG, *flags, "-c", base + ".c", "-o", base + ".o"], [CLANG, *flags, "-c", "-emit-llvm", base + ".c", "-o", base + ".bc.o"],
                        ["wasm-ld-19" if wasm else "ld.lld-19", *target.static_link([base + ".o", *extra], base + ".clang")]):
            r = run(command, 60)
            if not r.ok():
                return f"seed {seed}", f"clang: {r.reason()}"
        want = execute(base + ".clang")
        if not want.ok():
            return f"seed {seed}", f"clang's program: {want.reason()}"
        r = run([a.lode, *(["-m", "wasm32"] if wasm else []), *target.static_link([base + ".bc.o", *extra], base + ".lode")], 60)
        result = None
        if not r.ok():
            result = f"lode: {r.reason()}"
        else:
            got = execute(base + ".lode")
            if not got.ok():
                result = f"run: {got.reason()}"
            elif got.out != want.out:
                result = "wrong output"
        if result and a.keep:
            os.makedirs(a.keep, exist_ok=True)
            with open(os.path.join(a.keep, f"{seed}.c"), "w") as f:
                f.write(Program(seed, a.wide).text())
        for suffix in (".c", ".o", ".bc.o", ".clang", ".lode"):
            if os.path.exists(base + suffix):
                os.unlink(base + suffix)
        return f"seed {seed}", result

    results = sweep.parallel(one, list(range(int(first), int(last or first) + 1)), a.jobs, "vectors")
    if wasm:
        wasm.close()
    out = a.out or os.path.join(sweep.TOP, "build/sweeps", f"vectors-{a.target}-{a.level}{'-' + a.march if a.march else ''}.txt")
    sys.exit(sweep.report(f"vectors {a.target} -{a.level}", results, out))


if __name__ == "__main__":
    main()
