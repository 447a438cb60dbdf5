// For tests that run commands: a command with a time limit and its output, folders that vanish, whole files, tools that
// may be absent. Nothing here throws; a test looks at what comes back.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <csignal>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace lode::test {

// A folder of its own below the system's temporary folder, removed with everything in it at the end of the scope
// (kept, and its name printed, when LODE_KEEP_TEMP is set).
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lode-test-XXXXXX").string();
    if (char* made = mkdtemp(pattern.data())) path_ = made;
  }
  ~TempDir() {
    if (path_.empty()) return;
    if (std::getenv("LODE_KEEP_TEMP")) {
      std::fprintf(stderr, "kept %s\n", path_.c_str());
      return;
    }
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  // Writes `content` to the file `name` of this folder and returns its path.
  std::string write(const std::string& name, const std::string& content) const {
    std::string p = file(name);
    std::ofstream(p, std::ios::binary).write(content.data(), std::streamsize(content.size()));
    return p;
  }

 private:
  std::string path_;
};

// The whole file; empty when it cannot be read.
inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct RunResult {
  int status = -1;         // exit status; 127 also when the command could not be started; -1 if it died by a signal
  int signal = 0;          // the signal that ended it, or 0
  bool timed_out = false;  // it was killed (signal is SIGKILL then)
  std::string out, err;    // what it wrote

  bool ok() const { return status == 0; }
  // For a test's INFO: how it ended and what it complained about.
  std::string describe() const {
    std::string how = timed_out ? "timed out"
                      : signal  ? "signal " + std::to_string(signal)
                                : "status " + std::to_string(status);
    return how + "\n" + err.substr(0, 4000) + out.substr(0, 1000);
  }
};

struct RunOptions {
  double seconds = 300;  // time limit for the command and all it starts: against hangs, so generous to a busy machine
  std::string cwd;      // empty: this process's
  std::string input;    // what it reads from stdin
};

// Runs `argv` (found by PATH) and waits for it. Output goes through files, so no amount of it can block.
inline RunResult run(const std::vector<std::string>& argv, const RunOptions& options = {}) {
  RunResult r;
  TempDir dir;
  std::string in = dir.write("in", options.input), out = dir.file("out"), err = dir.file("err");
  std::vector<char*> args;
  for (const std::string& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  std::fflush(nullptr);
  pid_t pid = fork();
  if (pid < 0) return r;
  if (pid == 0) {
    setpgid(0, 0);
    int fds[3] = {open(in.c_str(), O_RDONLY), open(out.c_str(), O_CREAT | O_WRONLY, 0600),
                  open(err.c_str(), O_CREAT | O_WRONLY, 0600)};
    for (int i = 0; i < 3; i++) dup2(fds[i], i);
    if (!options.cwd.empty() && chdir(options.cwd.c_str()) != 0) _exit(127);
    execvp(args[0], args.data());
    _exit(127);
  }
  setpgid(pid, pid);
  int fd = int(syscall(SYS_pidfd_open, pid, 0));
  pollfd p{fd, POLLIN, 0};
  if (fd >= 0 && poll(&p, 1, int(options.seconds * 1000)) == 0) {
    r.timed_out = true;
    kill(-pid, SIGKILL);
  }
  if (fd >= 0) close(fd);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status)) r.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) r.signal = WTERMSIG(status);
  r.out = read_file(out);
  r.err = read_file(err);
  return r;
}

// Whether a command of this name stands in PATH.
inline bool have_tool(const std::string& name) {
  std::string path = std::getenv("PATH") ? std::getenv("PATH") : "";
  for (size_t at = 0; at <= path.size();) {
    size_t colon = std::min(path.find(':', at), path.size());
    if (access((path.substr(at, colon - at) + "/" + name).c_str(), X_OK) == 0) return true;
    at = colon + 1;
  }
  return false;
}

}  // namespace lode::test
