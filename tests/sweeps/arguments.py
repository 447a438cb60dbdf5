#!/usr/bin/env python3
"""Random call graphs: functions of two modules that pass values of all classes to each other. What lode makes of clang's bitcode must
compute what clang's own program does; each module also meets the other one in clang's own code.

    arguments.py --seeds 1-10000 [--level O0|O1|O2|O3] [--keep FOLDER]

A seed decides one graph. Its functions have up to 12 parameters, and some more behind an ellipsis: integers of all widths and bool,
float, double, long double, quad and half floats, complex numbers, pointers, functions, vectors, small and large structures and unions. Most hand on
what they were given in another order, as tail calls (some of them musttail) or with work around them; some recurse, read a va_list, hand it on, call
by pointer, have local arrays of variable size, or another calling convention (ms_abi, preserve_most, preserve_all). Seeds are compiled together in
groups; a group has one level, -O0 to -O3 in turn, and one set of options.
"""
import argparse
import os
import random
import sys
import tempfile

import sweep
from sweep import CLANG, run

GROUP = 25  # seeds that are compiled together

PRELUDE = """typedef unsigned long long u64;
typedef __int128 i128;
typedef unsigned __int128 u128;
typedef int v4i __attribute__((vector_size(16)));
typedef double v2d __attribute__((vector_size(16)));
typedef float v4f __attribute__((vector_size(16)));
typedef signed char v16c __attribute__((vector_size(16)));
typedef int v2i __attribute__((vector_size(8)));
typedef float v2f __attribute__((vector_size(8)));
typedef u64 (*callback)(u64, int);
#define MIX(h, x) (((h) ^ (u64)(x)) * 0x9e3779b97f4a7c15ull ^ ((h) << 23 | (h) >> 41))
#define BITS(T, U, v) ({ T t_ = (v); U u_; __builtin_memcpy(&u_, &t_, sizeof u_); u_; })
extern u64 sum;
u64 twice(u64, int), thrice(u64, int);
static inline u64 hash_ld(long double v) { u64 x[2] = {0, 0}; __builtin_memcpy(x, &v, 10); return x[0] ^ x[1] << 40; }
static inline u64 hash_16(const void *p) { u64 x[2]; __builtin_memcpy(x, p, 16); return x[0] ^ x[1] * 31; }
"""

MAIN = """u64 sum;
u64 twice(u64 x, int n) { return x * 2 + n; }
u64 thrice(u64 x, int n) { return x * 3 - n; }
int printf(const char *, ...);
int fflush(void *), fork(void), wait(int *);
void _exit(int);
// One graph that crashes leaves the others alone.
static void in_child(void (*run)(void)) { if (fork() == 0) { run(); fflush(0); _exit(0); } wait(0); }
"""


class Type:
    """make and hash: C expressions with {x} for a u64, {v} for a value. promoted: may stand behind an ellipsis as it is."""

    def __init__(self, name, make, hash, promoted=True, weight=1.0):
        self.name, self.make_text, self.hash_text, self.promoted, self.weight = name, make, hash, promoted, weight

    def make(self, x):
        return self.make_text.replace("{x}", x)

    def hash(self, v):
        # A value is made of the hash of another: of an `unsigned`, the shift by 32 that makes a vector of it would be undefined.
        return f"(u64)({self.hash_text.replace('{v}', v)})"


def scalar(name, promoted=True, weight=1.0):
    return Type(name, f"({name})({{x}})", "(u64)({v})", promoted, weight)


