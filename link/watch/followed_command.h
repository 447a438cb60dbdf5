// The command of --watch-run: started after a link, and not waited for. If it still runs when the next link is done, it
// is ended and started anew, as a server has to be.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace lode::link {

class FollowedCommand {
 public:
  explicit FollowedCommand(std::string command) : command_(std::move(command)) {}
  FollowedCommand(const FollowedCommand&) = delete;
  FollowedCommand& operator=(const FollowedCommand&) = delete;
  ~FollowedCommand() { stop(); }

  // By the shell, in a process group of its own, without input; LODE_OUTPUT is what was linked.
  Result<void> start(const std::string& output);
  // SIGTERM for it and what it started; SIGKILL for what is there after a second.
  void stop();
  // After SIGCHLD: how it ended, if it has, and not with status 0. Else empty.
  std::string how_it_ended();

 private:
  std::string command_;
  pid_t pid_ = -1;
};

}  // namespace lode::link
