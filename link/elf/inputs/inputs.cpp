// Open: finds, opens and recognises the inputs.
//
// What a file is, its first bytes say, unless -b binary made it data: ELF object or shared library, archive, bitcode;
// anything else is text, a linker script or AIR. Archives and --start-lib ranges enter as names only: their members are
// "lazy" until resolution takes them. An archive is described by its index where it has one; members that the index
// does not mention are looked into when they are bitcode (ar without the plugin does not index those), and all are when
// there is no index.
//
// An object's rank in every tie is its `priority`: inputs count in the order of the command line, members inside their
// archive.
#include <sys/types.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "formats/linker_script.h"
#include "link/common/lazy_threads.h"
#include "link/common/lookups.h"
#include "link/common/module_file.h"
#include "link/elf/machines/machine.h"
#include "link/elf/code/modules.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

// How long a file will take, in bytes of an object that take as long: of a library only the names count, and functions
// of a module have to be made.
void add_work(Link& link, const InputFile& f) {
  constexpr uint64_t module_weight = 8, library_part = 8;
  const uint64_t size = f.data.size();
  if (link.threads)
    link.threads->add_work(f.kind == FileKind::shared   ? size / library_part
                           : f.kind == FileKind::module ? size * module_weight
                                                        : size);
}

std::string real_path(const std::string& path) {
  char* p = realpath(path.c_str(), nullptr);
  std::string out = p ? p : path;
  std::free(p);
  return out;
}

// --chroot applied.
std::string rooted_path(const Link& link, const std::string& path) {
  return !link.opt.chroot.empty() && path.starts_with("/") ? link.opt.chroot + path : path;
}

class Opener {
 public:
  explicit Opener(Link& link)
      : link_(link),
        opt_(link.opt),
        dirs_(link.open_state.directories),
        seen_archives_(link.open_state.archives),
        seen_shared_(link.open_state.shareds) {
    if (!dirs_.empty()) return;
    for (const std::string& p : opt_.library_paths) dirs_.push_back(rooted(with_sysroot(p)));
    if (opt_.no_stdlib_paths) return;
    if (opt_.default_library_paths.empty()) {
      for (const char* p : link.machine->library_directories) dirs_.push_back(rooted(opt_.sysroot + p));
      return;
    }
    std::string_view list = opt_.default_library_paths;
    if (list.starts_with("P,")) list.remove_prefix(2);  // as Solaris has it
    while (!list.empty()) {
      size_t n = std::min(list.find(':'), list.size());
      if (n) dirs_.push_back(rooted(with_sysroot(std::string(list.substr(0, n)))));
      list.remove_prefix(std::min(n + 1, list.size()));
    }
  }

  void run() {
    bool in_lib = false;
    uint32_t lib_archive = none;
    for (const InputArg& a : opt_.inputs) {
      switch (a.kind) {
        // Archives are searched until nothing changes anyway; groups only matter to --warn-backrefs.
        case InputArg::group_start: link_.input_groups.emplace_back(link_.next_priority, ~uint32_t{0}); break;
        case InputArg::group_end:
          if (!link_.input_groups.empty()) link_.input_groups.back().second = link_.next_priority;
          break;
        case InputArg::lib_start:
          if (in_lib) link_.diag.error("nested --start-lib");
          in_lib = true;
          lib_archive = new_archive("", {});
          break;
        case InputArg::lib_end:
          if (!in_lib) link_.diag.error("stray --end-lib");
          in_lib = false;
          break;
        case InputArg::library: open_library(a.name, a); break;
        case InputArg::file: open_path(rooted(a.name), a, in_lib ? lib_archive : none, 0); break;
        case InputArg::just_symbols: open_symbols(rooted(a.name)); break;
      }
    }
    index_archives();
  }

  // What `#pragma comment(lib, "NAME")` asks for, in lld's order: libNAME as -l would find it, a file NAME there, a
  // path. It comes behind all other inputs.
  void open_dependent(const std::string& name, const InputFile& from) {
    InputArg state;
    state.is_static = opt_.is_static;
    std::string path = find_library(name, opt_.is_static);
    if (path.empty()) path = find_library(":" + name, opt_.is_static);
    if (path.empty() && is_there(name)) path = name;
    if (path.empty())
      link_.diag.error(from.name + ": library not found, which the object itself asks for (.deplibs): " + name);
    else open_path(path, state, none, 0, true);
    index_archives();
  }