SCALARS = [
    Type("_Bool", "(_Bool)(({x}) & 1)", "(u64)({v})", False), scalar("signed char", False), scalar("unsigned char", False),
    scalar("short", False), scalar("unsigned short", False), scalar("int", weight=3), scalar("unsigned", weight=3), scalar("long", weight=3),
    scalar("u64", weight=2), Type("i128", "((i128)({x}) << 61 ^ (i128)({x}))", "((u64)({v}) ^ (u64)(({v}) >> 64) * 31)"),
    Type("u128", "((u128)({x}) << 57 | (u128)({x}))", "((u64)({v}) ^ (u64)(({v}) >> 64) * 31)"),
    Type("float", "((float)(int)({x}) / 8)", "BITS(float, unsigned, {v})", False, 2), Type("double", "((double)(({x}) >> 11) / 8)", "BITS(double, u64, {v})", weight=2),
    Type("long double", "((long double)({x}) / 8)", "hash_ld({v})"),
    Type("__float128", "((__float128)(({x}) >> 3) / 8)", "({ __float128 q_ = ({v}); hash_16(&q_); })", weight=0.4),
    Type("_Float16", "((_Float16)(int)(({x}) & 1023) / 4)", "BITS(_Float16, unsigned short, {v})", False, 0.3),
    Type("_Complex float", "__builtin_complex((float)(int)({x}) / 8, (float)(({x}) & 511))", "BITS(_Complex float, u64, {v})", weight=0.6),
    Type("_Complex double", "__builtin_complex((double)(({x}) >> 13), (double)(({x}) & 511))", "({ _Complex double c_ = ({v}); hash_16(&c_); })", weight=0.6),
    Type("_Complex long double", "__builtin_complex((long double)({x}), (long double)(({x}) & 511))",
         "({ _Complex long double c_ = ({v}); hash_ld(__real__ c_) ^ hash_ld(__imag__ c_) * 31; })", weight=0.4),
    Type("void *", "(void *)({x})", "(u64)({v})", weight=2), Type("callback", "((({x}) & 8) ? twice : thrice)", "({v})(41, 7)"),
]
VECTORS = [
    Type("v4i", "(v4i){(int)({x}), (int)(({x}) >> 9), 7, (int)(({x}) >> 32)}", "({ v4i w_ = ({v}); hash_16(&w_); })"),
    Type("v2d", "(v2d){(double)(({x}) & 65535), (double)(({x}) >> 20)}", "({ v2d w_ = ({v}); hash_16(&w_); })"),
    Type("v4f", "(v4f){(float)(({x}) & 65535), 1, 2.5f, (float)(({x}) >> 40)}", "({ v4f w_ = ({v}); hash_16(&w_); })"),
    Type("v16c", "((v16c)(v4i){(int)(({x}) >> 5), (int)({x}), 99, -3})", "({ v16c w_ = ({v}); hash_16(&w_); })"),
    Type("v2i", "(v2i){(int)({x}), (int)(({x}) >> 32)}", "BITS(v2i, u64, {v})"), Type("v2f", "(v2f){(float)(({x}) & 65535), 0.5f}", "BITS(v2f, u64, {v})"),
]


class Function:
    def __init__(self, name, result, parameters, level):
        self.name, self.result, self.parameters, self.level = name, result, parameters, level
        self.variadic = None      # types of the arguments behind the ellipsis
        self.attributes = ""
        self.module, self.static = 0, False
        self.takes_list = False   # its last parameter is a va_list with what `variadic` says
        self.body = ""

    def windows(self):
        return "ms_abi" in self.attributes

    def parameter_list(self, names=True):
        parts = [f"{t.name} a{k}" if names else t.name for k, t in enumerate(self.parameters)]
        if self.takes_list:
            parts.append("__builtin_va_list list")
        elif self.variadic is not None:
            parts.append("...")
        return ", ".join(parts) or "void"

    def declaration(self):
        result = self.result.name if self.result else "void"
        return f"{'static ' if self.static else ''}__attribute__((noinline)) {self.attributes}{result} {self.name}({self.parameter_list()})"


