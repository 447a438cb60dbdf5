// See followed_command.h.
#include "link/watch/followed_command.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace lode::link {

// Between fork and exec only what is safe after a signal: other threads may hold any lock of the library.
Result<void> FollowedCommand::start(const std::string& output) {
  if (command_.empty()) return {};
  stop();
  const std::string variable = "LODE_OUTPUT=" + output;
  std::vector<char*> environment;
  for (char** e = ::environ; *e; e++)
    if (std::strncmp(*e, "LODE_OUTPUT=", 12) != 0) environment.push_back(*e);
  environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);
  char shell[] = "/bin/sh", option[] = "-c";
  char* const words[] = {shell, option, command_.data(), nullptr};
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return error(std::string("cannot run ") + command_ + ": " + std::strerror(errno));
  if (pid_ > 0) {
    setpgid(pid_, pid_);
    return {};
  }
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);
  for (int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXCPU, SIGBUS, SIGXFSZ, SIGCHLD}) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  execve(shell, words, environment.data());
  _exit(127);
}

void FollowedCommand::stop() {
  if (pid_ < 0) return;
  kill(-pid_, SIGTERM);
  int status;
  for (int tries = 0; tries < 100; tries++) {
    if (waitpid(pid_, &status, WNOHANG) != 0) break;
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
    if (tries == 99) {
      kill(-pid_, SIGKILL);
      waitpid(pid_, &status, 0);
    }
  }
  kill(-pid_, SIGKILL);  // what it left behind
  pid_ = -1;
}

std::string FollowedCommand::how_it_ended() {
  int status;
  if (pid_ < 0 || waitpid(pid_, &status, WNOHANG) != pid_) return {};
  pid_ = -1;
  if (WIFSIGNALED(status)) return command_ + ": ended by signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return command_ + ": exit status " + std::to_string(WEXITSTATUS(status));
  return {};
}

}  // namespace lode::link
