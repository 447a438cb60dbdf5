// See file_watch.h.
#include "link/watch/file_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>

namespace lode::link {

namespace {

constexpr uint32_t reports = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::string absolute(const std::string& path) {
  if (path.starts_with("/")) return path;
  char folder[PATH_MAX];
  return getcwd(folder, sizeof folder) ? std::string(folder) + "/" + path : path;
}

// Folder and name of an absolute path. A name that is a folder's own ("..") stays part of the folder.
void split(const std::string& path, std::string& folder, std::string& name) {
  const size_t slash = path.rfind('/');
  folder = slash == 0 ? "/" : path.substr(0, slash);
  name = path.substr(slash + 1);
}

}  // namespace

FileWatch::~FileWatch() {
  if (fd_ >= 0) close(fd_);
}

Result<void> FileWatch::open() {
  fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) return error(std::string("cannot watch files: ") + std::strerror(errno));
  return {};
}

// The name at the end of the absolute path `at`, on behalf of `path`.
Result<void> FileWatch::watch_name(const std::string& at, const std::string& path) {
  std::string folder, name, own;
  split(at, folder, name);
  own = folder;
  for (int again = 0;;) {
    const int wd = inotify_add_watch(fd_, folder.c_str(), reports);
    if (wd >= 0) {
      Folder& f = folders_[wd];
      f.path = folder;
      f.names[name].insert(path);
      // A folder on the way may have been made after it was tried and before the one above it was watched. (Or it
      // cannot be watched: not tried for ever.)
      struct stat st;
      if (folder == own || ++again > 8 || stat((folder + "/" + name).c_str(), &st) != 0) return {};
      split(at, folder, name);
      continue;
    }
    if ((errno != ENOENT && errno != ENOTDIR && errno != EACCES) || folder == "/") {
      const int code = errno;
      return error("cannot watch " + folder + ": " + std::strerror(code) +
                   (code == ENOSPC ? " (fs.inotify.max_user_watches)" : ""));
    }
    split(std::string(folder), folder, name);
  }
}

Result<void> FileWatch::arm(const std::string& path) {
  std::string at = absolute(path);
  for (int links = 0; links < 16; links++) {
    LODE_TRY(watch_name(at, path));
    char target[PATH_MAX];
    const ssize_t n = readlink(at.c_str(), target, sizeof target);
    if (n <= 0 || size_t(n) == sizeof target) break;
    const std::string to(target, size_t(n));
    at = to.starts_with("/") ? to : at.substr(0, at.rfind('/') + 1) + to;
  }
  return {};
}

Result<void> FileWatch::set(const std::vector<Lookup>& files, bool others_stay) {
  std::map<std::string, FileStamp> old = std::move(files_);
  files_.clear();
  for (const Lookup& file : files) {
    if (auto known = old.find(file.path); known != old.end()) {
      files_.insert(old.extract(known));
      continue;
    }
    LODE_TRY(arm(file.path));
    FileStamp& known = files_[file.path] = file.identity;
    if (file.fresh) known.modified = 0;  // as if it had changed
    suspects_.insert(file.path);
  }
  if (others_stay) files_.merge(old);
  // Watches of names that do not count any more stay until none of their folder does.
  if (!old.empty())
    for (auto it = folders_.begin(); it != folders_.end();) {
      for (auto name = it->second.names.begin(); name != it->second.names.end();) {
        std::erase_if(name->second, [&](const std::string& path) { return !files_.contains(path); });
        name = name->second.empty() ? it->second.names.erase(name) : std::next(name);
      }
      if (it->second.names.empty()) inotify_rm_watch(fd_, it->first);
      it = it->second.names.empty() ? folders_.erase(it) : std::next(it);
    }
  std::erase_if(suspects_, [&](const std::string& path) { return !files_.contains(path); });
  std::erase_if(writing_, [&](const std::string& path) { return !files_.contains(path); });
  return {};
}

void FileWatch::read_reports() {
  alignas(inotify_event) char buffer[65536];
  std::set<std::string> again;  // whose watches have to be made anew: a folder came or went
  for (;;) {
    const ssize_t n = read(fd_, buffer, sizeof buffer);
    if (n <= 0) break;
    for (ssize_t at = 0; at < n;) {
      const auto* e = reinterpret_cast<const inotify_event*>(buffer + at);
      at += ssize_t(sizeof(inotify_event) + e->len);
      if (e->mask & IN_Q_OVERFLOW) all_suspect_ = true;
      auto folder = folders_.find(e->wd);
      if (folder == folders_.end()) continue;
      if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
        for (auto& [name, for_paths] : folder->second.names) again.insert(for_paths.begin(), for_paths.end());
        if (e->mask & IN_MOVE_SELF) inotify_rm_watch(fd_, e->wd);  // it is no longer where the files are
        folders_.erase(folder);
        continue;
      }
      auto name = folder->second.names.find(std::string_view(e->len ? e->name : ""));
      if (name == folder->second.names.end()) continue;
      for (const std::string& path : name->second) {
        suspects_.insert(path);
        if (e->mask & IN_MODIFY) writing_.insert(path);
        else writing_.erase(path);
        // A file that was just made to be written has nothing in it; a second name of a file, or a link, is whole.
        if (struct stat st; (e->mask & IN_CREATE) && !(e->mask & IN_ISDIR) && stat(path.c_str(), &st) == 0 &&
                            st.st_size == 0 && st.st_nlink == 1)
          writing_.insert(path);
        if (e->mask & (IN_CREATE | IN_MOVED_TO)) again.insert(path);  // a folder on the way, or a link to elsewhere
      }
    }
  }
  for (const std::string& path : again) {
    suspects_.insert(path);
    (void)arm(path);  // what cannot be watched any more is seen to be gone
  }
}

std::vector<ChangedFile> FileWatch::take_changed() {
  std::vector<ChangedFile> changed;
  auto look = [&](const std::string& path, FileStamp& known) {
    const FileStamp now = identity_of(path);
    if (now == known) return;
    changed.push_back({path, !now.exists() ? Change::gone : !known.exists() ? Change::appeared : Change::changed});
    known = now;
  };
  if (all_suspect_)
    for (auto& [path, known] : files_) look(path, known);
  else
    for (const std::string& path : suspects_)
      if (auto it = files_.find(path); it != files_.end()) look(path, it->second);
  all_suspect_ = false;
  suspects_.clear();
  return changed;
}

}  // namespace lode::link
