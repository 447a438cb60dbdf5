// The part of a delta link (delta.h) that changes what the dynamic linker reads: new imports and exports, and names
// that are no longer exported.
//
//   .dynsym         an entry keeps its index, which dynamic relocations hold. New ones come at the end; what is left
//                   free in between is an undefined weak symbol without a name, to which nothing refers
//   .gnu.hash       symbols of one bucket stand behind each other, so that a new one goes behind the last of its
//                   bucket, where that place is free; else all of the bucket move to the end of the table, which
//                   changes the dynamic relocations that name them. The chain words follow the symbols. The Bloom
//                   filter only gains bits: too many cost a lookup, never an answer
//   .hash           chains are linked by index: a new one becomes the first of its bucket
//   .gnu.version_r  records are linked by distance: a new version goes to the end, as the last of its library's
//   .plt, .got.plt, .rela.plt
//                   entries by number: a new one comes behind the last
//
// An import that nobody refers to any more stays, but as a weak one: the dynamic linker then does without it. An export
// that is gone leaves its hash chain, so that nobody finds it.
//
// Requires: names are bound and relocations scanned. Leaves true: every symbol that needs an entry of .dynsym has one.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"

namespace lode::link::elf {

namespace {

std::string_view base_name(std::string_view name) { return name.substr(0, name.find('@')); }

Sym unused_entry() {
  Sym e{};
  e.info = STB_WEAK << 4 | STT_NOTYPE;
  return e;
}

}  // namespace

// Whether names that this link defines, or refers to, for the first time are exported and imported, and with which
// version. Those that the image knows already are what they were.
bool DeltaLink::exports() {
  if (link_.is_static_output || !exports_change_) return true;
  struct Was {
    bool imported, exported, version_local;
    uint16_t version;
  };
  std::vector<Was> was;
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    const Symbol& s = link_.symbols[id];
    was.push_back({s.imported, s.exported, s.version_local, s.version});
  }
  if (!read_version_scripts(link_)) return give_up("a version script is in error");
  assign_versions(link_);
  compute_import_export(link_);
  if (link_.diag.has_errors()) return give_up("a version cannot be given");
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    Symbol& s = link_.symbols[id];
    const uint32_t n = state_symbol(id);
    if (is_here(s) || n == none || (state_.symbols[n].flags & state_gone) || offered_.count(id)) continue;
    s.imported = was[id].imported;
    s.exported = was[id].exported;
    s.version_local = was[id].version_local;
    s.version = was[id].version;
  }
  return true;
}

// ---- tables ---------------------------------------------------------------------------------------------------------

Sym* DeltaLink::dynamic_entry(uint32_t index) {
  const uint64_t offset = file_offset(meta_.section_dynsym, uint64_t(index) * sizeof(Sym));
  uint8_t* p = at(offset, sizeof(Sym));
  if (p) touched_.emplace_back(offset, sizeof(Sym));
  return reinterpret_cast<Sym*>(p);
}

// A word of a table; null, and given up: the table does not have it.
uint32_t* DeltaLink::table_word(uint32_t section, uint64_t index) {
  const StateSection& s = state_.sections[section];
  if (index >= (s.size + s.room) / 4) {
    give_up("section " + std::string(state_.text(s.name)) + " is damaged");
    return nullptr;
  }
  uint8_t* p = at(s.offset + index * 4, 4);
  if (p) touched_.emplace_back(s.offset + index * 4, 4);
  return reinterpret_cast<uint32_t*>(p);
}

bool DeltaLink::open_dynamic_tables() {
  DynamicTables& t = dynamic_;
  auto words = [&](uint32_t section, uint64_t first, uint32_t count, uint32_t* out) {
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t* p = table_word(section, first + i);
      if (!p) return false;
      out[i] = load_le<uint32_t>(p);
    }
    return true;
  };
  if (meta_.section_gnu_hash != none) {
    uint32_t head[4];
    if (!words(meta_.section_gnu_hash, 0, 4, head)) return false;
    t.buckets = head[0];
    t.first_hashed = head[1];
    t.bloom_words = head[2];
    t.bloom_shift = head[3];
    if (!t.buckets || !is_power_of_two(t.bloom_words) || t.bloom_shift > 31 || t.first_hashed > meta_.dynsym_count ||
        t.bloom_words > 1u << 24)
      return give_up("section .gnu.hash is damaged");
  } else {
    t.first_hashed = 1;
  }
  if (meta_.section_hash != none) {
    uint32_t head[2];
    if (!words(meta_.section_hash, 0, 2, head)) return false;
    t.sysv_buckets = head[0];
    if (!t.sysv_buckets || head[1] != meta_.dynsym_count) return give_up("section .hash is damaged");
  }
  return true;
}

