// Link lines and tools of the machine that tests run on: what gcc would pass to a linker, the wasm libraries, node.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/run.h"

namespace lode::test {

using Args = std::vector<std::string>;

inline Args operator+(Args a, const Args& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The full path of a start file or library of gcc.
inline std::string gcc_file(const std::string& name) {
  static std::map<std::string, std::string> known;
  std::string& path = known[name];
  if (path.empty()) {
    path = run({"gcc", "-print-file-name=" + name}).out;
    while (!path.empty() && path.back() == '\n') path.pop_back();
  }
  return path;
}
inline std::string gcc_folder(const std::string& name) {
  return std::filesystem::weakly_canonical(gcc_file(name)).parent_path().string();
}

// A linker's arguments (without its name) for an x86_64 program of `inputs` with libc and libm.
inline Args static_link(const Args& inputs, const std::string& output) {
  return Args{"-m", "elf_x86_64", "-static", gcc_file("crt1.o"), gcc_file("crti.o"), gcc_file("crtbeginT.o")} + inputs +
         Args{"-L" + gcc_folder("libgcc.a"),
              "-L" + gcc_folder("libc.a"),
              "-lm", "--start-group", "-lgcc", "-lgcc_eh", "-lc", "--end-group",
              gcc_file("crtend.o"),
              gcc_file("crtn.o"),
              "-o",
              output};
}
inline Args dynamic_link(const Args& inputs, const std::string& output) {
  return Args{
      "-m", "elf_x86_64", "-pie", "--eh-frame-hdr", "-dynamic-linker", "/lib64/ld-linux-x86-64.so.2",
              gcc_file("Scrt1.o"),
              gcc_file("crti.o"),
              gcc_file("crtbeginS.o")} +
         inputs +
         Args{"-L" + gcc_folder("libgcc.a"),
              "-L" + gcc_folder("libc.so"),
              "-lm", "-lgcc", "--push-state", "--as-needed", "-lgcc_s", "--pop-state", "-lc",
              gcc_file("crtendS.o"),
              gcc_file("crtn.o"),
              "-o",
              output};
}

inline const char* wasi_folder() { return "/usr/lib/wasm32-wasi"; }

// A wasm linker's arguments for a WASI command with wasi-libc. `scratch` gets the stack guard that Debian's compiler-rt
// asks of libc and wasi-libc does not have.
inline Args wasi_link(const Args& inputs, const std::string& output, const TempDir& scratch) {
  std::string guard = scratch.write(
      "guard.c", "unsigned long __stack_chk_guard = 42; void __stack_chk_fail(void) { __builtin_trap(); }\n");
  std::string object = scratch.file("guard.o");
  run({"clang-19", "--target=wasm32-wasi", "-O1", "-c", guard, "-o", object});
  std::string builtins = run({"clang-19", "--target=wasm32-wasi", "-print-libgcc-file-name"}).out;
  while (!builtins.empty() && builtins.back() == '\n') builtins.pop_back();
  std::string lib = wasi_folder();
  return Args{"-L" + lib, lib + "/crt1-command.o"} + inputs +
         Args{object, "-lm", "-lc", "-lwasi-emulated-signal", "-lwasi-emulated-mman", "-lwasi-emulated-process-clocks",
              "-lwasi-emulated-getpid", builtins, "-o", output};
}

// Runs a module under node's WASI; status 134 is a trap, 126 a module that node refuses.
inline RunResult run_wasi(const std::string& module, double seconds = 300) {
  static const char* script =
      "const fs=require('fs');const{WASI}=require('node:wasi');"
      "const w=new WASI({version:'preview1',args:['program'],env:{},returnOnExit:true});"
      "(async()=>{let i;try{i=await WebAssembly.instantiate(await "
      "WebAssembly.compile(fs.readFileSync(process.argv[1])),"
      "{wasi_snapshot_preview1:w.wasiImport});}catch(e){console.error(String(e));process.exit(126);}"
      "try{process.exit(w.start(i)??0);}catch(e){console.error(String(e));process.exit(134);}})();";
  RunOptions options;
  options.seconds = seconds;
  return run({"node", "--no-warnings", "-e", script, module}, options);
}

}  // namespace lode::test
