// SQLite and the driver as bitcode, for tests: made once by whichever test comes first and kept in the build folder.
#pragma once

#include "tests/support/run.h"
#include "tests/support/skip.h"
#include "tests/support/toolchain.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/file.h>

namespace lode::test::sqlite_inputs {


inline const std::string sqlite = LODE_INPUTS "/sqlite";
inline const std::string work = LODE_WORK "/sqlite";
inline const Args flags = {"-w", "-I" + sqlite, "-DSQLITE_ENABLE_MATH_FUNCTIONS", "-DSQLITE_OMIT_LOAD_EXTENSION"};
inline const Args wasi_flags = {"--target=wasm32-wasi", "-DSQLITE_THREADSAFE=0", "-D_WASI_EMULATED_GETPID",
                                "-D_WASI_EMULATED_MMAN", "-D_WASI_EMULATED_SIGNAL"};

inline std::string unavailable(const Args& tools) {
  if (!std::filesystem::exists(sqlite + "/sqlite3.c")) return sqlite + "/sqlite3.c is not there";
  return missing(tools);
}

// Makes a kept file by `command` + -o, once, whichever test process comes first.
inline std::string kept(const std::string& name, const Args& command) {
  std::string path = work + "/" + name, temp = path + "." + std::to_string(getpid());
  std::filesystem::create_directories(work);
  int lock = open((path + ".lock").c_str(), O_CREAT | O_RDWR, 0600);
  flock(lock, LOCK_EX);
  if (!std::filesystem::exists(path)) {
    RunResult r = run(command + Args{"-o", temp}, {.seconds = 300});
    INFO(r.describe());
    CHECK(r.ok());
    if (r.ok()) std::filesystem::rename(temp, path);
  }
  close(lock);
  return path;
}

inline Args bitcode(const std::string& level, const Args& more = {}, const std::string& tag = "") {
  Args out;
  for (std::string c : {std::string(LODE_SOURCE_DIR "/examples/sqlite/driver.c"), sqlite + "/sqlite3.c"}) {
    std::string name = std::filesystem::path(c).stem().string() + tag + "." + level + ".bc";
    out.push_back(kept(name, Args{"clang-19", "-" + level, "-c", "-emit-llvm", c} + flags + more));
  }
  return out;
}

}  // namespace lode::test::sqlite_inputs
