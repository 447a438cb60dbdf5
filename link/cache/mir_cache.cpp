#include "link/cache/mir_cache.h"
#include "link/common/parallel.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/bytes.h"
#include "generator_version.h"

namespace lode::link {

namespace {

constexpr size_t packs_of_role = 4;    // contents of a module that are remembered
constexpr size_t max_others = 8;       // packs that one may refer to: beyond that its functions are copied together
constexpr size_t max_others_in_file = 32;
constexpr size_t max_names_file = 4096;
constexpr time_t touch_after = 60;     // seconds: a use within them does not change the order in which packs go

std::string hex(const mir::Hash128& h) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(h.high),
                static_cast<unsigned long long>(h.low));
  return text;
}
bool from_hex(std::string_view text, mir::Hash128& out) {
  if (text.size() != 32) return false;
  uint64_t words[2] = {0, 0};
  for (size_t k = 0; k < 32; k++) {
    const char c = text[k];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    words[k / 16] = words[k / 16] << 4 | uint64_t(digit);
  }
  out = {words[1], words[0]};
  return true;
}

struct Descriptor {
  int fd;
  explicit Descriptor(int d) : fd(d) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

// A whole file, noted as used. Empty: there is none.
std::vector<uint8_t> read_used(const std::string& path, uint64_t max_size) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat st;
  if (file.fd < 0 || fstat(file.fd, &st) != 0 || !S_ISREG(st.st_mode) || uint64_t(st.st_size) > max_size) return {};
  std::vector<uint8_t> bytes(size_t(st.st_size));
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = read(file.fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return {};
    at += size_t(n);
  }
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec - st.st_mtime > touch_after)
    (void)futimens(file.fd, nullptr);
  return bytes;
}

}  // namespace

// ---- of a module ----------------------------------------------------------------------------------------------------

const std::vector<std::shared_ptr<LoadedPack>> CachedModule::no_packs_;

CachedModule::Found CachedModule::take(LoadedPack& from, const mir::PackedFunction& row, uint32_t number,
                                       std::span<const uint32_t> symbols) {
  LoadedPack* home = &from;
  if (row.pack) {
    home = cache_->load(from.pack->others()[row.pack - 1]).get();
    if (!home) return {};
  }
  const std::span<const uint8_t> head = home->pack->head_of(row);
  if (head.empty()) return {};
  const bool is_same = &from == own_.get() && row.number == number;
  const uint64_t raw = is_same ? row.raw : slots_[number].row.raw;
  slots_[number] = {row, {symbols.begin(), symbols.end()}, {}, {}, home};
  slots_[number].row.raw = raw;
  return {head, slots_[number].symbols};
}

CachedModule::Found CachedModule::by_key(uint32_t number, const mir::Hash128& body, const mir::Hash128& key,
                                         std::span<const uint32_t> symbols) {
  bool same = false;
  auto look = [&](LoadedPack& p) -> Found {
    const mir::PackedFunction* row = p.pack->by_key(key);
    if (!row || !(row->body == body) || row->symbol_count != symbols.size()) return {};
    const std::span<const uint32_t> before = p.pack->symbols_of(*row);
    same = &p == own_.get() && row->number == number && std::equal(before.begin(), before.end(), symbols.begin());
    return take(p, *row, number, symbols);
  };
  Found found;
  if (own_) found = look(*own_);
  for (size_t k = 0; found.head.empty() && k < earlier_.size(); k++) found = look(*earlier_[k]);
  if (!found.head.empty() && !same) changed_.store(true, std::memory_order_relaxed);
  return found;
}

std::span<const uint8_t> CachedModule::head(uint32_t number) const {
  const Slot& s = slots_[number];
  return s.home ? s.home->pack->head_of(s.row) : std::span<const uint8_t>(s.head);
}

std::span<const uint8_t> CachedModule::code(uint32_t number, bool& ok) const {
  const Slot& s = slots_[number];
  if (!s.home) return s.code;
  const std::span<const uint8_t> code = s.home->pack->code_of(s.row);
  ok = ok && code.data();
  return code;
}

