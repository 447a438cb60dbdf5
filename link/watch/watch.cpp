// See watch.h.
#include "link/watch/watch.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "link/common/lookups.h"
#include "link/common/response_file.h"
#include "link/watch/followed_command.h"

namespace lode::link {

namespace {

constexpr int quiet_ms = 300;         // for so long nothing changes before an error is believed
constexpr int longest_write_ms = 5000;  // a file that is not closed by then is linked as it is

double ms_since(const timespec& start) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec - start.tv_sec) * 1e3 + double(now.tv_nsec - start.tv_nsec) / 1e6;
}
timespec now_of(clockid_t clock) {
  timespec t = {};
  clock_gettime(clock, &t);
  return t;
}

// "a.o, b.o and 3 more changed; c.o gone; first.o new"
std::string what_changed(const std::vector<ChangedFile>& files) {
  std::string out;
  struct Kind {
    Change change;
    const char* word;
  };
  const Kind kinds[] = {{Change::changed, "changed"}, {Change::appeared, "new"}, {Change::gone, "gone"}};
  for (const Kind& kind : kinds) {
    std::string names;
    size_t count = 0;
    for (const ChangedFile& f : files)
      if (f.change == kind.change && ++count <= 3) names += (names.empty() ? "" : ", ") + f.path;
    if (count > 3) names += " and " + std::to_string(count - 3) + " more";
    if (count) out += (out.empty() ? "" : "; ") + names + " " + kind.word;
  }
  return out;
}

// The words of --watch, and what it is to run.
struct Words {
  std::vector<std::string> args;
  std::string command;
};
bool is_option(std::string_view word, std::string_view name) {
  return word.starts_with("-") && word.substr(word.starts_with("--") ? 2 : 1) == name;
}
Words take_out_words(std::span<const std::string> args) {
  Words w;
  for (size_t i = 0; i < args.size(); i++) {
    const size_t equals = args[i].find('=');
    if (i > 0 && is_option(args[i], "watch")) continue;
    if (i > 0 && is_option(args[i].substr(0, equals), "watch-run")) {
      if (equals != std::string::npos) w.command = args[i].substr(equals + 1);
      else if (++i < args.size()) w.command = args[i];
      continue;
    }
    w.args.push_back(args[i]);
  }
  return w;
}

class Watcher {
 public:
  Watcher(std::span<const char* const> args, const LinkOnce& link_once) : given_(args), link_once_(link_once) {}

  int run() {
    auto expanded = expand_response_files(given_);
    if (!expanded) return refuse(expanded.error().text());
    command_.emplace(take_out_words(*expanded).command);
    if (auto opened = files_.open(); !opened) return refuse(opened.error().text());
    if (!take_signals()) return refuse(std::string("cannot wait for signals: ") + std::strerror(errno));
    copy_inputs_that_may_change();
    std::vector<ChangedFile> changes;
    while (!ended_ && link(changes)) wait_for_change(changes);
    command_->stop();
    return !failed_ && last_.ok ? 0 : 1;
  }

 private:
  int refuse(const std::string& why) {
    std::fprintf(stderr, "lode: error: %s\n", why.c_str());
    return 1;
  }