uint32_t* DeltaLink::gnu_bucket(uint32_t hash) {
  return table_word(meta_.section_gnu_hash, 4 + uint64_t(dynamic_.bloom_words) * 2 + hash % dynamic_.buckets);
}
uint32_t* DeltaLink::gnu_chain(uint32_t index) {
  return table_word(meta_.section_gnu_hash,
                    4 + uint64_t(dynamic_.bloom_words) * 2 + dynamic_.buckets + (index - dynamic_.first_hashed));
}
uint32_t* DeltaLink::sysv_bucket(uint32_t hash) {
  return table_word(meta_.section_hash, 2 + hash % dynamic_.sysv_buckets);
}
uint32_t* DeltaLink::sysv_chain(uint32_t index) {
  return table_word(meta_.section_hash, 2 + uint64_t(dynamic_.sysv_buckets) + index);
}

std::string_view DeltaLink::dynamic_string(uint32_t offset) {
  const StateSection& s = state_.sections[meta_.section_dynstr];
  if (offset >= meta_.dynstr_used || !at(s.offset, s.size)) return {};
  const char* p = reinterpret_cast<const char*>(image_.data() + s.offset + offset);
  return {p, strnlen(p, meta_.dynstr_used - offset)};
}

bool DeltaLink::put_dynamic_string(std::string_view text, uint32_t& offset) {
  const uint64_t size = text.size() + 1;
  const StateSection& s = state_.sections[meta_.section_dynstr];
  if (meta_.dynstr_used + size > s.size + s.room) return no_room("names of dynamic symbols");
  offset = meta_.dynstr_used;
  uint8_t* p = at(s.offset + offset, size);
  if (!p) return false;
  std::memcpy(p, text.data(), text.size());
  p[text.size()] = 0;
  image_.wrote(s.offset + offset, size);
  meta_.dynstr_used += uint32_t(size);
  return true;
}

bool DeltaLink::set_version(uint32_t index, uint16_t version) {
  if (meta_.section_versym == none) return version < 2 || give_up("symbols have had no versions so far");
  const StateSection& s = state_.sections[meta_.section_versym];
  if ((uint64_t(index) + 1) * 2 > s.size + s.room) return no_room("versions of symbols");
  uint8_t* p = at(s.offset + uint64_t(index) * 2, 2);
  if (!p) return false;
  store_le(p, version);
  image_.wrote(s.offset + uint64_t(index) * 2, 2);
  return true;
}

// `count` entries behind all others.
bool DeltaLink::append_dynamic_entries(uint32_t count, uint32_t& first) {
  first = meta_.dynsym_count;
  const StateSection& s = state_.sections[meta_.section_dynsym];
  const uint64_t all = uint64_t(first) + count;
  auto fits = [&](uint32_t section, uint64_t words) {
    if (section == none) return true;
    const StateSection& t = state_.sections[section];
    return words * 4 <= t.size + t.room;
  };
  if (all * sizeof(Sym) > s.size + s.room ||
      !fits(meta_.section_gnu_hash,
            4 + uint64_t(dynamic_.bloom_words) * 2 + dynamic_.buckets + (all - dynamic_.first_hashed)) ||
      !fits(meta_.section_hash, 2 + uint64_t(dynamic_.sysv_buckets) + all))
    return no_room("dynamic symbols");
  meta_.dynsym_count = uint32_t(all);
  for (uint32_t i = first; i < all; i++)
    if (!free_dynamic_entry(i)) return false;
  return true;
}

// What an entry is that stands for nothing.
bool DeltaLink::free_dynamic_entry(uint32_t index) {
  Sym* e = dynamic_entry(index);
  if (!e) return false;
  *e = unused_entry();
  if (meta_.section_gnu_hash != none && index >= dynamic_.first_hashed) {
    uint32_t* c = gnu_chain(index);
    if (!c) return false;
    store_le(c, uint32_t(1));
  }
  if (meta_.section_hash != none) {
    uint32_t* c = sysv_chain(index);
    if (!c) return false;
    store_le(c, uint32_t(0));
  }
  return set_version(index, VER_NDX_GLOBAL);
}

bool DeltaLink::sysv_insert(uint32_t index, std::string_view name) {
  if (meta_.section_hash == none) return true;
  uint32_t *b = sysv_bucket(sysv_hash(name)), *c = sysv_chain(index);
  if (!b || !c) return false;
  store_le(c, load_le<uint32_t>(b));
  store_le(b, index);
  return true;
}