  static void make_lazy_file(Link& link, uint32_t lazy_index);

 private:
  std::string with_sysroot(const std::string& p) const {
    if (p.starts_with("=")) return opt_.sysroot + p.substr(1);
    if (p.starts_with("$SYSROOT")) return opt_.sysroot + p.substr(8);
    return p;
  }

  std::string rooted(const std::string& p) const { return rooted_path(link_, p); }

  // --remap-inputs: another file for those that a glob matches.
  std::string remapped(const std::string& path) const {
    for (auto& [glob, file] : opt_.remap_inputs)
      if (formats::glob_match(glob, path)) return file;
    for (auto& [glob, file] : link_.remapped_inputs)
      if (formats::glob_match(glob, path)) return file;
    return path;
  }

  void add_made(Result<std::vector<uint8_t>> object, const std::string& path) {
    if (!object) {
      link_.diag.error(std::move(object.error()).at(path));
      return;
    }
    auto f = std::make_unique<ObjectFile>();
    f->made = true;
    f->owned.push_back(std::make_unique<std::vector<uint8_t>>(std::move(*object)));
    Bytes data = *f->owned.back();
    add_object(std::move(f), FileKind::object, path, path, data, none);
  }

  void open_symbols(const std::string& path) {
    auto m = link_.inputs.files.open(path);
    if (!m) {
      link_.diag.error(m.error());
      return;
    }
    link_.linked_names.push_back(path);
    add_made(make_symbols_object(*link_.machine, m->data), path);
  }

  bool is_there(const std::string& path) {
    if (file_exists(path)) return true;
    link_.inputs.files.note_missing(path);
    return false;
  }

  std::string find_library(const std::string& name, bool is_static) {
    for (const std::string& d : dirs_) {
      if (name.starts_with(":")) {
        if (std::string p = d + "/" + name.substr(1); is_there(p)) return p;
        continue;
      }
      if (!is_static)
        if (std::string p = d + "/lib" + name + ".so"; is_there(p)) return p;
      if (std::string p = d + "/lib" + name + ".a"; is_there(p)) return p;
    }
    return {};
  }

  void open_library(const std::string& name, const InputArg& state, int depth = 0) {
    std::string path = find_library(name, state.is_static || opt_.kind == OutputKind::relocatable);
    if (path.empty()) {
      run_error_script(link_, "missing-lib", name);
      link_.diag.error("library not found: " + name);
      return;
    }
    InputArg a = state;
    a.binary = false;
    open_path(path, a, none, depth, true);
  }

  // Was this file met before? What came from a pipe has no identity.
  static bool is_again(std::set<std::pair<dev_t, ino_t>>& seen, const OpenedFile& f) {
    return f.inode && !seen.insert({f.device, f.inode}).second;
  }

  uint32_t new_archive(std::string path, Bytes data) {
    auto ar = std::make_unique<ArchiveInput>();
    ar->path = std::move(path);
    ar->data = data;
    ar->priority = link_.next_priority++;
    link_.archives.push_back(std::move(ar));
    return uint32_t(link_.archives.size() - 1);
  }

  bool excluded(const std::string& path) const {
    size_t slash = path.rfind('/');
    std::string base = slash == std::string::npos ? path : path.substr(slash + 1);
    for (const std::string& e : opt_.exclude_libs)
      if (e == "ALL" || e == base) return true;
    return false;
  }