class Graph:
    LEVELS = 4

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.seed = seed
        self.prefix = f"g{seed}_"
        self.declarations, self.structures, self.functions = [], [], []
        for _ in range(self.r.randrange(2, 6)):
            self.structure()
        self.unique = 0
        for level in reversed(range(self.LEVELS)):
            for _ in range(self.r.randrange(2, 5)):
                self.function(level)

    # ---- types

    def structure(self):
        r = self.r
        name = f"{self.prefix}s{len(self.structures)}"
        count = r.choice([1, 1, 2, 2, 2, 3, 3, 4, 5, 8])
        union = r.random() < 0.1
        makes, hashes, fields = [], [], []
        for k in range(1 if union else count):
            t = self.type(members=True)
            if r.random() < 0.15:
                n = r.randrange(1, 5)
                fields.append(f"{t.name} f{k}[{n}];")
                for j in range(n):
                    makes.append(f"s.f{k}[{j}] = {t.make(f'(x + {7 * k + j})')};")
                    hashes.append(f"h = MIX(h, {t.hash(f's.f{k}[{j}]')});")
            else:
                fields.append(f"{t.name} f{k};")
                makes.append(f"s.f{k} = {t.make(f'(x * {2 * k + 1})')};")
                hashes.append(f"h = MIX(h, {t.hash(f's.f{k}')});")
        if union:
            fields.append(self.r.choice(["int i;", "double d;", "char c[3];", "long l[2];"]))
        kind = "union" if union else "struct"
        packed = " __attribute__((packed))" if r.random() < 0.05 else ""
        self.declarations.append(
            f"typedef {kind}{packed} {{ {' '.join(fields)} }} {name};\n"
            f"static inline {name} make_{name}(u64 x) {{ {name} s; __builtin_memset(&s, 0, sizeof s); {' '.join(makes)} return s; }}\n"
            f"static inline u64 hash_{name}({name} s) {{ u64 h = 1; {' '.join(hashes)} return h; }}\n")
        self.structures.append(Type(name, f"make_{name}({{x}})", f"hash_{name}({{v}})"))

    def type(self, members=False):
        r = self.r
        if self.structures and r.random() < (0.15 if members else 0.22):
            return r.choice(self.structures)
        if r.random() < 0.08:
            return r.choice(VECTORS)
        if r.random() < (0.3 if members else 0.4):  # what makes copies among registers interesting
            return r.choice([t for t in SCALARS if t.name in ("int", "unsigned", "long", "u64", "void *", "short", "signed char")])
        return r.choices(SCALARS, [t.weight for t in SCALARS])[0]

    def parameters(self):
        r = self.r
        few = [self.type() for _ in range(r.randrange(1, 4))]
        return self.whole_first([r.choice(few) if r.random() < 0.4 else self.type() for _ in range(r.choice([0, 1, 2, 3, 3, 4, 4, 5, 6, 6, 7, 8, 10, 12]))])

    def whole_first(self, types):
        """At most two integers of 128 bits, in front. Where such a value finds one register free, LLVM 19 and the psABI disagree whether the next
        argument may have that one."""
        wide = [t for t in types if t.name in ("i128", "u128")]
        return wide[:2] + [t for t in types if t not in wide]

    # ---- values

    def value(self, t, scope):
        """An expression of type t: most often a variable."""
        r = self.r
        known = [n for n, x in scope if x is t]
        if known and r.random() < 0.85:
            return r.choice(known)
        if scope and r.random() < 0.5:
            n, x = r.choice(scope)
            return t.make(f"(MIX(h, {x.hash(n)}))")
        return t.make(f"(h + {r.randrange(1000)})" if r.random() < 0.6 else f"{r.getrandbits(r.choice([4, 31, 32, 63]))}ull")

    def arguments(self, callee, scope):
        parts = [self.value(t, scope) for t in callee.parameters]
        if callee.variadic and not callee.takes_list:
            parts += [self.value(t, scope) for t in callee.variadic]
        return ", ".join(parts)

    def call(self, callee, scope):
        """Statements that call it, and the result's name for the scope."""
        r = self.r
        self.unique += 1
        name, lines = callee.name, []
        if r.random() < 0.2:
            pointer = f"p{self.unique}"
            result = callee.result.name if callee.result else "void"
            lines.append(f"  {result} ({callee.attributes}*volatile {pointer})({callee.parameter_list(False)}) = {name};")
            name = pointer
        expression = f"{name}({self.arguments(callee, scope)})"
        if not callee.result:
            return lines + [f"  {expression};"], None
        lines.append(f"  {callee.result.name} r{self.unique} = {expression};")
        return lines, (f"r{self.unique}", callee.result)

    def hash_all(self, scope):
        return [f"  h = MIX(h, {t.hash(n)});" for n, t in scope]

    # ---- functions

    def callable(self, f, candidates):
        return [g for g in candidates if not g.takes_list and (not g.static or g.module == f.module)]

    def read_list(self, types, list_name):
        lines, scope = [], []
        for k, t in enumerate(types):
            lines.append(f"  {t.name} v{k} = __builtin_va_arg({list_name}, {t.name});")
            scope.append((f"v{k}", t))
        return lines, scope

    def function(self, level):
        r = self.r
        f = Function(f"{self.prefix}f{len(self.functions)}", self.type() if r.random() < 0.9 else None, self.parameters(), level)
        f.module = r.randrange(2)
        below = self.callable(f, [g for g in self.functions if g.level > level])
        kind = r.choice(["pass", "pass", "pass", "mix", "mix", "mix", "must", "variadic", "recursive"] if below else ["leaf", "leaf", "leaf", "variadic", "list"])
        if kind != "list" and r.random() < 0.12:
            # Where a function that keeps rcx has a frame of 8 bytes, LLVM 19 pops them into rcx: clang's own program would be wrong.
            f.attributes = r.choice(["__attribute__((ms_abi)) "] * 2 + ["__attribute__((preserve_most)) ", "__attribute__((preserve_all)) "])
            if kind != "leaf" and not f.windows():
                f.attributes = ""
        f.static = kind not in ("list", "must") and not f.attributes and r.random() < 0.12
        getattr(self, kind)(f, below)
        if self.windows_unclear(f):
            f.attributes = ""
        f.body = f"{f.declaration()} {{\n{f.body}}}\n"
        self.functions.append(f)

    def finish(self, f, lines, scope):
        lines.append("  sum = MIX(sum, h);")
        if f.result:
            known = [n for n, t in scope if t is f.result]
            lines.append(f"  return {self.r.choice(known) if known and self.r.random() < 0.4 else f.result.make('h')};")
        f.body = "\n".join(lines) + "\n"

    def start(self, f):
        return [f"  u64 h = {self.r.getrandbits(40)};"], [(f"a{k}", t) for k, t in enumerate(f.parameters)]

    def leaf(self, f, below):
        lines, scope = self.start(f)
        lines += self.hash_all(scope)
        if self.r.random() < 0.3:  # all registers are wanted
            lines.append('  __asm__ volatile("" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm6", "xmm7", "xmm14");')
            lines += self.hash_all(scope[:3])
        self.finish(f, lines, scope)

    def list(self, f, below):
        """Takes a va_list; a variadic function above may hand it one."""
        f.takes_list, f.variadic = True, self.variadic_types()
        f.parameters = f.parameters[:5]
        lines, scope = self.start(f)
        read, more = self.read_list(f.variadic, "list")
        lines += read
        scope += more
        lines += self.hash_all(scope)
        self.finish(f, lines, scope)

    def windows_unclear(self, f):
        """LLVM 19 passes quad floats to ms_abi functions in registers of no convention, and half vectors by the address of a whole one."""
        return f.windows() and any(t.name in ("__float128", "v2i", "v2f") for t in f.parameters)

    def variadic_types(self):
        types = [self.type() for _ in range(self.r.choice([0, 1, 2, 4, 6, 9, 12]))]
        # What the default promotions change cannot be read back; clang's va_arg of half a vector register neither.
        return [t for t in types if t.promoted and t.name not in ("v2i", "v2f", "i128", "u128")]

    def variadic(self, f, below):
        r = self.r
        f.variadic = self.variadic_types()
        f.parameters = (f.parameters or [SCALARS[5]])[:r.randrange(1, 9)]
        last = f.parameters[-1]
        if not last.promoted:
            f.parameters[-1] = SCALARS[5]
        if f.attributes and not f.windows() or self.windows_unclear(f):
            f.attributes = ""
        if f.windows():  # clang 19 reads vectors there at addresses that it takes to be aligned, and passes structures in two ways
            f.variadic = [t for t in f.variadic if t.name in ("int", "unsigned", "long", "u64", "double", "void *", "callback")]
        lists = [g for g in self.functions if g.takes_list and (not g.static or g.module == f.module)]
        ms = "ms_" if f.windows() else ""
        lines, scope = self.start(f)
        lines.append(f"  __builtin_{ms}va_list list;\n  __builtin_{ms}va_start(list, a{len(f.parameters) - 1});")
        if lists and not ms and r.random() < 0.4:
            g = r.choice(lists)
            f.variadic = g.variadic
            if r.random() < 0.5:  # the list is read twice
                lines.append("  __builtin_va_list again;\n  __builtin_va_copy(again, list);")
                read, more = self.read_list(f.variadic, "again")
                lines += read + ["  __builtin_va_end(again);"] + self.hash_all(more)
            arguments = ", ".join([self.value(t, scope) for t in g.parameters] + ["list"])
            if g.result:
                lines.append(f"  {g.result.name} r = {g.name}({arguments});")
                scope.append(("r", g.result))
            else:
                lines.append(f"  {g.name}({arguments});")
        else:
            read, more = self.read_list(f.variadic, "list")
            lines += read
            scope += more
        lines.append(f"  __builtin_{ms}va_end(list);")
        lines += self.hash_all(scope)
        self.finish(f, lines, scope)

    def shuffled(self, callee):
        """A permutation of its parameter types, some left out, some added."""
        types = list(callee.parameters)
        if callee.variadic and not callee.takes_list:
            types += [t for t in callee.variadic if self.r.random() < 0.5]
        self.r.shuffle(types)
        types = types[:12]
        if types and self.r.random() < 0.3:
            types.pop()
        while len(types) < 12 and self.r.random() < 0.25:
            types.insert(self.r.randrange(len(types) + 1), self.type())
        return self.whole_first(types)

    def pass_on(self, f, g):
        f.parameters = self.shuffled(g)
        lines, scope = [], [(f"a{k}", t) for k, t in enumerate(f.parameters)]
        # Each parameter once, as far as the types allow.
        left, parts = list(scope), []
        for t in g.parameters + (g.variadic or []):
            fit = [x for x in left if x[1] is t]
            if fit:
                left.remove(fit[0])
                parts.append(fit[0][0])
            else:
                known = [n for n, x in scope if x is t]
                parts.append(self.r.choice(known) if known else t.make(f"{self.r.getrandbits(50)}ull"))
        return lines, f"{g.name}({', '.join(parts)})"

    def pass_(self, f, below):
        r = self.r
        g = r.choice(below)
        lines, call = self.pass_on(f, g)
        if g.result and r.random() < 0.75:
            f.result = g.result
        if r.random() < 0.3:
            lines.append(f"  sum += {r.randrange(100)};")
        if f.result is g.result:
            lines.append(f"  {'return ' if f.result else ''}{call};")
        elif f.result:
            lines.append(f"  {f'{g.result.name} r = ' if g.result else ''}{call};")
            lines.append(f"  return {f.result.make(g.result.hash('r') if g.result else 'sum')};")
        else:
            lines.append(f"  {call};")
        f.body = "\n".join(lines) + "\n"

    def must(self, f, below):
        """A musttail call wants a callee of the same type; its arguments are permuted among those of one type."""
        r = self.r
        # Not what is passed byval: there LLVM 19 writes over the return address.
        fit = [g for g in below if g.variadic is None and not g.attributes and not g.static and
               not any(t in self.structures or t.name in ("_Complex double", "_Complex long double") for t in g.parameters)]
        if not fit:
            return self.pass_(f, below)
        g = r.choice(fit)
        f.attributes, f.result, f.parameters = "", g.result, list(g.parameters)
        scope = [(f"a{k}", t) for k, t in enumerate(f.parameters)]
        parts = [r.choice([n for n, x in scope if x is t]) for t in f.parameters]
        f.body = f"  sum += {r.randrange(100)};\n  __attribute__((musttail)) return {g.name}({', '.join(parts)});\n"

    def recursive(self, f, below):
        r = self.r
        f.parameters = [SCALARS[5]] + f.parameters[:11]
        lines, scope = self.start(f)
        rest = scope[1:]
        parts = [r.choice([n for n, x in rest if x is t]) for _, t in rest]
        lines += self.hash_all(rest[:len(rest) // 2])
        lines.append("  sum = MIX(sum, h);")
        again = f"{f.name}({', '.join(['a0 - 1'] + parts)})"
        # The depth that a caller gives is anything.
        lines.insert(0, "  a0 &= 3;")
        if r.random() < 0.5 or not f.result:
            lines.append(f"  if (a0) {{ {'return ' if f.result else ''}{again}; {'' if f.result else 'return; '}}}")
        else:
            lines.append(f"  if (a0) {{ {f.result.name} r = {again}; h = MIX(h, {f.result.hash('r')}); }}")
        lines += self.hash_all(rest[len(rest) // 2:])
        call, result = self.call(r.choice(below), scope)
        lines += call
        if result:
            lines.append(f"  h = MIX(h, {result[1].hash(result[0])});")
        self.finish(f, lines, scope)

    def mix(self, f, below):
        r = self.r
        lines, scope = self.start(f)
        r.shuffle(scope)
        early = r.randrange(len(scope) + 1)
        lines += self.hash_all(scope[:early])
        local = r.random()
        if local < 0.12:
            lines.append("  volatile char room[(h & 31) + 1]; room[0] = (char)h;")
        if 0.06 < local < 0.2:
            lines.append("  _Alignas(64) volatile long wide[3]; wide[0] = h; wide[2] = (long)&wide & 63;")
        for _ in range(r.randrange(1, 4)):
            call, result = self.call(r.choice(below), scope)
            if r.random() < 0.2 and not result:
                call = ["  if (h & 4) {"] + call + ["  }"]
            lines += call
            if result:
                lines.append(f"  h = MIX(h, {result[1].hash(result[0])});")
                scope.append(result)
        if local < 0.12:
            lines.append("  h += room[0];")
        if 0.06 < local < 0.2:
            lines.append("  h += wide[0] + wide[2];")
        lines += self.hash_all(scope[early:])
        self.finish(f, lines, scope)

    # ---- text

    def header(self):
        return "".join(self.declarations) + "".join(f.declaration() + ";\n" for f in self.functions if not f.static)

    def bodies(self, module):
        mine = [f for f in self.functions if f.module == module]
        return "".join(f.declaration() + ";\n" for f in mine if f.static) + "".join(f.body for f in mine)

    def run(self):
        lines = [f"static __attribute__((noinline)) void {self.prefix}run(void) {{", f"  u64 h = sum = {self.seed};"]
        for f in self.functions:
            if f.takes_list or (f.static and f.module != 0):
                continue
            call = f"{f.name}({self.arguments(f, [])})"
            lines.append(f"  {{ {f.result.name} r = {call}; h = MIX(h, {f.result.hash('r')}); }}" if f.result else f"  {call};")
        lines.append(f'  printf("{self.seed} %llx\\n", MIX(sum, h));\n}}\n')
        return "\n".join(lines)


setattr(Graph, "pass", Graph.pass_)


def sources(seeds):
    graphs = [Graph(s) for s in seeds]
    header = PRELUDE + "".join(g.header() for g in graphs)
    first = header + MAIN + "".join(g.bodies(0) + g.run() for g in graphs) + "int main(void) {\n" + "".join(f"  in_child({g.prefix}run);\n" for g in graphs) + "}\n"
    return first, header + "".join(g.bodies(1) for g in graphs)


WAYS = [("both", ".bc", ".bc"), ("first", ".bc", ".o"), ("second", ".o", ".bc")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", default="1-10000", help="first-last")
    p.add_argument("--level", help="of all groups; else -O0 to -O3 in turn")
    p.add_argument("--keep", help="folder for the sources of seeds that fail")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    first, _, last = a.seeds.partition("-")
    first, last = int(first), int(last or first)
    target = sweep.Target("x86_64")
    sweep.needs(*target.tools())
    temp = tempfile.mkdtemp(prefix="lode-arguments-")

    def one(group):
        seeds = range(max(first, group * GROUP), min(last, group * GROUP + GROUP - 1) + 1)
        level = a.level or f"O{group % 4}"
        options = [[], [], ["-fPIC"], ["-mno-red-zone"], ["-fno-omit-frame-pointer"]][group % 5]
        flags = ["-std=gnu2x", "-w", "-fwrapv", "-fno-strict-aliasing", "-" + level, *options]
        folder = os.path.join(temp, str(group))
        os.makedirs(folder)
        base = [os.path.join(folder, n) for n in "ab"]
        for name, text in zip(base, sources(seeds)):
            with open(name + ".c", "w") as f:
                f.write(text)

        def every(reason):
            return [(f"seed {s} -{level}", reason) for s in seeds]
        try:
            for name in base:
                for command in ([CLANG, *flags, "-c", "-emit-llvm", name + ".c", "-o", name + ".bc"],
                                [CLANG, "-w", "-" + level, *options, "-c", name + ".bc", "-o", name + ".o"]):
                    r = run(command, 300)
                    if not r.ok():
                        return every(f"clang: {r.reason()}")
            r = run(["ld.lld-19", *target.static_link([n + ".o" for n in base], base[0] + ".clang")], 60)
            if not r.ok():
                return every(f"lld: {r.reason()}")
            want = run([base[0] + ".clang"], a.timeout)
            if not want.ok():
                return every(f"clang's program: {want.reason()}")
            theirs = dict(line.split(" ") for line in want.out.decode().splitlines())
            # Without an answer by clang's program there is nothing to compare with.
            reasons = {s: None if str(s) in theirs else "clang's program crashes" for s in seeds}
            for way, one_suffix, two_suffix in WAYS:
                r = run([a.lode, *target.static_link([base[0] + one_suffix, base[1] + two_suffix], base[0] + ".lode")], 120)
                got = run([base[0] + ".lode"], a.timeout) if r.ok() else None
                lines = [line.split(" ") for line in got.out.decode().splitlines()] if got else []
                mine = {x[0]: x[1] for x in lines if len(x) == 2}
                for s in seeds:
                    if reasons[s] or mine.get(str(s)) == theirs[str(s)]:
                        continue
                    reasons[s] = (f"{way}: lode: {r.reason()}" if not got else f"{way} by lode: crash" if str(s) not in mine else
                                  f"{way} by lode: wrong result")
            if a.keep:
                os.makedirs(a.keep, exist_ok=True)
                for s in seeds:
                    for suffix, text in zip("ab", sources([s]) if reasons[s] else ()):
                        with open(os.path.join(a.keep, f"{s}{suffix}.c"), "w") as f:
                            f.write(text)
            return [(f"seed {s} -{level}", reasons[s]) for s in seeds]
        finally:
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)

    groups = sweep.parallel(one, list(range(first // GROUP, last // GROUP + 1)), a.jobs, "arguments")
    os.rmdir(temp)
    out = a.out or os.path.join(sweep.TOP, "build/sweeps", "arguments.txt")
    sys.exit(sweep.report("arguments", [x for g in groups for x in g], out))


if __name__ == "__main__":
    main()
