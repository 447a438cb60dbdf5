// Headers, symbols and the dynamic linker's tables of the patched file (verify_relink.h).
#include <algorithm>

#include "base/bytes.h"
#include "link/elf/relink/verify_relink.h"

namespace lode::link::elf {

namespace {

std::string_view name_at(const FinishedImage& image, uint32_t section) {
  if (section == SHN_ABS) return "absolute";
  return section && section < image.view.sections.size() ? image.name_of(image.view.sections[section])
                                                         : std::string_view("undefined");
}

// What a symbol says of itself, apart from where it is.
std::string kind_of(const FinishedImage& image, const ImageSymbol& s, bool with_section) {
  std::string out = std::string(s.name) + s.version + " (type " + std::to_string(s.type) + ", binding " +
                    std::to_string(s.bind) + ", visibility " + std::to_string(s.visibility) + ", size " +
                    std::to_string(s.size);
  if (with_section) out += std::string(", in ") + std::string(name_at(image, s.section));
  else out += s.is_defined() ? ", defined" : ", undefined";
  return out + ")";
}

const Phdr* segment_of(const FinishedImage& image, const Shdr& s) {
  for (const Phdr& p : image.segments)
    if (p.type == PT_LOAD && s.addr >= p.vaddr && s.addr + s.size <= p.vaddr + p.memsz) return &p;
  return nullptr;
}

bool is_thread_local(const Shdr& s) { return (s.flags & SHF_TLS) && s.type == SHT_NOBITS; }

uint64_t tls_begin(const FinishedImage& image) {
  for (const Phdr& p : image.segments)
    if (p.type == PT_TLS) return p.vaddr;
  return 0;
}

}  // namespace

void RelinkVerifier::compare_headers() {
  const Ehdr &a = *fresh_.view.header, &b = *now_.view.header;
  // EI_OSABI (byte 7) says that there may be something of GNU's.
  if (std::memcmp(a.ident, b.ident, 7) != 0 || (a.ident[7] && a.ident[7] != b.ident[7]) || a.type != b.type ||
      a.machine != b.machine || a.flags != b.flags || a.version != b.version || a.phentsize != b.phentsize ||
      a.shentsize != b.shentsize)
    differ("the file header says something else");
}

// Segments by what is in them: each section is loaded with the same rights, and what has a segment of its own has it.
void RelinkVerifier::compare_segments() {
  auto kinds = [](const FinishedImage& image) {
    std::vector<std::pair<uint32_t, uint32_t>> out;
    for (const Phdr& p : image.segments) out.emplace_back(p.type, p.flags);
    return out;
  };
  if (kinds(fresh_) != kinds(now_)) return differ("the segments are of other types, or with other rights");
  for (const Phdr& p : now_.segments)
    if (p.type == PT_LOAD && p.align > 1 && (p.vaddr - p.offset) % p.align)
      differ("the segment at " + hex(p.vaddr) + " cannot be mapped");
  auto in_relro = [](const FinishedImage& image, const Shdr& s) {
    for (const Phdr& p : image.segments)
      if (p.type == PT_GNU_RELRO && s.addr >= p.vaddr && s.addr < p.vaddr + p.memsz) return true;
    return false;
  };
  for (const Shdr& s : fresh_.view.sections) {
    if (!(s.flags & SHF_ALLOC) || !s.size) continue;
    const Shdr* h = now_.section(fresh_.name_of(s));
    if (!h || !h->size) continue;
    const std::string name(fresh_.name_of(s));
    if (!is_thread_local(s)) {
      const Phdr *p = segment_of(fresh_, s), *q = segment_of(now_, *h);
      if (p && !q) differ("section " + name + " is in no segment");
      else if (p && p->flags != q->flags) differ("section " + name + " has other rights in memory");
      else if (q && s.type != SHT_NOBITS &&
               (h->offset - q->offset != h->addr - q->vaddr || h->addr - q->vaddr + h->size > q->filesz))
        differ("section " + name + " is not loaded from where it is");
    }
    if (in_relro(fresh_, s) != in_relro(now_, *h)) differ("section " + name + " is protected otherwise (PT_GNU_RELRO)");
  }
  for (size_t i = 0; i < fresh_.segments.size(); i++) {
    const Phdr &p = fresh_.segments[i], &q = now_.segments[i];
    if (p.type == PT_TLS && (p.filesz != q.filesz || p.memsz != q.memsz || p.align != q.align))
      differ("the thread-local storage has another layout");
    if (p.type == PT_LOAD || p.type == PT_GNU_RELRO || p.type == PT_GNU_STACK || p.type == PT_PHDR || !p.filesz)
      continue;
    for (const Shdr& s : fresh_.view.sections) {
      if (!(s.flags & SHF_ALLOC) || s.addr != p.vaddr || !s.size) continue;
      const Shdr* h = now_.section(fresh_.name_of(s));
      if (h && (h->addr != q.vaddr || h->offset != q.offset))
        differ("the segment of section " + std::string(fresh_.name_of(s)) + " is elsewhere");
    }
  }
}

void RelinkVerifier::compare_sections() {
  auto text_of = [](const FinishedImage& image, const Shdr& s) {
    const Bytes data = image.view.section_data(s);
    return std::string_view(reinterpret_cast<const char*>(data.data()), data.size());
  };
  for (size_t i = 1; i < fresh_.view.sections.size(); i++) {
    const Shdr& s = fresh_.view.sections[i];
    const std::string name(fresh_.name_of(s));
    const Shdr* h = nullptr;
    for (const Shdr& x : now_.view.sections)
      if (now_.name_of(x) == name && x.type == s.type && !h) h = &x;
    if (!h) {
      if (s.size) differ("there is no section " + name);
      continue;
    }
    if (h->flags != s.flags || h->entsize != s.entsize)
      differ("section " + name + " has other flags or entries of another size");
    if (name_at(fresh_, s.link) != name_at(now_, h->link)) differ("section " + name + " is linked to another one");
    if ((s.flags & SHF_INFO_LINK) && name_at(fresh_, s.info) != name_at(now_, h->info))
      differ("section " + name + " speaks of another one");
    if (h->addralign > 1 && h->addr % h->addralign) differ("section " + name + " is not aligned");
    if ((name == ".interp" || name == ".note.gnu.property" || name == ".note.package") &&
        text_of(fresh_, s) != text_of(now_, *h))
      differ("section " + name + " says something else");
    if (name == ".comment") {
      std::set<std::string_view> lines;
      const std::string_view text = text_of(fresh_, s), text_now = text_of(now_, *h);
      for (size_t k = 0; k < text_now.size(); k += 1 + std::strlen(text_now.data() + k))
        lines.insert(text_now.data() + k);
      for (size_t k = 0; k < text.size(); k += 1 + std::strlen(text.data() + k))
        if (!lines.count(text.data() + k)) differ("section .comment lacks \"" + std::string(text.data() + k) + "\"");
    }
    if (s.type == SHT_SYMTAB)
      for (size_t k = 0; k < now_.symbols.size(); k++)
        if ((now_.symbols[k].bind == STB_LOCAL) != (k < h->info)) {
          differ("symbol " + std::to_string(k) + " of .symtab stands on the wrong side of its first global one");
          break;
        }
  }
}

// ---- symbols --------------------------------------------------------------------------------------------------------

void RelinkVerifier::compare_symbols() {
  // Where symbols of the full output are, as atoms; and names of what is not in it.
  struct Owner {
    uint32_t atom;
    uint64_t offset;
  };
  std::map<std::pair<std::string_view, uint64_t>, Owner> owners;
  std::set<std::string_view> dead;
  const uint64_t tls = tls_begin(fresh_), tls_now = tls_begin(now_);
  auto own = [&](std::string_view name, uint32_t atom, uint64_t offset, uint8_t type) {
    if (!is_compared(atom)) {
      if (!full_.atoms[atom].live || full_.atoms[atom].kind == AtomKind::discarded) dead.insert(name);
      return;
    }
    owners.insert({{name, full_place(atom) + offset - (type == STT_TLS ? tls : 0)}, {atom, offset}});
  };
  for (ObjectFile* f : full_.objects)
    for (uint32_t k = 1; k < f->syms.size(); k++) {
      const Sym& s = f->syms[k];
      const uint32_t section = f->section_of(k);
      if (section && section < f->sections.size() && s.type() != STT_SECTION)
        own(f->sym_name(s), f->atom_base + section, s.value, s.type());
    }
  for (const Symbol& s : full_.symbols) {
    if (s.atom != none && !s.linker_defined) own(s.str(), s.atom, s.value, s.type);
    if (!s.local && s.defined() && (s.atom == none || !full_.atoms[s.atom].live)) dead.insert(s.str());
    if (!s.local && !s.defined()) dead.insert(s.str());  // undefined and weak: named by what is dead
  }
  auto is_named = [](const ImageSymbol& s) { return s.type != STT_SECTION && !s.name.empty(); };
  auto is_linkers = [&](const ImageSymbol& s) {
    const uint32_t id = full_.names.find(s.name);
    return id != none && full_.symbols[id].linker_defined;
  };
  std::map<std::string, std::vector<const ImageSymbol*>> left;
  for (const ImageSymbol& s : now_.symbols)
    if (is_named(s)) left[kind_of(now_, s, !is_linkers(s))].push_back(&s);
  // First those of which it is known where they should be, so that they do not take another's.
  for (const bool known : {true, false})
    for (const ImageSymbol& s : fresh_.symbols) {
      if (!is_named(s)) continue;
      const auto owner = s.is_defined() ? owners.find({s.name, s.value}) : owners.end();
      const bool is_known = owner != owners.end() && place_[owner->second.atom] != unknown;
      if (is_known != known) continue;
      const std::string kind = kind_of(fresh_, s, !is_linkers(s));
      auto& candidates = left[kind];
      if (candidates.empty()) {
        differ("symbol " + kind + " is missing");
        continue;
      }
      auto it = candidates.begin();
      if (is_known) {
        const uint64_t wanted = place_[owner->second.atom] + owner->second.offset - (s.type == STT_TLS ? tls_now : 0);
        it = std::find_if(candidates.begin(), candidates.end(),
                          [&](const ImageSymbol* c) { return c->value == wanted; });
        if (it == candidates.end()) {
          differ("symbol " + kind + " should be at " + hex(wanted) + " and is at " + hex(candidates.front()->value));
          continue;
        }
      } else if (owner == owners.end() && s.section == SHN_ABS && !is_linkers(s)) {
        it = std::find_if(candidates.begin(), candidates.end(),
                          [&](const ImageSymbol* c) { return c->value == s.value; });
        if (it == candidates.end()) {
          differ("symbol " + kind + " is not " + hex(s.value));
          continue;
        }
      }
      candidates.erase(it);
    }
  for (const auto& [kind, symbols] : left)
    for (const ImageSymbol* s : symbols) {
      if (dead.count(s->name) || s->type == STT_FILE) dead_symbols_++;
      else differ("symbol " + kind + " at " + hex(s->value) + " is of no input");
    }
  // The linker's own: bounds of sections stay bounds of the same sections.
  for (const ImageSymbol& s : fresh_.symbols) {
    if (!is_linkers(s)) continue;
    bool is_bound = false, holds = false;
    const ImageSymbol* now = nullptr;
    for (const ImageSymbol& x : now_.symbols)
      if (x.name == s.name && x.bind == s.bind && x.type != STT_FILE) now = &x;
    if (!now) continue;  // said above
    for (const Shdr& a : fresh_.view.sections) {
      if (!(a.flags & SHF_ALLOC) || is_thread_local(a)) continue;
      const Shdr* b = now_.section(fresh_.name_of(a));
      if (!b) continue;
      is_bound |= s.value == a.addr || s.value == a.addr + a.size;
      holds |= (s.value == a.addr && now->value == b->addr) ||
               (s.value == a.addr + a.size && now->value == b->addr + b->size);
    }
    if (is_bound && !holds)
      differ("symbol " + std::string(s.name) + " at " + hex(now->value) + " is not where its section begins or ends");
  }
}

// ---- the dynamic linker's tables ------------------------------------------------------------------------------------

void RelinkVerifier::compare_dynamic_symbols() {
  auto is_linkers = [&](const ImageSymbol& s) {
    const uint32_t id = full_.names.find(s.name);
    return id != none && full_.symbols[id].linker_defined;
  };
  std::map<std::string, std::vector<const ImageSymbol*>> left;
  for (size_t i = 1; i < now_.dynamic_symbols.size(); i++) {
    const ImageSymbol& s = now_.dynamic_symbols[i];
    if (!s.name.empty()) left[kind_of(now_, s, !is_linkers(s))].push_back(&s);
  }
  for (size_t i = 1; i < fresh_.dynamic_symbols.size(); i++) {
    const ImageSymbol& s = fresh_.dynamic_symbols[i];
    const std::string kind = kind_of(fresh_, s, !is_linkers(s));
    auto& candidates = left[kind];
    if (candidates.empty()) {
      differ("dynamic symbol " + kind + " is missing");
      continue;
    }
    const ImageSymbol& now = *candidates.back();
    candidates.pop_back();
    const std::string what = "the dynamic symbol " + kind;
    const Source source{nullptr, nullptr, 0, what.c_str()};
    const uint32_t id = full_.names.find(s.name);
    if (!s.is_defined()) {
      if ((s.value != 0) != (now.value != 0)) differ(what + " has the address " + hex(now.value));
      else if (s.value && id != none) compare_plt(id, s.value, now.value, source);
    } else if (s.type == STT_TLS || s.section == SHN_ABS) {
      if (s.value != now.value) differ(what + " is at " + hex(now.value) + " instead of " + hex(s.value));
    } else if (is_linkers(s)) {
      linker_symbol(id, now.value, source);
    } else if (id != none && full_.symbols[id].atom != none && full_.symbols[id].address == s.value &&
               full_.symbols[id].type != STT_GNU_IFUNC && is_compared(full_.symbols[id].atom)) {
      const Symbol& x = full_.symbols[id];
      if (place_[x.atom] == unknown) put(x.atom, now.value - x.value, source);
      else if (place_[x.atom] + x.value != now.value)
        differ(what + " should be at " + hex(place_[x.atom] + x.value) + " and is at " + hex(now.value));
    } else if (id != none && full_.symbols[id].type == STT_GNU_IFUNC) {
      if (atom_at(s.value) != none) same_place(s.value, now.value, source);
      else compare_plt(id, s.value, now.value, source);
    } else if (!same_place(s.value, now.value, source)) {
      differ(what + " is at " + hex(now.value));
    }
  }
  walk();
  for (const auto& [kind, symbols] : left)
    for (const ImageSymbol* s : symbols) {
      const uint32_t id = full_.names.find(s->name);
      const bool is_import = !s->is_defined() && id != none && (full_.symbols[id].defined() || s->bind == STB_WEAK);
      if (is_import) dead_symbols_++;
      else differ("dynamic symbol " + kind + " is not one of the full link");
    }
}

// Each definition is found by its name.
void RelinkVerifier::compare_hash_tables() {
  const Shdr *gnu = now_.section(".gnu.hash"), *sysv = now_.section(".hash");
  if (fresh_.section(".gnu.hash") && !gnu) differ("there is no .gnu.hash");
  const uint32_t count = uint32_t(now_.dynamic_symbols.size());
  auto word = [](Bytes d, uint64_t i) { return i * 4 + 4 <= d.size() ? load_le<uint32_t>(d.data() + i * 4) : 0; };
  for (uint32_t i = 1; i < count; i++) {
    const ImageSymbol& s = now_.dynamic_symbols[i];
    if (!s.is_defined()) continue;
    const std::string missing = "dynamic symbol " + std::string(s.name) + s.version + " is not found by ";
    if (gnu) {
      const Bytes d = now_.view.section_data(*gnu);
      const uint32_t buckets = word(d, 0), first = word(d, 1), words = word(d, 2), shift = word(d, 3),
                     h = gnu_hash(s.name);
      bool found = false;
      if (buckets && words && d.size() >= 16 + uint64_t{words} * 8) {
        const auto bloom = load_le<uint64_t>(d.data() + 16 + uint64_t{h / 64 % words} * 8);
        const bool may = bloom >> (h % 64) & bloom >> (h >> (shift & 31)) % 64 & 1;
        uint32_t at = word(d, 4 + uint64_t{words} * 2 + h % buckets);
        for (; may && at >= first && at < count && at; at++) {
          const uint32_t chain = word(d, 4 + uint64_t{words} * 2 + buckets + (at - first));
          if (at == i && (chain | 1) == (h | 1)) found = true;
          if (chain & 1) break;
        }
      }
      if (!found) differ(missing + ".gnu.hash");
    }
    if (sysv) {
      const Bytes d = now_.view.section_data(*sysv);
      const uint32_t buckets = word(d, 0), chains = word(d, 1), h = sysv_hash(s.name);
      bool found = false;
      uint32_t at = buckets ? word(d, 2 + uint64_t{h % buckets}) : 0;
      for (uint32_t steps = 0; at && at < chains && steps < chains && !found; steps++) {
        found = at == i;
        at = word(d, 2 + uint64_t{buckets} + at);
      }
      if (!found) differ(missing + ".hash");
    }
  }
}

void RelinkVerifier::compare_dynamic_entries() {
  auto is_string = [](int64_t tag) {
    return tag == DT_NEEDED || tag == DT_SONAME || tag == DT_RPATH || tag == DT_RUNPATH || tag == DT_AUDIT ||
           tag == DT_DEPAUDIT || tag == DT_AUXILIARY || tag == DT_FILTER;
  };
  // Those whose value is the address of a section, or its size.
  auto is_address = [](int64_t tag) {
    for (const int64_t t : {DT_HASH, DT_GNU_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_JMPREL, DT_VERSYM, DT_VERNEED,
                            DT_VERDEF, DT_INIT_ARRAY, DT_FINI_ARRAY, DT_PREINIT_ARRAY, DT_PLTGOT})
      if (t == tag) return true;
    return false;
  };
  auto sized = [](int64_t tag) -> const char* {
    switch (tag) {
      case DT_RELASZ: return ".rela.dyn";
      case DT_PLTRELSZ: return ".rela.plt";
      case DT_STRSZ: return ".dynstr";
      case DT_INIT_ARRAYSZ: return ".init_array";
      case DT_FINI_ARRAYSZ: return ".fini_array";
      case DT_PREINIT_ARRAYSZ: return ".preinit_array";
      default: return nullptr;
    }
  };
  auto say = [&](const FinishedImage& image, const Dyn& d) {
    std::string out = "DT " + hex(uint64_t(d.tag)) + " = ";
    const uint64_t value = d.value;
    if (is_string(d.tag)) return out + std::string(image.dynamic_string(value));
    if (d.tag == DT_INIT || d.tag == DT_FINI) return out + "a function";  // compared as a place
    if (is_address(d.tag)) {
      // A table without entries is where its section is, too.
      if (const Shdr* plt = image.section(".rela.plt"); d.tag == DT_JMPREL && plt && plt->addr == value)
        return out + ".rela.plt";
      for (const Shdr& s : image.view.sections)
        if ((s.flags & SHF_ALLOC) && s.addr == value && s.size && !is_thread_local(s))
          return out + std::string(image.name_of(s));
    }
    if (const char* name = sized(d.tag)) {
      const Shdr* s = image.section(name);
      return out + (s && s->size == value ? std::string("the size of ") + name : std::to_string(value));
    }
    if (d.tag == DT_VERNEEDNUM || d.tag == DT_VERDEFNUM) {
      const Shdr* s = image.section(d.tag == DT_VERNEEDNUM ? ".gnu.version_r" : ".gnu.version_d");
      return out + (s && s->info == value ? std::string("all of them") : std::to_string(value));
    }
    return out + std::to_string(value);
  };
  auto list = [&](const FinishedImage& image) {
    std::vector<std::string> out;
    for (const Dyn& d : image.dynamic)
      if (d.tag != DT_RELACOUNT) out.push_back(say(image, d));
    return out;
  };
  std::vector<std::string> a = list(fresh_), b = list(now_);
  // A library after --as-needed that is not needed any more stays until the next link from scratch.
  std::erase_if(b, [&](const std::string& entry) {
    if (std::find(a.begin(), a.end(), entry) != a.end()) return false;
    return std::any_of(full_.files.begin(), full_.files.end(), [&](const auto& f) {
      return f->kind == FileKind::shared && f->as_needed &&
             entry == "DT 0x1 = " + static_cast<const SharedFile&>(*f).soname;
    });
  });
  for (size_t i = 0; i < std::max(a.size(), b.size()); i++)
    if (i >= a.size() || i >= b.size() || a[i] != b[i])
      return differ(".dynamic: " + (i < b.size() ? b[i] : std::string("nothing")) + " instead of " +
                    (i < a.size() ? a[i] : std::string("nothing")));
}

void RelinkVerifier::compare_build_id() {
  const OutputSection* id = full_.build_id;
  if (!id || id->gone) return;
  const Shdr* s = now_.section(id->name);
  const Bytes note = s ? now_.view.section_data(*s) : Bytes();
  if (note.size() != id->size || note.size() < 16 || load_le<uint32_t>(note.data()) != 4 ||
      load_le<uint32_t>(note.data() + 4) != id->size - 16 || load_le<uint32_t>(note.data() + 8) != NT_GNU_BUILD_ID)
    return differ("the build id's note is another one");
  std::vector<uint8_t> wanted(full_.opt.build_id_bytes.begin(), full_.opt.build_id_bytes.end());
  if (full_.opt.build_id != BuildId::hex) {
    std::vector<uint8_t> bytes(now_.view.file.begin(), now_.view.file.end());
    std::fill_n(bytes.begin() + ptrdiff_t(s->offset + 16), note.size() - 16, uint8_t(0));
    digest_image(full_, bytes.data(), bytes.size());
    wanted.resize(note.size() - 16);
    put_build_id(full_, wanted.data());
  }
  if (!std::equal(wanted.begin(), wanted.end(), note.begin() + 16, note.end()))
    differ("the build id is not that of the file");
}

}  // namespace lode::link::elf