bool DeltaLink::sysv_remove(uint32_t index, std::string_view name) {
  if (meta_.section_hash == none) return true;
  uint32_t* p = sysv_bucket(sysv_hash(name));
  for (uint32_t steps = meta_.dynsym_count + 1; p && steps && load_le<uint32_t>(p) != index; steps--) {
    if (!load_le<uint32_t>(p)) return true;  // it is in none
    p = sysv_chain(load_le<uint32_t>(p));
  }
  const uint32_t* c = sysv_chain(index);
  if (!p || !c) return false;
  store_le(p, load_le<uint32_t>(c));
  return true;
}

// An entry that has a name goes to another place, which is free; who knows its index is told.
bool DeltaLink::move_dynamic_entry(uint32_t from, uint32_t to) {
  const Sym *e = dynamic_entry(from);
  Sym* out = dynamic_entry(to);
  if (!e || !out) return false;
  *out = *e;
  const std::string_view name = dynamic_string(e->name);
  uint16_t version = VER_NDX_GLOBAL;
  if (meta_.section_versym != none) {
    const uint8_t* v = at(file_offset(meta_.section_versym, uint64_t(from) * 2), 2);
    if (!v) return false;
    version = load_le<uint16_t>(v);
  }
  if (!sysv_remove(from, name) || !free_dynamic_entry(from) || !set_version(to, version) || !sysv_insert(to, name))
    return false;
  const auto was = origin_.find(from);
  const uint32_t old = was == origin_.end() ? from : was->second;
  if (was != origin_.end()) origin_.erase(was);
  origin_[to] = old;
  for (SymbolAux& x : link_.aux)
    if (x.dynsym == int32_t(from)) x.dynsym = int32_t(to);
  if (old == none) return true;
  const uint32_t n = state_.find_symbol(name, hash_name(name));
  if (n == none || state_.symbols[n].aux == none || state_.aux[state_.symbols[n].aux].dynsym != int32_t(from))
    return give_up("the dynamic symbol table is not as it was");
  if (StateAux* x = state_.aux.edit(state_.symbols[n].aux)) x->dynsym = int32_t(to);
  return true;
}

bool DeltaLink::is_free_dynamic_entry(uint32_t index) {
  if (index == 0 || index >= meta_.dynsym_count) return false;
  const Sym* e = dynamic_entry(index);
  const Sym unused = unused_entry();
  return e && std::memcmp(e, &unused, sizeof unused) == 0 && !origin_.count(index);
}

// A place for a name in the chain of its bucket. The entry is the caller's to fill.
bool DeltaLink::gnu_insert(std::string_view name, uint32_t& index) {
  if (meta_.section_gnu_hash == none) return append_dynamic_entries(1, index);
  const uint32_t hash = gnu_hash(name);
  uint32_t* bucket = gnu_bucket(hash);
  if (!bucket) return false;
  const uint32_t first = load_le<uint32_t>(bucket);
  if (!first) {
    if (!append_dynamic_entries(1, index)) return false;
    store_le(bucket, index);
  } else {
    uint32_t last = first;
    for (uint32_t steps = meta_.dynsym_count; steps; steps--) {
      const uint32_t* c = last >= dynamic_.first_hashed ? gnu_chain(last) : nullptr;
      if (!c) return give_up("section .gnu.hash is damaged");
      if (load_le<uint32_t>(c) & 1) break;
      last++;
    }
    index = last + 1;
    if (index == meta_.dynsym_count) {
      if (!append_dynamic_entries(1, index)) return false;
    } else if (!is_free_dynamic_entry(index)) {
      const uint32_t count = last - first + 1;
      uint32_t to = 0;
      if (!append_dynamic_entries(count + 1, to)) return false;
      for (uint32_t i = 0; i < count; i++) {
        const uint32_t *from = gnu_chain(first + i);
        uint32_t* c = gnu_chain(to + i);
        if (!from || !c) return false;
        const uint32_t word = load_le<uint32_t>(from);
        if (!move_dynamic_entry(first + i, to + i)) return false;
        store_le(c, word);
      }
      store_le(bucket, to);
      last = to + count - 1;
      index = to + count;
    }
    uint32_t* c = gnu_chain(last);
    if (!c) return false;
    store_le(c, load_le<uint32_t>(c) & ~1u);
  }
  uint32_t* c = gnu_chain(index);
  uint32_t* bloom = table_word(meta_.section_gnu_hash, 4 + uint64_t((hash / 64) % dynamic_.bloom_words) * 2);
  if (!c || !bloom || !table_word(meta_.section_gnu_hash, 5 + uint64_t((hash / 64) % dynamic_.bloom_words) * 2))
    return false;
  store_le(c, (hash & ~1u) | 1);
  auto* word = reinterpret_cast<uint8_t*>(bloom);
  store_le(word, load_le<uint64_t>(word) | uint64_t{1} << (hash % 64) |
                     uint64_t{1} << ((hash >> dynamic_.bloom_shift) % 64));
  return true;
}

