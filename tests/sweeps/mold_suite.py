#!/usr/bin/env python3
"""Runs the shell tests of the mold linker (its source's test/ folder, not part of this project) against lode.

    mold_suite.py FOLDER [--lode LODE] [--linker ld.lld-19] [--only REGEX] [--triple riscv64-linux-gnu]

The scripts use `$CC -B. -o exe` and `./mold`: they run in a folder whose ld, ld.lld, ld.mold and mold are small wrappers
around the linker under test (wrappers, because linkers look at argv[0]). A script passes if it ends with status 0, and
is skipped if it says so. Lists go to build/sweeps/mold-{pass,skip,fail}.txt.
"""
import argparse
import os
import re
import shutil
import sys
import tempfile

import sweep


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--linker", help="another linker to try instead of lode, as a command")
    p.add_argument("--only", default="", help="regular expression on names")
    p.add_argument("--triple", help="run for another target by its cross compiler and qemu, e.g. riscv64-linux-gnu")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    command = shutil.which(a.linker) if a.linker else os.path.abspath(a.lode)
    temp = tempfile.mkdtemp(prefix="lode-mold-")
    for name in ("ld", "ld.lld", "ld.mold", "mold"):
        path = os.path.join(temp, name)
        with open(path, "w") as f:
            f.write(f'#!/bin/bash\nexec "{command}" "$@"\n')
        os.chmod(path, 0o755)
    folder = os.path.abspath(a.folder)
    arch = (a.triple or "x86_64-linux-gnu").split("-")[0]
    scripts = [s for s in sorted(os.listdir(folder)) if s.endswith(".sh") and re.search(a.only, s)
               and (not s.startswith("arch-") or s.startswith(f"arch-{arch}"))]
    environment = {**os.environ, "LC_ALL": "C"}
    if a.triple:
        environment["TRIPLE"] = a.triple

    def one(script):
        command = ["env", *[f"{k}={v}" for k, v in environment.items() if k in ("LC_ALL", "TRIPLE", "PATH", "HOME")],
                   "bash", os.path.join(folder, script)]
        r = sweep.run(command, max(a.timeout, 60), cwd=temp, memory=None)
        text = (r.out + r.err).decode("utf-8", "replace")
        if r.ok():
            return script, ("skip" if re.search(r"\bskipped\b", text) else "pass"), ""
        # The linker's own complaint, else the script's last command (they run under `set -x`-less bash -e).
        lines = [l for l in text.splitlines() if "error" in l.lower()] or text.splitlines()[-1:] or [""]
        return script, "fail", "timeout" if r.timed_out else re.sub(r"\S*/", "", lines[0])[:200]

    results = sweep.parallel(one, scripts, a.jobs, "mold's tests")
    shutil.rmtree(temp, ignore_errors=True)
    out = a.out or os.path.join(sweep.TOP, "build/sweeps")
    os.makedirs(out, exist_ok=True)
    for kind in ("pass", "skip", "fail"):
        with open(os.path.join(out, f"mold-{kind}.txt"), "w") as f:
            for script, k, why in results:
                if k == kind:
                    f.write(script + (f"\t{why}" if why else "") + "\n")
    for script, kind, why in results:
        if kind == "fail":
            print(f"  {script}: {why}")
    counts = {k: sum(1 for r in results if r[1] == k) for k in ("pass", "skip", "fail")}
    print(f"mold's tests: {len(results)} scripts, {counts['pass']} pass, {counts['skip']} skipped, {counts['fail']} fail (lists in {out}/mold-*.txt)")


if __name__ == "__main__":
    main()