  void open_path(std::string path, const InputArg& state, uint32_t lib_archive, int depth, bool by_search = false) {
    for (const MemoryInput& memory : opt_.memory)
      if (memory.key == path) {
        auto f = std::make_unique<ObjectFile>();
        f->built = memory.module;
        add_object(std::move(f), is_elf(memory.data) ? FileKind::object : FileKind::module, memory.name, memory.name,
                   memory.data, lib_archive);
        return;
      }
    path = remapped(with_sysroot(path));
    auto m = link_.inputs.files.open(path);
    if (!m) {
      link_.diag.error(m.error());
      return;
    }
    link_.linked_names.push_back(path);
    if (opt_.trace) link_.diag.print("%s\n", path.c_str());
    Bytes data = m->data;
    if (state.binary) {
      add_made(make_binary_object(*link_.machine, path, data), path);
    } else if (formats::Archive::is_archive(data)) {
      if (!state.whole_archive && is_again(seen_archives_, *m)) return;
      open_archive(path, data, state);
    } else if (is_elf(data)) {
      if (data.size() < sizeof(Ehdr)) {
        link_.diag.error(path + ": truncated ELF header");
        return;
      }
      uint16_t type = reinterpret_cast<const Ehdr*>(data.data())->type;
      if (type == ET_DYN) {
        if (opt_.kind == OutputKind::relocatable) {
          link_.diag.error(path + ": cannot use a shared library in a relocatable link");
          return;
        }
        if (opt_.is_static) {
          link_.diag.error(path + ": attempted static link of a dynamic object");
          return;
        }
        if (is_again(seen_shared_, *m)) {
          for (auto& f : link_.files)
            if (f->kind == FileKind::shared && f->path == path && !state.as_needed) f->as_needed = false;
          return;
        }
        auto f = std::make_unique<SharedFile>();
        f->kind = FileKind::shared;
        f->as_needed = state.as_needed;
        // Without a DT_SONAME the run-time name is what was given: a path, or the base name of what -l found.
        size_t slash = path.rfind('/');
        f->soname = by_search && slash != std::string::npos ? path.substr(slash + 1) : path;
        add_file(std::move(f), path, path, data, true);
      } else if (type == ET_REL) {
        add_object(std::make_unique<ObjectFile>(), FileKind::object, path, path, data, lib_archive);
      } else {
        link_.diag.error(path + ": unexpected ELF file type: neither a relocatable object nor a shared library");
      }
    } else if (is_ir(data, path)) {
      add_object(std::make_unique<ObjectFile>(), FileKind::module, path, path, data, lib_archive);
    } else {
      open_script(path, data, state, depth);
    }
  }

  uint32_t add_file(std::unique_ptr<InputFile> f, std::string name, std::string path, Bytes data, bool alive) {
    f->id = uint32_t(link_.files.size());
    f->name = std::move(name);
    f->path = std::move(path);
    f->data = data;
    f->alive = alive;
    f->priority = link_.next_priority++;
    link_.files.push_back(std::move(f));
    return uint32_t(link_.files.size() - 1);
  }

  void add_object(std::unique_ptr<ObjectFile> f, FileKind kind, const std::string& name, const std::string& path,
                  Bytes data, uint32_t lib_archive) {
    f->kind = kind;
    bool lazy = lib_archive != none;
    uint32_t id = add_file(std::move(f), name, path, data, !lazy);
    if (lazy) {
      link_.lazy.push_back({lib_archive, 0, id, link_.files[id]->priority, false});
      unindexed_.push_back(uint32_t(link_.lazy.size() - 1));
    }
  }

  static constexpr uint64_t work_of_name = 16;  // as add_work() counts

  static Result<std::shared_ptr<const ArchiveContents>> archive_contents(Link& link, Bytes data) {
    if (auto known = link.inputs.archive(data)) return known;
    auto read = std::make_shared<ArchiveContents>();
    LODE_ASSIGN(read->archive, formats::Archive::open(data));
    read->names.resize(read->archive.index.size());
    if (link.threads) link.threads->add_work(read->names.size() * work_of_name);
    parallel_for(size_t(0), read->names.size(), [&](size_t i) {
      const std::string_view name = read->archive.index[i].name;
      read->names[i] = place_of(data, name, hash_name(name));
    });
    std::shared_ptr<const ArchiveContents> contents = std::move(read);
    link.inputs.keep(data, contents);
    return contents;
  }

  void open_archive(const std::string& path, Bytes data, const InputArg& state) {
    auto opened = archive_contents(link_, data);
    if (!opened) {
      link_.diag.error(std::move(opened.error()).at(path));
      return;
    }
    const uint32_t index = new_archive(path, data);
    ArchiveInput& ar = *link_.archives[index];
    ar.contents = std::move(*opened);
    ar.exclude_libs = excluded(path);
    ar.first_lazy = uint32_t(link_.lazy.size());
    const formats::Archive& archive = ar.contents->archive;
    const uint32_t count = uint32_t(archive.members.size()), base = link_.next_priority;
    link_.next_priority += count;
    for (uint32_t i = 0; i < count; i++) link_.lazy.push_back({index, i, none, base + i, false});
    if (state.whole_archive) {
      ar.whole = true;
      for (uint32_t i = 0; i < count; i++) take_lazy(link_, ar.first_lazy + i);
      return;
    }
    if (!archive.has_index) {
      for (uint32_t i = 0; i < count; i++) unindexed_.push_back(ar.first_lazy + i);
      return;
    }
    std::vector<bool> mentioned(count);
    ar.names.names.reserve(archive.index.size());
    ar.members.reserve(archive.index.size());
    for (size_t i = 0; i < archive.index.size(); i++) {
      const formats::ArchiveSymbol& s = archive.index[i];
      mentioned[s.member] = true;
      ar.names.names.push_back({s.name.data(), uint32_t(s.name.size()), none, ar.contents->names[i].hash});
      ar.members.push_back(ar.first_lazy + s.member);
    }
    for (uint32_t i = 0; i < count; i++)
      if (!mentioned[i] && is_ir(archive.members[i].data, archive.members[i].name))
        unindexed_.push_back(ar.first_lazy + i);
  }