// Takes an entry out of the chain of its bucket: the last one of the bucket comes into its place.
bool DeltaLink::gnu_remove(uint32_t index, std::string_view name) {
  if (meta_.section_gnu_hash == none || index < dynamic_.first_hashed) return free_dynamic_entry(index);
  uint32_t* bucket = gnu_bucket(gnu_hash(name));
  if (!bucket) return false;
  const uint32_t first = load_le<uint32_t>(bucket);
  uint32_t last = first;
  bool found = false;
  for (uint32_t steps = meta_.dynsym_count; steps && last >= dynamic_.first_hashed; steps--) {
    found |= last == index;
    const uint32_t* c = gnu_chain(last);
    if (!c) return false;
    if (load_le<uint32_t>(c) & 1) break;
    last++;
  }
  if (!found) return free_dynamic_entry(index);  // it was in none
  if (!free_dynamic_entry(index)) return false;
  if (first == last) {
    store_le(bucket, uint32_t(0));
    return true;
  }
  if (index != last) {
    uint32_t *c = gnu_chain(index), *l = gnu_chain(last);
    if (!c || !l) return false;
    const uint32_t word = load_le<uint32_t>(l);
    if (!move_dynamic_entry(last, index)) return false;
    store_le(c, word & ~1u);
  }
  uint32_t* before = gnu_chain(last - 1);
  if (!before) return false;
  store_le(before, load_le<uint32_t>(before) | 1);
  return true;
}

// ---- versions -------------------------------------------------------------------------------------------------------

// The output's number for a version that a library has.
bool DeltaLink::needed_version(const Offer& offer, uint16_t& number) {
  number = VER_NDX_GLOBAL;
  if (offer.version.empty()) return true;
  const uint32_t section = meta_.section_verneed;
  if (section == none || meta_.section_versym == none) return give_up("versions of libraries are wanted");
  const StateSection s = state_.sections[section];
  uint16_t highest = uint16_t(meta_.version_definitions + 1);
  uint64_t need = 0, found = ~uint64_t{0}, last_aux = 0, aux = 0;
  auto fetch = [&](uint64_t offset, auto& record) {
    if (offset > s.size || sizeof record > s.size - offset) return give_up("section .gnu.version_r is damaged");
    const uint8_t* p = at(s.offset + offset, sizeof record);
    if (p) std::memcpy(&record, p, sizeof record);
    return p != nullptr;
  };
  Verneed v{}, owner{};
  for (uint32_t steps = 0; steps < 65536; steps++) {
    if (!fetch(need, v)) return false;
    const bool same = dynamic_string(v.file) == offer.soname;
    if (same) {
      found = need;
      owner = v;
    }
    aux = need + v.aux;
    for (uint32_t i = 0; i < v.cnt; i++) {
      Vernaux a;
      if (!fetch(aux, a)) return false;
      highest = std::max<uint16_t>(highest, uint16_t(a.other & ~VERSYM_HIDDEN));
      if (same) {
        last_aux = aux;
        if (dynamic_string(a.name) == offer.version) {
          number = a.other;
          return true;
        }
      }
      if (!a.next) break;
      aux += a.next;
    }
    if (!v.next) break;
    need += v.next;
  }
  if (highest >= VERSYM_HIDDEN - 1) return no_room("versions");
  number = uint16_t(highest + 1);
  const bool fresh = found == ~uint64_t{0};
  const uint64_t end = align_up(s.size, 4), size = sizeof(Vernaux) + (fresh ? sizeof(Verneed) : 0);
  if (end + size > s.size + s.room) return no_room("versions");
  uint8_t* p = at(s.offset, s.size + s.room);
  if (!p) return false;
  Vernaux a{sysv_hash(offer.version), 0, number, 0, 0};
  uint32_t name = 0, file = 0;
  if (!put_dynamic_string(offer.version, name)) return false;
  a.name = name;
  if (fresh) {
    if (!put_dynamic_string(offer.soname, file)) return false;
    const Verneed record{1, 1, file, sizeof(Verneed), 0};
    std::memcpy(p + end, &record, sizeof record);
    std::memcpy(p + end + sizeof record, &a, sizeof a);
    v.next = uint32_t(end - need);
    std::memcpy(p + need, &v, sizeof v);
    verneed_added_++;
  } else {
    std::memcpy(p + end, &a, sizeof a);
    Vernaux last = load_le<Vernaux>(p + last_aux);
    last.next = uint32_t(end - last_aux);
    std::memcpy(p + last_aux, &last, sizeof last);
    owner.cnt++;
    std::memcpy(p + found, &owner, sizeof owner);
  }
  image_.wrote(s.offset, s.size + s.room);
  return set_section_size(section, end + size);
}

