// Scan: what the relocations of all live atoms ask for, and which names nobody defines.
//
// It runs over files in parallel; it sets flags on symbols, counts dynamic relocations per file, keeps which places are
// to be rewritten, and notes locals that need a slot. Those become symbols at the end, file by file in order.
//
// Requires: every live atom has its output section; imports and exports are known. Leaves true: apply needs no slot and
// makes no dynamic relocation that was not counted here.

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>

#include "base/bytes.h"
#include "link/elf/code/lower.h"
#include "link/elf/reports/source_lines.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

std::string place_name(Link& link, const Atom& atom, uint64_t offset) {
  if (atom.file == none || !link.files[atom.file]->is_object()) return {};
  ObjectFile& f = link.object(atom.file);
  std::string best;
  for (uint32_t i = 1; i < f.syms.size(); i++) {
    const Sym& s = f.syms[i];
    if (s.type() != STT_FUNC && s.type() != STT_OBJECT) continue;
    if (f.section_of(i) != atom.section || s.value > offset) continue;
    if (offset - s.value < std::max(uint64_t{s.size}, uint64_t{1})) {
      best = link.opt.demangle ? demangle(f.sym_name(s)) : std::string(f.sym_name(s));
      break;
    }
  }
  return best;
}

bool note_undefined(Link& link, uint32_t symbol, const ObjectFile& file, const Atom& atom, uint64_t offset) {
  Symbol& s = link.symbols[symbol];
  if (!(s.flags & referenced_strong) && s.visibility() == STV_DEFAULT) return false;
  if (!(s.flags & referenced_strong)) return false;
  if (link.opt.unresolved == Unresolved::ignore) return false;
  for (const std::string& ignored : link.opt.ignored_undefined)
    if (ignored == s.str()) return false;
  std::lock_guard lock(link.mutex);
  link.undefined_references.push_back({symbol, file.id, atom.section, offset});
  return link.opt.unresolved == Unresolved::error;
}

std::string discarded_place(Link& link, const ObjectFile& file, uint32_t sym) {
  std::string text = "\n>>> defined in " + file.name;
  uint32_t section = file.section_of(sym);
  for (const Group& g : file.groups) {
    if (!g.dead) continue;
    for (const Word& m : g.members) {
      if (m.value != section) continue;
      text += "\n>>> section group signature: " + link.demangled(g.signature.str());
      for (const ObjectFile* f : link.objects)
        if (comdat_rank(*f) == link.comdat_owner[g.signature.id])
          text += "\n>>> prevailing definition is in " + f->name;
      return text;
    }
  }
  return text;
}

// What the user may have meant: a defined name that differs in one letter, or in case.
static std::string similar_name(Link& link, std::string_view name) {
  if (name.size() < 3) return {};
  for (uint32_t i = 0; i < link.symbols.size(); i++) {
    const Symbol& s = link.symbols[i];
    if (!s.defined() || s.name_size + 1 < name.size() || s.name_size > name.size() + 1) continue;
    std::string_view n = s.str();
    size_t a = 0, b = 0;
    while (a < n.size() && a < name.size() && n[a] == name[a]) a++;
    while (b < n.size() - std::min(a, n.size()) && b < name.size() - a &&
           n[n.size() - 1 - b] == name[name.size() - 1 - b])
      b++;
    if (n.size() - a - b <= 1 && name.size() - a - b <= 1) return std::string(n);
    if (n.size() == name.size() &&
        std::equal(n.begin(), n.end(), name.begin(), [](char x, char y) { return (x | 32) == (y | 32); }))
      return std::string(n);
  }
  return {};
}

static std::string reference_place(Link& link, const UndefinedReference& r) {
  const ObjectFile& f = link.object(r.file);
  std::string line = source_line(f, r.section, r.offset),
              in = place_name(link, link.atoms[f.atom_base + r.section], r.offset);
  if (in.empty()) {
    char hex[32];
    std::snprintf(hex, sizeof hex, "+0x%llx", static_cast<unsigned long long>(r.offset));
    in = std::string(section_name(f, r.section)) + hex;
  }
  return ">>> referenced by " + (line.empty() ? f.name : line) + "\n>>>               " + f.name + ":(" + in + ")";
}

