// See lookups.h.
#include "link/common/lookups.h"

#include <sys/stat.h>
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

bool before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

}  // namespace

bool FileIdentity::operator==(const FileIdentity& o) const {
  return exists == o.exists && device == o.device && inode == o.inode && size == o.size &&
         modified.tv_sec == o.modified.tv_sec && modified.tv_nsec == o.modified.tv_nsec;
}

FileIdentity identity_of(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return {};
  return {true, st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

void note_lookup(const std::string& path) {
  if (!listening.load(std::memory_order_relaxed)) return;
  std::lock_guard lock(noted().mutex);
  auto [it, is_new] = noted().files.try_emplace(path);
  if (!is_new) return;
  timespec tick = {};
  clock_gettime(CLOCK_REALTIME_COARSE, &tick);  // the clock of file times
  const FileIdentity identity = identity_of(path);
  it->second = {path, identity, identity.exists && !before(identity.modified, tick)};
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