// ---- symbols --------------------------------------------------------------------------------------------------------

bool DeltaLink::is_needed_library(std::string_view soname) {
  const StateSection s = state_.sections[meta_.section_dynamic];
  for (uint64_t k = 0; k + sizeof(Dyn) <= s.size; k += sizeof(Dyn)) {
    const uint8_t* p = at(s.offset + k, sizeof(Dyn));
    if (!p) return false;
    const Dyn d = load_le<Dyn>(p);
    if (d.tag == DT_NEEDED && d.value < meta_.dynstr_used && dynamic_string(uint32_t(d.value)) == soname) return true;
  }
  return false;
}

// A library after --as-needed to which nothing referred so far gets its DT_NEEDED, in the order of the command line.
// What stands behind it moves by one entry.
bool DeltaLink::need_library(const Offer& offer) {
  if (is_needed_library(offer.soname)) return true;
  for (const std::string& soname : offer.asks)
    if (!is_needed_library(soname)) return give_up(offer.soname + " becomes needed, and needs " + soname);
  const StateSection s = state_.sections[meta_.section_dynamic];
  uint8_t* p = at(s.offset, s.size);
  if (!p) return false;
  const uint64_t count = s.size / sizeof(Dyn);
  auto entry = [&](uint64_t i) { return load_le<Dyn>(p + i * sizeof(Dyn)); };
  uint64_t place = 0, end = 0;
  bool found = false;
  for (; end < count && entry(end).tag != DT_NULL; end++) {
    const Dyn d = entry(end);
    if (d.tag != DT_NEEDED || found || d.value >= meta_.dynstr_used) continue;
    const std::string_view soname = dynamic_string(uint32_t(d.value));
    found = std::find(offer.following.begin(), offer.following.end(), soname) != offer.following.end();
    place = found ? end : end + 1;
  }
  if (end + 2 > count) return no_room("a library that becomes needed");
  uint32_t name = 0;
  if (!put_dynamic_string(offer.soname, name)) return false;
  std::memmove(p + (place + 1) * sizeof(Dyn), p + place * sizeof(Dyn), (end - place) * sizeof(Dyn));
  const Dyn needed{DT_NEEDED, name};
  std::memcpy(p + place * sizeof(Dyn), &needed, sizeof needed);
  image_.wrote(s.offset, s.size);
  // Entries that hold the address of a function.
  const StateInput own = state_.inputs[0];
  uint32_t* sites = state_.sites.edit_range(own.first_site, own.site_count);
  if (own.site_count && !sites) return give_up("the state file is damaged");
  for (uint32_t i = 0; i < own.site_count; i++)
    if (sites[i] >= s.offset + place * sizeof(Dyn) && sites[i] < s.offset + end * sizeof(Dyn)) sites[i] += sizeof(Dyn);
  return true;
}

bool DeltaLink::add_dynamic_symbol(uint32_t id, bool hashed) {
  Symbol& s = link_.symbols[id];
  const std::string_view name = base_name(s.str());
  uint16_t version = s.version;
  if (!is_here(s)) {
    version = VER_NDX_GLOBAL;
    if (s.defined()) {
      const auto offer = offered_.find(id);
      if (offer == offered_.end()) {
        wanted_names_.emplace_back(s.str());
        return give_up(link_.display(s) + " becomes a dynamic symbol");
      }
      if (!need_library(offer->second)) return false;
      if (!needed_version(offer->second, version)) return false;
    }
  }
  uint32_t index = 0;
  if (hashed ? !gnu_insert(name, index) : !append_dynamic_entries(1, index)) return false;
  uint32_t offset = 0;
  if (!put_dynamic_string(name, offset)) return false;
  Sym* e = dynamic_entry(index);
  if (!e) return false;
  e->name = offset;
  origin_[index] = none;
  if (!set_version(index, version) || (hashed && !sysv_insert(index, name))) return false;
  if (s.aux == none) {
    s.aux = uint32_t(link_.aux.size());
    link_.aux.push_back({id, -1, -1, -1, -1, -1, -1, -1, 0});
  }
  link_.aux[s.aux].dynsym = int32_t(index);
  new_dynamic_.push_back(id);
  return true;
}

