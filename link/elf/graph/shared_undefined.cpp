// What the shared libraries themselves leave undefined must be defined somewhere when an executable is made, which
// nothing completes at run time; else the program ends with "symbol lookup error", perhaps not before it comes to the
// place.
//
// Where "somewhere" is, the dynamic linker decides: it looks into the program and all libraries that it loads for it,
// those that are needed by a library alone (DT_NEEDED of DT_NEEDED) included. Most of these take part in the link; the
// others are looked for where the dynamic linker would: -rpath and the system's directories. If one is not there nobody
// can tell what it defines, and nothing is said. Other libraries are opened only if a name is in doubt, so that a link
// without fault pays nothing.
#include <algorithm>
#include <unordered_set>

#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

bool hidden_here(Link& link, const Symbol& s) {
  return s.defined() && link.files[s.file]->is_object() &&
         (s.visibility() == STV_HIDDEN || s.visibility() == STV_INTERNAL);
}

class Check {
 public:
  explicit Check(Link& link) : link_(link) {}

  void run() {
    for (SharedFile* so : link_.shareds) add(so);
    for (size_t i = 0; i < loaded_.size(); i++)
      for (std::string_view name : loaded_[i]->needed)
        if (SharedFile* so = in_link(name)) add(so);
        else missing_.push_back(name);
    const size_t given = loaded_.size();
    for (size_t i = 0; i < given; i++) doubt(*loaded_[i]);
    if (in_doubt_.empty()) return;
    for (size_t i = 0; i < missing_.size(); i++)
      if (!search(missing_[i])) return;
    // Names of libraries that take part have numbers; of the others there are few.
    std::unordered_set<uint32_t> doubtful, known;
    for (const Doubt& d : in_doubt_) doubtful.insert(d.symbol);
    for (const SharedFile* so : loaded_)
      for (size_t k = 0; k < so->globals.names.size(); k++)
        if (const uint32_t id = so->globals.names[k].id; so->syms[k].shndx != SHN_UNDEF && id != none)
          if (doubtful.count(id)) known.insert(id);
    std::unordered_set<std::string_view> names;
    for (const auto& so : opened_)
      for (size_t k = 0; k < so->syms.size(); k++)
        if (so->syms[k].shndx != SHN_UNDEF) names.insert(so->sym_name(so->syms[k]));
    for (const Doubt& d : in_doubt_)
      if (!known.count(d.symbol) && !names.count(link_.symbols[d.symbol].str())) report(d);
  }

 private:
  struct Doubt {
    const SharedFile* file;
    uint32_t symbol, index;
  };

  void add(SharedFile* so) {
    if (seen_.insert(so->soname).second) loaded_.push_back(so);
  }

  // One that --as-needed left out counts if another library needs it.
  SharedFile* in_link(std::string_view soname) {
    for (auto& f : link_.files)
      if (f->kind == FileKind::shared && f->parsed && static_cast<SharedFile&>(*f).soname == soname)
        return static_cast<SharedFile*>(f.get());
    return nullptr;
  }

  void doubt(const SharedFile& so) {
    for (uint32_t i = 0; i < so.globals.names.size(); i++) {
      if (so.syms[i].shndx != SHN_UNDEF || so.syms[i].bind() == STB_WEAK) continue;
      const Symbol& s = link_.symbols[so.globals.names[i].id];
      if ((s.defined() && !hidden_here(link_, s)) || is_special_symbol(s.str())) continue;
      in_doubt_.push_back({&so, so.globals.names[i].id, i});
    }
  }

  bool search(std::string_view soname) {
    if (seen_.count(soname)) return true;
    std::vector<std::string> directories = link_.opt.rpaths;
    for (const char* d : link_.machine->library_directories) directories.push_back(link_.opt.sysroot + d);
    for (const std::string& d : directories) {
      std::string text;
      if (!read_file(d + "/" + std::string(soname), text)) continue;
      std::string_view kept = link_.save(std::move(text));
      auto so = std::make_unique<SharedFile>();
      so->kind = FileKind::shared;
      so->data = {reinterpret_cast<const uint8_t*>(kept.data()), kept.size()};
      so->soname = soname;
      if (!is_elf(so->data) || !adopt_shared(link_, *so)) continue;
      for (std::string_view name : so->needed)
        if (SharedFile* known = in_link(name)) add(known);
        else missing_.push_back(name);
      seen_.emplace(soname);
      seen_.insert(so->soname);
      loaded_.push_back(so.get());
      opened_.push_back(std::move(so));
      return true;
    }
    return false;
  }

  void report(const Doubt& d) {
    const Symbol& s = link_.symbols[d.symbol];
    std::string text = d.file->name + ": --no-allow-shlib-undefined: undefined symbol: " + link_.display(s);
    if (hidden_here(link_, s)) text += " (" + link_.files[s.file]->name + " defines it, but hidden)";
    const uint64_t key = uint64_t(d.file->priority) << 32 | d.index;
    if (link_.opt.unresolved == Unresolved::warn) link_.diag.warning(text, key);
    else link_.diag.error(text, key);
  }

  Link& link_;
  std::vector<const SharedFile*> loaded_;
  std::vector<std::unique_ptr<SharedFile>> opened_;
  std::set<std::string, std::less<>> seen_;
  std::vector<std::string_view> missing_;
  std::vector<Doubt> in_doubt_;
};

}  // namespace

void check_shared_undefined(Link& link) {
  bool allow = link.opt.allow_shlib_undefined_given ? link.opt.allow_shlib_undefined : link.shared;
  if (!allow && link.opt.unresolved != Unresolved::ignore) Check(link).run();
}

}  // namespace lode::link::elf
