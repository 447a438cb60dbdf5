"""Relinks in place (bench/run.py --only relink): programs, edits of them, and how long lode takes to bring each up to date.

A program is a link line and a set of edits. An edit is a list of input files with two contents each, which take turns: every relink finds what it
would after an edit and a compiler run, without the compiler. Each time is the median of several whole processes. Beside them stand, from the same
run: fork and exec of `true`, a read of the files that changed, and the full links of lode, ld.lld, mold and wild.

    generated   C, 50 functions a file: 20, 200 and 2,000 files as objects with -ffunction-sections; the largest also without, with -g, and as bitcode
    sqlite      SQLite and its driver
    llvm        LLVM's static libraries with a tool that uses all of them, and an object of SQLite's size, with -g, that is replaced as a whole
    cargo       a program of 50 crates and a proc macro (the project of tests/sweeps/edit_loops.py), its links replayed
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
import types

QUIET = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
FUNCTIONS = 50  # in a file of a generated program


def once(command, cwd=None):
    """Milliseconds of a whole process."""
    where = os.getcwd()
    if cwd:
        os.chdir(cwd)
    begin = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=QUIET)
    _, status, _ = os.wait4(pid, 0)
    took = (time.perf_counter() - begin) * 1000
    os.chdir(where)
    if status:
        raise RuntimeError(" ".join(command)[:300])
    return took


def read_ms(paths):
    begin = time.perf_counter()
    for p in paths:
        with open(p, "rb") as f:
            f.read()
    return (time.perf_counter() - begin) * 1000


def text_of(command):
    return subprocess.run(command, capture_output=True, text=True).stdout


class Program:
    """`lines`: the two link lines that take turns, without linker, output and options; most programs have one."""

    def __init__(self, name, lines, edits, cwd=None):
        self.name, self.lines, self.edits, self.cwd = name, lines if isinstance(lines[0], list) else [lines], edits, cwd


# ---- generated programs ---------------------------------------------------------------------------------------------------------------------------


def module_text(m, modules, edit=""):
    out = [f"extern int f{(m * 7 + 3) % modules}_0(int);"]
    removed = 9 if edit == "removed" else None
    for k in range(FUNCTIONS):
        if k == removed:
            continue
        body = "".join(f" x = x * {k + 3} + (x >> {j % 5 + 1});" for j in range(k % 9 + 2))
        if k == 7 and edit == "constant":
            body += " x += 12345;"
        if k == 7 and edit == "grown":
            body += "".join(f" x = x * {j + 3} + (x >> {j % 7 + 1});" for j in range(60))
        call = f" if (x == 77) x += f{(m * 7 + 3) % modules}_0(x);" if k == 0 and m else ""
        out.append(f"int f{m}_{k}(int x) {{{body}{call} return x; }}")
    names = [f"f{m}_{k}" for k in range(FUNCTIONS) if k != removed]
    if edit == "new":
        out.append(f"int extra{m}(int x) {{ return x * 3 + f{m}_1(x); }}")
        names.append(f"extra{m}")
    out.append(f"int global{m} = {5 if edit == 'global' else 3};")
    out.append(f"int (*table{m}[])(int) = {{{', '.join(names)}}};")
    return "\n".join(out) + "\n"


def generated(folder, modules, title, compiler):
    os.makedirs(folder, exist_ok=True)

    def make(m, edit=""):
        source, o = os.path.join(folder, f"m{m}{edit}.c"), os.path.join(folder, f"m{m}{'.' + edit if edit else ''}.o")
        with open(source, "w") as f:
            f.write(module_text(m, modules, edit))
        subprocess.run([*compiler, "-c", "-o", o, source], check=True)
        return o

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(make, range(modules)))
    main = os.path.join(folder, "main.c")
    with open(main, "w") as f:
        f.write("".join(f"extern int (*table{m}[])(int);\n" for m in range(modules)) + "int main(void) { int r = 0;\n" +
                "".join(f"r += table{m}[3](r);\n" for m in range(modules)) + "return r == 1; }\n")
    subprocess.run(["gcc", "-c", "-O0", "-o", main[:-2] + ".o", main], check=True)
    start = [text_of(["gcc", f"-print-file-name={n}"]).strip() for n in ("crt1.o", "crti.o", "crtn.o")]

    def change(edit, files=(1,)):
        pairs = []
        for m in files:
            shutil.copyfile(objects[m], objects[m] + ".first")
            pairs.append((objects[m], objects[m] + ".first", make(m, edit)))
        return pairs

    edits = {"one function changed": change("constant"), "one function grown": change("grown"), "a new function": change("new"),
             "a function removed": change("removed"), "a global changed": change("global"),
             "ten functions in ten files": change("constant", range(1, 11))}
    return Program(title, [*start[:2], main[:-2] + ".o", *objects, "-L/usr/lib/x86_64-linux-gnu", "-lc", start[2], "-dynamic-linker",
                           "/lib64/ld-linux-x86-64.so.2"], edits)


def generated_programs(b):
    sections = ["gcc", "-O1", "-ffunction-sections"]
    for modules in [int(n) for n in b.a.modules.split(",")]:
        yield generated(b.path(f"relink{modules}"), modules, f"{modules * FUNCTIONS} functions", sections)
    largest = max(int(n) for n in b.a.modules.split(","))
    for title, compiler in (("one .text a file", ["gcc", "-O1"]), ("-g", [*sections, "-g"]), ("-g, one .text a file", ["gcc", "-O1", "-g"]),
                            ("bitcode", ["clang-19", "-O1", "-flto"])):
        if shutil.which(compiler[0]):
            folder = b.path("relink-variant")
            yield generated(folder, largest, f"{largest * FUNCTIONS} functions, {title}", compiler)
            shutil.rmtree(folder)


# ---- programs that are there ----------------------------------------------------------------------------------------------------------------------


def sqlite_object(b, folder, flags, title):
    """sqlite3.o twice, which differ in a constant."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(b.sqlite, "sqlite3.c")) as f:
        text = f.read()
    place = "return SQLITE_VERSION_NUMBER;"
    out = []
    for k, new in enumerate((place, "return SQLITE_VERSION_NUMBER + 1;")):
        source, o = os.path.join(folder, "sqlite3.c"), os.path.join(folder, f"{title}{k}.o")
        with open(source, "w") as f:
            f.write(text.replace(place, new))
        subprocess.run(["gcc", "-w", "-c", *flags, "-DSQLITE_OMIT_LOAD_EXTENSION", "-o", o, source], check=True)
        out.append(o)
    used = os.path.join(folder, f"{title}.o")
    shutil.copyfile(out[0], used)
    return used, (used, *out)