void CachedModule::made(uint32_t number, const mir::Hash128& body, const mir::Hash128& key,
                        std::span<const uint32_t> symbols, std::vector<uint8_t> head, std::vector<uint8_t> code) {
  const uint64_t raw = slots_[number].row.raw;
  slots_[number] = {{}, {symbols.begin(), symbols.end()}, std::move(head), std::move(code), nullptr};
  mir::PackedFunction& row = slots_[number].row;
  row.body = body;
  row.key = key;
  row.raw = raw;
  changed_.store(true, std::memory_order_relaxed);
}

std::optional<uint64_t> parse_cache_size(std::string_view text) {
  constexpr std::string_view units = "KMGT";
  const size_t unit = text.empty() ? std::string_view::npos : units.find(text.back());
  if (unit != std::string_view::npos) text.remove_suffix(1);
  const unsigned shift = unit == std::string_view::npos ? 0 : unsigned(10 * (unit + 1));
  uint64_t n = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (code != std::errc() || end != text.data() + text.size() || n > (~uint64_t{0} >> shift)) return {};
  return n << shift;
}

std::optional<codegen::FunctionSizes> CachedModule::sizes(uint32_t number, uint64_t forms) const {
  const mir::PackedFunction& row = slots_[number].row;
  if (!forms || row.forms != forms) return {};
  const uint32_t* w = row.sizes;
  return codegen::FunctionSizes{w[0], w[1], w[2], w[3], w[4], w[5], w[6]};
}

void CachedModule::note_sizes(uint32_t number, uint64_t forms, const codegen::FunctionSizes& z) {
  const uint32_t words[] = {z.text, z.constants, z.cfi, z.exceptions, z.personality, z.entry, z.traps};
  std::copy(std::begin(words), std::end(words), slots_[number].row.sizes);
  slots_[number].row.forms = forms;
}

std::shared_ptr<const KeptCode> CachedModule::kept_code(const mir::Hash128& key) const {
  if (!earlier_codes_) return nullptr;
  auto it = earlier_codes_->find(key);
  return it == earlier_codes_->end() ? nullptr : it->second;
}

// ---- the folder -----------------------------------------------------------------------------------------------------

mir::Hash128 MirCache::this_generator() { return {LODE_GENERATOR_LOW, LODE_GENERATOR_HIGH}; }

MirCache::MirCache(std::string folder, uint64_t limit, const mir::Hash128& generator)
    : folder_(std::move(folder)), limit_(limit), generator_(generator) {}

MirCache::MirCache(FunctionFile& file, bool whole, const mir::Hash128& generator)
    : file_(&file), whole_(whole), limit_(0), generator_(generator) {}

Result<void> MirCache::prepare() {
  if (folder_.empty()) return {};
  usable_ = false;
  // Parents too, as for any tool's cache.
  for (size_t at = folder_.find('/', 1);; at = folder_.find('/', at + 1)) {
    if (mkdir(folder_.substr(0, at).c_str(), at == std::string::npos ? 0700 : 0777) != 0 && errno != EEXIST)
      return error_at(folder_, std::string("cannot be made: ") + std::strerror(errno));
    if (at == std::string::npos) break;
  }
  struct stat st;
  if (stat(folder_.c_str(), &st) != 0) return error_at(folder_, std::strerror(errno));
  if (!S_ISDIR(st.st_mode)) return error_at(folder_, "is not a folder");
  if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
    return error_at(folder_, "can be written to by others: what it holds would become code");
  usable_ = true;
  return {};
}

std::shared_ptr<LoadedPack> MirCache::load(const mir::Hash128& name) {
  {
    std::lock_guard lock(mutex_);
    if (auto it = packs_.find(name); it != packs_.end()) return it->second;
  }
  std::shared_ptr<LoadedPack> loaded;
  if (file_) {
    const std::span<const uint8_t> bytes = file_->find(name);
    if (auto pack = mir::FunctionPack::open(bytes, generator_); pack.ok()) {
      loaded = std::make_shared<LoadedPack>();
      loaded->name = name;
      loaded->pack = std::move(*pack);
      statistics_.bytes_read += bytes.size();
    }
  } else if (!folder_.empty() && usable_) {
    auto p = std::make_shared<LoadedPack>();
    p->name = name;
    p->file = read_used(folder_ + "/" + hex(name) + ".pack", uint64_t{1} << 32);
    if (auto pack = mir::FunctionPack::open(p->file, generator_); pack.ok()) {
      p->pack = std::move(*pack);
      statistics_.bytes_read += p->file.size();
      loaded = std::move(p);
    }
  }
  std::lock_guard lock(mutex_);
  return packs_.try_emplace(name, loaded).first->second;  // also that there is none
}