// Of a name that is not exported any more; nothing refers to it but slots that nobody uses.
bool DeltaLink::drop_dynamic_symbol(uint32_t n) {
  const uint32_t aux = state_.symbols[n].aux;
  if (aux == none) return true;
  const int32_t index = state_.aux[aux].dynsym;
  if (index <= 0) return true;
  if (uint32_t(index) >= meta_.dynsym_count) return give_up("the state file is damaged");
  const Sym* e = dynamic_entry(uint32_t(index));
  if (!e) return false;
  const std::string_view name = dynamic_string(e->name);
  const auto was = origin_.find(uint32_t(index));
  dropped_.push_back(was == origin_.end() ? uint32_t(index) : was->second);
  if (was != origin_.end()) origin_.erase(was);
  if (!sysv_remove(uint32_t(index), name) || !gnu_remove(uint32_t(index), name)) return false;
  StateAux* x = state_.aux.edit(aux);
  if (!x) return give_up("the state file is damaged");
  const int32_t plt = x->plt;
  *x = StateAux{};
  x->symbol = n;
  if (plt >= 0) release(meta_.section_relplt, uint64_t(plt), 1);
  return true;
}

// Dynamic relocations name symbols by index: where an entry went to, they follow; where it is gone, they say nothing.
bool DeltaLink::renumber_dynamic_relocations() {
  std::unordered_map<uint32_t, uint32_t> to;
  for (const auto& [now, was] : origin_)
    if (was != none && was != now) to[was] = now;
  for (const uint32_t was : dropped_)
    if (was != none) to[was] = 0;
  if (to.empty()) return true;
  auto visit = [&](uint32_t section, uint64_t count, bool plt) {
    if (section == none || !count) return true;
    const uint64_t offset = file_offset(section, 0);
    uint8_t* p = at(offset, count * sizeof(Rela));
    if (!p) return false;
    for (uint64_t i = 0; i < count; i++) {
      Rela r = load_le<Rela>(p + i * sizeof(Rela));
      if (!r.sym) continue;
      const auto it = to.find(r.sym);
      if (it == to.end()) continue;
      // A slot of the PLT must have a relocation that the dynamic linker knows there: of symbol 0, it finds nothing.
      if (it->second || plt) r.sym = it->second;
      else r = Rela{};
      std::memcpy(p + i * sizeof(Rela), &r, sizeof r);
      image_.wrote(offset + i * sizeof(Rela), sizeof r);
    }
    return true;
  };
  return visit(meta_.section_reldyn, meta_.relocation_count, false) &&
         visit(meta_.section_relplt, state_.sections[meta_.section_relplt].size / sizeof(Rela), true);
}

// How an import is bound follows from who refers to it: with none left, it is weak.
bool DeltaLink::bind_imports() {
  auto set = [&](uint32_t n, uint8_t bind) {
    if (state_.symbols[n].aux == none) return true;
    const int32_t index = state_.aux[state_.symbols[n].aux].dynsym;
    if (index <= 0) return true;
    Sym* e = dynamic_entry(uint32_t(index));
    if (!e) return false;
    e->info = uint8_t(bind << 4 | (e->info & 15));
    return true;
  };
  auto is_import = [&](const StateSymbol& st) {
    return (st.flags & state_imported) && !(st.flags & state_gone) && (st.file == none || (st.flags & state_undefined));
  };
  std::vector<bool> strong(state_.symbols.size());
  for (uint32_t id = 0; id < claims_.size(); id++) {
    const uint32_t n = state_symbol(id);
    if (n == none || n >= strong.size() || !is_import(state_.symbols[n])) continue;
    if (id >= mentioned_.size() || !mentioned_[id]) continue;  // in what is not live
    for (const auto& [file, i] : claims_[id])
      if (link_.object(file).syms[i].shndx == SHN_UNDEF && link_.object(file).syms[i].bind() != STB_WEAK)
        strong[n] = true;
    if (strong[n] && !set(n, STB_GLOBAL)) return false;
  }
  for (const File& file : files_) {
    const StateInput in = state_.inputs[file.input];
    for (const StateSiteGroup& g : state_.site_groups.range(in.first_group, in.group_count)) {
      if (g.symbol >= strong.size() || strong[g.symbol]) continue;
      const StateSymbol& st = state_.symbols[g.symbol];
      if (is_import(st) && !(st.flags & state_copied) && !is_mentioned_elsewhere(g.symbol) && !set(g.symbol, STB_WEAK))
        return false;
    }
  }
  return true;
}