static void report_undefined(Link& link) {
  auto& refs = link.undefined_references;
  auto place_of = [&](const UndefinedReference& r) {
    return std::tuple(link.files[r.file]->priority, r.section, r.offset);
  };
  std::sort(refs.begin(), refs.end(), [&](auto& a, auto& b) { return place_of(a) < place_of(b); });
  std::map<uint32_t, std::vector<const UndefinedReference*>> by_symbol;
  std::vector<uint32_t> order;
  for (auto& r : refs) {
    auto& list = by_symbol[r.symbol];
    if (list.empty()) order.push_back(r.symbol);
    if (list.empty() || place_of(*list.back()) != place_of(r)) list.push_back(&r);
  }
  uint64_t k = 0;
  for (uint32_t id : order) {
    const Symbol& s = link.symbols[id];
    auto& list = by_symbol[id];
    std::string text = "undefined symbol: " + link.display(s);
    if (s.visibility() != STV_DEFAULT)
      text += std::string(" (") + (s.visibility() == STV_PROTECTED ? "protected" : "hidden") +
              ": a shared library cannot define it)";
    std::vector<std::string> shown;
    size_t i = 0;
    for (; i < list.size() && shown.size() < 3; i++)
      if (std::string place = reference_place(link, *list[i]);
          std::find(shown.begin(), shown.end(), place) == shown.end())
        shown.push_back(std::move(place));
    for (const std::string& place : shown) text += "\n" + place;
    if (i < list.size()) text += "\n>>> referenced " + std::to_string(list.size() - i) + " more times";
    if (link.opt.unresolved == Unresolved::warn) {
      link.diag.warning(text, k++);
      continue;
    }
    run_error_script(link, "undefined-symbol", std::string(s.str()));
    // Looked for while messages are still printed: it takes a walk over all names.
    const bool printed = link.opt.error_limit == 0 || k < link.opt.error_limit;
    if (std::string n = printed ? similar_name(link, s.str()) : std::string(); !n.empty())
      text += "\n>>> did you mean: " + (link.opt.demangle ? demangle(n) : n);
    if (s.str().starts_with("_ZTV"))
      text += "\n>>> the vtable symbol may be undefined because the class is missing its key function";
    link.diag.error(text, k++);
  }
  refs.clear();
}

// ---- one atom -------------------------------------------------------------------------------------------------------

namespace {

template <class T>
void raise(T& flag) {
  std::atomic_ref<T>(flag).store(1, std::memory_order_relaxed);
}

// GCC may describe a function of a COMDAT group in a table outside of the group. Where the group is dropped nobody
// reads the entry.
bool is_exception_table(const ObjectFile& f, const Atom& a) {
  std::string_view name = section_name(f, a.section);
  return name.starts_with(".gcc_except_table") && (name.size() == 17 || name[17] == '.');
}

// The relocations of one atom, or of one record of .eh_frame as an atom of that kind.
class AtomScan {
 public:
  AtomScan(Link& link, ObjectFile& f, Atom& a)
      : link_(link), machine_(*link.machine), f_(f), a_(a), frame_(a.kind == AtomKind::eh_frame),
        writable_(f.sections[a.section].flags & SHF_WRITE ||
                  (a.out != none && link.sections[a.out]->flags & SHF_WRITE)) {}

  void run() {
    for (uint32_t i = 0; i < a_.reloc_count; i++) {
      const Rela r = a_.relocs[i];
      const RelocationRow& row = machine_.row(r.type);
      if (row.want == Want::nothing) continue;
      index_ = i;
      if (row.want == Want::unknown || row.want == Want::refused || row.want == Want::gp_distance) {
        refuse(r, row);
        continue;
      }
      if (r.sym >= f_.syms.size() || r.offset > a_.size || a_.size - r.offset < row.bytes ||
          (!a_.data && row.bytes)) {
        reject(std::string("malformed relocation ") + row.name);
        continue;
      }
      if (is_plain(link_, row) && is_plain_target(link_, f_, r.sym)) continue;
      if (row.want == Want::relax_mark || row.want == Want::alignment) {
        shrinks_ |= row.want == Want::alignment || link_.opt.relax;
        continue;
      }
      target_ = resolve_target(link_, f_, r.sym);
      if (!well_founded(r, row)) continue;
      if (target_.ifunc) want(needs_plt);
      i += scan(r, row);
    }
    if (shrinks_ && a_.data && !frame_) note_shrinkable();
  }

 private:
  const Rela& rel() const { return a_.relocs[index_]; }
  std::string place() { return relocation_place(link_, f_, a_, rel().offset); }
  std::string name() { return target_name(link_, f_, target_, rel().sym); }
  std::string against(const RelocationRow& row) {
    return std::string("relocation ") + row.name + " against `" + name() + "`";
  }
  // What apply could not take is an error for good; what it can, --noinhibit-exec lets pass.
  void reject(const std::string& m) { link_.diag.error(place() + ": " + m, relocation_key(f_, a_, index_)); }
  void fail(const std::string& m) { link_.diag.recoverable(place() + ": " + m, relocation_key(f_, a_, index_)); }