std::vector<mir::Hash128> MirCache::read_names(const std::string& file) {
  const std::vector<uint8_t> bytes = read_used(folder_ + "/" + file, max_names_file);
  return parse_names({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::vector<mir::Hash128> MirCache::parse_names(std::string_view text) {
  std::vector<mir::Hash128> names;
  for (; text.size() >= 33; text.remove_prefix(33)) {
    mir::Hash128 name;
    if (text[32] != '\n' || !from_hex(text.substr(0, 32), name)) break;
    names.push_back(name);
  }
  return names;
}

void MirCache::write_names(const std::string& file, const std::vector<mir::Hash128>& names) {
  std::string text;
  for (const mir::Hash128& n : names) text += hex(n) + "\n";
  write_file(file, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

bool MirCache::write_file(const std::string& name, std::span<const uint8_t> bytes) {
  std::string temporary = folder_ + "/" + name + ".XXXXXX";
  Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (file.fd < 0) return false;
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(file.fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return (void)unlink(temporary.c_str()), false;
    at += size_t(n);
  }
  if (rename(temporary.c_str(), (folder_ + "/" + name).c_str()) != 0) return (void)unlink(temporary.c_str()), false;
  statistics_.bytes_written += bytes.size();
  return true;
}

std::shared_ptr<CachedModule> MirCache::open(const ModuleIdentity& module, size_t functions) {
  auto m = std::make_shared<CachedModule>();
  m->cache_ = this;
  m->identity_ = module;
  m->slots_.resize(functions);
  std::vector<mir::Hash128> own, earlier;
  if (file_) {
    mir::Hash128 name;
    if (!file_->find(module.content, &name).empty()) own = {name};
    for (const mir::Hash128& key : {module.path, module.role})
      if (own.empty() && earlier.empty() && !file_->find(key, &name).empty()) earlier = {name};
  } else if (!folder_.empty() && usable_) {
    own = read_names(hex(module.content) + ".module");
    if (own.empty()) earlier = read_names(hex(module.role) + ".role");
  } else if (folder_.empty()) {
    std::lock_guard lock(mutex_);
    if (auto it = contents_.find(module.content); it != contents_.end()) own = it->second;
    if (auto it = roles_.find(module.role); it != roles_.end()) earlier = it->second;
    if (auto it = codes_.find(module.role); it != codes_.end()) m->earlier_codes_ = it->second;
    m->codes_.resize(functions);
  }
  if (!own.empty()) m->own_ = load(own.front());
  if (!m->own_ && earlier.empty() && !folder_.empty()) earlier = read_names(hex(module.role) + ".role");
  for (const mir::Hash128& name : earlier)
    if (auto p = load(name); p && p != m->own_) m->earlier_.push_back(std::move(p));
  statistics_.modules++;
  statistics_.known_modules += m->own_ != nullptr;
  std::lock_guard lock(mutex_);
  modules_.push_back(m);
  return m;
}

// The module's functions as a pack of their own: those that were made in full, the others by the packs that have them,
// as long as these are few.
std::shared_ptr<LoadedPack> MirCache::pack_of(CachedModule& m) {
  // What another program takes of the same module stays.
  if (m.own_ && !in_memory())
    for (const mir::PackedFunction& row : m.own_->pack->functions()) {
      if (row.number >= m.slots_.size()) continue;
      CachedModule::Slot& s = m.slots_[row.number];
      if (s.home || !s.head.empty()) continue;
      const LoadedPack* home = row.pack ? load(m.own_->pack->others()[row.pack - 1]).get() : m.own_.get();
      const std::span<const uint32_t> symbols = m.own_->pack->symbols_of(row);
      if (home) s = {row, {symbols.begin(), symbols.end()}, {}, {}, home};
    }
  std::vector<const LoadedPack*> homes;
  size_t in_homes = 0, made = 0;
  for (const CachedModule::Slot& s : m.slots_) {
    if (s.home && std::find(homes.begin(), homes.end(), s.home) == homes.end()) homes.push_back(s.home);
    in_homes += s.home ? s.row.length : 0;
    made += s.code.size();
  }
  // In memory nothing is referred to: a pack would keep all of the other for some of its functions.
  const bool copy = in_memory() || homes.size() > (file_ ? max_others_in_file : max_others) || made > in_homes;
  mir::FunctionPackWriter writer(m.identity_.tables ? m.identity_.tables : m.own_ ? m.own_->pack->tables() : 0);
  for (uint32_t n = 0; n < m.slots_.size(); n++) {
    const CachedModule::Slot& s = m.slots_[n];
    mir::PackedFunction row = s.row;
    row.number = n;
    if (s.home && !copy) writer.refer(row, s.symbols, s.home->name);
    else if (s.home) writer.add(row, s.symbols, s.home->pack->head_of(s.row), s.home->pack->code_of(s.row));
    else if (!s.head.empty()) writer.add(row, s.symbols, s.head, s.code);
  }
  auto p = std::make_shared<LoadedPack>();
  if (in_memory()) {
    p->pack = std::move(writer).keep();
    p->name = m.identity_.content;
    return p;
  }
  p->file = writer.finish(generator_);
  const XXH128_hash_t h = XXH3_128bits(p->file.data(), p->file.size());
  p->name = {h.low64, h.high64};
  return p;
}

// What is new of the modules of this link goes to the file.
void MirCache::add_to_file(const std::vector<std::shared_ptr<CachedModule>>& modules, bool whole) {
  std::vector<FunctionFile::Addition> additions(modules.size());
  std::vector<mir::Hash128> used;
  parallel_for(size_t(0), modules.size(), [&](size_t k) {
    CachedModule& m = *modules[k];
    if (m.own_ && !m.changed_) return;
    const std::shared_ptr<LoadedPack> pack = pack_of(m);
    additions[k].pack = pack->name;
    additions[k].bytes = std::move(pack->file);
  });
  bool news = false;
  for (size_t k = 0; k < modules.size(); k++) {
    const CachedModule& m = *modules[k];
    FunctionFile::Addition& a = additions[k];
    a.content = m.identity_.content;
    a.roles = {m.identity_.path, m.identity_.role};
    if (a.bytes.empty()) a.pack = m.own_->name;
    if (whole) used.insert(used.end(), a.roles.begin(), a.roles.end());
    mir::Hash128 now;  // where its name leads
    news |= !a.bytes.empty() || file_->find(m.identity_.path, &now).empty() || !(now == a.pack);
  }
  if (!news) return;
  std::erase_if(additions, [&](const FunctionFile::Addition& a) {
    mir::Hash128 now;
    return a.bytes.empty() && !file_->find(a.roles[0], &now).empty() && now == a.pack;
  });
  statistics_.bytes_written += file_->add(additions, used, [&](std::span<const uint8_t> bytes) {
    auto pack = mir::FunctionPack::open(bytes, generator_);
    if (!pack) return std::vector<mir::Hash128>();
    return std::vector<mir::Hash128>((*pack)->others().begin(), (*pack)->others().end());
  });
}

// Of the modules of this link alone: what an earlier one had and this one did not use is gone.
void MirCache::keep_in_memory(const std::vector<std::shared_ptr<CachedModule>>& modules) {
  decltype(packs_) kept;
  decltype(contents_) contents, roles;
  for (const auto& m : modules) {
    std::shared_ptr<LoadedPack> pack = m->own_ && !m->changed_ ? m->own_ : pack_of(*m);
    kept[pack->name] = pack;
    contents[m->identity_.content] = {pack->name};
    roles[m->identity_.role] = {pack->name};
  }
  codes_.clear();
  for (const auto& m : modules) {
    auto codes = std::make_shared<KeptCodes>();
    for (const auto& c : m->codes_)
      if (c) codes->insert_or_assign(c->key, c);
    codes_[m->identity_.role] = std::move(codes);
  }
  packs_ = std::move(kept);
  contents_ = std::move(contents);
  roles_ = std::move(roles);
}

void MirCache::finish(bool ok) {
  const std::vector<std::shared_ptr<CachedModule>> modules = std::move(modules_);
  modules_.clear();
  if (file_) return add_to_file(modules, whole_ && ok);
  if (folder_.empty()) {
    if (ok) keep_in_memory(modules);
    return;
  }
  bool written = false;
  for (const auto& m : modules) {
    if (!usable_ || !m->changed_) continue;
    const std::shared_ptr<LoadedPack> pack = pack_of(*m);
    if (!write_file(hex(pack->name) + ".pack", pack->file)) continue;
    write_names(hex(m->identity_.content) + ".module", {pack->name});
    std::vector<mir::Hash128> names = read_names(hex(m->identity_.role) + ".role");
    std::erase(names, pack->name);
    names.insert(names.begin(), pack->name);
    names.resize(std::min(names.size(), packs_of_role));
    write_names(hex(m->identity_.role) + ".role", names);
    written = true;
  }
  if (written) evict();
}

void MirCache::evict() {
  struct File {
    std::string name;
    uint64_t size;
    struct timespec used;
  };
  std::vector<File> files;
  uint64_t total = 0;
  DIR* folder = opendir(folder_.c_str());
  if (!folder) return;
  const time_t now = time(nullptr);
  while (const dirent* e = readdir(folder)) {
    const std::string_view name = e->d_name;
    // Only what a cache makes: 32 digits, a kind, and the letters of a file that is not finished. Those are left when a
    // link was killed.
    mir::Hash128 unused;
    if (name.size() < 37 || !from_hex(name.substr(0, 32), unused) || name[32] != '.') continue;
    struct stat st;
    if (fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
    const std::string_view kind = name.substr(32);
    const bool finished = kind == ".pack" || kind == ".module" || kind == ".role";
    if (!finished && now - st.st_mtime < 3600) continue;
    files.push_back({std::string(name), uint64_t(st.st_size), st.st_mtim});
    total += uint64_t(st.st_size);
  }
  if (total > limit_) {
    std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
      return a.used.tv_sec != b.used.tv_sec     ? a.used.tv_sec < b.used.tv_sec
             : a.used.tv_nsec != b.used.tv_nsec ? a.used.tv_nsec < b.used.tv_nsec
                                                : a.name < b.name;
    });
    for (const File& f : files) {
      if (total <= limit_ - limit_ / 8) break;
      if (unlinkat(dirfd(folder), f.name.c_str(), 0) != 0) continue;
      total -= f.size;
      statistics_.evicted++;
    }
  }
  closedir(folder);
}

uint64_t MirCache::memory() const {
  uint64_t sum = 0;
  for (const auto& [name, p] : packs_)
    if (p) sum += p->file.size() + p->pack->memory();
  for (const auto& [role, codes] : codes_)
    for (const auto& [key, c] : *codes)
      sum += sizeof *c + c->text.size() + c->constants.size() + c->exceptions.size() + c->cfi.size();
  return sum;
}

std::string MirCache::report() const {
  const Statistics& s = statistics_;
  auto line = [](const char* what, uint64_t n) { return std::string(what) + std::to_string(n) + "\n"; };
  return line("modules                 ", s.modules) + line("  known as a whole      ", s.known_modules) +
         line("functions taken         ", s.functions_by_number + s.functions_by_key) +
         line("  of known modules      ", s.functions_by_number) +
         line("  of changed modules    ", s.functions_by_key) + line("functions made          ", s.made) +
         line("  that cannot be kept   ", s.unkept) + line("bytes read              ", s.bytes_read) +
         line("bytes written           ", s.bytes_written) + line("files removed           ", s.evicted);
}

}  // namespace lode::link
