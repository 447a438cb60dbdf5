#!/usr/bin/env python3
"""AIR text with many functions, for measuring how it is read: bench/many_functions.py N > many.air

Each function has a loop, a switch or an aggregate, calls others, and uses a datum; @main calls some. The text depends on N alone.
"""
import sys

TYPES = ["i32", "i64", "i32", "i64", "i16"]


def function(k, n):
    t = TYPES[k % len(TYPES)]
    callee = (k * 7919 + 13) % n
    callee -= (callee - k) % len(TYPES)  # of the same type
    callee = callee if 0 <= callee < n else k
    lines = [f"strong func @work_{k}(%n: {t}, %p: ptr) -> {t} {{"]
    if k % 3 == 2:
        lines.append("  slot buffer 32 align 8")
    lines += ["start:", f"  %c = icmp sgt {t} %n, {k % 50 + 1}", "  cond_br %c, loop(0, 1), done(%n)", f"loop(%i: {t}, %sum: {t}):",
              f"  %square = mul nsw {t} %i, %i", f"  %next = add nsw {t} %sum, %square", f"  %step = add {t} %i, {k % 9 + 1}"]
    if k % 3 == 0:
        lines += [f"  %q = ptr_add ptr @table_{k % 100}, i64 {k % 8} * 8", f"  %v = load {t}, ptr %q align 8", f"  %mixed = xor {t} %next, %v"]
    elif k % 3 == 1:
        lines += [f"  %pair = sadd_overflow {t} %next, {k % 100}", f"  %mixed = extract {{{t}, i1}} %pair [0] to {t}"]
    else:
        lines += ["  %b = slot_addr buffer", f"  store {t} %next, ptr %b align 8", f"  %mixed = load {t}, ptr %b align 8"]
    lines += [f"  %more = icmp slt {t} %step, %n", "  cond_br %more, loop(%step, %mixed), call_it", "call_it:",
              f"  %half = sdiv {t} %n, 2", f"  %r = call {t} @work_{callee}({t} %half, ptr %p)", "  br done(%r)", f"done(%result: {t}):"]
    if k % 4 == 0:
        lines += [f"  switch {t} %result, other [0: zero_case, 1: one_case]", "zero_case:", f"  ret {t} {k % 77}", "one_case:", f"  ret {t} %n", "other:"]
    lines += [f"  ret {t} %result", "}", ""]
    return lines


def main():
    n = int(sys.argv[1])
    out = [f"internal data @table_{k} : [8 x i64] = ({', '.join(str(k * 8 + m) for m in range(8))})" for k in range(100)] + [""]
    for k in range(n):
        out += function(k, n)
    out += ["strong func @main() -> i32 {", "start:"]
    out += [f"  %x{k} = call {TYPES[k % len(TYPES)]} @work_{k}({TYPES[k % len(TYPES)]} 3, ptr null)" for k in range(min(n, 100))]
    out += ["  ret i32 0", "}", ""]
    sys.stdout.write("\n".join(out))


if __name__ == "__main__":
    main()