  void want(uint32_t flags) {
    if (target_.ref.id != none) atomic_or(link_.symbols[target_.ref.id].flags, flags);
    else f_.promoted.push_back({rel().sym, flags});  // turned into symbols after the scan
  }

  // False: the relocation has been dealt with, because what it refers to is not there or is of the wrong kind.
  bool well_founded(const Rela& r, const RelocationRow& row) {
    const RelocationTarget& t = target_;
    if (t.ref.discarded && (row.want == Want::address || row.want == Want::distance) &&
        (frame_ || is_exception_table(f_, a_)))
      return false;  // what went with another copy of its function: becomes 0
    const bool lost = t.sym && !t.sym->defined() && f_.syms[r.sym].shndx != SHN_UNDEF;
    if ((t.ref.discarded && row.want != Want::size) || lost) {
      reject("relocation refers to a symbol in a discarded section: " +
             (t.ref.discarded ? link_.demangled(f_.sym_name(f_.syms[r.sym])) : link_.display(*t.sym)) +
             discarded_place(link_, f_, r.sym));
      return false;
    }
    if (t.sym && !t.sym->defined() && !t.sym->imported && note_undefined(link_, t.ref.id, f_, a_, r.offset))
      return false;
    const uint8_t type = t.sym ? t.sym->type : t.ref.type;
    if (row.want >= Want::tls_general && row.want != Want::tls_module && type != STT_TLS && type != STT_SECTION &&
        type != STT_NOTYPE) {
      reject(std::string(row.name) + " against a symbol that is not thread-local: " + name());
      return false;
    }
    return true;
  }

  void refuse(const Rela& r, const RelocationRow& row) {
    if (row.want == Want::refused)
      reject("relocation type " + std::to_string(uint32_t(r.type)) + " (" + row.name + ") is not supported");
    else
      reject("unknown relocation type " + std::to_string(uint32_t(r.type)));
  }

  void note_shrinkable() {
    if (a_.size >= uint64_t{1} << 31)
      link_.diag.error(f_.name + ":(" + std::string(section_name(f_, a_.section)) +
                       "): code of 2 GiB and more cannot be relaxed", relocation_key(f_, a_, 0));
    else f_.shrinkable.push_back(a_.section);
  }

  // Reserves what the relocation needs. The number of relocations behind it that belong to it.
  uint32_t scan(const Rela& r, const RelocationRow& row) {
    switch (row.want) {
      case Want::plt_offset: raise(link_.needs_got_base); [[fallthrough]];
      case Want::address: case Want::distance: case Want::call:
        act(action_of(link_, row.want, row.bytes, target_, writable_), r, row);
        return 0;
      case Want::got_offset: raise(link_.needs_got_base); [[fallthrough]];
      case Want::got_distance: want(needs_got); return 0;
      case Want::got_distance_relaxable:
        if (!rewrite(got_rewrite(link_, target_))) want(needs_got);
        return 0;
      case Want::offset_in_got: case Want::got_base: raise(link_.needs_got_base); return 0;
      case Want::tls_general: case Want::tls_module: case Want::tls_initial: case Want::tls_local:
      case Want::tls_descriptor: case Want::tls_descriptor_call: return scan_tls(row);
      case Want::set: case Want::add: case Want::subtract: case Want::set_leb: case Want::subtract_leb:
        if (target_.imported) fail(against(row) + " needs an address that is not known before run time");
        return 0;
      case Want::follower: follow(r, row); return 0;
      case Want::gp_distance: case Want::relax_mark: case Want::alignment: case Want::refused:
      case Want::tls_offset: case Want::size: case Want::nothing: case Want::unknown: return 0;
    }
    return 0;
  }

  void follow(const Rela& r, const RelocationRow& row) {
    if (frame_ || leader_of(link_, f_, a_, r.sym) == none)
      reject(std::string(row.name) + " refers to " + name() +
             ", where no relocation of its section makes the upper part of an address");
    else if (r.addend)
      link_.diag.warning(place() + ": the addend of " + row.name + " is ignored", relocation_key(f_, a_, index_));
  }

