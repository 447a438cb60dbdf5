#!/usr/bin/env python3
"""Random C programs, optimised: no variable may have a wrong value in the debugger.

Each program calls check(place, values of the variables in scope) again and again. gdb stops at every call, goes to the
caller's frame and reads the variables there by their names. What it finds has to be what the call was given; "optimized
out" is allowed and counted. clang's own program of the same bitcode is counted beside it.

usage: debug_values.py --lode LODE [--seeds 1-10] [--levels O1,O2] [--stops 1000]
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile

TYPES = ["int", "long", "unsigned", "short", "double", "unsigned char"]

# Run inside gdb: one line "stops found missing wrong", and a line for each wrong value.
SESSION = r"""
import gdb
stops = found = missing = wrong = 0
gdb.execute("set pagination off")
gdb.execute("set debuginfod enabled off")
gdb.execute("set backtrace past-main off")
gdb.execute("break check_done")
gdb.execute("run > /dev/null")
while stops < LIMIT:
    frame = gdb.newest_frame()
    if not frame.is_valid() or frame.name() != "check_done":
        break
    names = gdb.parse_and_eval("check_names").string().split()
    values = [int(gdb.parse_and_eval("check_values[%d]" % k)) for k in range(len(names))]
    line = int(gdb.parse_and_eval("check_place"))
    caller = frame.older()
    while caller is not None and caller.name() != "check":
        caller = caller.older()
    caller = caller.older()
    caller.select()
    stops += 1
    for name, value in zip(names, values):
        try:
            v = caller.read_var(name)
            if v.is_optimized_out:
                missing += 1
                continue
            got = int(v * 16) if v.type.strip_typedefs().code == gdb.TYPE_CODE_FLT else int(v)
        except (ValueError, gdb.error) as e:
            missing += 1
            continue
        if got == value:
            found += 1
        else:
            wrong += 1
            if wrong < 10:
                print("WRONG line %d: %s is %d, gdb says %d" % (line, name, value, got))
    gdb.execute("continue", to_string=True)
    try:
        gdb.newest_frame()
    except gdb.error:
        break