def sqlite_programs(b):
    if not os.path.exists(os.path.join(b.sqlite, "sqlite3.c")):
        print("(scripts/fetch-sqlite.sh was not run: relinks of SQLite are left out)")
        return
    folder = b.path("relink-sqlite")
    driver = os.path.join(folder, "driver.o")
    for title, flags in (("SQLite, -g -ffunction-sections", ["-O1", "-g", "-ffunction-sections", "-fdata-sections"]), ("SQLite, -g", ["-O1", "-g"])):
        used, pair = sqlite_object(b, folder, flags, title.replace(" ", "").replace(",", ""))
        subprocess.run(["gcc", "-w", "-c", "-O1", "-I" + b.sqlite, "-o", driver, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples/sqlite/driver.c")], check=True)
        yield Program(title, line_of(b, ["gcc", "-pie", driver, used, "-lm", "-o", b.path("n")]), {"one function changed": [pair]})


def llvm_programs(b):
    line, own = b.llvm_tool()
    if not line:
        return
    edits = {}
    if os.path.exists(os.path.join(b.sqlite, "sqlite3.c")):
        used, pair = sqlite_object(b, b.path("relink-llvm"), ["-O1", "-g"], "sqlite")
        line = [*line[:line.index(own)], used, *line[line.index(own):]]
        edits["an object of SQLite's size replaced"] = [pair]
    with open(own, "rb") as f:
        text = f.read()
    for k, new in enumerate((b"usage: %s input.ll", b"Usage: %s input.ll")):
        with open(f"{own}.{k}", "wb") as f:
            f.write(text.replace(b"usage: %s input.ll", new))
    edits["a string of the tool changed"] = [(own, own + ".0", own + ".1")]
    yield Program("LLVM with a tool", line, edits)


CARGO_WRAPPER = """#!{python}
import json, os, shutil, sys
args, folder = sys.argv[1:], os.path.join({keep!r}, str(len(os.listdir({keep!r}))))
if any(a in ("--version", "-v", "--help") for a in args):
    os.execv({lode!r}, [{lode!r}] + args)
os.makedirs(folder)
kept = []
for a in args:
    if a.endswith(".o") and os.path.exists(a) and not a.startswith("/usr/"):
        shutil.copy2(a, folder)
        a = os.path.join(folder, os.path.basename(a))
    kept.append(a)
with open(os.path.join(folder, "line"), "w") as f:
    json.dump([os.getcwd(), kept], f)
os.execv({lode!r}, [{lode!r}] + args)
"""


def cargo_programs(b):
    if not shutil.which("cargo") or not shutil.which("clang-19"):
        print("(cargo or clang-19 is not installed: relinks of a cargo project are left out)")
        return
    import edit_loops
    folder = pathlib.Path(b.path("relink-cargo"))
    for part in ("bin", "keep", "project"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    wrapper = folder / "bin/ld"
    wrapper.write_text(CARGO_WRAPPER.format(python=sys.executable, keep=str(folder / "keep"), lode=b.lode))
    wrapper.chmod(0o755)
    program = edit_loops.Program(1, 12, 6)
    project = edit_loops.CargoProject(types.SimpleNamespace(incremental=False), folder / "project", folder / "bin", "cargo", program)

    def build():
        project.render()
        done = project.build()
        if done.returncode:
            raise RuntimeError("cargo build: " + done.stderr[-300:])
        newest = max((folder / "keep").iterdir(), key=lambda p: int(p.name))
        where, line = json.loads((newest / "line").read_text())
        at = line.index("-o")
        return where, line[:at] + line[at + 2:], [a for a in line if a.startswith(str(newest))]

    where, first, files = build()
    program.modules[3].functions[0].constants[0] += 1
    _, second, _ = build()
    yield Program("50 crates, cargo dev", [first, second], {"one function changed": files}, where)


def line_of(b, command):
    """What a compiler driver says to the linker, without the output."""
    line = b.recorded_link(command)
    at = line.index("-o")
    return line[:at] + line[at + 2:]


# ---- measuring ------------------------------------------------------------------------------------------------------------------------------------


def find_wild(b):
    """wild's path, or why there is none."""
    if shutil.which("wild"):
        return shutil.which("wild"), ""
    if not shutil.which("cargo"):
        return None, "wild is not installed, and neither is cargo"
    root = b.path("wild")
    try:
        done = subprocess.run(["cargo", "install", "-q", "--locked", "wild-linker", "--root", root], capture_output=True, text=True, timeout=1800)
    except subprocess.TimeoutExpired:
        return None, "cargo install wild-linker takes too long here"
    found = shutil.which("wild", path=os.path.join(root, "bin"))
    return (found, "") if found else (None, "cargo install wild-linker: " + (done.stderr.strip().splitlines() or ["it gave no program"])[-1][:120])


def measure_program(b, p, linkers, rows):
    middle = statistics.median
    output = b.path("relinked")
    line, last = p.lines[0], p.lines[-1]
    plain, relink = output + ".full", lambda l: [b.lode, *l, "-o", output, "--incremental"]
    full = {}
    for tool, command in linkers.items():
        try:
            once([*command, *line, "-o", plain], p.cwd)
            full[tool] = middle(once([*command, *line, "-o", plain], p.cwd) for _ in range(b.a.runs))
            rows.append([p.name, f"full, {tool}", f"{full[tool]:.1f}", "", ""])
        except RuntimeError:
            rows.append([p.name, f"full, {tool}", "failed", "", ""])
    once([b.lode, *line, "-o", plain], p.cwd)
    first = middle(once([*relink(line), "--incremental-full"], p.cwd) for _ in range(b.a.runs))
    rows.append([p.name, "first, --incremental", f"{first:.1f}", "", f"{first / full['lode']:.2f} x full"])
    size = os.path.getsize(plain)
    rows.append([p.name, "output and state, of the plain output", "", "", f"{os.path.getsize(output) / size:.2f} and {os.path.getsize(output + '.lode') / size:.2f}"])
    true = [shutil.which("true")]
    time.sleep(2.1)  # a file as young as the look at it is compared by its contents
    once(relink(line), p.cwd)
    rows.append([p.name, "nothing changed", f"{middle(once(relink(line), p.cwd) for _ in range(b.a.relinks)):.2f}", f"{middle(once(true) for _ in range(b.a.relinks)):.2f}", ""])
    for edit, files in p.edits.items():
        times, floor, how = [], [], set()
        for k in range(1, b.a.relinks + 1):
            if len(p.lines) == 1:
                for target, *contents in files:
                    shutil.copyfile(contents[k % 2], target)
            now = line if k % 2 == 0 else last
            read = [f[0] for f in files] if len(p.lines) == 1 else files
            floor.append(once(true) + read_ms(read))
            times.append(once(relink(now), p.cwd))
        if len(p.lines) == 1:
            for target, *contents in files:
                shutil.copyfile(contents[1 - k % 2], target)
        said = text_of_in([*relink(last if k % 2 == 0 else line), "--stats"], p.cwd)
        how = next((l.split("relink: ", 1)[1] for l in said.splitlines() if "relink: " in l), "?")
        rows.append([p.name, edit, f"{middle(times):.2f}", f"{middle(floor):.2f}", how.split(",")[0][:60]])
    for name in (output, plain):
        for end in ("", ".lode", ".lode-image"):
            if os.path.exists(name + end):
                os.unlink(name + end)


def text_of_in(command, cwd):
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd).stdout


def run(b, table):
    wild, why_not = find_wild(b)
    linkers = {"lode": [b.lode]}
    for tool, command in (("ld.lld", [shutil.which("ld.lld-19")]), ("mold", [shutil.which("mold"), "--no-fork"]), ("wild", [wild])):
        if command[0]:
            linkers[tool] = command
        else:
            print(f"({why_not if tool == 'wild' else tool + ' is not installed'}: left out)")
    kinds = {"generated": generated_programs, "sqlite": sqlite_programs, "llvm": llvm_programs, "cargo": cargo_programs}
    for kind in b.a.programs.split(","):
        for p in kinds[kind](b):
            rows = []
            try:
                measure_program(b, p, linkers, rows)
            except RuntimeError as e:
                print(f"{p.name}: {e}")
            table(f"relink: {p.name}", ["program", "link", "ms", "true, and a read of what changed", ""], rows)