  uint32_t scan_tls(const RelocationRow& row) {
    const RelocationTarget& t = target_;
    const bool imported = row.want != Want::tls_module && t.imported;
    Rewrite to = tls_rewrite(link_, imported);
    // There is none of the others that would have to be rewritten; but dynamic linkers may know no descriptors.
    if (machine_.tls_rewrite_optional && !link_.opt.relax) {
      const bool rewritten = row.want == Want::tls_descriptor && !link_.shared;
      to = !rewritten ? Rewrite::none : imported ? Rewrite::initial_exec : Rewrite::local_exec;
    }
    switch (row.want) {
      case Want::tls_general: case Want::tls_module: case Want::tls_descriptor: {
        if (machine_.sequence(input_place(), Rewrite::none) < 0) {
          reject(std::string(row.name) + (row.want == Want::tls_descriptor
                                              ? " relocation is not in the instruction that the psABI prescribes"
                                              : " relocation is not followed by a call of __tls_get_addr"));
          return 0;
        }
        if (to != Rewrite::none && !rewrite(to)) {
          if (machine_.tls_rewrite_optional && !(row.want == Want::tls_descriptor && link_.is_static_output))
            return reserve_tls(row);
          reject(std::string("unexpected instructions around ") + row.name);
          return 0;
        }
        if (to == Rewrite::none) return reserve_tls(row);
        if (to == Rewrite::initial_exec) want(needs_gottp);
        return f_.rewrites.back().span;
      }
      case Want::tls_descriptor_call:
        if (to != Rewrite::none) rewrite(to);
        return 0;
      case Want::tls_initial:
        if (to == Rewrite::local_exec && rewrite(to)) return 0;
        want(needs_gottp);
        if (link_.shared) raise(link_.has_static_tls);
        return 0;
      case Want::tls_local:
        if (link_.shared)
          fail(against(row) + " can not be used when making a shared object; recompile with -fPIC");
        else if (t.imported)
          fail(std::string("relocation ") + row.name + " against " + name() +
               ", which a shared library defines; recompile with -fPIE");
        return 0;
      default: return 0;
    }
  }

  // Slots for an access to thread-local storage as it stands there.
  uint32_t reserve_tls(const RelocationRow& row) {
    if (row.want == Want::tls_module) raise(link_.needs_tlsld);
    else want(row.want == Want::tls_general ? needs_tlsgd : needs_tlsdesc);
    return 0;
  }

  InputPlace input_place() {
    InputPlace place{a_.relocs, index_, a_.reloc_count, {a_.data, a_.data ? a_.size : 0}, f_.syms.size()};
    if (machine_.shrink) {
      if (!followers_) followers_ = std::make_unique<Followers>(find_followers(link_, f_, a_));
      place.followers = followers_->of(index_);
    }
    return place;
  }
  // Keeps the decision, if the instructions are such that it can be.
  bool rewrite(Rewrite to) {
    if (to == Rewrite::none || frame_) return false;
    const int span = machine_.sequence(input_place(), to);
    if (span < 0) return false;
    f_.rewrites.push_back({a_.section, index_, to, uint8_t(span)});
    shrinks_ |= machine_.shrink != nullptr;
    return true;
  }

  void act(Action action, const Rela& r, const RelocationRow& row) {
    switch (action) {
      case Action::none: break;
      case Action::error:
        fail(against(row) + " can not be used when making a " + output_kind(link_) + "; recompile with -fPIC");
        break;
      case Action::relative: case Action::dynamic: at_run_time(action, r, row); break;
      case Action::copy: copy(row); break;
      case Action::canonical_plt: want(needs_plt | needs_canonical_plt | needs_dynsym); break;
      case Action::plt: want(needs_plt); break;
      case Action::dynamic_or_copy: case Action::dynamic_or_canonical_plt: break;
    }
  }

  void at_run_time(Action action, const Rela& r, const RelocationRow& row) {
    if (frame_)
      return fail(against(row) + " can not be used in .eh_frame when making a " + output_kind(link_) +
                  "; recompile with -fPIC");
    if (!writable_) {
      const std::string section(section_name(f_, a_.section));
      if (link_.opt.text)
        return fail(std::string("relocation ") + row.name + " against symbol `" + name() + "` in read-only section `" +
                    section + "' would be made at run time; recompile with -fPIC or pass -z notext");
      raise(link_.has_textrel);
      if (link_.opt.warn_textrel || (link_.shared && link_.opt.warn_shared_textrel))
        link_.diag.warning(place() + ": relocation against symbol `" + name() + "' in read-only section `" + section +
                               "'",
                           relocation_key(f_, a_, index_));
    }
    if (action == Action::dynamic) {
      want(needs_dynsym);
      f_.dynrel_count++;
    } else if (packs_relative(link_, a_, r, writable_)) {
      f_.relr.push_back(uint64_t(&a_ - link_.atoms.data()) << 32 | r.offset);
    } else {
      f_.dynrel_count++;
    }
  }