// An import that is a definition as well now: it goes to where it can be found.
bool DeltaLink::hash_import(uint32_t id) {
  const Symbol& s = link_.symbols[id];
  const int32_t was = s.aux == none ? -1 : link_.aux[s.aux].dynsym;
  if (!s.imported || !s.exported) return give_up(link_.display(s) + " is defined now");
  if (was <= 0) return true;
  uint32_t index = 0;
  const std::string_view name = base_name(s.str());
  if (meta_.section_gnu_hash == none) return sysv_remove(uint32_t(was), name) && sysv_insert(uint32_t(was), name);
  return gnu_insert(name, index) && move_dynamic_entry(uint32_t(link_.aux[s.aux].dynsym), index);
}

bool DeltaLink::dynamic_symbols() {
  if (meta_.section_dynsym == none) {
    for (uint32_t id = 0; id < link_.symbols.size(); id++)
      if (link_.symbols[id].flags & needs_dynsym)
        return give_up(link_.display(link_.symbols[id]) + " becomes a dynamic symbol");
    return true;
  }
  if (!open_dynamic_tables()) return false;
  for (const auto* list : {&gone_, &replaced_})
    for (const uint32_t n : *list)
      if (!drop_dynamic_symbol(n)) return false;
  for (const uint32_t id : redefined_)
    if (!hash_import(id)) return false;
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    const Symbol& s = link_.symbols[id];
    if (s.local) continue;
    const bool here = is_here(s);
    const int32_t index = s.aux == none ? -1 : link_.aux[s.aux].dynsym;
    const bool defines = here && s.exported && (s.atom == none || link_.atoms[s.atom].live);
    const bool canonical = s.imported && (s.flags & needs_canonical_plt);
    const bool wanted = s.imported && ((s.flags & (needs_mask & ~needs_copy)) ||
                                       (!here && link_.shared && !s.defined() && (s.flags & referenced)));
    if (index <= 0) {
      if ((defines || wanted) && !add_dynamic_symbol(id, defines || canonical)) return false;
      continue;
    }
    if (here && !defines) {
      const SymbolAux x = link_.aux[s.aux];
      if (wanted || x.got >= 0 || x.plt >= 0 || x.pltgot >= 0 || x.gottp >= 0 || x.tlsgd >= 0 || x.tlsdesc >= 0)
        return give_up("exported symbol " + link_.display(s) + " changed its kind");
      if (!drop_dynamic_symbol(state_symbol(id))) return false;
      link_.aux[s.aux].dynsym = -1;
    } else if (canonical && !(state_.symbols[state_symbol(id)].sym_flags & needs_canonical_plt)) {
      return give_up(link_.display(s) + " gets a canonical PLT entry");
    } else if (here && !set_version(uint32_t(index), s.version)) {
      return false;
    }
  }
  if (!bind_imports() || !renumber_dynamic_relocations()) return false;
  const uint32_t count = meta_.dynsym_count;
  if (meta_.section_hash != none) {
    uint32_t* p = table_word(meta_.section_hash, 1);
    if (!p) return false;
    store_le(p, count);
  }
  return true;
}

// Their contents, now that addresses are known; and the sizes of the tables.
bool DeltaLink::write_dynamic_symbols() {
  if (meta_.section_dynsym == none) return true;
  auto put = [&](uint32_t id) {
    const Symbol& s = link_.symbols[id];
    Sym* e = dynamic_entry(uint32_t(link_.aux[s.aux].dynsym));
    if (!e) return false;
    *e = dynamic_symbol_entry(link_, s, e->name);
    return true;
  };
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    const Symbol& s = link_.symbols[id];
    if (s.local || !is_here(s) || s.aux == none || link_.aux[s.aux].dynsym <= 0) continue;
    if (!put(id)) return false;
  }
  for (const uint32_t id : new_dynamic_)
    if (!put(id)) return false;
  for (const auto& [offset, size] : touched_) image_.wrote(offset, size);
  const uint64_t count = meta_.dynsym_count;
  if (count * sizeof(Sym) == state_.sections[meta_.section_dynsym].size &&
      meta_.dynstr_used == state_.sections[meta_.section_dynstr].size && !verneed_added_)
    return true;
  auto resize = [&](uint32_t section, uint64_t size) { return section == none || set_section_size(section, size); };
  if (!resize(meta_.section_dynsym, count * sizeof(Sym)) || !resize(meta_.section_versym, count * 2) ||
      !resize(meta_.section_gnu_hash, 16 + uint64_t(dynamic_.bloom_words) * 8 + uint64_t(dynamic_.buckets) * 4 +
                                          (count - dynamic_.first_hashed) * 4) ||
      !resize(meta_.section_hash, 8 + uint64_t(dynamic_.sysv_buckets) * 4 + count * 4) ||
      !resize(meta_.section_dynstr, meta_.dynstr_used) || !set_dynamic(DT_STRSZ, meta_.dynstr_used))
    return false;
  if (!verneed_added_) return true;
  const uint64_t info = meta_.section_header_table +
                        uint64_t(state_.sections[meta_.section_verneed].index) * sizeof(Shdr) + offsetof(Shdr, info);
  uint8_t* p = at(info, 4);
  if (!p) return false;
  const uint32_t needs = load_le<uint32_t>(p) + verneed_added_;
  store_le(p, needs);
  image_.wrote(info, 4);
  return set_dynamic(DT_VERNEEDNUM, needs);
}

