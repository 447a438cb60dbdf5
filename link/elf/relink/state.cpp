// The state as it is read and added to (state.h).
#include "link/elf/relink/state.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "generator_version.h"
#include "link/elf/code/lower_state.h"

namespace lode::link::elf {

namespace {

// An open-addressed table of indices; `same` compares. The slot where the search ended, or none: damage.
constexpr uint32_t given_up = 0xfffffffe;  // in a slot: something was here
template <class Same>
uint32_t probe(StateTable<uint32_t>& slots, uint64_t hash, Same&& same) {
  const uint32_t count = slots.size();
  if (!count || (count & (count - 1))) return none;
  uint32_t i = uint32_t(hash & (count - 1));
  for (uint32_t steps = 0; steps < count; steps++, i = (i + 1) & (count - 1)) {
    const uint32_t n = slots[i];
    if (n == none || same(n)) return i;
  }
  return none;
}

}  // namespace

std::string_view State::text(StateText t) {
  const uint8_t* p = file.read(region_strings, t.offset, t.size);
  return p ? std::string_view(reinterpret_cast<const char*>(p), t.size) : std::string_view();
}

void State::use_image(std::span<const uint8_t> image) {
  const StateMeta& m = meta[0];
  image_names_ = {};
  if (m.section_strtab == none) return;
  const StateSection& s = sections[m.section_strtab];
  if (s.offset > image.size() || s.size + s.room > image.size() - s.offset) return file.note_damage();
  image_names_ = image.subspan(s.offset, s.size + s.room);
}

std::string_view State::text(StateName name) {
  uint64_t at = name.place;
  if (name.place & StateName::in_image) {
    at &= ~StateName::in_image;
    if (at >= image_names_.size()) {
      file.note_damage();
      return {};
    }
    const char* p = reinterpret_cast<const char*>(image_names_.data() + at);
    return {p, strnlen(p, image_names_.size() - at)};
  }
  // Checked page by page, as far as it goes.
  const uint64_t end = file.size_of(region_strings);
  for (uint64_t size = 0; at + size < end;) {
    const uint64_t next = std::min(end, ((at + size) / StateFile::page_size + 1) * StateFile::page_size);
    const uint8_t* p = file.read(region_strings, at, next - at);
    if (!p) return {};
    if (const void* zero = std::memchr(p + size, 0, next - at - size))
      return {reinterpret_cast<const char*>(p), size_t(static_cast<const uint8_t*>(zero) - p)};
    size = next - at;
  }
  file.note_damage();
  return {};
}

bool State::is(StateName name, std::string_view s) { return text(name) == s; }

std::span<const uint32_t> State::sites_of(const StateInput& in, std::span<const StateSiteGroup> groups, size_t i) {
  const uint32_t first = groups[i].first, end = i + 1 < groups.size() ? groups[i + 1].first : in.site_count;
  if (first > end || end > in.site_count) {
    file.note_damage();
    return {};
  }
  return sites.range(in.first_site + first, end - first);
}

uint32_t State::find_symbol(std::string_view name, uint64_t hash) {
  const uint32_t i =
      probe(symbol_slots, hash, [&](uint32_t n) { return n != given_up && is(symbols[n].name, name); });
  return i == none ? none : symbol_slots[i];
}

uint32_t State::find_comdat(std::string_view signature, uint64_t hash) {
  const uint32_t i = probe(comdat_slots, hash, [&](uint32_t n) { return is(comdats[n].signature, signature); });
  return i == none ? none : comdat_slots[i];
}

bool State::add_text(std::string_view s, StateText& out) {
  uint64_t offset = 0;
  if (!file.append(region_strings, s.size(), offset)) return false;
  out = {uint32_t(offset), uint32_t(s.size())};
  if (s.empty()) return true;
  uint8_t* p = file.edit(region_strings, offset, s.size());
  if (p) std::memcpy(p, s.data(), s.size());
  return p != nullptr;
}

bool State::add_name(std::string_view s, StateName& out) {
  uint64_t offset = 0;
  if (s.find('\0') != s.npos || file.size_of(region_strings) + s.size() >= StateName::in_image ||
      !file.append(region_strings, s.size() + 1, offset))
    return false;
  out.place = uint32_t(offset);
  uint8_t* p = file.edit(region_strings, offset, s.size() + 1);
  if (p) std::memcpy(p, s.data(), s.size());
  return p != nullptr;
}

bool State::add_symbol(StateName name, uint64_t hash, uint32_t& index) {
  const uint32_t slot = probe(symbol_slots, hash, [](uint32_t n) { return n == given_up; });
  if (slot == none) return false;
  StateSymbol s;
  s.name = name;
  if (index != none) {
    StateSymbol* p = symbols.edit(index);
    if (!p) return false;
    *p = s;
    p->flags = state_gone;  // until what it is is kept
    p->is_used_again = 1;
  } else {
    if ((uint64_t(symbols.size()) + 1) * 4 > uint64_t(symbol_slots.size()) * 3) return false;
    index = symbols.size();
    if (!symbols.push(s)) return false;
  }
  uint32_t* p = symbol_slots.edit(slot);
  if (p) *p = index;
  return p != nullptr;
}

bool State::forget_symbol(uint32_t n) {
  const std::string_view name = text(symbols[n].name);
  const uint32_t slot = probe(symbol_slots, hash_name(name), [&](uint32_t k) { return k == n; });
  uint32_t* p = slot == none || symbol_slots[slot] != n ? nullptr : symbol_slots.edit(slot);
  StateSymbol* s = symbols.edit(n);
  if (!p || !s) return false;
  *p = given_up;
  *s = {};
  s->flags = state_gone;
  return true;
}

bool State::add_comdat(std::string_view signature, uint64_t hash, uint32_t input, uint32_t& index) {
  if ((uint64_t(comdats.size()) + 1) * 4 > uint64_t(comdat_slots.size()) * 3) return false;
  const uint32_t slot = probe(comdat_slots, hash, [](uint32_t) { return false; });
  StateComdat c;
  c.input = input;
  if (slot == none || !add_name(signature, c.signature)) return false;
  index = comdats.size();
  uint32_t* p = comdats.push(c) ? comdat_slots.edit(slot) : nullptr;
  if (p) *p = index;
  return p != nullptr;
}

StateFunction state_function(const Link& link, const ObjectFile& file, const ModuleFunction& fn) {
  StateFunction r;
  std::memcpy(r.places, &link.lower->kept_of(file, fn).places, sizeof r.places);
  r.frame_offset = fn.frame_offset;
  return r;
}

std::string state_name(const Options& options) { return options.output + ".lode"; }

StateHash state_generator() {
  const uint64_t words[] = {LODE_GENERATOR_LOW, LODE_GENERATOR_HIGH, LODE_LINKER_LOW, LODE_LINKER_HIGH};
  const XXH128_hash_t h = XXH3_128bits(words, sizeof words);
  return {h.low64, h.high64};
}

// The names of input files are left out, in the order in which they come; what was said of each by options before it
// is in its record.
StateHash options_key(const Options& options, const std::vector<std::string>& args) {
  std::string all;
  char folder[PATH_MAX];
  if (getcwd(folder, sizeof folder)) all = folder;
  size_t next = 0;
  auto skip = [&] {
    while (next < options.inputs.size() && options.inputs[next].kind != InputArg::file) next++;
  };
  skip();
  size_t folder_index = 0;
  for (size_t i = 1; i < args.size(); i++) {
    // Folders of -L are compared on their own: rustc makes one of a new name for each link.
    if (folder_index < options.library_paths.size()) {
      const std::string& path = options.library_paths[folder_index];
      auto joins = [&](std::string_view option) {
        return args[i].size() == option.size() + path.size() && args[i].starts_with(option) && args[i].ends_with(path);
      };
      if (joins("-L") || joins("--library-path=")) {
        folder_index++;
        continue;
      }
      if ((args[i] == "-L" || args[i] == "--library-path") && i + 1 < args.size() && args[i + 1] == path) {
        folder_index++;
        i++;
        continue;
      }
    }
    if (next < options.inputs.size() && args[i] == options.inputs[next].name) {
      next++;
      skip();
      continue;
    }
    // What says how the link is made, and not what; and gcc's name for a file that its plugin would write.
    static constexpr std::string_view ignored[] = {
        "--incremental", "--incremental-full", "--incremental-update", "--verify-relink", "--verbose", "--stats",
        "--threads=", "-plugin-opt=-fresolution="};
    if (std::any_of(std::begin(ignored), std::end(ignored), [&](std::string_view s) {
          return s.ends_with("=") ? args[i].starts_with(s) : args[i] == s;
        }))
      continue;
    all += '\0';
    all += args[i];
  }
  const XXH128_hash_t h = XXH3_128bits(all.data(), all.size());
  return {h.low64, h.high64};
}

// Names that front ends give by counting.
static bool is_counted(std::string_view name) {
  for (std::string_view stem : {".str", ".L", "__unnamed_", "anon.", "alloc_", "switch.table", "constinit"})
    if (name.starts_with(stem)) return true;
  return false;
}

AtomKeys::AtomKeys(const ObjectFile& file) : file_(file) {
  if (file.kind == FileKind::module) {
    const ModuleState& m = *file.module;
    own_.assign(file.sections.size(), 0);
    for (uint32_t i = 1; i < file.syms.size(); i++) {
      const uint32_t section = file.wide_sections[i];
      if (!section || section >= own_.size() || own_[section] || file.syms[i].type() == STT_SECTION) continue;
      const std::string_view name = file.sym_name(file.syms[i]);
      const uint8_t* data = m.data[section];
      if (name.empty() || (data && is_counted(name))) {
        if (data) own_[section] = XXH3_64bits(data, file.sections[section].size);
      } else {
        own_[section] = XXH3_64bits(name.data(), name.size());
      }
    }
    for (const ModuleFunction& fn : m.functions)
      for (const uint32_t part : {fn.section + 1, fn.exceptions, fn.patchable, fn.traps})
        if (part && part < own_.size()) own_[part] = own_[fn.section];
  }
  if (file.groups.empty()) return;
  group_.assign(file.sections.size(), 0);
  for (uint32_t k = 0; k < file.groups.size(); k++)
    for (const Word& m : file.groups[k].members)
      if (m.value < group_.size()) group_[m.value] = k + 1;
}

uint32_t AtomKeys::of(uint32_t section) const {
  const std::string_view name = section_name(file_, section);
  uint64_t seed = own_.empty() ? 0 : own_[section];
  if (!group_.empty() && group_[section]) seed ^= file_.groups[group_[section] - 1].signature.hash;
  return uint32_t(XXH3_64bits_withSeed(name.data(), name.size(), seed));
}

}  // namespace lode::link::elf
