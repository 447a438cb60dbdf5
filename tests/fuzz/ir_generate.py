"""Functions of LLVM IR at random, valid by construction: every type and width, instructions that front ends seldom write.

A function is built from a pool of values by type. Each step picks an instruction, takes operands of the type that it wants from the
pool (or constants at boundaries), and puts its result back; control flow is a chain of blocks with diamonds, loops and switches
between them. Only what a verifier accepts comes out but for a few slips, which llvm-as sorts out. Nothing is meant to be run: what
is asked of a compiler is that it compiles the function or says why not.
"""
import random

HEADS = {
    "x86_64": 'target triple = "x86_64-pc-linux-gnu"\n'
              'target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"\n',
    "wasm32": 'target triple = "wasm32-unknown-unknown"\n'
              'target datalayout = "e-m:e-p:32:32-p10:8:8-p20:8:8-i64:64-n32:64-S128-ni:1:10:20"\n',
}
WIDTHS = [1, 1, 2, 3, 7, 8, 8, 9, 15, 16, 16, 17, 24, 31, 32, 32, 32, 33, 48, 63, 64, 64, 64, 65, 80, 96, 127, 128, 128, 129, 192, 200, 256]
FLOATS = ["half", "bfloat", "float", "float", "double", "double", "x86_fp80", "fp128"]
LANES = [1, 2, 2, 3, 4, 4, 5, 7, 8, 8, 16, 16, 17, 32]
BINARY = ["add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "sdiv", "urem", "srem"]
FLAGS = {"add": ["", "nuw", "nsw", "nuw nsw"], "sub": ["", "nuw", "nsw"], "mul": ["", "nsw"], "shl": ["", "nuw", "nsw"],
         "lshr": ["", "exact"], "ashr": ["", "exact"], "udiv": ["", "exact"], "sdiv": ["", "exact"], "or": ["", "disjoint"]}
PREDICATES = ["eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"]
FLOAT_PREDICATES = ["false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord", "ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"]
ORDERINGS = ["monotonic", "acquire", "release", "acq_rel", "seq_cst"]
RMW = ["xchg", "add", "sub", "and", "nand", "or", "xor", "max", "min", "umax", "umin", "uinc_wrap", "udec_wrap"]
CONVENTIONS = ["", "", "", "", "fastcc", "coldcc", "tailcc", "swiftcc", "preserve_mostcc", "preserve_allcc", "x86_64_sysvcc", "win64cc", "cc 10"]
PARAMETER_ATTRIBUTES = ["", "", "", "noundef", "signext", "zeroext", "inreg", "returned", "nest", "nocapture", "align 16", "byref(i64)", "swiftself"]
FUNCTION_ATTRIBUTES = ["noinline", "nounwind", "optnone noinline", "minsize optsize", "cold", "noreturn", "naked", "noredzone", "sspstrong", "uwtable",
                       "alignstack(32)", "nocf_check", "returns_twice", "strictfp", '"frame-pointer"="all"', '"target-features"="+avx2"', '"no-jump-tables"="true"',
                       '"probe-stack"="inline-asm"', '"stack-probe-size"="4096"', '"patchable-function-entry"="3"', '"zero-call-used-regs"="used-gpr"', "shadowcallstack"]
UNARY_INTRINSICS = ["ctpop", "bitreverse", "bswap"]
BINARY_INTRINSICS = ["umax", "umin", "smax", "smin", "uadd.sat", "sadd.sat", "usub.sat", "ssub.sat", "ushl.sat", "sshl.sat"]
OVERFLOW_INTRINSICS = ["sadd", "uadd", "ssub", "usub", "smul", "umul"]
FLOAT_UNARY = ["fabs", "sqrt", "floor", "ceil", "trunc", "rint", "nearbyint", "round", "roundeven", "sin", "cos", "exp", "log", "exp2", "canonicalize"]
FLOAT_BINARY = ["minnum", "maxnum", "minimum", "maximum", "copysign", "pow"]
REDUCTIONS = ["add", "mul", "and", "or", "xor", "smax", "smin", "umax", "umin"]


class Type:
    """kind: int, float, ptr, vector (element, lanes), struct (fields), array (element, lanes)."""

    def __init__(self, kind, text, element=None, lanes=0, fields=(), width=0):
        self.kind, self.text, self.element, self.lanes, self.fields, self.width = kind, text, element, lanes, fields, width

    def __eq__(self, other):
        return self.text == other.text

    def __hash__(self):
        return hash(self.text)

    def scalar(self):
        return self.element if self.kind == "vector" else self

    def mangled(self):
        if self.kind == "vector":
            return f"v{self.lanes}{self.element.mangled()}"
        return {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64", "x86_fp80": "f80", "fp128": "f128", "ptr": "p0"}.get(self.text, self.text)


def integer(width):
    return Type("int", f"i{width}", width=width)


def vector(element, lanes):
    return Type("vector", f"<{lanes} x {element.text}>", element, lanes)


def struct(fields, packed=False):
    inner = ", ".join(f.text for f in fields)
    return Type("struct", f"<{{ {inner} }}>" if packed else f"{{ {inner} }}", fields=tuple(fields))


PTR = Type("ptr", "ptr")
I1, I8, I32, I64 = integer(1), integer(8), integer(32), integer(64)


class Generator:
    def __init__(self, seed, target):
        self.r = random.Random(seed)
        self.target = target
        self.declarations = {}
        self.functions = []
        self.favourites = [self.any_type(0) for _ in range(self.r.randint(2, 5))]

    # -- types and values
    def scalar_type(self):
        k = self.r.random()
        if k < 0.7:
            return integer(self.r.choice(WIDTHS))
        if k < 0.92:
            floats = FLOATS if self.target == "x86_64" else [f for f in FLOATS if f != "x86_fp80"]
            return Type("float", self.r.choice(floats))
        return PTR

    def any_type(self, depth=0):
        k = self.r.random()
        if k < 0.6 or depth > 1:
            return self.scalar_type()
        if k < 0.85:
            return vector(self.scalar_type(), self.r.choice(LANES))
        if k < 0.95:
            return struct([self.any_type(depth + 1) for _ in range(self.r.randint(1, 4))], self.r.random() < 0.2)
        element = self.any_type(depth + 1)
        n = self.r.randint(1, 4)
        return Type("array", f"[{n} x {element.text}]", element, n)

    def some_type(self):
        return self.r.choice(self.favourites) if self.r.random() < 0.6 else self.any_type()

    def first_class(self, wanted):
        for _ in range(20):
            t = self.some_type()
            if t.kind == wanted or (t.kind == "vector" and t.element.kind == wanted):
                return t
        return integer(self.r.choice(WIDTHS)) if wanted == "int" else Type("float", "double") if wanted == "float" else PTR

    def constant(self, t):
        r = self.r
        if r.random() < 0.04:
            return r.choice(["poison", "undef"])
        if t.kind == "int":
            if t.width == 1:
                return r.choice(["true", "false"])
            edge = r.choice([0, 1, 2, 3, -1, -2, 1 << (t.width - 1), (1 << (t.width - 1)) - 1, (1 << t.width) - 1, 1 << (t.width // 2), r.getrandbits(t.width), t.width, t.width - 1, t.width + 1])
            edge &= (1 << t.width) - 1
            return str(edge - (1 << t.width) if edge >> (t.width - 1) else edge)
        if t.kind == "float":
            if t.text in ("float", "double"):
                return r.choice(["0.0", "-0.0", "1.0", "0.5", "-2.0", "0x7FF0000000000000", "0xFFF0000000000000", "0x7FF8000000000000", "1.0e10"])
            return {"half": r.choice(["0xH3C00", "0xH7C00", "0xH8000", "0xH0001"]), "bfloat": r.choice(["0xR3F80", "0xR7F80", "0xR0001"]),
                    "x86_fp80": r.choice(["0xK3FFF8000000000000000", "0xK7FFF8000000000000000"]),
                    "fp128": r.choice(["0xL00000000000000003FFF000000000000", "0xL00000000000000000000000000000000"])}[t.text]
        if t.kind == "ptr":
            return r.choice(["null", "@data", "@data", "@bytes", "getelementptr (i8, ptr @bytes, i64 %d)" % r.choice([0, 1, 7, 64, -1, 1 << 31])])
        if t.kind == "vector":
            if r.random() < 0.3:
                return "zeroinitializer"
            return "<" + ", ".join(f"{t.element.text} {self.constant(t.element)}" for _ in range(t.lanes)) + ">"
        return "zeroinitializer"

    def value(self, t):
        pool = self.pool.get(t)
        if pool and self.r.random() < 0.8:
            return self.r.choice(pool[-6:] if self.r.random() < 0.7 else pool)
        return self.constant(t)

    def emit(self, t, text):
        name = f"%v{self.next}"
        self.next += 1
        self.lines.append(f"  {name} = {text}")
        if t is not None:
            self.pool.setdefault(t, []).append(name)
        return name

    def declare(self, name, result, parameters):
        self.declarations[name] = f"declare {result} @{name}({', '.join(parameters)})"

    def intrinsic(self, name, result, arguments):
        self.declare(name, result.text, [t.text for t, _ in arguments])
        return self.emit(result, f"call {result.text} @{name}({', '.join(f'{t.text} {v}' for t, v in arguments)})")

    def with_scalar(self, t, scalar):
        return vector(scalar, t.lanes) if t.kind == "vector" else scalar

    # -- one instruction of each kind
    def binary(self):
        t = self.first_class("int")
        op = self.r.choice(BINARY)
        flags = self.r.choice(FLAGS.get(op, [""]))
        self.emit(t, f"{op} {flags} {t.text} {self.value(t)}, {self.value(t)}")

    def float_binary(self):
        t = self.first_class("float")
        op = self.r.choice(["fadd", "fsub", "fmul", "fdiv", "frem"])
        fast = self.r.choice(["", "", "fast", "nnan ninf", "contract"])
        if self.r.random() < 0.2:
            self.emit(t, f"fneg {t.text} {self.value(t)}")
        else:
            self.emit(t, f"{op} {fast} {t.text} {self.value(t)}, {self.value(t)}")

    def compare(self):
        if self.r.random() < 0.6:
            t = self.first_class(self.r.choice(["int", "int", "ptr"]))
            self.emit(self.with_scalar(t, I1), f"icmp {self.r.choice(PREDICATES)} {t.text} {self.value(t)}, {self.value(t)}")
        else:
            t = self.first_class("float")
            self.emit(self.with_scalar(t, I1), f"fcmp {self.r.choice(FLOAT_PREDICATES)} {t.text} {self.value(t)}, {self.value(t)}")

    def select(self):
        t = self.some_type()
        c = vector(I1, t.lanes) if t.kind == "vector" and self.r.random() < 0.6 else I1
        self.emit(t, f"select {c.text} {self.value(c)}, {t.text} {self.value(t)}, {t.text} {self.value(t)}")

    def cast(self):
        a = self.first_class(self.r.choice(["int", "int", "float", "ptr"]))
        s = a.scalar()
        if s.kind == "int":
            to = self.scalar_type()
            if to.kind == "int":
                op = "trunc" if to.width < s.width else self.r.choice(["zext", "sext"])
                if to.width == s.width:
                    return
            elif to.kind == "float":
                op = self.r.choice(["sitofp", "uitofp"])
            else:
                op = "inttoptr"
        elif s.kind == "float":
            if self.r.random() < 0.6:
                to, op = integer(self.r.choice(WIDTHS)), self.r.choice(["fptosi", "fptoui"])
            else:
                size = {"half": 2, "bfloat": 2, "float": 4, "double": 8, "x86_fp80": 10, "fp128": 16}
                to = Type("float", self.r.choice(["half", "float", "double", "fp128"]))
                if size[to.text] == size[s.text]:
                    return
                op = "fpext" if size[to.text] > size[s.text] else "fptrunc"
        else:
            to, op = integer(self.r.choice(WIDTHS)), "ptrtoint"
        b = self.with_scalar(a, to)
        self.emit(b, f"{op} {a.text} {self.value(a)} to {b.text}")

    def bits(self, t):
        if t.kind == "vector":
            b = self.bits(t.element)
            return b * t.lanes if b else 0
        return {"int": t.width, "float": {"half": 16, "bfloat": 16, "float": 32, "double": 64, "x86_fp80": 80, "fp128": 128}.get(t.text, 0)}.get(t.kind, 0)

    def bitcast(self):
        a = self.first_class(self.r.choice(["int", "float"]))
        n = self.bits(a)
        if not n or n > 4096:
            return
        choices = [integer(n)] + [vector(integer(n // k), k) for k in (2, 3, 4, 5, 7, 8, 16) if n % k == 0]
        choices += [Type("float", f) for f in ("half", "float", "double", "fp128") if self.bits(Type("float", f)) == n]
        b = self.r.choice(choices)
        self.emit(b, f"bitcast {a.text} {self.value(a)} to {b.text}")

    def vector_part(self):
        t = vector(self.scalar_type(), self.r.choice(LANES))
        index = integer(self.r.choice([8, 32, 32, 64]))
        at = self.value(index) if self.r.random() < 0.4 else str(self.r.randrange(t.lanes + 1))
        k = self.r.random()
        if k < 0.35:
            self.emit(t.element, f"extractelement {t.text} {self.value(t)}, {index.text} {at}")
        elif k < 0.7:
            self.emit(t, f"insertelement {t.text} {self.value(t)}, {t.element.text} {self.value(t.element)}, {index.text} {at}")
        else:
            n = self.r.choice(LANES)
            mask = ", ".join("i32 " + ("poison" if self.r.random() < 0.1 else str(self.r.randrange(2 * t.lanes))) for _ in range(n))
            self.emit(vector(t.element, n), f"shufflevector {t.text} {self.value(t)}, {t.text} {self.value(t)}, <{n} x i32> <{mask}>")

    def aggregate_part(self):
        t = self.any_type()
        if t.kind not in ("struct", "array"):
            t = struct([self.any_type(1) for _ in range(self.r.randint(1, 4))])
        i = self.r.randrange(len(t.fields) if t.kind == "struct" else t.lanes)
        part = t.fields[i] if t.kind == "struct" else t.element
        if self.r.random() < 0.5:
            self.emit(part, f"extractvalue {t.text} {self.value(t)}, {i}")
        else:
            self.emit(t, f"insertvalue {t.text} {self.value(t)}, {part.text} {self.value(part)}, {i}")

    def memory(self):
        t = self.some_type()
        k = self.r.random()
        if k < 0.15:
            count = f", i32 {self.value(I32)}" if self.r.random() < 0.2 else ""
            self.emit(PTR, f"alloca {t.text}{count}, align {1 << self.r.randint(0, 7)}")
        elif k < 0.3:
            inner = t.text if self.r.random() < 0.5 else "i8"
            index = integer(self.r.choice([8, 16, 32, 64, 64]))
            self.emit(PTR, f"getelementptr {self.r.choice(['', 'inbounds'])} {inner}, ptr {self.value(PTR)}, {index.text} {self.value(index)}")
        elif k < 0.65:
            volatile = self.r.choice(["", "", "", "volatile"])
            self.emit(t, f"load {volatile} {t.text}, ptr {self.value(PTR)}, align {1 << self.r.randint(0, 6)}")
        else:
            volatile = self.r.choice(["", "", "", "volatile"])
            self.lines.append(f"  store {volatile} {t.text} {self.value(t)}, ptr {self.value(PTR)}, align {1 << self.r.randint(0, 6)}")

    def atomic(self):
        t = integer(self.r.choice([8, 16, 32, 64, 128]))
        p = self.value(PTR)
        k = self.r.random()
        if k < 0.5:
            self.emit(t, f"atomicrmw {self.r.choice(RMW)} ptr {p}, {t.text} {self.value(t)} {self.r.choice(ORDERINGS)}")
        elif k < 0.6:
            f = Type("float", self.r.choice(["float", "double"]))
            self.emit(f, f"atomicrmw {self.r.choice(['fadd', 'fsub', 'fmax', 'fmin', 'xchg'])} ptr {p}, {f.text} {self.value(f)} {self.r.choice(ORDERINGS)}")
        elif k < 0.75:
            pair = struct([t, I1])
            self.emit(pair, f"cmpxchg {self.r.choice(['', 'weak'])} ptr {p}, {t.text} {self.value(t)}, {t.text} {self.value(t)} {self.r.choice(ORDERINGS)} {self.r.choice(['monotonic', 'acquire', 'seq_cst'])}")
        elif k < 0.85:
            self.emit(t, f"load atomic {t.text}, ptr {p} {self.r.choice(['unordered', 'monotonic', 'acquire', 'seq_cst'])}, align 16")
        elif k < 0.95:
            self.lines.append(f"  store atomic {t.text} {self.value(t)}, ptr {p} {self.r.choice(['unordered', 'monotonic', 'release', 'seq_cst'])}, align 16")
        else:
            self.lines.append(f"  fence {self.r.choice(ORDERINGS[1:])}")

    def call_intrinsic(self):
        r = self.r
        k = r.random()
        t = self.first_class("int")
        s = t.scalar()
        if k < 0.15:
            name = r.choice(UNARY_INTRINSICS)
            if name == "bswap" and s.width % 16:
                t = self.with_scalar(t, integer(r.choice([16, 32, 48, 64, 80, 128])))
            self.intrinsic(f"llvm.{name}.{t.mangled()}", t, [(t, self.value(t))])
        elif k < 0.25:
            self.intrinsic(f"llvm.{r.choice(['ctlz', 'cttz'])}.{t.mangled()}", t, [(t, self.value(t)), (I1, r.choice(["true", "false"]))])
        elif k < 0.4:
            self.intrinsic(f"llvm.{r.choice(BINARY_INTRINSICS)}.{t.mangled()}", t, [(t, self.value(t))] * 1 + [(t, self.value(t))])
        elif k < 0.5:
            self.intrinsic(f"llvm.{r.choice(['fshl', 'fshr'])}.{t.mangled()}", t, [(t, self.value(t)) for _ in range(3)])
        elif k < 0.6:
            pair = struct([t, self.with_scalar(t, I1)])
            self.intrinsic(f"llvm.{r.choice(OVERFLOW_INTRINSICS)}.with.overflow.{t.mangled()}", pair, [(t, self.value(t)), (t, self.value(t))])
        elif k < 0.7:
            v = vector(integer(r.choice(WIDTHS)), r.choice(LANES))
            self.intrinsic(f"llvm.vector.reduce.{r.choice(REDUCTIONS)}.{v.mangled()}", v.element, [(v, self.value(v))])
        elif k < 0.9:
            f = self.first_class("float")
            if r.random() < 0.5:
                self.intrinsic(f"llvm.{r.choice(FLOAT_UNARY)}.{f.mangled()}", f, [(f, self.value(f))])
            elif r.random() < 0.5:
                self.intrinsic(f"llvm.{r.choice(FLOAT_BINARY)}.{f.mangled()}", f, [(f, self.value(f)), (f, self.value(f))])
            elif r.random() < 0.5:
                i = self.with_scalar(f, integer(r.choice(WIDTHS)))
                self.intrinsic(f"llvm.{r.choice(['fptosi', 'fptoui'])}.sat.{i.mangled()}.{f.mangled()}", i, [(f, self.value(f))])
            elif r.random() < 0.5:
                self.intrinsic(f"llvm.{r.choice(['fma', 'fmuladd'])}.{f.mangled()}", f, [(f, self.value(f)) for _ in range(3)])
            else:
                self.intrinsic(f"llvm.is.fpclass.{f.mangled()}", self.with_scalar(f, I1), [(f, self.value(f)), (I32, str(r.randrange(1024)))])
        else:
            n = integer(r.choice([32, 64]))
            if r.random() < 0.5:
                self.declare(f"llvm.memset.p0.{n.text}", "void", ["ptr", "i8", n.text, "i1"])
                self.lines.append(f"  call void @llvm.memset.p0.{n.text}(ptr {self.value(PTR)}, i8 {self.value(I8)}, {n.text} {self.value(n)}, i1 {r.choice(['true', 'false'])})")
            else:
                name = r.choice(["memcpy", "memmove"])
                self.declare(f"llvm.{name}.p0.p0.{n.text}", "void", ["ptr", "ptr", n.text, "i1"])
                self.lines.append(f"  call void @llvm.{name}.p0.p0.{n.text}(ptr {self.value(PTR)}, ptr {self.value(PTR)}, {n.text} {self.value(n)}, i1 false)")

    def call(self):
        r = self.r
        if not self.functions or r.random() < 0.2:
            result = self.some_type()
            arguments = [self.some_type() for _ in range(r.randint(0, 9))]
            name, convention = f"external{len(self.declarations)}", ""
            variadic = r.random() < 0.3
            self.declarations[name] = f"declare {result.text} @{name}({', '.join([a.text for a in arguments] + (['...'] if variadic else []))})"
            signature = f"({', '.join([a.text for a in arguments] + ['...'])})" if variadic else ""
            extra = [self.some_type() for _ in range(r.randint(0, 4))] if variadic else []
            given = arguments + [e for e in extra if e.kind in ("int", "float", "ptr")]
            self.emit(result, f"call {result.text} {signature} @{name}({', '.join(f'{t.text} {self.value(t)}' for t in given)})")
            return
        name, convention, result, arguments = r.choice(self.functions)
        kind = r.choice(["", "", "tail", "notail"])
        self.emit(result, f"{kind} call {convention} {result.text} @{name}({', '.join(f'{t.text} {self.value(t)}' for t in arguments)})")

    def other(self):
        k = self.r.random()
        t = self.some_type()
        if k < 0.3:
            self.emit(t, f"freeze {t.text} {self.value(t)}")
        elif k < 0.5 and self.target == "x86_64":
            self.emit(I32, f'call i32 asm {self.r.choice(["", "sideeffect"])} "{self.r.choice(["", "nop", "mov $1, $0"])}", "{self.r.choice(["=r,r", "=r,rm", "=a,r,~{memory}", "=&r,i", "=r,0,~{dirflag},~{flags}"])}"(i32 {self.value(I32)})')
        elif k < 0.6:
            self.declare("llvm.stacksave.p0", "ptr", [])
            self.declare("llvm.stackrestore.p0", "void", ["ptr"])
            saved = self.emit(None, "call ptr @llvm.stacksave.p0()")
            self.lines.append(f"  call void @llvm.stackrestore.p0(ptr {saved})")
        elif k < 0.75:
            for name in ("start", "end"):
                self.declare(f"llvm.lifetime.{name}.p0", "void", ["i64", "ptr"])
            if self.slots:
                slot = self.r.choice(self.slots)
                self.lines.append(f"  call void @llvm.lifetime.{self.r.choice(['start', 'end'])}.p0(i64 {self.r.choice([-1, 8, 16])}, ptr {slot})")
        elif k < 0.85:
            self.declare("llvm.frameaddress.p0", "ptr", ["i32"])
            self.declare("llvm.returnaddress", "ptr", ["i32"])
            self.emit(PTR, self.r.choice(["call ptr @llvm.frameaddress.p0(i32 0)", "call ptr @llvm.returnaddress(i32 0)", "call ptr @llvm.frameaddress.p0(i32 1)"]))
        else:
            self.declare("llvm.expect.i1", "i1", ["i1", "i1"])
            self.emit(I1, f"call i1 @llvm.expect.i1(i1 {self.value(I1)}, i1 true)")

    def step(self):
        steps = [(self.binary, 14), (self.float_binary, 5), (self.compare, 5), (self.select, 5), (self.cast, 8), (self.bitcast, 3), (self.vector_part, 6), (self.aggregate_part, 5),
                 (self.memory, 9), (self.atomic, 3), (self.call_intrinsic, 9), (self.call, 5), (self.other, 3)]
        self.r.choices([s for s, _ in steps], [w for _, w in steps])[0]()

    # -- control flow: what is defined in one arm is forgotten after it, so that every use is dominated
    def straight(self, n):
        for _ in range(n):
            self.step()

    def label(self):
        self.next += 1
        return f"b{self.next}"

    def arm(self, n):
        saved = {t: list(v) for t, v in self.pool.items()}
        self.straight(n)
        mine = self.pool
        self.pool = saved
        return mine

    def diamond(self):
        kinds = [self.some_type() for _ in range(self.r.randint(1, 3))]
        yes, no, end = self.label(), self.label(), self.label()
        results = []
        if self.r.random() < 0.5:
            arms = [yes, no]
            self.lines.append(f"  br i1 {self.value(I1)}, label %{yes}, label %{no}")
        else:
            t = integer(self.r.choice([w for w in WIDTHS if w > 1]))
            arms = [yes] + [self.label() for _ in range(self.r.randint(1, 6))]
            base = self.r.choice([0, 1 << (t.width - 1), (1 << (t.width - 1)) - 2, -2, 5])
            step = self.r.choice([1, 1, 1, 3, 1000])
            cases, seen = [], set()
            for i in range(self.r.randint(0, 12)):
                v = (base + i * step) & ((1 << t.width) - 1)
                if v not in seen:
                    seen.add(v)
                    cases.append(f"{t.text} {v - (1 << t.width) if v >> (t.width - 1) else v}, label %{arms[1 + i % (len(arms) - 1)]}")
            arms = [yes] + [a for a in arms[1:] if any(c.endswith('%' + a) for c in cases)]
            self.lines.append(f"  switch {t.text} {self.value(t)}, label %{yes} [ {' '.join(cases)} ]")
        for a in arms:
            self.lines.append(f"{a}:")
            mine = self.arm(self.r.randint(0, 5))
            outer, self.pool = self.pool, mine
            results.append((a, [self.value(t) for t in kinds]))
            self.pool = outer
            self.lines.append(f"  br label %{end}")
        self.lines.append(f"{end}:")
        for i, t in enumerate(kinds):
            self.emit(t, f"phi {t.text} " + ", ".join(f"[ {v[i]}, %{a} ]" for a, v in results))
        self.block = end

    def loop(self):
        head, end = self.label(), self.label()
        before = self.block
        kinds = [self.some_type() for _ in range(self.r.randint(1, 3))]
        starts = [self.value(t) for t in kinds]
        self.lines.append(f"  br label %{head}\n{head}:")
        places = []
        for t, s in zip(kinds, starts):
            places.append(len(self.lines))
            self.emit(t, f"phi {t.text} [ {s}, %{before} ], [ NEXT, %{head} ]")
        self.straight(self.r.randint(1, 8))
        for place, t in zip(places, kinds):
            self.lines[place] = self.lines[place].replace("NEXT", self.value(t))
        self.lines.append(f"  br i1 {self.value(I1)}, label %{head}, label %{end}\n{end}:")
        self.block = end

    def function(self, i):
        r = self.r
        result = self.some_type()
        parameters = [self.some_type() for _ in range(r.choice([0, 1, 2, 3, 4, 6, 9, 14]))]
        convention = r.choice(CONVENTIONS)
        self.pool, self.lines, self.next, self.block, self.slots = {}, [], 0, "entry", []
        texts = []
        for k, p in enumerate(parameters):
            attribute = r.choice(PARAMETER_ATTRIBUTES)
            if attribute in ("signext", "zeroext") and p.kind != "int" or attribute in ("nest", "nocapture", "align 16", "byref(i64)", "swiftself") and p.kind != "ptr" or attribute == "returned":
                attribute = ""
            texts.append(f"{p.text} {attribute} %p{k}")
            self.pool.setdefault(p, []).append(f"%p{k}")
        variadic = r.random() < 0.1 and not convention
        if variadic:
            texts.append("...")
        for _ in range(r.randint(0, 3)):
            t = self.some_type()
            self.slots.append(self.emit(PTR, f"alloca {t.text}, align {1 << r.randint(0, 6)}"))
        if variadic:
            self.declare("llvm.va_start.p0", "void", ["ptr"])
            slot = self.emit(PTR, "alloca [24 x i8], align 16")
            self.lines.append(f"  call void @llvm.va_start.p0(ptr {slot})")
            if r.random() < 0.5:
                t = self.scalar_type()
                self.emit(t, f"va_arg ptr {slot}, {t.text}")
        for _ in range(r.randint(1, 4)):
            self.straight(r.randint(1, 10))
            k = r.random()
            if k < 0.35:
                self.diamond()
            elif k < 0.6:
                self.loop()
        self.lines.append(f"  ret {result.text} {self.value(result)}")
        attributes = " ".join(r.sample(FUNCTION_ATTRIBUTES, 1)) if r.random() < 0.15 else ""
        linkage = r.choice(["", "", "", "internal", "weak", "linkonce_odr", "hidden", "protected", "dso_local"])
        name = f"f{i}"
        text = f"define {linkage} {convention} {result.text} @{name}({', '.join(texts)}) {attributes} {{\nentry:\n" + "\n".join(self.lines) + "\n}\n"
        if not variadic:
            self.functions.append((name, convention, result, parameters))
        return text

    def module(self):
        body = [self.function(i) for i in range(self.r.randint(1, 4))]
        t = self.some_type()
        data = f"@data = {self.r.choice(['global', 'constant', 'internal global', 'thread_local global', 'weak global'])} {t.text} {self.constant(t)}, align {1 << self.r.randint(0, 6)}\n"
        data += "@bytes = external global [100 x i8]\n"
        return HEADS[self.target] + data + "".join(body) + "\n".join(self.declarations.values()) + "\n"


def module(seed, target):
    return Generator(seed, target).module()


if __name__ == "__main__":
    import sys
    print(module(int(sys.argv[1]), sys.argv[2]))
