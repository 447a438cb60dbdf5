// The fourth part of a delta link (delta.h): the tables of the output that speak of the changed files.
//
//
//   .eh_frame        each file has a block of FDEs. A longer one goes to the room behind the last; what it leaves
//   becomes
//                    a record that says nothing, and what a shorter one leaves belongs to its last FDE (its
//                    instructions end with DW_CFA_nop)
//   .eh_frame_hdr    entries of old blocks go, new ones come in by their order; only what that moves is written
//   .symtab          locals of a file stay together; unused entries are file symbols without a name (symtab_hole). A
//                    global that goes gives its place to the last one
//   headers          sizes of sections that grew into their room
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relink/delta.h"
#include "link/elf/relocations/actions.h"

namespace lode::link::elf {

// ---- unwind records -------------------------------------------------------------------------------------------------

// A CIE that the image does not have yet goes behind those that it has: FDEs hold the distance back to it.
bool DeltaLink::place_cie(std::span<const uint8_t> bytes, StateHash identity, uint32_t& offset) {
  const uint32_t size = uint32_t(bytes.size()), room = meta_.cie_room;
  // What is left has to be a record, too.
  if (size > room || (size != room && room - size < 16)) return no_room("a new CIE");
  const uint64_t place = file_offset(meta_.section_eh_frame, meta_.cies_end);
  uint8_t* p = at(place, room);
  if (!p) return false;
  std::memcpy(p, bytes.data(), size);
  if (size != room) fill_frame_gap(p + size, room - size);
  image_.wrote(place, room);
  offset = meta_.cies_end;
  meta_.cies_end += size;
  meta_.cie_room -= size;
  return state_.cies.push({identity, offset, 0}) || no_room("a new CIE");
}

bool DeltaLink::new_cie(ObjectFile& f, Cie& c, StateHash identity) {
  if (meta_.section_eh_frame == none) return give_up("there is no .eh_frame so far");
  const Atom& a = link_.atoms[c.atom];
  if (!place_cie({a.data + c.input_offset, c.size}, identity, c.out_offset)) return false;
  const StateSection s = state_.sections[meta_.section_eh_frame];
  uint8_t* p = at(s.offset + c.out_offset, c.size);
  if (!p) return false;
  for (uint32_t r = c.reloc_begin; r < c.reloc_end; r++) {
    const uint64_t field = uint64_t(a.relocs[r].offset) - c.input_offset;
    apply_record(link_, f, a, a.relocs[r], p + field, c.size - field, s.addr + c.out_offset + field);
  }
  collect_cie_sites(link_, f, c, cie_sites_);
  return !link_.diag.has_errors() || give_up("an unwind record is in error");
}

bool DeltaLink::new_function_cie(uint32_t personality) {
  if (meta_.section_eh_frame == none) return give_up("there is no .eh_frame so far");
  const std::string_view name = personality == none ? std::string_view() : link_.symbols[personality].str();
  std::vector<uint8_t> bytes;
  const uint32_t field = common_cie(link_, personality, bytes);
  uint32_t offset = 0;
  if (bytes.empty() || !place_cie(bytes, function_cie_identity(name), offset)) return no_room("a new CIE");
  if (!field) return true;
  const Symbol& x = link_.symbols[personality];
  const StateSection s = state_.sections[meta_.section_eh_frame];
  const uint64_t place = s.addr + offset + field;
  if (x.aux == none || link_.aux[x.aux].got < 0) return give_up("a personality routine has no slot");
  uint8_t* p = at(s.offset + offset + field, 4);
  if (!p) return false;
  store_le(p, uint32_t(got_address(link_, link_.aux[x.aux].got) - place));
  return true;
}

bool DeltaLink::frame_block(File& file, std::vector<std::pair<uint64_t, uint64_t>>& entries) {
  ObjectFile& f = *file.object;
  const StateInput in = state_.inputs[file.input];
  uint64_t size = 0;
  uint32_t count = 0;
  Fde* last = nullptr;
  std::vector<bool> used(f.cies.size());
  for (Fde& fde : f.fdes) {
    if (!fde_live(link_, fde)) continue;
    fde.out_offset = uint32_t(size);
    size += fde.size;
    count++;
    last = &fde;
    used[fde.cie] = true;
  }
  for (uint32_t i = 0; i < f.cies.size(); i++) {
    if (!used[i]) continue;
    Cie& c = f.cies[i];
    const StateHash identity = stable_cie_identity(link_, f, c);
    c.leader_file = f.id;
    c.leader = i;
    for (uint32_t k = 0; k < state_.cies.size() && c.out_offset == none; k++)
      if (state_.cies[k].identity == identity) c.out_offset = state_.cies[k].offset;
    if (c.out_offset == none && !new_cie(f, c, identity)) return false;
  }
  uint64_t functions = 0;
  std::vector<uint32_t> wanted;
  if (f.kind == FileKind::module)
    size = size_file_frames(link_, f, functions, [&](uint32_t personality) {
      const std::string_view name = personality == none ? std::string_view() : link_.symbols[personality].str();
      const StateHash identity = function_cie_identity(name);
      for (uint32_t k = 0; k < state_.cies.size(); k++)
        if (state_.cies[k].identity == identity) return state_.cies[k].offset;
      wanted.push_back(personality);
      return uint32_t(0);
    });
  if (size && !wanted.empty()) {
    // Those of functions with exceptions: their numbers are known now.
    for (const uint32_t personality : wanted)
      if (!new_function_cie(personality)) return false;
    return frame_block(file, entries);
  }
  file.frame_offset = in.frame_offset;
  file.frame_size = in.frame_size;
  file.frame_used = uint32_t(size);
  if (!size && !in.frame_size) return true;
  const uint32_t section = meta_.section_eh_frame;
  if (section == none) return give_up("there is no .eh_frame so far");
  const uint64_t base = file_offset(section, 0);
  if (size > in.frame_size) {
    if (in.frame_size) {
      uint8_t* p = at(base + in.frame_offset, in.frame_size);
      if (!p) return false;
      if (in.frame_size < 16) return give_up("an unwind record is too short to be replaced");
      fill_frame_gap(p, in.frame_size);
      image_.wrote(base + in.frame_offset, in.frame_size);
      meta_.wasted += in.frame_size;
    }
    if (size > meta_.frame_room) return no_room("unwind records");
    file.frame_offset = meta_.frame_used;
    file.frame_size = uint32_t(size);
    meta_.frame_used += uint32_t(size);
    meta_.frame_room -= uint32_t(size);
    uint8_t* end = at(base + meta_.frame_used, 4);
    if (!end) return false;
    store_le(end, uint32_t(0));
    image_.wrote(base + meta_.frame_used, 4);
  }
  uint8_t* p = at(base + file.frame_offset, file.frame_size);
  if (!p) return false;
  if (!size) {
    if (file.frame_size < 16) return give_up("an unwind record is too short to be replaced");
    fill_frame_gap(p, file.frame_size);
    image_.wrote(base + file.frame_offset, file.frame_size);
    return true;
  }
  if (f.kind == FileKind::module) {
    place_file_frames(link_, f, file.frame_offset, entries);
    return true;  // written with the functions
  }
  for (Fde& fde : f.fdes)
    if (fde.out_offset != none) fde.out_offset += file.frame_offset;
  const size_t first = entries.size();
  entries.resize(first + count);
  write_fdes(link_, f, *link_.eh_frame, image_.data() + base, entries.data() + first);
  if (const uint64_t gap = file.frame_size - size) {
    std::memset(p + size, 0, gap);
    uint8_t* q = image_.data() + base + last->out_offset;
    store_le(q, uint32_t(load_le<uint32_t>(q) + gap));
  }
  image_.wrote(base + file.frame_offset, file.frame_size);
  return !link_.diag.has_errors() || give_up("an unwind record is in error");
}

// The block of a module, when its functions have been written: what is left belongs to the last record.
bool DeltaLink::finish_frames(const File& file) {
  if (file.object->kind != FileKind::module || !file.frame_size) return true;
  const uint64_t base = file_offset(meta_.section_eh_frame, file.frame_offset);
  uint8_t* p = at(base, file.frame_size);
  if (!p) return false;
  if (const uint64_t used = file.frame_used; used && used < file.frame_size) {
    std::memset(p + used, 0, file.frame_size - used);
    uint64_t last = 0;
    for (uint64_t k = 0; k + 4 <= used; k += 4 + load_le<uint32_t>(p + k)) last = k;
    store_le(p + last, uint32_t(file.frame_size - last - 4));
  }
  image_.wrote(base, file.frame_size);
  return true;
}

// Where the search table has the records of blocks as they were before this link: indices in order. By the records
// themselves, if they say where their functions are in the usual form (DW_EH_PE_pcrel | DW_EH_PE_sdata4); else by
// looking at the whole table.
std::vector<uint32_t> DeltaLink::old_table_entries(std::span<const TableEntry> table, uint64_t table_address,
                                                   const std::vector<std::pair<uint64_t, uint64_t>>& old_blocks) {
  std::vector<uint32_t> found;
  const StateSection frames = state_.sections[meta_.section_eh_frame];
  auto find = [&](uint64_t record, uint64_t pc) {
    auto it = std::lower_bound(table.begin(), table.end(), int32_t(pc - table_address),
                               [](const TableEntry& e, int32_t v) { return e.pc < v; });
    for (; it != table.end() && it->pc == int32_t(pc - table_address); ++it)
      if (it->record == int32_t(record - table_address)) {
        found.push_back(uint32_t(it - table.begin()));
        return true;
      }
    return false;
  };
  bool all = true;
  for (const auto& [begin, end] : old_blocks) {
    if (begin < frames.addr || frames.offset + (end - frames.addr) > image_.size()) {
      all = false;
      break;
    }
    const uint8_t* p = image_.before() + frames.offset + (begin - frames.addr);
    for (uint64_t at = 0; all && at + 12 <= end - begin;) {
      const uint64_t length = load_le<uint32_t>(p + at);
      all = length >= 8 && length <= end - begin - at - 4;
      // What has no CIE is one, and says nothing.
      if (all && load_le<uint32_t>(p + at + 4))
        all = find(begin + at, begin + at + 8 + uint64_t(int64_t(load_le<int32_t>(p + at + 8))));
      at += 4 + length;
    }
  }
  if (all) {
    std::sort(found.begin(), found.end());
    return found;
  }
  found.clear();
  for (uint32_t i = 0; i < table.size(); i++) {
    const uint64_t record = table_address + uint64_t(int64_t(table[i].record));
    const auto block = std::upper_bound(old_blocks.begin(), old_blocks.end(), record,
                                        [](uint64_t a, const auto& b) { return a < b.first; });
    if (block != old_blocks.begin() && record < std::prev(block)->second) found.push_back(i);
  }
  return found;
}

// Old entries go and new ones come in; what stands in between moves by as many places as that makes, often none.
bool DeltaLink::frame_table(std::vector<std::pair<uint64_t, uint64_t>>& entries,
                            const std::vector<std::pair<uint64_t, uint64_t>>& old_blocks) {
  const uint32_t section = meta_.section_eh_frame_hdr;
  if (section == none) return true;
  const StateSection s = state_.sections[section];
  const uint32_t count = meta_.frame_count;
  const uint64_t place = s.offset + 12;
  if (!at(s.offset, 12 + uint64_t(count) * sizeof(TableEntry))) return false;
  const std::vector<uint32_t> gone =
      old_table_entries({reinterpret_cast<const TableEntry*>(image_.before() + place), count}, s.addr, old_blocks);
  const uint64_t new_count = uint64_t(count) + entries.size() - gone.size();
  if (new_count > uint64_t(count) + meta_.frame_count_room) return no_room("the unwinder's search table");
  auto* table = reinterpret_cast<TableEntry*>(at(place, std::max<uint64_t>(count, new_count) * sizeof(TableEntry)));
  if (!table) return false;
  std::sort(entries.begin(), entries.end());
  const std::span<const TableEntry> old(reinterpret_cast<const TableEntry*>(image_.before() + place), count);
  uint64_t from = 0, to = 0;  // the next entry of the old table, and of the new one
  size_t next_gone = 0;
  auto put = [&](const TableEntry* first, uint64_t n) {
    std::memcpy(table + to, first, n * sizeof(TableEntry));
    image_.wrote(place + to * sizeof(TableEntry), n * sizeof(TableEntry));
    to += n;
  };
  auto keep_until = [&](uint64_t end) {
    while (from < end) {
      const uint64_t stop = next_gone < gone.size() ? std::min<uint64_t>(end, gone[next_gone]) : end;
      if (from == to) to = stop;
      else put(old.data() + from, stop - from);
      from = stop;
      if (next_gone < gone.size() && from == gone[next_gone]) {
        from++;
        next_gone++;
      }
    }
  };
  for (const auto& [pc, record] : entries) {
    const TableEntry e{int32_t(pc - s.addr), int32_t(record - s.addr)};
    auto it = std::lower_bound(old.begin(), old.end(), e.pc, [](const TableEntry& x, int32_t v) { return x.pc < v; });
    // An entry of the same function goes first, so that the new one takes its place.
    uint64_t end = uint64_t(it - old.begin());
    if (std::binary_search(gone.begin(), gone.end(), uint32_t(end))) end++;
    keep_until(end);
    put(&e, 1);
  }
  keep_until(count);
  if (new_count < count) {
    std::memset(table + new_count, 0, (count - new_count) * sizeof(TableEntry));
    image_.wrote(place + new_count * sizeof(TableEntry), (count - new_count) * sizeof(TableEntry));
  }
  uint8_t* header = at(s.offset, 12);
  store_le(header + 8, uint32_t(new_count));
  image_.wrote(s.offset, 12);
  meta_.frame_count_room += count;
  meta_.frame_count_room -= uint32_t(new_count);
  meta_.frame_count = uint32_t(new_count);
  const uint64_t size = 12 + new_count * sizeof(TableEntry);
  return size == s.size || set_section_size(section, size);
}

bool DeltaLink::frames() {
  std::vector<std::pair<uint64_t, uint64_t>> entries, old_blocks;
  const uint64_t base = meta_.section_eh_frame == none ? 0 : state_.sections[meta_.section_eh_frame].addr;
  for (File& f : files_) {
    const StateInput in = state_.inputs[f.input];
    if (in.frame_size) old_blocks.emplace_back(base + in.frame_offset, base + in.frame_offset + in.frame_size);
    if (!frame_block(f, entries)) return false;
  }
  if (meta_.section_eh_frame != none) {
    const uint64_t size = meta_.frame_used + 4;
    if (size != state_.sections[meta_.section_eh_frame].size && !set_section_size(meta_.section_eh_frame, size))
      return false;
  }
  std::sort(old_blocks.begin(), old_blocks.end());
  return (entries.empty() && old_blocks.empty()) || frame_table(entries, old_blocks);
}

// ---- symbol table ---------------------------------------------------------------------------------------------------

bool DeltaLink::put_entry(uint32_t index, const Sym& entry) {
  const uint64_t offset = file_offset(meta_.section_symtab, uint64_t(index) * sizeof(Sym));
  uint8_t* p = at(offset, sizeof(Sym));
  if (!p) return false;
  std::memcpy(p, &entry, sizeof entry);
  image_.wrote(offset, sizeof entry);
  return true;
}

// Entries for locals, one behind the other.
bool DeltaLink::take_entries(uint32_t section, uint32_t count, uint32_t& first) {
  for (uint32_t i = 0; i < state_.free.size(); i++) {
    const StateFree f = state_.free[i];
    if (f.section != section || f.size < count) continue;
    first = uint32_t(f.offset);
    if (StateFree* p = state_.free.edit(i)) *p = {f.offset + count, f.size - count, section, 0};
    return true;
  }
  return false;
}

// A place for `size` bytes of names: one that is free, or behind all others.
bool DeltaLink::take_strings(uint32_t size, uint32_t& offset) {
  uint32_t best = none;
  for (uint32_t i = 0; i < state_.free.size(); i++) {
    const StateFree& f = state_.free[i];
    if (f.section == meta_.section_strtab && f.size >= size && (best == none || f.size < state_.free[best].size))
      best = i;
  }
  if (best != none) {
    const StateFree f = state_.free[best];
    offset = uint32_t(f.offset);
    if (StateFree* p = state_.free.edit(best)) *p = {f.offset + size, f.size - size, f.section, 0};
    meta_.wasted -= std::min<uint64_t>(meta_.wasted, size);
    return true;
  }
  if (size > meta_.strtab_room) return no_room("names of symbols");
  offset = meta_.strtab_used;
  meta_.strtab_used += size;
  meta_.strtab_room -= size;
  return true;
}

bool DeltaLink::put_string(std::string_view text, uint32_t& offset) {
  const uint32_t size = uint32_t(text.size()) + 1;
  // Names with a hash in them come in pairs of one length: one goes, another comes.
  if (auto spare = spare_names_.find(size); spare != spare_names_.end() && !spare->second.empty()) {
    offset = spare->second.back();
    spare->second.pop_back();
  } else if (!take_strings(size, offset)) {
    return false;
  }
  uint8_t* p = at(file_offset(meta_.section_strtab, offset), size);
  if (!p) return false;
  std::memcpy(p, text.data(), text.size());
  p[text.size()] = 0;
  image_.wrote(uint64_t(p - image_.data()), size);
  return true;
}

// What is gone leaves the symbol table, its name and its record to others.
bool DeltaLink::forget_symbols() {
  if (gone_.empty()) return true;
  if (meta_.section_symtab != none)
    for (const uint32_t n : gone_)
      if (!remove_global(n)) return false;
  for (const uint32_t n : gone_) {
    const StateName name = state_.symbols[n].name;
    if (name.place & StateName::in_image)
      spare_names_[uint32_t(state_.text(name).size()) + 1].push_back(name.place & ~StateName::in_image);
  }
  // Out of the lists of those that files define.
  std::vector<bool> gone(state_.symbols.size());
  for (const uint32_t n : gone_) gone[n] = true;
  for (const File& f : files_) {
    StateInput* in = state_.inputs.edit(f.input);
    if (!in) return give_up("the state file is damaged");
    uint32_t* link = &in->first_symbol;
    for (uint32_t steps = state_.symbols.size() + 1; *link != none && steps; steps--) {
      if (*link >= gone.size()) return give_up("the state file is damaged");
      if (gone[*link]) {
        *link = state_.symbols[*link].next_of_file;
        continue;
      }
      StateSymbol* s = state_.symbols.edit(*link);
      if (!s) return give_up("the state file is damaged");
      link = &s->next_of_file;
    }
  }
  for (const uint32_t n : gone_) {
    if (!state_.forget_symbol(n)) return give_up("the state file is damaged");
    StateSymbol* s = state_.symbols.edit(n);
    if (!s) return give_up("the state file is damaged");
    s->next_of_file = meta_.forgotten;
    meta_.forgotten = n;
  }
  return true;
}

bool DeltaLink::new_symbol(uint32_t id) {
  const Symbol& s = link_.symbols[id];
  uint32_t& n = symbol_[id];
  n = meta_.forgotten;
  if (n != none) meta_.forgotten = state_.symbols[n].next_of_file;
  StateName name;
  if (meta_.section_symtab != none && is_in_symtab(link_, s)) {
    if (!put_string(s.str(), name.place)) return false;
    name.place |= StateName::in_image;
  } else if (!state_.add_name(s.str(), name)) {
    return no_room("names");
  }
  const bool used_before = n != none;
  if (!state_.add_symbol(name, hash_name(s.str()), n)) return no_room("symbols");
  if (!used_before) first_fresh_ = std::min(first_fresh_, n);
  return true;
}

// What nobody took of the names that are gone, in few pieces.
void DeltaLink::release_names() {
  std::vector<std::pair<uint32_t, uint32_t>> left;
  for (const auto& [size, places] : spare_names_)
    for (const uint32_t place : places) left.emplace_back(place, size);
  std::sort(left.begin(), left.end());
  for (size_t i = 0, k = 0; i < left.size(); i = k) {
    uint32_t end = left[i].first + left[i].second;
    for (k = i + 1; k < left.size() && left[k].first == end; k++) end += left[k].second;
    release(meta_.section_strtab, left[i].first, end - left[i].first);
  }
  spare_names_.clear();
}

bool DeltaLink::local_symbols(File& file) {
  ObjectFile& f = *file.object;
  const StateInput in = state_.inputs[file.input];
  size_local_symbols(link_, f);
  f.local_symtab_index = in.symtab_index;
  f.strtab_offset = in.strtab_offset;
  file.symtab_index = in.symtab_index;
  file.symtab_count = f.local_symtab_count;
  file.strtab_offset = in.strtab_offset;
  file.strtab_size = in.strtab_size;
  uint32_t holes = in.symtab_index, hole_count = in.symtab_count;
  if (f.local_symtab_count > in.symtab_count) {
    release(meta_.section_symtab, in.symtab_index, in.symtab_count);
    if (!take_entries(meta_.section_symtab, f.local_symtab_count, file.symtab_index))
      return no_room("local symbols");
    f.local_symtab_index = file.symtab_index;
  } else {
    holes += f.local_symtab_count;
    hole_count -= f.local_symtab_count;
    if (hole_count) release(meta_.section_symtab, holes, hole_count);
  }
  for (uint32_t i = 0; i < hole_count; i++)
    if (!put_entry(holes + i, symtab_hole())) return false;
  if (f.strtab_size > in.strtab_size) {
    release(meta_.section_strtab, in.strtab_offset, in.strtab_size);
    file.strtab_size = uint32_t(f.strtab_size);
    if (!take_strings(file.strtab_size, file.strtab_offset)) return false;
    f.strtab_offset = file.strtab_offset;
  }
  const uint64_t syms = file_offset(meta_.section_symtab, 0), strings = file_offset(meta_.section_strtab, 0);
  if (!at(syms + uint64_t(file.symtab_index) * sizeof(Sym), uint64_t(file.symtab_count) * sizeof(Sym)) ||
      !at(strings + file.strtab_offset, f.strtab_size))
    return false;
  write_local_symbols(link_, f, image_.data() + syms, reinterpret_cast<char*>(image_.data() + strings), nullptr);
  image_.wrote(syms + uint64_t(file.symtab_index) * sizeof(Sym), uint64_t(file.symtab_count) * sizeof(Sym));
  image_.wrote(strings + file.strtab_offset, f.strtab_size);
  return true;
}

bool DeltaLink::remove_global(uint32_t n) {
  const uint32_t index = state_.symbols[n].symtab;
  if (!index) return true;
  if (StateSymbol* p = state_.symbols.edit(n)) p->symtab = 0;
  if (index < meta_.symtab_first_global) {
    release(meta_.section_symtab, index, 1);
    return put_entry(index, symtab_hole());
  }
  // The last one takes its place.
  const uint32_t last = meta_.symtab_count - 1;
  const uint8_t* p = at(file_offset(meta_.section_symtab, uint64_t(last) * sizeof(Sym)), sizeof(Sym));
  if (!p) return false;
  const Sym moved = load_le<Sym>(p);
  if (last != index) {
    const StateSection& strings = state_.sections[meta_.section_strtab];
    if (moved.name >= strings.size + strings.room) return give_up("the symbol table is damaged");
    const char* name = reinterpret_cast<const char*>(image_.data() + strings.offset + moved.name);
    const std::string_view text(name, strnlen(name, strings.size + strings.room - moved.name));
    const uint32_t other = state_.find_symbol(text, hash_name(text));
    if (other == none || state_.symbols[other].symtab != last) return give_up("the symbol table is not as it was");
    if (StateSymbol* q = state_.symbols.edit(other)) q->symtab = index;
    if (!put_entry(index, moved)) return false;
  }
  if (!put_entry(last, Sym{})) return false;
  meta_.symtab_count--;
  meta_.symtab_room++;
  return true;
}

// A global of a changed file, or one whose place in the table depends on it.
bool DeltaLink::global_symbol(uint32_t id) {
  const Symbol& s = link_.symbols[id];
  const uint32_t n = state_symbol(id);
  if (n == none) return give_up("a symbol is not in the state");
  const bool wanted = is_in_symtab(link_, s), local = is_symtab_local(link_, s);
  uint32_t index = state_.symbols[n].symtab;
  if (index && (!wanted || local != (index < meta_.symtab_first_global))) {
    if (!remove_global(n)) return false;
    index = 0;
  }
  if (!wanted) return true;
  uint32_t name = 0, wide = 0;
  if (index) {
    const uint8_t* p = at(file_offset(meta_.section_symtab, uint64_t(index) * sizeof(Sym)), sizeof(Sym));
    if (!p) return false;
    name = load_le<Sym>(p).name;
  } else {
    const StateName known = state_.symbols[n].name;
    if (known.place & StateName::in_image) name = known.place & ~StateName::in_image;
    else if (!put_string(s.str(), name)) return false;
    if (local) {
      if (!take_entries(meta_.section_symtab, 1, index)) return no_room("local symbols");
    } else {
      if (!meta_.symtab_room) return no_room("symbols");
      index = meta_.symtab_count++;
      meta_.symtab_room--;
    }
    if (StateSymbol* p = state_.symbols.edit(n)) p->symtab = index;
  }
  return put_entry(index, global_symtab_entry(link_, s, name, &wide));
}

bool DeltaLink::symtab() {
  if (!forget_symbols()) return false;
  // Symbols that are new get their records here, so that the table can speak of them.
  for (uint32_t id = 0; id < link_.symbols.size(); id++) {
    const Symbol& s = link_.symbols[id];
    if (s.local || symbol_[id] != none || (claims_[id].empty() && !s.defined())) continue;
    if (!new_symbol(id)) return false;
  }
  const uint32_t section = meta_.section_symtab;
  if (section != none) {
    for (File& f : files_)
      if (!local_symbols(f)) return false;
    for (uint32_t id = 0; id < link_.symbols.size(); id++) {
      const Symbol& s = link_.symbols[id];
      if (s.local || (!is_here(s) && !is_fresh(id))) continue;
      if (!global_symbol(id)) return false;
    }
    if (!set_section_size(section, uint64_t(meta_.symtab_count) * sizeof(Sym)) ||
        !set_section_size(meta_.section_strtab, meta_.strtab_used))
      return false;
    release_names();
  }
  return write_dynamic_symbols();
}

// ---- headers --------------------------------------------------------------------------------------------------------

bool DeltaLink::set_section_size(uint32_t section, uint64_t size) {
  StateSection* s = state_.sections.edit(section);
  if (!s) return give_up("the state file is damaged");
  if (size > s->size + s->room) return no_room("section " + std::string(state_.text(s->name)));
  s->room = s->size + s->room - size;
  s->size = size;
  return true;
}

bool DeltaLink::set_dynamic(int64_t tag, uint64_t value) {
  if (meta_.section_dynamic == none) return give_up("there is no dynamic section");
  const StateSection s = state_.sections[meta_.section_dynamic];
  for (uint64_t k = 0; k + sizeof(Dyn) <= s.size; k += sizeof(Dyn)) {
    uint8_t* p = at(s.offset + k, sizeof(Dyn));
    if (!p) return false;
    if (load_le<int64_t>(p) != tag) continue;
    store_le(p + 8, value);
    image_.wrote(s.offset + k, sizeof(Dyn));
    return true;
  }
  return give_up("the dynamic section lacks an entry");
}

bool DeltaLink::headers() {
  const auto unique = [&](const Symbol& s) { return !s.local && is_here(s) && s.bind == STB_GNU_UNIQUE; };
  if (uint8_t* ident = at(0, 16); ident && ident[7] != ELFOSABI_GNU) {
    for (const Symbol& s : link_.symbols)
      if (unique(s)) ident[7] = ELFOSABI_GNU;
    image_.wrote(0, 16);
  }
  for (uint32_t i = 0; i < state_.sections.size(); i++) {
    const StateSection& s = state_.sections[i];
    const uint64_t offset = meta_.section_header_table + uint64_t(s.index) * sizeof(Shdr) + offsetof(Shdr, size);
    uint8_t* p = at(offset, 8);
    if (!p) return false;
    if (load_le<uint64_t>(p) == s.size) continue;
    store_le(p, s.size);
    image_.wrote(offset, 8);
  }
  return true;
}

bool DeltaLink::build_id() {
  const uint32_t section = meta_.section_build_id;
  if (section == none || link_.opt.build_id == BuildId::hex) return true;
  const StateSection s = state_.sections[section];
  uint8_t* note = at(s.offset, s.size);
  if (!note || s.size < 16) return give_up("the build id is damaged");
  OutputSection own;
  own.size = s.size;
  link_.build_id = &own;
  std::memset(note + 16, 0, s.size - 16);
  image_.wrote(s.offset, s.size);
  const uint64_t blocks = (image_.size() + small_build_id_block - 1) / small_build_id_block;
  const auto old = StateTable<uint64_t>(state_.file, region_block_digests).range(0, uint32_t(blocks * 2));
  if (old.size() != blocks * 2) return give_up("the state file is damaged");
  link_.block_digests.assign(old.begin(), old.end());
  const std::vector<bool> changed = image_.changed_blocks(small_build_id_block);
  for (uint64_t b = 0; b < blocks; b++) {
    if (!changed[b]) continue;
    const uint64_t offset = b * small_build_id_block;
    const XXH128_hash_t h =
        XXH3_128bits(image_.data() + offset, std::min<uint64_t>(small_build_id_block, image_.size() - offset));
    uint8_t* p = state_.file.edit(region_block_digests, b * 16, 16);
    if (!p) return give_up("the state file is damaged");
    link_.block_digests[b * 2] = h.low64;
    link_.block_digests[b * 2 + 1] = h.high64;
    std::memcpy(p, &link_.block_digests[b * 2], 16);
  }
  put_build_id(link_, note + 16);
  image_.wrote(s.offset, s.size);
  return true;
}

}  // namespace lode::link::elf
