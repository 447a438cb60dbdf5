// For tests on what clang makes: sources compiled for wasm32-wasi, linked by lode and by wasm-ld, run under node's
// WASI.
#pragma once

#include "tests/support/skip.h"
#include "tests/wasm/link_support.h"

namespace lode::test {

inline const std::string lib = "/usr/lib/wasm32-wasi";

// What is not there of what these tests need, and of `more`.
inline std::string project_lacks(const std::vector<std::string>& more = {}) {
  std::string why = missing({"clang-19", "wasm-ld-19", "node", lib + "/libc.a"});
  return why.empty() ? missing(more) : why;
}

struct Project {
  TempDir dir;

  // Compiles `source`; `flags` may have -emit-llvm.
  std::string compile(const std::string& name, const std::string& source, std::vector<std::string> flags = {"-O1"}) {
    bool cxx = name.ends_with(".cc");
    std::string in = dir.write(name, source), out = dir.file(name + ".o");
    std::vector<std::string> args{cxx ? "clang++-19" : "clang-19", "--target=wasm32-wasi", "-w", "-c", in, "-o", out};
    args.insert(args.end(), flags.begin(), flags.end());
    RunResult r = run(args);
    INFO(r.describe());
    REQUIRE(r.ok());
    return out;
  }
  RunResult lode(std::vector<std::string> args, const std::string& output) {
    args.insert(args.begin(), {LODE_BINARY, "-m", "wasm32"});
    args.insert(args.end(), {"-o", dir.file(output)});
    RunResult r = run(args);
    if (r.ok()) CHECK(valid_wasm(dir.file(output)));
    return r;
  }
  RunResult wasm_ld(std::vector<std::string> args, const std::string& output) {
    args.insert(args.begin(), "wasm-ld-19");
    args.insert(args.end(), {"-o", dir.file(output)});
    return run(args);
  }
  std::vector<std::string> with_libc(std::vector<std::string> inputs) {
    inputs.insert(inputs.begin(), {"-L" + lib, lib + "/crt1-command.o"});
    inputs.insert(inputs.end(), {"-lc", "--strip-debug"});
    return inputs;
  }
  RunResult wasi(const std::string& output) {
    std::string runner =
        dir.write("run.mjs",
                  "import {WASI} from 'node:wasi'; import fs from 'node:fs';\n"
                  "const wasi=new WASI({version:'preview1',args:['p'],env:{},returnOnExit:true});\n"
                  "const i=await WebAssembly.instantiate(await "
                  "WebAssembly.compile(fs.readFileSync(process.argv[2])),{wasi_snapshot_preview1:wasi.wasiImport});\n"
                  "process.exitCode=wasi.start(i);\n");
    return run({"node", "--no-warnings", runner, dir.file(output)});
  }
  std::vector<uint8_t> bytes(const std::string& output) {
    std::string s = read_file(dir.file(output));
    return {s.begin(), s.end()};
  }
};

}  // namespace lode::test
