// See lookups.h.
#include "link/common/lookups.h"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <map>

namespace lode::link {

namespace {

std::atomic<bool> listening{false};

struct Noted {
  std::mutex mutex;
  std::map<std::string, Lookup> files;
};
Noted& noted() {
  static Noted n;
  return n;
}

}  // namespace

void note_lookup(const std::string& path) {
  if (!listening.load(std::memory_order_relaxed)) return;
  std::lock_guard lock(noted().mutex);
  auto [it, is_new] = noted().files.try_emplace(path);
  if (!is_new) return;
  const int64_t tick = file_clock();
  const FileStamp identity = identity_of(path);
  it->second = {path, identity, identity.exists() && identity.modified >= tick};
}

bool file_exists(const std::string& path) {
  note_lookup(path);
  return access(path.c_str(), R_OK) == 0;
}

void start_lookups() {
  noted().files.clear();
  listening.store(true);
}

std::vector<Lookup> end_lookups() {
  listening.store(false);
  std::lock_guard lock(noted().mutex);
  std::vector<Lookup> all;
  for (auto& [path, lookup] : noted().files) all.push_back(lookup);
  return all;
}

}  // namespace lode::link