  // Signals come through a descriptor. Blocked before there are other threads, so that none of them gets one.
  bool take_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, s);
    if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return false;
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signals_ >= 0;
  }
  void read_signals() {
    signalfd_siginfo info;
    while (read(signals_, &info, sizeof info) == ssize_t(sizeof info)) {
      if (info.ssi_signo != SIGCHLD) {
        ended_ = true;
        continue;
      }
      if (const std::string how = command_->how_it_ended(); !how.empty()) say("lode: " + how);
    }
  }

  // Waits for reports or a signal, no longer than `ms` (-1: without end). False: nothing came.
  bool wait(int ms) {
    pollfd ready[] = {{files_.descriptor(), POLLIN, 0}, {signals_, POLLIN, 0}};
    const int n = poll(ready, 2, ms);
    if (n < 0 && errno != EINTR) ended_ = true;
    if (n <= 0) return false;
    read_signals();
    files_.read_reports();
    return true;
  }

  void say(const std::string& line) {
    std::fwrite((line + "\n").data(), 1, line.size() + 1, stdout);
    if (std::fflush(stdout) != 0) ended_ = true;  // nobody reads it any more
  }

  // One link. False: it cannot be watched.
  bool link(const std::vector<ChangedFile>& changes) {
    const timespec start = now_of(CLOCK_MONOTONIC);
    start_lookups();
    auto expanded = expand_response_files(given_);
    if (expanded) last_ = link_once_(take_out_words(*expanded).args, changes);
    else last_ = {false, false, last_.output, {"lode: error: " + expanded.error().text()}, {}};
    ms_ = ms_since(start);
    if (!watch_files(end_lookups())) return false;
    said_ = false;
    if (last_.ok) report(changes);
    return true;
  }

  bool watch_files(std::vector<Lookup> looked_for) {
    if (last_.same_files) return true;
    for (const auto& [path, identity, fresh] : looked_for) {
      struct stat st;
      if (stat(path.c_str(), &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        failed_ = true;
        refuse(path + " can be read only once: it is not for --watch");
        return false;
      }
    }
    std::erase_if(looked_for, [&](const Lookup& l) { return l.path == last_.output; });
    if (auto watched = files_.set(looked_for, !last_.ok); !watched) {
      failed_ = true;
      refuse(watched.error().text());
      return false;
    }
    return true;
  }

  // The line of a link, what it had to say, and the command.
  void report(const std::vector<ChangedFile>& changes) {
    said_ = true;
    std::fwrite(last_.listing.data(), 1, last_.listing.size(), stdout);
    const bool again = !last_.messages.empty() && last_.messages == said_before_;
    if (!again)
      for (const std::string& m : last_.messages) std::fprintf(stderr, "%s\n", m.c_str());
    said_before_ = last_.messages;
    char time[64];
    std::snprintf(time, sizeof time, " in %.1f ms", ms_);
    const std::string what = what_changed(changes);
    std::string line = "lode: " + (what.empty() ? "" : what + ": ");
    if (last_.ok) line += "linked " + last_.output + time;
    else line += std::string("not linked") + (again ? ", for the same reason" : "") + "; waiting";
    if (what.empty()) line += ", watching " + std::to_string(files_.size()) + " files";
    say(line);
    if (!last_.ok) return;
    if (auto started = command_->start(last_.output); !started) refuse(started.error().text());
  }

  // Until something is to be linked, with what changed, or the end.
  void wait_for_change(std::vector<ChangedFile>& changes) {
    // An error that was not said yet is of these changes, too.
    if (said_) changes.clear();
    timespec writing_since = {};
    bool waits_for_writer = false;
    for (bool first = true; !ended_; first = false) {
      if (first) files_.read_reports();
      else {
        const int limit = waits_for_writer ? std::max(0, longest_write_ms - int(ms_since(writing_since))) : -1;
        const bool came = wait(!said_ && !waits_for_writer ? quiet_ms : limit);
        if (ended_) return;
        if (!came && waits_for_writer) files_.forget_writing();
        else if (!came && !said_) {
          report(changes);
          changes.clear();
        }
      }
      if (files_.writing()) {
        if (!waits_for_writer) writing_since = now_of(CLOCK_MONOTONIC);
        waits_for_writer = true;
        continue;
      }
      waits_for_writer = false;
      const std::vector<ChangedFile> fresh = files_.take_changed();
      if (fresh.empty()) continue;
      merge(changes, fresh);
      return;
    }
  }

  static void merge(std::vector<ChangedFile>& changes, const std::vector<ChangedFile>& fresh) {
    for (const ChangedFile& f : fresh) {
      std::erase_if(changes, [&](const ChangedFile& c) { return c.path == f.path; });
      changes.push_back(f);
    }
  }

  std::span<const char* const> given_;
  const LinkOnce& link_once_;
  FileWatch files_;
  std::optional<FollowedCommand> command_;
  int signals_ = -1;
  WatchedLink last_;
  double ms_ = 0;
  bool said_ = false, ended_ = false, failed_ = false;
  std::vector<std::string> said_before_;
};

}  // namespace

bool asks_to_watch(std::span<const std::string> args) {
  for (size_t i = 1; i < args.size(); i++)
    if (is_option(args[i], "watch")) return true;
  return false;
}

int watch(std::span<const char* const> args, const LinkOnce& link_once) { return Watcher(args, link_once).run(); }

}  // namespace lode::link
