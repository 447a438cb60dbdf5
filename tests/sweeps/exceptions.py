#!/usr/bin/env python3
"""Random C++ programs that throw: what lode makes of clang's bitcode must print what clang's own build prints.

    exceptions.py --seeds 1-100 --level O0|O1|... [--lode PATH] [--kind -pie|-static|-no-pie]
                  [--target x86_64|riscv64]

Every program has many values that live across calls that may throw, nested try blocks in loops, objects with destructors,
handlers that throw again, and results of all classes. It prints a trace and a checksum; no undefined behaviour.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import sweep
from sweep import run

HEAD = r"""
#include <cstdio>
#include <cstdint>
#include <exception>
typedef uint64_t u64; typedef uint32_t u32; typedef unsigned char u8;
static u64 sum = 1;
static volatile u32 fuel = 3000;
static inline void note(u64 x) { sum = (sum ^ x) * 0x9e3779b97f4a7c15ull + (sum >> 29); }
struct A { u64 v; explicit A(u64 n) : v(n) {} virtual ~A() {} };
struct B : A { u64 w; explicit B(u64 n) : A(n + 1), w(n * 3) {} };
struct C { double d; };
struct D { u64 tag; explicit D(u64 t) : tag(t) { note(t); } ~D() { note(tag * 7 + 1); } };
struct Big { u64 a[5]; };
struct Two { u64 a; double b; };
static void burn() { if (fuel == 0) throw (long)99; fuel = fuel - 1; }
"""


class Program:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.lines = []
        self.count = 0
        self.functions = []

    def line(self, depth, text):
        self.lines.append("  " * depth + text)

    def value(self, names, depth=0):
        r = self.r
        ints, doubles = names
        k = r.randrange(10)
        if depth > 2 or k < 4:
            return r.choice(ints)
        if k == 4:
            return f"{r.randrange(1 << r.choice([4, 12, 33, 63]))}ull"
        if k == 5 and doubles:
            return f"(u64)(long)({r.choice(doubles)})"
        op = r.choice(["+", "-", "*", "^", "&", "|"])
        return f"({self.value(names, depth + 1)} {op} {self.value(names, depth + 1)})"

    def call(self, names):
        r = self.r
        if not self.functions:
            return None, None
        name, result, params = r.choice(self.functions)
        args = []
        for p in params:
            args.append({"u64": lambda: self.value(names), "u32": lambda: f"(u32){self.value(names)}", "u8": lambda: f"(u8){self.value(names)}",
                         "double": lambda: r.choice(names[1]) if names[1] else "1.5", "Two": lambda: f"Two{{{self.value(names)}, 0.5}}",
                         "Big": lambda: f"Big{{{{{self.value(names)}, {self.value(names)}, 3, 4, 5}}}}"}[p]())
        through = r.random() < 0.3
        return result, (f"{name}_p" if through else name) + "(" + ", ".join(args) + ")"

    def result_as_int(self, result, text):
        return {"u64": text, "u32": text, "u8": text, "bool": text, "double": f"(u64)(long)({text})", "float": f"(u64)(long)({text})", "long double": f"(u64)(long)({text})",
                "Two": f"({text}).a", "Big": f"({text}).a[3]", "__int128": f"(u64)(({text}) >> 40)"}[result]

    def block(self, names, depth, length, loops, handler):
        r = self.r
        ints, doubles = list(names[0]), list(names[1])
        for _ in range(length):
            names = (ints, doubles)
            k = r.randrange(18)
            target = r.choice([n for n in ints if not n.startswith("i")])
            if k < 4:
                self.line(depth, f"{target} = {self.value(names)};")
            elif k < 8:
                result, call = self.call(names)
                if call is None:
                    continue
                if result == "void":
                    self.line(depth, f"{call};")
                else:
                    self.line(depth, f"{target} {r.choice(['=', '+=', '^='])} {self.result_as_int(result, call)};")
            elif k == 8 and doubles:
                self.line(depth, f"{r.choice(doubles)} = {r.choice(doubles)} * 0.5 + (double)(u32)({self.value(names)} & 0xffff);")
            elif k == 9:
                self.count += 1
                self.line(depth, f"D d{self.count}({self.value(names)});")
            elif k == 10:
                self.count += 1
                n = f"v{self.count}"
                self.line(depth, f"u64 {n} = {self.value(names)};")
                ints.append(n)
            elif k == 11:
                what = r.choice(["B(%s)", "A(%s)", "(int)(%s)", "(long)(%s)", "C{(double)(u32)(%s)}", "(u64)(%s)"]) % self.value(names)
                if handler and r.random() < 0.5:
                    what = ""
                self.line(depth, f"if (({self.value(names)} & 7) == {r.randrange(8)}) throw {what};")
            elif k == 12 and depth < 5:
                self.line(depth, f"if (({self.value(names)} & 3) == 1) {{")
                self.block(names, depth + 1, r.randrange(1, 4), loops, handler)
                if r.random() < 0.5:
                    self.line(depth, "} else {")
                    self.block(names, depth + 1, r.randrange(1, 4), loops, handler)
                self.line(depth, "}")
            elif k == 13 and depth < 4 and loops < 2:
                self.count += 1
                i = f"i{self.count}"
                self.line(depth, f"for (u64 {i} = 0; {i} < {r.randrange(2, 6)}; {i}++) {{")
                self.line(depth + 1, "burn();")
                self.block((ints + [i], doubles), depth + 1, r.randrange(2, 5), loops + 1, handler)
                self.line(depth, "}")
            elif k in (14, 15) and depth < 5:
                self.line(depth, "try {")
                self.block(names, depth + 1, r.randrange(2, 6), loops, handler)
                kinds = r.sample(["A& e", "B& e", "int e", "long e", "const C& e", "u64 e"], r.randrange(0, 3))
                if r.random() < 0.5 or not kinds:
                    kinds.append("...")
                for kind in kinds:
                    self.line(depth, f"}} catch ({kind}) {{")
                    use = {"A& e": "e.v", "B& e": "e.w", "int e": "e", "long e": "e", "const C& e": "(u64)(long)e.d", "u64 e": "e", "...": "5"}[kind]
                    self.line(depth + 1, f"{target} += {use}; note({target});")
                    self.block(names, depth + 1, r.randrange(0, 3), loops, True)
                self.line(depth, "}")
            elif k == 16:
                self.line(depth, f"note({self.value(names)});")
            elif loops and r.random() < 0.3:
                self.line(depth, f"if (({self.value(names)} & 15) == 3) {r.choice(['break', 'continue'])};")

    def function(self, k):
        r = self.r
        result = r.choice(["u64", "u64", "u32", "u8", "bool", "double", "float", "long double", "Two", "Big", "void", "__int128"])
        params = [r.choice(["u64", "u64", "u32", "u8", "double", "Two", "Big"]) for _ in range(r.randrange(0, 9))]
        name = f"f{k}"
        inline = r.choice(["__attribute__((noinline)) ", "", "static inline "])
        self.line(0, f"{inline}{result} {name}({', '.join(f'{p} p{n}' for n, p in enumerate(params))}) {{")
        self.line(1, "burn();")
        ints, doubles = [], []
        for n, p in enumerate(params):
            if p == "double":
                doubles.append(f"p{n}")
            elif p in ("u64",):
                ints.append(f"p{n}")
            else:
                self.line(1, f"u64 q{n} = p{n}{'.a' if p == 'Two' else '.a[2]' if p == 'Big' else ''};")
                ints.append(f"q{n}")
        for n in range(r.randrange(2, 10)):
            self.line(1, f"u64 x{n} = {r.randrange(1000)} + fuel;")
            ints.append(f"x{n}")
        for n in range(r.randrange(0, 5)):
            self.line(1, f"double y{n} = {r.randrange(100)}.25;")
            doubles.append(f"y{n}")
        self.block((ints, doubles), 1, r.randrange(5, 14), 0, False)
        for n in ints:
            self.line(1, f"note({n});")
        for n in doubles:
            self.line(1, f"note((u64)(long){n});")
        v = r.choice(ints)
        if result != "void":
            self.line(1, "return " + {"Two": f"Two{{{v}, 1.5}}", "Big": f"Big{{{{{v}, 2, 3, {v}, 5}}}}", "double": f"(double)(u32){v}", "float": f"(float)(u8){v}",
                                      "long double": f"(long double)(u32){v}", "__int128": f"(__int128){v} << 20"}.get(result, f"({result}){v}") + ";")
        self.line(0, "}")
        self.line(0, f"static {result} (*volatile {name}_p)({', '.join(params)}) = {name};")
        self.functions.append((name, result, params))

    def text(self):
        for k in range(self.r.randrange(3, 8)):
            self.function(k)
        self.line(0, "int main() {")
        for name, result, params in self.functions:
            args = ", ".join({"Two": "Two{5, 2.5}", "Big": "Big{{1, 2, 3, 4, 5}}", "double": "3.5"}.get(p, str(n * 7 + 1)) for n, p in enumerate(params))
            self.line(1, f"try {{ fuel = 300; {name}({args}); std::printf(\"{name} returned\\n\"); }} catch (A& a) {{ std::printf(\"A %llu\\n\", (unsigned long long)a.v); }}")
            self.line(1, "catch (int i) { std::printf(\"int %d\\n\", i); } catch (C& c) { std::printf(\"C %g\\n\", c.d); } catch (...) { std::printf(\"other\\n\"); }")
            self.line(1, "std::printf(\"%llx\\n\", (unsigned long long)sum);")
        self.line(1, "return 0;")
        self.line(0, "}")
        return HEAD + "\n".join(self.lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", default="1-100", help="first-last")
    p.add_argument("--level", default="O1")
    p.add_argument("--kind", default="-pie")
    p.add_argument("--target", choices=["x86_64", "riscv64"], default="x86_64")
    p.add_argument("--lode", required=True)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--keep", help="folder for the files of what failed")
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    target = sweep.Target(a.target)
    sweep.needs("clang++-19", *target.runner[:1])
    first, _, last = a.seeds.partition("-")

    def one(seed):
        with tempfile.TemporaryDirectory(prefix="lode-exceptions-") as temp:
            f = lambda name: os.path.join(temp, name)
            with open(f("a.cpp"), "w") as out:
                out.write(Program(seed).text())
            flags = ["clang++-19", *target.clang_flags, "-" + a.level, "-w", "-fPIC"]
            if not run([*flags, a.kind, f("a.cpp"), "-o", f("own")], 120).ok():
                return seed, "clang fails"
            own = run([*target.runner, f("own")], 10)
            if not own.ok() and own.status != -6:
                return seed, None
            steps = [[*flags, "-emit-llvm", "-c", f("a.cpp"), "-o", f("a.o")], ["clang++-19", *target.clang_flags, "--ld-path=" + a.lode, a.kind, f("a.o"), "-o", f("prog")]]
            why = None
            for s in steps:
                r = run(s, 120)
                if not r.ok():
                    why = r.reason()
                    break
            else:
                r = run([*target.runner, f("prog")], 20)
                if r.out != own.out or r.status != own.status:
                    why = "another output"
            if why and a.keep:
                shutil.copytree(temp, os.path.join(a.keep, str(seed)), dirs_exist_ok=True)
            return seed, why

    failed = []
    with ThreadPoolExecutor(a.jobs) as pool:
        for seed, why in pool.map(one, range(int(first), int(last or first) + 1)):
            if why:
                failed.append(seed)
                print(f"seed {seed}: {why}", flush=True)
    print(f"{int(last or first) - int(first) + 1 - len(failed)} of {int(last or first) - int(first) + 1} right")
    return 1 if failed else 0


sys.exit(main())