  // Names of the members without an index.
  void index_archives() {
    std::vector<std::vector<std::string_view>> found(unindexed_.size());
    for (uint32_t l : unindexed_) {
      make_lazy_file(link_, l);
      if (const uint32_t id = link_.lazy[l].file; id != none) add_work(link_, *link_.files[id]);
    }
    parallel_for(size_t(0), unindexed_.size(), [&](size_t i) {
      uint32_t id = link_.lazy[unindexed_[i]].file;
      if (id == none) return;
      auto& file = static_cast<ObjectFile&>(*link_.files[id]);
      if (auto r = open_object(link_, file); !r) return;  // reported when the member is taken, if ever
      for (uint32_t s = file.first_global; s < file.syms.size(); s++)
        if (file.syms[s].shndx != SHN_UNDEF && file.syms[s].bind() != STB_LOCAL) {
          std::string_view n = file.sym_name(file.syms[s]);
          size_t at = n.find('@');
          if (at != std::string_view::npos && n.substr(at).starts_with("@@")) n = n.substr(0, at);
          found[i].push_back(n);
        }
    });
    for (size_t i = 0; i < unindexed_.size(); i++) {
      ArchiveInput& ar = *link_.archives[link_.lazy[unindexed_[i]].archive];
      for (std::string_view n : found[i]) {
        ar.names.add(n);
        ar.members.push_back(unindexed_[i]);
      }
    }
    unindexed_.clear();
  }


  void open_script(const std::string& path, Bytes data, const InputArg& state, int depth) {
    if (depth > 16) {
      link_.diag.error(path + ": linker scripts include each other");
      return;
    }
    std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    if (data.empty()) return;  // a linker script without statements, as other linkers have it
    if (text.find('\0') != std::string_view::npos) {
      link_.diag.error(path + ": unknown file type");
      return;
    }
    auto script = formats::parse_linker_script(text);
    if (!script) {
      link_.diag.error(std::move(script.error()).at(path));
      return;
    }
    if (!script->entry.empty() && !opt_.entry_given) link_.entry_name = std::string(script->entry);
    for (std::string_view d : script->search_dirs) dirs_.push_back(rooted(with_sysroot(std::string(d))));
    for (std::string_view u : script->externs) link_.script_roots.emplace_back(u);
    for (const formats::ScriptAssignment& a : script->assignments)
      link_.script_assignments.push_back(
          {std::string(a.name), std::string(a.expression), path + ": " + std::string(a.name), a.provide, a.hidden});
    for (formats::VersionNode& n : script->version.nodes) {
      link_.versions.nodes.push_back(std::move(n));
      link_.version_sources.resize(link_.versions.nodes.size(), path);
    }
    std::string script_dir = path.rfind('/') == std::string::npos ? "" : path.substr(0, path.rfind('/') + 1);
    bool in_sysroot = !opt_.sysroot.empty() && real_path(path).starts_with(real_path(opt_.sysroot) + "/");
    for (const formats::ScriptInput& in : script->inputs) {
      InputArg a = state;
      a.as_needed |= in.as_needed;
      std::string name(in.name);
      if (in.is_library) {
        open_library(name, a, depth + 1);
        continue;
      }
      std::string found;
      if (name.starts_with("/")) {
        if (in_sysroot && is_there(opt_.sysroot + name)) found = opt_.sysroot + name;
        else if (is_there(rooted(name))) found = rooted(name);
      } else if (name.starts_with("=")) {
        found = opt_.sysroot + name.substr(1);
      } else if (is_there(script_dir + name)) {
        found = script_dir + name;
      } else if (is_there(name)) {
        found = name;
      } else {
        for (const std::string& d : dirs_)
          if (is_there(d + "/" + name)) {
            found = d + "/" + name;
            break;
          }
      }
      if (found.empty()) link_.diag.error(path + ": library not found: " + name);
      else open_path(found, a, none, depth + 1);
    }
  }

