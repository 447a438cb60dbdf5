// See process.h. In handlers only what is async-signal-safe happens: notes are read through atomics, text is put
// together in a buffer on the stack, and _exit and unlink end it.
#include "link/common/process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <climits>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <new>
#include <vector>

namespace lode::link {

// Notes are never freed, only used again, so that a handler can walk the list at any moment.
struct Note {
  std::atomic<const char*> begin{nullptr};
  std::atomic<size_t> size{0};
  std::atomic<FileView::Kind> kind{FileView::input};
  std::atomic<const char*> path{nullptr};
  std::string text;
  Note* next = nullptr;
};

namespace {

std::mutex notes_mutex;
std::atomic<Note*> notes{nullptr};
std::vector<Note*> free_notes;

char temporary_path[PATH_MAX];
std::atomic<bool> has_temporary{false};
char program_name[128] = "lode";

void remove_temporary() {
  if (has_temporary.exchange(false)) unlink(temporary_path);
}

// Prints the parts in one write and ends the process.
[[noreturn]] void end_with(std::initializer_list<const char*> parts) {
  char text[PATH_MAX + 256];
  size_t n = 0;
  for (const char* p : parts)
    for (; *p && n < sizeof text; p++) text[n++] = *p;
  ssize_t ignored = write(STDERR_FILENO, text, n);
  (void)ignored;
  remove_temporary();
  _exit(1);
}

void on_bus_error(int signal, siginfo_t* info, void*) {
  const char* at = static_cast<const char*>(info->si_addr);
  for (const Note* n = notes.load(); n; n = n->next) {
    const char* begin = n->begin.load();
    if (!begin || at < begin || size_t(at - begin) >= n->size.load()) continue;
    if (n->kind.load() == FileView::output)
      end_with({program_name, ": error: cannot write ", n->path.load(), ": No space left on device\n"});
    end_with({program_name, ": error: ", n->path.load(), ": the file was truncated while it was read\n"});
  }
  remove_temporary();
  std::signal(signal, SIG_DFL);  // the instruction runs again and ends the process
}

void on_end(int signal) {
  remove_temporary();
  std::signal(signal, SIG_DFL);
  raise(signal);
}

struct Gate {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t open = PTHREAD_COND_INITIALIZER;
  bool is_open = false;
};
void* wait_at(void* p) {
  Gate& gate = *static_cast<Gate*>(p);
  pthread_mutex_lock(&gate.mutex);
  while (!gate.is_open) pthread_cond_wait(&gate.open, &gate.mutex);
  pthread_mutex_unlock(&gate.mutex);
  return nullptr;
}

}  // namespace

void install_process_handlers(const std::string& program) {
  std::strncpy(program_name, program.c_str(), sizeof program_name - 1);
  struct sigaction bus = {};
  bus.sa_sigaction = on_bus_error;
  bus.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &bus, nullptr);
  for (int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXCPU}) {
    struct sigaction old = {}, end = {};
    end.sa_handler = on_end;
    sigaction(s, nullptr, &old);
    if (old.sa_handler != SIG_IGN) sigaction(s, &end, nullptr);  // nohup and the like stay in force
  }
  std::signal(SIGXFSZ, SIG_IGN);
  std::set_new_handler([] { end_with({program_name, ": error: out of memory\n"}); });
}

FileView::FileView(const void* begin, size_t size, std::string path, Kind kind) {
  std::lock_guard lock(notes_mutex);
  bool fresh = free_notes.empty();
  if (fresh) {
    note_ = new Note;
  } else {
    note_ = free_notes.back();
    free_notes.pop_back();
  }
  note_->text = std::move(path);
  note_->path.store(note_->text.c_str());
  note_->kind.store(kind);
  note_->size.store(size);
  note_->begin.store(static_cast<const char*>(begin));
  if (fresh) {
    note_->next = notes.load();
    notes.store(note_);
  }
}

FileView::~FileView() {
  if (!note_) return;
  std::lock_guard lock(notes_mutex);
  note_->begin.store(nullptr);
  free_notes.push_back(note_);
}

void note_temporary(std::string_view path) {
  std::lock_guard lock(notes_mutex);
  has_temporary.store(false);
  if (path.empty() || path.size() >= sizeof temporary_path) return;
  std::memcpy(temporary_path, path.data(), path.size());
  temporary_path[path.size()] = '\0';
  has_temporary.store(true);
}

// One more thread is tried always; all of them where a limit says that there may be fewer, as they have to exist at the
// same time.
size_t possible_threads(size_t wanted) {
  if (wanted <= 1) return 1;
  struct rlimit space = {}, processes = {};
  bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
  limited |= getrlimit(RLIMIT_NPROC, &processes) == 0 && processes.rlim_cur < 4096;
  size_t tried = limited || wanted <= 4 ? wanted - 1 : 1;
  Gate gate;
  std::vector<pthread_t> threads;
  while (threads.size() < tried) {
    pthread_t t;
    if (pthread_create(&t, nullptr, wait_at, &gate) != 0) break;
    threads.push_back(t);
  }
  pthread_mutex_lock(&gate.mutex);
  gate.is_open = true;
  pthread_cond_broadcast(&gate.open);
  pthread_mutex_unlock(&gate.mutex);
  for (pthread_t t : threads) pthread_join(t, nullptr);
  return threads.size() == tried ? wanted : threads.size() + 1;
}

struct ThreadLimit::Control {
  tbb::global_control control;
};

ThreadLimit::ThreadLimit(size_t wanted) {
  const size_t possible = possible_threads(wanted);
  state_ = possible < wanted ? for_good : wanted > 1 ? removed : tried;
  control_ = new Control{{tbb::global_control::max_allowed_parallelism, possible}};
}
ThreadLimit::~ThreadLimit() {
  if (state_ == for_good || (state_ == tried && possible_threads(2) < 2)) return;
  delete control_;
}

}  // namespace lode::link