  void copy(const RelocationRow& row) {
    const Symbol& s = *target_.sym;
    if (!s.defined())
      return fail("cannot create a copy relocation for " + link_.display(s) +
                  ", which is undefined; recompile with -fPIE or -fPIC");
    if (!link_.opt.copyreloc || s.visibility() == STV_PROTECTED)
      return fail(against(row) +
                  " would need a copy relocation, which -z nocopyreloc forbids; recompile with -fPIC");
    const InputFile& definer = *link_.files[s.file];
    if (definer.kind == FileKind::shared && definer.syms[s.sym].visibility() == STV_PROTECTED)
      return fail("cannot create a copy relocation for protected symbol '" + link_.display(s) + "', defined in " +
                  definer.name + "; recompile with -fPIC");
    want(needs_copy | needs_dynsym);
  }

  Link& link_;
  const Machine& machine_;
  ObjectFile& f_;
  Atom& a_;
  const bool frame_, writable_;
  bool shrinks_ = false;
  std::unique_ptr<Followers> followers_;  // made when first asked for
  uint32_t index_ = 0;
  RelocationTarget target_;
};

}  // namespace

void scan_relocations(Link& link) {
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link.atoms[f.atom_base + i];
      if (!a.live || a.kind != AtomKind::regular || !a.reloc_count || a.folded || !is_loaded(link, a)) continue;
      AtomScan(link, f, a).run();
    }
    auto scan_record = [&](uint32_t atom, uint32_t begin, uint32_t end) {
      Atom part = link.atoms[atom];
      part.relocs += begin;
      part.reloc_count = end - begin;
      AtomScan(link, f, part).run();
    };
    const uint32_t frame_start = link.machine->r_word(4, true);  // what FDEs are made of
    std::vector<bool> used(f.cies.size());
    for (const Fde& fde : f.fdes) {
      const Atom& a = link.atoms[fde.atom];
      if (!a.live || a.kind != AtomKind::regular || a.folded) continue;
      used[fde.cie] = true;
      const Rela* relocs = link.atoms[fde.source].relocs;
      // The first is the start of the code, which is here whoever else defines a symbol of that name.
      uint32_t begin = fde.reloc_begin;
      if (relocs[begin].type == frame_start) begin++;
      bool plain = true;
      for (uint32_t r = begin; r < fde.reloc_end; r++)
        plain &= relocs[r].type == frame_start && relocs[r].sym < f.first_global;
      if (!plain) scan_record(fde.source, begin, fde.reloc_end);
    }
    for (size_t c = 0; c < f.cies.size(); c++)
      if (used[c] && f.cies[c].reloc_begin != f.cies[c].reloc_end)
        scan_record(f.cies[c].atom, f.cies[c].reloc_begin, f.cies[c].reloc_end);
  });
  if (link.has_modules) scan_functions(link);
  // Locals with slots become symbols.
  for (ObjectFile* f : link.objects) {
    if (f->promoted.empty()) continue;
    auto& list = f->promoted;
    std::sort(list.begin(), list.end(), [](const PromotedLocal& a, const PromotedLocal& b) { return a.sym < b.sym; });
    std::vector<PromotedLocal> unique;
    for (const PromotedLocal& p : list) {
      if (unique.empty() || unique.back().sym != p.sym) unique.push_back(p);
      else unique.back().id |= p.id;  // flags, until the symbol exists
    }
    for (PromotedLocal& p : unique) {
      uint32_t id, unused;
      if (!link.symbols.append(1, id) || !link.best.append(1, unused) || !link.lazy_of.append(1, unused)) {
        link.diag.error(too_many_symbols);
        return;
      }
      Symbol& s = link.symbols[id];
      const Sym& sym = f->syms[p.sym];
      std::string_view name = f->sym_name(sym);
      s.name = name.data();
      s.name_size = uint32_t(name.size());
      s.file = f->id;
      s.sym = p.sym;
      uint32_t section = f->section_of(p.sym);
      s.atom = section != 0 && section < f->sections.size() ? f->atom_base + section : none;
      s.value = sym.value;
      s.type = sym.type();
      s.bind = STB_LOCAL;
      s.local = true;
      s.flags = p.id;
      p.id = id;
    }
    list = std::move(unique);
  }
  report_undefined(link);
}

}  // namespace lode::link::elf