  Link& link_;
  const Options& opt_;
  std::vector<std::string>& dirs_;
  std::set<std::pair<uint64_t, uint64_t>>&seen_archives_, &seen_shared_;
  std::vector<uint32_t> unindexed_;
};

void Opener::make_lazy_file(Link& link, uint32_t lazy_index) {
  LazyMember& lazy = link.lazy[lazy_index];
  if (lazy.file != none) return;
  ArchiveInput& ar = *link.archives[lazy.archive];
  const formats::ArchiveMember& m = ar.contents->archive.members[lazy.member];
  Bytes data = m.data;
  std::string path = ar.path;
  if (ar.contents->archive.thin) {
    path = std::string(m.name);
    if (!path.starts_with("/")) {
      size_t slash = ar.path.rfind('/');
      if (slash != std::string::npos) path = ar.path.substr(0, slash + 1) + path;
    }
    auto mapped = link.inputs.files.open(path);
    if (!mapped) {
      link.diag.error(std::move(mapped.error()).at(ar.path));
      return;
    }
    link.side_files.push_back(path);
    data = mapped->data;
  }
  bool module = is_ir(data, m.name);
  if (!module && !is_elf(data)) {
    if (m.name.ends_with(".o"))
      link.diag.warning(ar.path + "(" + std::string(m.name) + "): neither an object nor bitcode; ignored");
    return;
  }
  auto f = std::make_unique<ObjectFile>();
  f->kind = module ? FileKind::module : FileKind::object;
  f->id = uint32_t(link.files.size());
  f->archive_name = ar.path;
  f->exclude_libs = ar.exclude_libs;
  f->path = path;
  f->name = ar.path + "(" + std::string(m.name) + ")";
  f->data = data;
  f->priority = lazy.priority;
  lazy.file = f->id;
  link.files.push_back(std::move(f));
}

}  // namespace

InputFile* take_lazy(Link& link, uint32_t lazy_index) {
  LazyMember& lazy = link.lazy[lazy_index];
  if (lazy.taken) return nullptr;
  lazy.taken = true;
  Opener::make_lazy_file(link, lazy_index);
  if (lazy.file == none) return nullptr;
  InputFile* f = link.files[lazy.file].get();
  f->alive = true;
  if (link.opt.trace) link.diag.print("%s\n", f->name.c_str());
  return f;
}

bool read_whole_file(Link& link, const std::string& given, std::string& text) {
  std::string path = rooted_path(link, given);
  link.side_files.push_back(path);
  auto file = link.inputs.files.open(path);
  if (!file) {
    link.inputs.files.note_missing(path);
    return false;
  }
  text.append(reinterpret_cast<const char*>(file->data.data()), file->data.size());
  return true;
}

bool read_file(const std::string& path, std::string& text) {
  InputFiles files;
  auto file = files.open(path);
  if (!file) return false;
  text.append(reinterpret_cast<const char*>(file->data.data()), file->data.size());
  return true;
}

// --remap-inputs-file: GLOB=FILE on every line; '#' begins a comment.
static void read_remap_files(Link& link) {
  for (const std::string& path : link.opt.remap_inputs_files) {
    std::string text;
    if (!read_whole_file(link, path, text)) link.diag.error("cannot open " + path);
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      at = end + 1;
      line.resize(std::min(line.find('#'), line.size()));
      while (!line.empty() && uint8_t(line.back()) <= ' ') line.pop_back();
      if (line.empty()) continue;
      size_t eq = line.find('=');
      if (eq == std::string::npos || eq == 0 || eq + 1 == line.size())
        link.diag.error(path + ": expected GLOB=FILE, got '" + line + "'");
      else link.remapped_inputs.emplace_back(line.substr(0, eq), line.substr(eq + 1));
    }
  }
}

