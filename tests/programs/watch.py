#!/usr/bin/env python3
"""lode --watch as a process: inputs change under it in all the ways in which compilers, editors and builds change files, and what it says and
makes is looked at. Nothing here waits for a time: every step waits for a line, and a line that does not come within minutes is the failure.
"""
import argparse
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 120  # seconds until a line counts as missing
SKIPPED = 77
MAGIC_OF_A_BROKEN_FILE = b"\x7fELF and nothing else"

START = ".globl _start\n_start: call value\n mov %eax, %edi\n mov $60, %eax\n syscall\n"
VALUE = ".globl value\nvalue: mov ${}, %eax\n ret\n"
AIR = "layout pointer_bytes {}\nstrong func @value() -> i32 {{\na:\n  ret i32 {}\n}}\n"


def fail(what):
    sys.exit(f"wrong: {what}")


class Watched:
    """The command, with its lines as they come."""

    def __init__(self, o, folder, *args):
        self.folder = folder
        self.process = subprocess.Popen([o.lode, "--watch", *args], cwd=folder, text=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said, self.errors = queue.Queue(), queue.Queue()
        for stream, into in ((self.process.stdout, self.said), (self.process.stderr, self.errors)):
            threading.Thread(target=self.read, args=(stream, into), daemon=True).start()

    @staticmethod
    def read(stream, into):
        for line in stream:
            into.put(line.rstrip("\n"))

    def wait_for(self, lines, parts, refuse):
        passed, end = [], time.monotonic() + PATIENCE
        while True:
            try:
                line = lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                fail(f"no line with {parts}; there were {passed}, errors {self.drain(self.errors)}; status {self.process.poll()}")
            passed.append(line)
            if any(r in line for r in refuse):
                fail(f"{line!r} came before a line with {parts}, errors {self.drain(self.errors)}")
            if all(p in line for p in parts):
                return

    @staticmethod
    def drain(lines):
        all_lines = []
        while not lines.empty():
            all_lines.append(lines.get())
        return all_lines

    def expect(self, *parts, refuse=("not linked",)):
        """The next line of standard output that has all parts; none before it has one of `refuse`. No error came meanwhile: expect_error comes
        first where there is to be one."""
        self.wait_for(self.said, parts, refuse)
        if errors := self.drain(self.errors):
            fail(f"errors before a line with {parts}: {errors}")

    def expect_error(self, part, *line):
        """An error with this part, and the line of the link that had it."""
        self.wait_for(self.errors, [part], ())
        self.wait_for(self.said, line, ())
        self.drain(self.errors)  # what follows the first line of a message

    def quiet(self, seconds):
        """What is said meanwhile."""
        time.sleep(seconds)
        return self.drain(self.said) + self.drain(self.errors)

    def end(self, status, by=signal.SIGINT):
        self.process.send_signal(by)
        got = self.process.wait(PATIENCE)
        if got != status:
            fail(f"{by.name} ended it with status {got}, not {status}")


class Files:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        return self.folder / name

    def assemble(self, text, name):
        """A whole object of this name, by a rename, as compilers that write temporary files do it."""
        made = self(f"made/{os.path.basename(name)}")
        made.parent.mkdir(exist_ok=True)
        subprocess.run(["as", "-o", made], input=text.encode(), check=True)
        os.replace(made, self(name))

    def object_of(self, value):
        made = self("made/bytes.o")
        made.parent.mkdir(exist_ok=True)
        subprocess.run(["as", "-o", made], input=VALUE.format(value).encode(), check=True)
        return made.read_bytes()

    def archive(self, value, name):
        self.assemble(VALUE.format(value), "member.o")
        self("member.a").unlink(missing_ok=True)
        subprocess.run(["ar", "rc", self("member.a"), self("member.o")], check=True)
        os.replace(self("member.a"), self(name))


def runs(files, value, program="prog"):
    """The program gives this value, now or when a link is done that may be under way."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            got = subprocess.run([files(program)]).returncode
        except OSError as e:  # another link has it open
            got = e
        if got == value:
            return
        if time.monotonic() > end:
            fail(f"{program} gave {got}, not {value}")
        time.sleep(0.05)


def changes(o, files):
    files.assemble(START, "start.o")
    files.assemble(VALUE.format(3), "value.o")
    w = Watched(o, files.folder, "start.o", "value.o", "-o", "prog")
    w.expect("lode: linked prog in", "watching")
    runs(files, 3)

    files.assemble(VALUE.format(4), "value.o")
    w.expect("value.o changed: linked prog in")
    runs(files, 4)

    # Written in place, in pieces: no link before it is closed, and no error.
    whole = files.object_of(5)
    with open(files("value.o"), "wb") as f:
        for k in range(0, len(whole), 200):
            f.write(whole[k:k + 200])
            f.flush()
            time.sleep(0.15)
        said = w.quiet(0.5)
        if said:
            fail(f"said while the object was written: {said}")
    w.expect("value.o changed: linked prog in")
    runs(files, 5)

    # Removed, and there again before long: what compilers do.
    files("value.o").unlink()
    files("value.o").write_bytes(files.object_of(6))
    w.expect("value.o", "linked prog in")
    runs(files, 6)

    # A second name of another file, as ccache and cargo make it.
    files("other.o").write_bytes(files.object_of(7))
    files("value.o").unlink()
    os.link(files("other.o"), files("value.o"))
    w.expect("value.o", "linked prog in")
    runs(files, 7)

    # Gone for good: said once; the old program stays; and it goes on when the file is there.
    files("value.o").unlink()
    w.expect_error("lode: error: cannot open value.o", "value.o gone: not linked; waiting")
    runs(files, 7)
    files.assemble(VALUE.format(8), "value.o")
    w.expect("value.o new: linked prog in")
    runs(files, 8)

    # Broken, in two ways that are one error, then mended.
    files("value.o").write_bytes(MAGIC_OF_A_BROKEN_FILE)
    w.expect_error("lode: error: value.o:", "value.o changed: not linked; waiting")
    files("value.o").write_bytes(MAGIC_OF_A_BROKEN_FILE + b".")
    w.expect("value.o changed: not linked, for the same reason; waiting", refuse=())
    runs(files, 8)
    files("value.o").write_bytes(files.object_of(9))
    w.expect("value.o changed: linked prog in")
    runs(files, 9)

    # What it did not ask for is no reason to link, and neither is the output.
    files("unrelated.o").write_bytes(b"")
    files("prog").touch()
    files.assemble(VALUE.format(10), "value.o")
    w.expect("value.o changed: linked prog in", refuse=("unrelated", "prog changed", "not linked"))
    runs(files, 10)
    w.end(0)
    print("right: changes of an object")


def end_after_error(o, files):
    w = Watched(o, files.folder, "missing.o", "-o", "prog")
    w.expect_error("lode: error: cannot open missing.o", "lode: not linked; waiting")
    w.end(1, signal.SIGTERM)
    print("right: a signal after an error")


def looked_for(o, files):
    """A library that appears where it was looked for in vain, in a folder that was not there; a linker script; a response file."""
    files.assemble(START, "start.o")
    files("second").mkdir()
    files.archive(20, "second/libvalue.a")
    files("args").write_text("start.o -Lfirst/of/all -Lsecond -lvalue --defsym=unused=1")
    w = Watched(o, files.folder, "@args", "-o", "prog")
    w.expect("linked prog in")
    runs(files, 20)
    files("first/of/all").mkdir(parents=True)
    files.archive(21, "first/of/all/libvalue.a")
    w.expect("first/of/all/libvalue.a new: linked prog in")
    runs(files, 21)
    shutil.rmtree(files("first"))
    w.expect("first/of/all/libvalue.a gone: linked prog in")
    runs(files, 20)
    # A library that is a link to another one; the link is turned.
    files.archive(22, "second/libother.a")
    os.symlink("libother.a", files("second/link.tmp"))
    os.replace(files("second/link.tmp"), files("second/libvalue.a"))
    w.expect("second/libvalue.a changed: linked prog in")
    runs(files, 22)
    files.archive(23, "second/libother.a")
    w.expect("second/libvalue.a changed: linked prog in")
    runs(files, 23)
    files.assemble(VALUE.format(24), "value.o")
    files("args.new").write_text("start.o value.o")
    os.replace(files("args.new"), files("args"))
    w.expect("args changed: linked prog in")
    runs(files, 24)
    files.assemble(VALUE.format(25), "value.o")
    w.expect("value.o changed: linked prog in")
    runs(files, 25)
    w.end(0)
    print("right: files that were looked for")


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            fail(what)
        time.sleep(0.02)


def commands(o, files):
    files.assemble(START, "start.o")
    files.assemble(VALUE.format(30), "value.o")
    pids = files("pids")
    w = Watched(o, files.folder, "--watch-run", f"./$LODE_OUTPUT; echo $? $$ >> {pids}; exec sleep 1000", "start.o", "value.o", "-o", "prog")
    w.expect("linked prog in")
    lines = lambda: pids.read_text().splitlines() if pids.exists() else []
    wait_until(lambda: len(lines()) == 1, "the command did not run")
    files.assemble(VALUE.format(31), "value.o")
    w.expect("linked prog in")
    wait_until(lambda: len(lines()) == 2, "the command did not run again")
    (first, first_pid), (second, second_pid) = (l.split() for l in lines())
    if (first, second) != ("30", "31"):
        fail(f"the commands saw programs that gave {first} and {second}")
    wait_until(lambda: not alive(int(first_pid)), "the first command still runs beside the second")
    w.end(0)
    wait_until(lambda: not alive(int(second_pid)), "the command outlived its lode")

    w = Watched(o, files.folder, "--watch-run=exit 3", "start.o", "value.o", "-o", "prog")
    w.expect("linked prog in")
    w.expect("lode: exit 3: exit status 3")
    w.end(0, signal.SIGTERM)
    print("right: commands")


def modules(o, files):
    """AIR, for wasm and for ELF; each function is compiled in the process."""
    lines = [("wasm", ["-m", "wasm32", "--no-entry", "--export=value"], "m.wasm", 4), ("ELF", ["-shared"], "m.so", 8)]
    for name, options, output, size in lines:
        files("value.air").write_text(AIR.format(size, 40))
        w = Watched(o, files.folder, *options, "value.air", "-o", output)
        w.expect(f"linked {output} in")
        first = files(output).read_bytes()
        files("value.air").write_text(AIR.format(size, "%nothing"))
        w.expect_error("value.air:4:11: error: '%nothing' is not defined", "value.air changed: not linked; waiting")
        files("value.air").write_text(AIR.format(size, 41))
        w.expect(f"value.air changed: linked {output} in")
        if files(output).read_bytes() == first:
            fail("the output is as it was")
        files("value.air").write_text(AIR.format(size, 40))
        w.expect(f"value.air changed: linked {output} in")
        if files(output).read_bytes() != first:
            fail("the output of equal inputs is another one")
        w.end(0)
        print(f"right: modules, {name}")


def refused(o, files):
    files.assemble(START, "start.o")
    for args, said in ((["--watch-run=x", "start.o"], "lode: error: --watch-run is for --watch"),
                       (["--watch-run=x", "-m", "wasm32", "start.o"], "lode: error: --watch-run is for --watch"),
                       (["--watch", "start.o", "-o", "-"], "the output cannot be standard output")):
        process = subprocess.Popen([o.lode, *args], cwd=files.folder, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        line = process.stderr.readline()
        if said not in line:
            fail(f"{args}: {line}")
        process.terminate()
        process.wait(PATIENCE)
    os.mkfifo(files("pipe"))
    w = Watched(o, files.folder, "start.o", "pipe", "-o", "prog")
    with open(files("pipe"), "wb") as f:
        f.write(files.object_of(1))
    w.wait_for(w.errors, ["lode: error: pipe can be read only once: it is not for --watch"], ())
    if w.process.wait(PATIENCE) != 1:
        fail("a pipe is no error")
    print("right: what is refused")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lode", required=True, type=os.path.abspath)
    o = p.parse_args()
    missing = [t for t in ("as", "ar") if not shutil.which(t)]
    if missing:
        print(f"SKIPPED: {missing[0]} is not installed")
        sys.exit(SKIPPED)
    for part in (changes, end_after_error, looked_for, commands, modules, refused):
        with tempfile.TemporaryDirectory() as name:
            part(o, Files(pathlib.Path(name).resolve()))


main()
