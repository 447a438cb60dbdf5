// GOT slots, PLT entries, copied objects and dynamic relocations of the patched file, by what they do
// (verify_relink.h).
//
// A slot has no name and no fixed number: it is what its dynamic relocation and its contents make of it. A PLT entry is
// the slot that it jumps through; the lazy half of it names a relocation by number, which has to be that of the slot.
// Entries are read as x86-64's psABI (section 5.2, "Procedure Linkage Table") writes them; it is the only machine with
// relinks.
#include <algorithm>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/verify_relink.h"

namespace lode::link::elf {

namespace {

bool is_in(const OutputSection* s, uint64_t address) {
  return s && !s->gone && s->index && address >= s->addr && address - s->addr < s->size;
}

}  // namespace

// What is at an address of the full output that is no atom's.
RelinkVerifier::Referred RelinkVerifier::referred_address(uint64_t address) const {
  if (is_in(full_.got, address)) {
    for (const GotEntry& e : full_.got_entries) {
      const SymbolAux* x =
          e.symbol == none || full_.symbols[e.symbol].aux == none ? nullptr : &full_.aux[full_.symbols[e.symbol].aux];
      int32_t slot = full_.tlsld_slot;
      if (e.kind != got_tlsld) {
        if (!x) continue;
        slot = e.kind == got_address_kind ? x->got
               : e.kind == got_tpoff      ? x->gottp
               : e.kind == got_tlsgd      ? x->tlsgd
                                          : x->tlsdesc;
      }
      if (slot >= 0 && got_address(full_, slot) == address) return {Referred::slot, e.symbol, address};
    }
    return {};
  }
  for (const auto* list : {&full_.plt_symbols, &full_.pltgot_symbols})
    for (const uint32_t id : *list)
      if (plt_address(full_, full_.symbols[id]) == address) return {Referred::plt, id, address};
  for (const auto* list : {&full_.copy_symbols, &full_.copy_ro_symbols})
    for (const uint32_t id : *list)
      if (full_.symbols[id].address == address) return {Referred::copied, id, address};
  for (const auto& m : full_.merged)
    if (is_in(full_.sections[m->out].get(), address)) return {Referred::merged, m->out, address};
  return {};
}

bool RelinkVerifier::compare_dynamic(uint64_t full, uint64_t now, const Referred* to, const Source& source) {
  auto [f, f_end] = fresh_.relocations_of(full);
  auto [n, n_end] = now_.relocations_of(now);
  while (n != n_end && now_.relocations[*n].type == full_.machine->r_none) n++;
  if (f == f_end && n == n_end) return false;
  if (f_end - f != n_end - n) {
    differ(describe(source) + ": " + std::to_string(n_end - n) + " dynamic relocations at " + hex(now) +
           " instead of " + std::to_string(f_end - f));
    for (; n != n_end; n++) seen_relocations_[*n] = true;
    return true;
  }
  for (; f != f_end; f++, n++) {
    const ImageRelocation &a = fresh_.relocations[*f], &b = now_.relocations[*n];
    const bool first_time = !seen_relocations_[*n];
    seen_relocations_[*n] = true;
    if (a.type != b.type || (a.symbol != 0) != (b.symbol != 0) || a.of_plt != b.of_plt) {
      differ(describe(source) + ": the dynamic relocation at " + hex(now) + " is of type " + std::to_string(b.type) +
             " instead of " + std::to_string(a.type));
      continue;
    }
    if (a.symbol && fresh_.dynamic_name(a.symbol) != now_.dynamic_name(b.symbol)) {
      differ(describe(source) + ": the dynamic relocation at " + hex(now) + " names " + now_.dynamic_name(b.symbol) +
             " instead of " + fresh_.dynamic_name(a.symbol));
      continue;
    }
    const bool is_address = a.type == full_.machine->r_relative || a.type == full_.machine->r_irelative;
    if (!is_address) {
      if (a.addend != b.addend)
        differ(describe(source) + ": the dynamic relocation at " + hex(now) + " adds " + std::to_string(b.addend) +
               " instead of " + std::to_string(a.addend));
    } else if (a.type == full_.machine->r_relative && to && to->kind != Referred::nothing) {
      lead(*to, uint64_t(a.addend), uint64_t(b.addend), source);
    } else if (first_time && !same_place(uint64_t(a.addend), uint64_t(b.addend), source)) {
      differ(describe(source) + ": the dynamic relocation at " + hex(now) + " leads to " + hex(uint64_t(b.addend)));
    }
  }
  return true;
}

void RelinkVerifier::compare_slot(uint64_t full, uint64_t now, uint32_t symbol, const Source& source) {
  if (!slots_.emplace(full, now).second) return;
  const Shdr* got = now_.section(".got");
  GotKind kind = got_address_kind;
  if (symbol == none) kind = got_tlsld;
  for (const GotEntry& e : full_.got_entries) {
    if (e.symbol != symbol || symbol == none) continue;
    const SymbolAux& x = full_.aux[full_.symbols[symbol].aux];
    const int32_t slot = e.kind == got_address_kind ? x.got
                         : e.kind == got_tpoff      ? x.gottp
                         : e.kind == got_tlsgd      ? x.tlsgd
                                                    : x.tlsdesc;
    if (got_address(full_, slot) == full) kind = GotKind(e.kind);
  }
  const uint64_t words = kind == got_tlsgd || kind == got_tlsdesc || kind == got_tlsld ? 2 : 1;
  if (!got || now < got->addr || now - got->addr > got->size || words * 8 > got->size - (now - got->addr) || now % 8)
    return differ(describe(source) + " leads to " + hex(now) + " instead of a slot of the GOT");
  const std::string name = symbol == none ? "of the module" : "of " + std::string(full_.symbols[symbol].str());
  const std::string what = "the GOT slot " + name + ", to which " + describe(source) + " leads";
  const Source here{nullptr, nullptr, 0, what.c_str()};
  for (uint64_t k = 0; k < words; k++) {
    const uint8_t *p = fresh_.loaded(full + k * 8, 8), *q = now_.loaded(now + k * 8, 8);
    if (!p || !q) return differ(what + ": it has no contents");
    const auto v = load_le<uint64_t>(p), w = load_le<uint64_t>(q);
    if (kind != got_address_kind) {
      compare_dynamic(full + k * 8, now + k * 8, nullptr, here);
      if (v != w) differ(what + ": it holds " + hex(w) + " instead of " + hex(v));
      continue;
    }
    const Referred to = referred_symbol(symbol);
    compare_dynamic(full, now, &to, here);
    if (v == 0 || w == 0 || full_.symbols[symbol].imported) {
      if (v != w) differ(what + ": it holds " + hex(w) + " instead of " + hex(v));
    } else {
      lead(to, v, w, here);
    }
  }
}

void RelinkVerifier::compare_plt(uint32_t symbol, uint64_t full, uint64_t now, const Source& source) {
  if (!plts_.emplace(full, now).second) return;
  const std::string what =
      "the PLT entry of " + std::string(full_.symbols[symbol].str()) + ", to which " + describe(source) + " leads";
  const Source here{nullptr, nullptr, 0, what.c_str()};
  const Shdr *s = fresh_.section_at(full), *h = now_.section_at(now);
  const uint8_t *p = fresh_.loaded(full, 8), *q = now_.loaded(now, 8);
  if (!s || !h || !p || !q || fresh_.name_of(*s) != now_.name_of(*h))
    return differ(describe(source) + " leads to " + hex(now) + " instead of a PLT entry of " +
                  std::string(full_.symbols[symbol].str()));
  const uint32_t jump = p[0] == 0xf3 ? 4 : 0;  // behind an endbr64
  const uint32_t size = jump + 6;
  const uint8_t *whole = fresh_.loaded(full, size), *whole_now = now_.loaded(now, size);
  if (!whole || !whole_now || std::memcmp(whole, whole_now, jump + 2) != 0 || whole[jump] != 0xff ||
      whole[jump + 1] != 0x25)
    return differ(what + ": it is not the jump that it should be");
  const uint64_t slot = full + size + uint64_t(int64_t(load_le<int32_t>(whole + jump + 2))),
                 slot_now = now + size + uint64_t(int64_t(load_le<int32_t>(whole_now + jump + 2)));
  if (is_in(full_.got, slot)) {
    const Referred to = referred_address(slot);
    if (to.kind == Referred::slot) compare_slot(slot, slot_now, to.index, here);
    return;
  }
  const Shdr* gotplt = now_.section(".got.plt");
  const uint8_t *v = fresh_.loaded(slot, 8), *w = now_.loaded(slot_now, 8);
  if (!gotplt || now_.section_at(slot_now) != gotplt || slot_now % 8 || !v || !w)
    return differ(what + ": it jumps through " + hex(slot_now) + ", which is no slot");
  compare_dynamic(slot, slot_now, nullptr, here);
  const auto r = now_.relocations_of(slot_now);
  if (r.first == r.second) return;
  const ImageRelocation& relocation = now_.relocations[*r.first];
  const auto first = load_le<uint64_t>(v), first_now = load_le<uint64_t>(w);
  if (relocation.type != full_.machine->r_jump_slot) {
    if (!same_place(first, first_now, here)) differ(what + ": its slot holds " + hex(first_now));
    return;
  }
  // Until it is bound the slot leads to: push the number of its relocation; jump to the header.
  const uint32_t skipped = full_.ibt_plt ? 4 : 0;
  const uint8_t* lazy = now_.loaded(first_now, skipped + 10);
  const Shdr* plt = now_.section(".plt");
  if (!plt || now_.section_at(first_now) != plt || !lazy || lazy[skipped] != 0x68 || lazy[skipped + 5] != 0xe9 ||
      load_le<uint32_t>(lazy + skipped + 1) != relocation.index ||
      first_now + skipped + 10 + uint64_t(int64_t(load_le<int32_t>(lazy + skipped + 6))) != plt->addr)
    differ(what + ": its slot does not lead to the resolver with relocation " + std::to_string(relocation.index));
}

void RelinkVerifier::compare_copy(uint32_t symbol, uint64_t full, uint64_t now, const Source& source) {
  if (!plts_.emplace(full, now).second) return;
  const std::string what =
      "the copy of " + std::string(full_.symbols[symbol].str()) + ", to which " + describe(source) + " leads";
  const Source here{nullptr, nullptr, 0, what.c_str()};
  const Shdr *s = fresh_.section_at(full), *h = now_.section_at(now);
  if (!s || !h || fresh_.name_of(*s) != now_.name_of(*h)) return differ(what + ": it is at " + hex(now));
  compare_dynamic(full, now, nullptr, here);
}

// One that the linker defines: the patched file's symbol table says where; that the table is right is looked at apart.
void RelinkVerifier::linker_symbol(uint32_t symbol, uint64_t now, const Source& source) {
  const std::string_view name = full_.symbols[symbol].str();
  for (const ImageSymbol& s : now_.symbols) {
    if (s.name != name || s.type == STT_FILE) continue;
    if (s.value != now)
      differ(describe(source) + " leads to " + hex(now) + " instead of " + std::string(name) + " at " + hex(s.value));
    return;
  }
}

void RelinkVerifier::all_relocations() {
  for (const ImageRelocation& r : fresh_.relocations) {
    const uint32_t atom = atom_at(r.place);
    if (atom == none || place_[atom] == unknown) continue;
    Source source{&full_.object(full_.atoms[atom].file), &full_.atoms[atom], r.place - full_place(atom), nullptr};
    compare_dynamic(r.place, place_[atom] + (r.place - full_place(atom)), nullptr, source);
  }
  std::vector<std::pair<uint64_t, uint64_t>> taken;  // (begin, end) in the patched file
  for (const auto& [address, atom] : loaded_atoms_)
    if (place_[atom] != unknown) taken.emplace_back(place_[atom], place_[atom] + full_.atoms[atom].size);
  std::sort(taken.begin(), taken.end());
  uint32_t relative_end = 0, others = none;
  for (uint32_t i = 0; i < now_.relocations.size(); i++) {
    const ImageRelocation& r = now_.relocations[i];
    if (!r.of_plt && r.type == full_.machine->r_relative) relative_end = i + 1;
    else if (!r.of_plt && others == none) others = i;
    if (seen_relocations_[i] || r.type == full_.machine->r_none) continue;
    auto it =
        std::upper_bound(taken.begin(), taken.end(), r.place, [](uint64_t a, const auto& b) { return a < b.first; });
    if (it != taken.begin() && r.place < std::prev(it)->second)
      differ("a dynamic relocation of type " + std::to_string(r.type) + " at " + hex(r.place) +
             ", where the full link has none");
    else if (!now_.section_at(r.place)) differ("a dynamic relocation at " + hex(r.place) + ", where nothing is");
    else dead_relocations_++;
  }
  for (const Dyn& d : now_.dynamic)
    if (d.tag == DT_RELACOUNT && d.value != relative_end && (others == none || d.value > others))
      differ("DT_RELACOUNT counts relocations that are not relative");
}

}  // namespace lode::link::elf