bool open_inputs(Link& link) {
  read_remap_files(link);
  Opener(link).run();
  if (link.opt.inputs.empty()) link.diag.error("no input files");
  for (const std::string& path : link.opt.retain_symbols_files) {
    std::string text;
    if (!read_whole_file(link, path, text)) link.diag.error("cannot open " + path);
    for (size_t at = 0; at < text.size();) {
      size_t begin = text.find_first_not_of(" \t\r\n", at), end = text.find_first_of(" \t\r\n", begin);
      if (begin == std::string::npos) break;
      link.retained_symbols.insert(text.substr(begin, end - begin));
      at = end == std::string::npos ? text.size() : end;
    }
  }
  return !link.diag.has_errors();
}

bool open_dependent_libraries(Link& link) {
  if (!link.opt.dependent_libraries) return false;
  bool any = false;
  for (size_t i = 0; i < link.files.size(); i++) {
    const InputFile& f = *link.files[i];
    if (!f.alive || f.kind != FileKind::object) continue;
    for (std::string_view name : static_cast<const ObjectFile&>(f).dependent_libraries) {
      if (!link.open_state.dependent.emplace(name).second) continue;
      Opener(link).open_dependent(std::string(name), f);
      any = true;
    }
  }
  return any;
}

// Reads headers, gives every object its atoms, reads symbols, and interns all names of these files.
void parse_files(Link& link, std::span<InputFile* const> files) {
  for (const InputFile* f : files) add_work(link, *f);
  auto fail = [&](InputFile& f, Error e) {
    link.diag.error(std::move(e).at(f.name), uint64_t(f.priority) << 32);
    f.alive = false;
  };
  parallel_for(size_t(0), files.size(), [&](size_t i) {
    InputFile& f = *files[i];
    if (f.kind == FileKind::shared) {
      if (auto r = adopt_shared(link, static_cast<SharedFile&>(f)); !r) fail(f, r.take_error());
    } else {
      if (auto r = open_object(link, static_cast<ObjectFile&>(f)); !r) fail(f, r.take_error());
    }
  });
  for (InputFile* f : files) {
    if (!f->alive || !f->is_object()) continue;
    auto& obj = static_cast<ObjectFile&>(*f);
    uint32_t first;
    if (!link.atoms.extend(obj.sections.size(), obj.atom_base) || !link.atom_address.extend(obj.sections.size(), first))
      fail(*f, error(too_many_sections));
  }
  parallel_for(size_t(0), files.size(), [&](size_t i) {
    if (files[i]->alive && files[i]->is_object()) adopt_object(link, static_cast<ObjectFile&>(*files[i]));
  });

  std::vector<NameBatch*> batches;
  for (InputFile* f : files)
    if (f->alive) batches.push_back(&f->globals);
  std::vector<NameRef> fresh;
  link.names.intern(batches, uint32_t(link.symbols.size()), fresh);
  uint32_t first = 0, unused;
  if (!link.symbols.extend(fresh.size(), first) || !link.best.extend(fresh.size(), unused) ||
      !link.lazy_of.extend(fresh.size(), unused)) {
    link.diag.error(too_many_symbols);
    return;
  }
  parallel_for(size_t(0), fresh.size(), [&](size_t i) {
    Symbol* s = new (&link.symbols[first + i]) Symbol();
    s->name = fresh[i].data;
    s->name_size = fresh[i].size;
    link.best[first + i] = ~uint64_t{0};
    link.lazy_of[first + i] = none;
  });

  for (InputFile* f : files)
    if (f->alive && f->kind == FileKind::module) number_module_symbols(link, static_cast<ObjectFile&>(*f));

  // COMDAT signatures.
  std::vector<NameRef> fresh_groups;
  NameBatch signatures;
  for (InputFile* f : files)
    if (f->alive && f->is_object())
      for (Group& g : static_cast<ObjectFile*>(f)->groups)
        if (g.comdat) signatures.names.push_back(g.signature);
  NameBatch* one[] = {&signatures};
  link.comdat_names.intern(one, uint32_t(link.comdat_owner.size()), fresh_groups);
  link.comdat_owner.resize(link.comdat_owner.size() + fresh_groups.size(), none);
  size_t k = 0;
  for (InputFile* f : files)
    if (f->alive && f->is_object())
      for (Group& g : static_cast<ObjectFile*>(f)->groups)
        if (g.comdat) g.signature.id = signatures.names[k++].id;
  for (InputFile* f : files) f->parsed = true;
}

}  // namespace lode::link::elf