print("RESULT %d %d %d %d" % (stops, found, missing, wrong))
"""


class Program:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.names = 0

    def emit(self, depth, text):
        self.lines.append("  " * depth + text)

    def name(self):
        self.names += 1
        return "v%d" % self.names

    def term(self, scope):
        r = self.random
        ints = [n for n, t in scope if t != "double"]
        if not ints or r.random() < 0.2:
            return str(r.randrange(-20, 100))
        return r.choice(ints)

    def value(self, scope):
        r = self.random
        a, b = self.term(scope), self.term(scope)
        form = r.randrange(8)
        if form < 3:
            return "%s %s %s" % (a, r.choice(["+", "-", "^", "&", "|"]), b)
        if form == 3:
            return "opaque(%s)" % a
        if form == 4:
            return "(int)%s * %d" % (a, r.randrange(1, 9))
        if form == 5:
            return "table[%s & 15]" % a
        if form == 6:
            return "(long)%s %s %d" % (a, r.choice(["<<", ">>"]), r.randrange(1, 4))
        return "%s > %s ? %s : %s" % (a, b, self.term(scope), self.term(scope))

    def check(self, depth, scope):
        chosen = self.random.sample(scope, min(len(scope), self.random.randrange(1, 7)))
        names = " ".join(n for n, _ in chosen)
        values = ", ".join("(long)(%s * 16)" % n if t == "double" else "(long)%s" % n for n, t in chosen)
        self.emit(depth, 'check(__LINE__, "%s", %d, %s);' % (names, len(chosen), values))

    def block(self, depth, scope, budget):
        r = self.random
        scope = list(scope)
        for _ in range(r.randrange(3, 8)):
            kind = r.random()
            if kind < 0.45 or not scope:
                t, n = r.choice(TYPES), self.name()
                self.emit(depth, "%s %s = %s;" % (t, n, self.value(scope)))
                scope.append((n, t))
            elif kind < 0.6:
                n, t = r.choice(scope)
                self.emit(depth, "%s = %s;" % (n, self.value(scope)))
            elif kind < 0.85 or budget <= 0:
                self.check(depth, scope)
            elif kind < 0.93:
                n = self.name()
                self.emit(depth, "for (int %s = 0; %s < %d; %s++) {" % (n, n, r.randrange(1, 4), n))
                self.block(depth + 1, scope + [(n, "int")], budget - 1)
                self.emit(depth, "}")
                self.lines[-1] += ""
            else:
                self.emit(depth, "if (%s) {" % self.value(scope))
                self.block(depth + 1, scope, budget - 1)
                self.emit(depth, "} else {")
                self.block(depth + 1, scope, budget - 1)
                self.emit(depth, "}")
        self.check(depth, scope) if scope else None

    def source(self):
        r = self.random
        self.lines += [
            "#include <stdarg.h>", "const char *check_names; long check_values[16]; int check_place;",
            "__attribute__((noinline)) void check_done(void) { __asm__ volatile(\"\" ::: \"memory\"); }",
            "__attribute__((noinline)) void check(int place, const char *names, int n, ...) {",
            "  va_list list; va_start(list, n); check_names = names; check_place = place;",
            "  for (int k = 0; k < n; k++) check_values[k] = va_arg(list, long);", "  va_end(list); check_done();", "}",
            "__attribute__((noinline)) long opaque(long x) { __asm__ volatile(\"\" : \"+r\"(x)); return x; }",
            "int table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};"]
        functions = []
        for k in range(r.randrange(3, 7)):
            params = [(self.name(), r.choice(TYPES)) for _ in range(r.randrange(1, 9))]
            inline = r.choice(["static ", "static inline ", "__attribute__((noinline)) "])
            self.emit(0, "%slong f%d(%s) {" % (inline, k, ", ".join("%s %s" % (t, n) for n, t in params)))
            self.block(1, params, 3)
            if functions and r.random() < 0.7:
                g, count = r.choice(functions)
                n = self.name()
                args = ", ".join(self.term(params) for _ in range(count))
                self.emit(1, "long %s = f%d(%s);" % (n, g, args))
                self.check(1, params + [(n, "long")])
            self.emit(1, "return %s;" % self.value(params))
            self.emit(0, "}")
            functions.append((k, len(params)))
        self.emit(0, "int main(void) {")
        self.emit(1, "long sum = 0;")
        self.emit(1, "for (int k = 0; k < 3; k++) {")
        for k, count in functions:
            self.emit(2, "sum += f%d(%s);" % (k, ", ".join("opaque(k + %d)" % r.randrange(50) for _ in range(count))))
            self.emit(2, 'check(__LINE__, "k sum", 2, (long)k, sum);')
        self.emit(1, "}")
        self.emit(1, "return (int)(sum & 63) > 64;")
        self.emit(0, "}")
        return "\n".join(self.lines) + "\n"


def run(command, folder):
    r = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if r.returncode:
        raise RuntimeError("%s\n%s%s" % (" ".join(command), r.stdout[-2000:], r.stderr[-2000:]))
    return r.stdout


def sample(program, folder, limit):
    script = os.path.join(folder, "session.py")
    with open(script, "w") as f:
        f.write(SESSION.replace("LIMIT", str(limit)))
    r = subprocess.run(["gdb", "-nx", "-batch", "-x", script, program], cwd=folder, capture_output=True, text=True,
                       timeout=900)
    result = [line for line in r.stdout.splitlines() if line.startswith("RESULT ")]
    if not result:
        raise RuntimeError("gdb: " + r.stdout[-2000:] + r.stderr[-2000:])
    return [int(n) for n in result[0].split()[1:]], [line for line in r.stdout.splitlines() if line.startswith("WRONG")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lode", required=True)
    parser.add_argument("--seeds", default="1-10")
    parser.add_argument("--levels", default="O1,O2")
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--keep")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    sums = {"lode": [0] * 4, "clang": [0] * 4}
    bad = False
    for seed in range(int(first), int(last or first) + 1):
        for level in args.levels.split(","):
            with tempfile.TemporaryDirectory() as temporary:
                folder = args.keep or temporary
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, "p.c"), "w") as f:
                    f.write(Program(seed).source())
                run(["clang-19", "-w", "-g", "-" + level, "-flto", "-c", "p.c", "-o", "p.bc"], folder)
                run(["clang-19", "-flto", "--ld-path=" + os.path.abspath(args.lode), "p.bc", "-o", "lode"], folder)
                run(["clang-19", "-w", "-" + level, "-c", "-x", "ir", "p.bc", "-o", "p.o"], folder)
                run(["clang-19", "p.o", "-o", "clang"], folder)
                for who in ("lode", "clang"):
                    counts, wrong = sample("./" + who, folder, args.stops)
                    sums[who] = [a + b for a, b in zip(sums[who], counts)]
                    if who == "lode" and counts[3]:
                        bad = True
                        print("seed %d -%s:" % (seed, level))
                        print("\n".join(wrong))
    for who, (stops, found, missing, wrong) in sums.items():
        print("%-6s %5d stops, %6d values found, %6d missing, %4d wrong" % (who, stops, found, missing, wrong))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