// ---- PLT ------------------------------------------------------------------------------------------------------------

bool DeltaLink::give_plt_entry(uint32_t id) {
  const Machine& m = *link_.machine;
  const std::string name = link_.display(link_.symbols[id]);
  if (meta_.section_plt == none || meta_.section_gotplt == none || meta_.section_relplt == none)
    return give_up(name + " needs a PLT entry, and there is no PLT so far");
  new_plt_.push_back(id);
  int32_t& index = link_.aux[link_.symbols[id].aux].plt;
  for (uint32_t i = 0; i < state_.free.size(); i++) {  // of a name that is gone
    const StateFree f = state_.free[i];
    if (f.section != meta_.section_relplt || !f.size) continue;
    index = int32_t(f.offset);
    StateFree* p = state_.free.edit(i);
    if (p) *p = {f.offset + 1, f.size - 1, f.section, 0};
    return p != nullptr;
  }
  const uint64_t all = uint64_t(meta_.plt_count) + 1;
  const StateSection &plt = state_.sections[meta_.section_plt], &got = state_.sections[meta_.section_gotplt],
                     &rel = state_.sections[meta_.section_relplt];
  if (m.plt_header_size + all * m.plt_entry_size > plt.size || (m.gotplt_header + all) * 8 > got.size ||
      all * sizeof(Rela) > rel.size + rel.room ||
      (link_.ibt_plt && (meta_.section_pltsec == none ||
                         all * m.plt_entry_size > state_.sections[meta_.section_pltsec].size)))
    return no_room("the PLT");
  index = int32_t(meta_.plt_count++);
  return true;
}

// The entries are made from their numbers alone, so that all may be written again.
bool DeltaLink::write_plt_entries() {
  if (new_plt_.empty()) return true;
  const Machine& m = *link_.machine;
  link_.plt_symbols.assign(meta_.plt_count, new_plt_.front());
  auto section = [&](uint32_t n) {
    const StateSection& s = state_.sections[n];
    uint8_t* p = at(s.offset, s.size);
    if (p) touched_.emplace_back(s.offset, s.size);
    return p;
  };
  uint8_t* plt = section(meta_.section_plt);
  if (!plt) return false;
  m.write_plt(link_, plt);
  if (link_.ibt_plt) {
    uint8_t* p = section(meta_.section_pltsec);
    if (!p) return false;
    m.write_pltsec(link_, p);
  }
  const StateSection got = state_.sections[meta_.section_gotplt];
  const uint64_t rel = file_offset(meta_.section_relplt, 0);
  for (const uint32_t id : new_plt_) {
    const SymbolAux& x = link_.aux[link_.symbols[id].aux];
    const uint64_t slot = (m.gotplt_header + uint64_t(x.plt)) * 8;
    uint8_t *g = at(got.offset + slot, 8), *r = at(rel + uint64_t(x.plt) * sizeof(Rela), sizeof(Rela));
    if (!g || !r) return false;
    store_le(g, m.lazy_address(link_, uint32_t(x.plt)));
    const Rela record{got.addr + slot, m.r_jump_slot, uint32_t(std::max(x.dynsym, 0)), 0};
    std::memcpy(r, &record, sizeof record);
    image_.wrote(got.offset + slot, 8);
    image_.wrote(rel + uint64_t(x.plt) * sizeof(Rela), sizeof(Rela));
  }
  link_.plt_symbols.clear();
  const uint64_t size = uint64_t(meta_.plt_count) * sizeof(Rela);
  return set_section_size(meta_.section_relplt, size) && set_dynamic(DT_PLTRELSZ, size);
}

}  // namespace lode::link::elf
