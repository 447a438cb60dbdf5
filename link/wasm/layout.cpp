// Layout: every index space and every address, decided in one place and only after liveness.
//
// Executables: the indices and addresses that are named most often get the shortest encodings. A function index below
// 128 takes one byte, below 16384 two; so the most called functions fill the first of these ranges, the next the
// second, and within a range the order of the inputs stays, for locality. Types and globals, of which there are few,
// are simply sorted. Data items are sorted by references per byte within their output segment: a small, often named
// item moves to an address of two bytes rather than a large table. Relocatable output keeps the order of the inputs:
// its fields all have full width.
#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/bytes.h"
#include "link/wasm/link.h"

namespace lode::link::wasm {

namespace {

// Moves the items with the highest counts to the front, `room` of them in each range of `limits`; stable within a
// range.
void by_width(std::vector<uint32_t>& items, const std::vector<uint32_t>& counts, size_t used) {
  auto begin = items.begin();
  for (size_t limit : {size_t(128), size_t(16384), size_t(2097152)}) {
    if (used >= limit) continue;
    size_t room = limit - used;
    if (room >= size_t(items.end() - begin)) return;
    auto more = [&](uint32_t a, uint32_t b) { return counts[a] != counts[b] ? counts[a] > counts[b] : a < b; };
    std::nth_element(begin, begin + long(room), items.end(), more);
    std::sort(begin, begin + long(room));
    std::sort(begin + long(room), items.end());
    begin += long(room);
    used = limit;
  }
}

}  // namespace

bool Link::becomes_import(const Symbol& s) const {
  if (s.state == State::defined || !s.live || !s.kind_known || s.kind == SymbolKind::data ||
      s.kind == SymbolKind::section)
    return false;
  if (options.relocatable) return true;
  if (s.kind != SymbolKind::function) return true;
  if (s.explicit_import || s.allowed_undefined) return true;
  if (s.weak) return false;
  return options.import_undefined || options.unresolved == Unresolved::import_dynamic;
}

uint32_t Link::function_item(SymbolId id, uint32_t wanted_type) const {
  const Symbol& s = at(id);
  if (wanted_type != none && !variants.empty())
    if (auto it = variants.find(uint64_t(id.value) << 32 | wanted_type); it != variants.end()) return it->second;
  if (s.state == State::defined) return s.item;
  return s.imported ? none : s.stub;
}

uint32_t Link::function_index(SymbolId id, uint32_t wanted_type) const {
  uint32_t item = function_item(id, wanted_type);
  return item == none ? at(id).index : functions[item].index;
}

uint32_t Link::global_index(SymbolId id) const {
  const Symbol& s = at(id);
  if (s.kind != SymbolKind::global) return options.relocatable ? 0 : none;  // a relocation's placeholder
  return s.state == State::defined ? globals[s.item].index : s.index;
}

uint32_t Link::table_slot(SymbolId id) const {
  const Symbol& s = at(id);
  if (s.state == State::defined && s.kind == SymbolKind::function) return functions[s.item].table_slot;
  return s.table_slot != none ? s.table_slot : 0;
}

uint64_t Link::address_of(SymbolId id) const {
  const Symbol& s = at(id);
  if (s.kind == SymbolKind::function) return table_slot(id);
  if (s.state != State::defined) return 0;
  if (s.item == none) return s.offset;
  return segments[s.item].address + s.offset;
}

cg::ReferenceValue Link::reference_value(const mir::FunctionView& fn, const mir::Reference& r) const {
  switch (r.kind) {
    case mir::ReferenceKind::call:
      return function_index(r.symbol, r.addend > 0 && !variants.empty()
                                          ? types.find(cg::signature_at(fn.constants, size_t(r.addend) - 1))
                                          : none);
    case mir::ReferenceKind::wasm_type:
      return type_index[types.find(cg::signature_at(fn.constants, uint32_t(r.addend)))];
    case mir::ReferenceKind::wasm_table_slot: return table_slot(r.symbol);
    case mir::ReferenceKind::wasm_global: {
      uint32_t index = global_index(r.symbol);
      return index == none ? cg::constant_global | address_of(r.symbol) : index;
    }
    case mir::ReferenceKind::wasm_tag: {
      const Symbol& s = at(r.symbol);
      return s.state == State::defined ? tags[s.item].index : s.index;
    }
    case mir::ReferenceKind::wasm_table: {
      const Symbol& s = at(r.symbol);
      return s.state == State::defined ? tables[s.item].index : s.index;
    }
    case mir::ReferenceKind::tls_local_exec: return address_of(r.symbol) + uint64_t(int64_t(r.addend)) - tls_start;
    default: {
      uint64_t a = address_of(r.symbol) + uint64_t(int64_t(r.addend));
      return options.memory64 ? a : uint32_t(a);
    }
  }
}

void Link::make_variants() {
  // In a fixed order: the map's depends on the library.
  std::vector<std::pair<uint64_t, uint32_t>> wanted(variants.begin(), variants.end());
  variants.clear();
  std::sort(wanted.begin(), wanted.end(), [&](auto& a, auto& b) {
    const Symbol &x = symbols[a.first >> 32], &y = symbols[b.first >> 32];
    return std::tie(x.name, a.second, a.first) < std::tie(y.name, b.second, b.first);
  });
  for (auto [key, file] : wanted) {
    SymbolId id(uint32_t(key >> 32));
    uint32_t type = uint32_t(key);
    Symbol& s = at(id);
    if (s.type == type || s.type == none) continue;
    if (s.state != State::defined && !becomes_import(s)) {  // (relocatable: everything undefined is an import)
      // An undefined weak function: its stubs have all types that are asked for.
      variants[key] = make_trap("undefined_weak:" + describe(id), type);
      continue;
    }
    if (!s.local || s.state != State::defined)
      diagnostics.warning("function signature mismatch: " + describe(id) + "\n>>> defined as " + types.text(s.type) +
                          " in " + file_name(s.file) + "\n>>> defined as " + types.text(type) + " in " +
                          file_name(file));
    variants[key] = make_trap("signature_mismatch:" + describe(id), type);
  }
}

void Link::assign_indices() {
  // Undefined symbols: imports, or functions that trap.
  std::vector<SymbolId> undefined;
  for (uint32_t i = 0; i < symbols.size(); i++) {
    const Symbol& s = symbols[i];
    if (s.live && s.state != State::defined && s.kind_known && s.kind != SymbolKind::data &&
        s.kind != SymbolKind::section)
      undefined.push_back(SymbolId(i));
  }
  std::sort(undefined.begin(), undefined.end(), [&](SymbolId a, SymbolId b) {
    const Symbol &x = at(a), &y = at(b);
    if (!options.relocatable && x.count != y.count) return x.count > y.count;
    return x.name < y.name;
  });
  for (SymbolId id : undefined) {
    Symbol& s = at(id);
    if (s.type == none) s.type = types.intern(cg::signature_bytes({}, {}));
    if (becomes_import(s)) s.imported = true;
    else if (s.kind == SymbolKind::function)
      s.stub = make_trap((s.weak ? "undefined_weak:" : "undefined_stub:") + describe(id), s.type);
  }
  static constexpr SymbolKind kinds[] = {SymbolKind::function, SymbolKind::table, SymbolKind::global, SymbolKind::tag};
  uint32_t* counts[] = {&imported_functions, &imported_tables, &imported_globals, &imported_tags};
  for (unsigned k = 0; k < 4; k++)
    for (SymbolId id : undefined)
      if (at(id).imported && at(id).kind == kinds[k]) {
        at(id).index = (*counts[k])++;
        imports.push_back(id);
      }
  imported_memories = options.import_memory || options.relocatable;

  // Functions.
  std::vector<uint32_t> function_counts(functions.size());
  for (uint32_t i = 0; i < functions.size(); i++) {
    function_counts[i] = functions[i].count;
    if (functions[i].live && !functions[i].discarded) output_functions.push_back(i);
  }
  if (!options.relocatable) by_width(output_functions, function_counts, imported_functions);
  for (uint32_t i = 0; i < output_functions.size(); i++) functions[output_functions[i]].index = imported_functions + i;

  // Globals, tables, tags.
  for (uint32_t i = 0; i < globals.size(); i++)
    if (globals[i].live && !globals[i].discarded) output_globals.push_back(i);
  if (!options.relocatable)
    std::stable_sort(output_globals.begin(), output_globals.end(),
                     [&](uint32_t a, uint32_t b) { return globals[a].count > globals[b].count; });
  // A global whose initial value is another's must stand behind it; only imported ones may be named so.
  for (uint32_t i = 0; i < output_globals.size(); i++) globals[output_globals[i]].index = imported_globals + i;
  for (uint32_t i = 0; i < tables.size(); i++)
    if (tables[i].live) {
      tables[i].index = imported_tables + uint32_t(output_tables.size());
      output_tables.push_back(i);
    }
  for (uint32_t i = 0; i < tags.size(); i++)
    if (tags[i].live && !tags[i].discarded) {
      tags[i].index = imported_tags + uint32_t(output_tags.size());
      output_tags.push_back(i);
    }

  // The indirect function table.
  uint32_t base = uint32_t(options.table_base ? options.table_base : 1);
  for (uint32_t item : table_items) {
    if (!functions[item].live) continue;
    functions[item].table_slot = base + uint32_t(table_functions.size());
    table_functions.push_back(functions[item].index);
  }
  for (SymbolId id : table_imports) {
    Symbol& s = at(id);
    if (!s.imported && (s.weak || s.stub == none)) continue;  // null
    s.table_slot = base + uint32_t(table_functions.size());
    table_functions.push_back(s.imported ? s.index : functions[s.stub].index);
  }

  // Types: those that anything names, the most named first; equal counts by content, so that the order in which they
  // were first seen does not matter.
  type_count.resize(types.size());
  for (SymbolId id : imports)
    if (at(id).kind == SymbolKind::function || at(id).kind == SymbolKind::tag) type_count[at(id).type]++;
  for (uint32_t i : output_functions) type_count[functions[i].type]++;
  for (uint32_t i : output_tags) type_count[tags[i].type]++;
  for (uint32_t t = 0; t < types.size(); t++)
    if (type_count[t]) output_types.push_back(t);
  std::sort(output_types.begin(), output_types.end(), [&](uint32_t a, uint32_t b) {
    if (type_count[a] != type_count[b]) return type_count[a] > type_count[b];
    std::span<const uint8_t> x = types[a], y = types[b];
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
  });
  type_index.assign(types.size(), none);
  for (uint32_t i = 0; i < output_types.size(); i++) type_index[output_types[i]] = i;
}

namespace {

constexpr uint64_t page = 65536;

std::string_view output_name(const Segment& s, bool merge) {
  if (!merge) return s.name;
  if (s.flags & fw::segment_flags::tls) return ".tdata";
  for (std::string_view stem : {".rodata", ".data", ".bss"})
    if (s.name == stem || (s.name.starts_with(stem) && s.name[stem.size()] == '.')) return stem;
  return s.name;
}

}  // namespace

// Constants whose address does not matter share their bytes: equal ones, and those that are the end of another one, as
// "world" is of "hello world". The one that stays takes over the alignment and the references of the others.
void Link::merge_constants() {
  constexpr uint64_t largest = 64 * 1024;  // so that comparing them stays cheap
  std::vector<uint32_t> constants;
  for (uint32_t i = 0; i < segments.size(); i++) {
    const Segment& s = segments[i];
    if (s.live && !s.discarded && s.mergeable && s.size && s.size <= largest) constants.push_back(i);
  }
  auto from_end = [](const Segment& s, uint64_t k) {
    return s.size - 1 - k < s.bytes.size() ? s.bytes[s.size - 1 - k] : uint8_t(0);
  };
  // In the order of the bytes read backwards, the longer first where one is the other's end: then all ends of a
  // constant follow it.
  auto common_end = [&](const Segment& x, const Segment& y) {
    uint64_t k = 0, n = std::min(x.size, y.size);
    while (k < n && from_end(x, k) == from_end(y, k)) k++;
    return k;
  };
  std::sort(constants.begin(), constants.end(), [&](uint32_t a, uint32_t b) {
    const Segment &x = segments[a], &y = segments[b];
    uint64_t k = common_end(x, y);
    if (k < x.size && k < y.size) return from_end(x, k) < from_end(y, k);
    return x.size != y.size ? x.size > y.size : a < b;
  });
  uint32_t whole = none;  // the last one that stays
  for (uint32_t i : constants) {
    Segment& s = segments[i];
    if (whole == none || segments[whole].size < s.size ||
        (segments[whole].size - s.size) % (uint64_t{1} << s.align_log2) || common_end(segments[whole], s) < s.size) {
      whole = i;
      continue;
    }
    Segment& w = segments[whole];
    s.same_as = whole;
    w.count += s.count;
    w.layout_align_log2 = std::max(std::max(w.layout_align_log2, w.align_log2), s.align_log2);
  }
}

// Output segments, by name, in the order in which they come; thread-local data first, zeroes last.
void Link::group_segments() {
  bool merge = options.merge_data_segments && !options.relocatable;
  std::unordered_map<std::string_view, uint32_t> by_segment_name;
  if (merge && options.optimize > 0) merge_constants();
  for (uint32_t i = 0; i < segments.size(); i++) {
    Segment& s = segments[i];
    if (!s.live || s.discarded || s.same_as != none) continue;
    s.layout_align_log2 = std::max(s.layout_align_log2, s.align_log2);
    std::string_view name = output_name(s, merge);
    uint32_t number;
    if (options.relocatable) {
      number = uint32_t(output_segments.size());
      output_segments.emplace_back().name = name;
    } else {
      auto [it, fresh] = by_segment_name.emplace(name, uint32_t(output_segments.size()));
      if (fresh) output_segments.emplace_back().name = name;
      number = it->second;
    }
    OutputSegment& o = output_segments[number];
    o.members.push_back(i);
    o.is_tls |= bool(s.flags & fw::segment_flags::tls);
    o.is_bss = name.starts_with(".bss");
    o.flags |= s.flags;
    o.align_log2 = std::max(o.align_log2, s.layout_align_log2);
  }
  auto rank = [](const OutputSegment& o) {
    if (o.is_tls) return 0;
    if (o.is_bss) return 4;
    return o.name == ".rodata" ? 1 : o.name == ".data" ? 2 : 3;
  };
  if (!options.relocatable) {
    std::stable_sort(output_segments.begin(), output_segments.end(),
                     [&](const OutputSegment& a, const OutputSegment& b) { return rank(a) < rank(b); });
    for (OutputSegment& o : output_segments)
      std::stable_sort(o.members.begin(), o.members.end(), [&](uint32_t a, uint32_t b) {
        const Segment &x = segments[a], &y = segments[b];
        uint64_t xs = std::max<uint64_t>(x.size, 1), ys = std::max<uint64_t>(y.size, 1);
        return uint64_t(x.count) * ys > uint64_t(y.count) * xs;
      });
  }
}

void Link::place_stack(unsigned __int128& at) {
  at = (at + 15) & ~(unsigned __int128)15;
  stack_low = uint64_t(at);
  at += options.stack_size;
  stack_high = uint64_t(at);
}

// From the address `at`, which ends up behind them. False: an error was reported.
bool Link::place_segments(unsigned __int128& at) {
  const unsigned __int128 limit = (unsigned __int128)1 << (options.memory64 ? 48 : 32);
  data_start = uint64_t(at);
  bool need_bytes_for_zeroes = options.import_memory && !fill_zeroes;
  for (uint32_t n = 0; n < output_segments.size(); n++) {
    OutputSegment& o = output_segments[n];
    unsigned __int128 align = (unsigned __int128)1 << o.align_log2;
    at = (at + align - 1) & ~(align - 1);
    o.address = uint64_t(at);
    uint64_t size = 0, file_size = 0, content = 0;
    for (uint32_t i : o.members) {
      Segment& s = segments[i];
      size = align_up(size, uint64_t{1} << s.layout_align_log2);
      s.output = n;
      s.address = o.address + size;
      if (s.size > uint64_t{1} << 48) {
        diagnostics.error(file_name(s.file) + ": data item " + std::string(s.name) + " is too large");
        return false;
      }
      size += s.size;
      if (!s.bytes.empty()) {
        file_size = size - (s.size - s.bytes.size());
        content += s.size;
        if (!o.is_bss && file_size > content && file_size - content > uint64_t{1} << 28) {
          diagnostics.error(file_name(s.file) + ": the alignment of " + std::string(s.name) +
                            " leaves more than 256 MiB of padding in the file");
          return false;
        }
      }
      at = (unsigned __int128)o.address + size;
      if (at > limit) {
        diagnostics.error("data does not fit into the address space: segment " + std::string(o.name) + " of " +
                          file_name(s.file) + " ends at " + std::to_string(uint64_t(at)));
        return false;
      }
    }
    o.size = size;
    o.file_size = file_size;
    if (o.is_tls) {
      tls_start = o.address;
      tls_bytes = size;
      tls_alignment = uint64_t(align);
      o.file_size = size;
    }
    o.passive = options.shared_memory;
    if (o.is_bss) o.file_size = need_bytes_for_zeroes ? size : 0;
    else if (options.import_memory) o.file_size = size;  // zeroes behind the data, too
    if (options.relocatable) o.file_size = size;
  }
  for (Segment& s : segments)
    if (s.same_as != none) {
      const Segment& whole = segments[s.same_as];
      s.address = whole.address + (whole.size - s.size);
      s.output = segments[s.same_as].output;
    }
  if (options.shared_memory && !options.relocatable) {
    at = (at + 3) & ~(unsigned __int128)3;
    init_flag = uint64_t(at);
    at += 4;
  }
  uint32_t data_index = 0;
  for (OutputSegment& o : output_segments)
    if (o.file_size || options.relocatable) o.index = data_index++;
  data_end = uint64_t(at);
  return true;
}

// What follows the data: the stack where it has not come first, the heap, and how large the memory is at the start and
// may become.
void Link::size_memory(unsigned __int128 at) {
  if (!options.stack_first) place_stack(at);
  at = (at + 15) & ~(unsigned __int128)15;
  heap_base = uint64_t(at);
  unsigned __int128 needed = at;
  uint64_t max_bytes = options.memory64 ? uint64_t{1} << 48 : uint64_t{1} << 32;
  auto check = [&](const char* what, uint64_t bytes, unsigned __int128 least) {
    if (bytes % page) diagnostics.error(std::string(what) + " must be aligned to the page size (65536 bytes)");
    if (bytes < least)
      diagnostics.error(std::string(what) + " too small, " + std::to_string(uint64_t(least)) + " bytes needed");
    if (bytes > max_bytes)
      diagnostics.error(std::string(what) + " too large, cannot be greater than " + std::to_string(max_bytes));
  };
  if (options.initial_heap % page) diagnostics.error("initial heap must be aligned to the page size (65536 bytes)");
  needed += options.initial_heap;
  if (needed > max_bytes) {
    diagnostics.error("initial memory too large: " + std::to_string(uint64_t(needed)) + " bytes needed");
    return;
  }
  uint64_t bytes = align_up(uint64_t(needed), page);
  if (options.initial_memory) {
    check("initial memory", options.initial_memory, needed);
    bytes = std::max(bytes, options.initial_memory);
  }
  memory_end = bytes;
  memory_pages = bytes / page;
  if (!options.growable_memory) {
    memory_has_max = true;
    memory_max_pages = memory_pages;
  } else if (options.max_memory) {
    check("maximum memory", options.max_memory, bytes);
    memory_has_max = true;
    memory_max_pages = options.max_memory / page;
  } else if (options.shared_memory) {  // which must have a limit
    memory_has_max = true;
    memory_max_pages = memory_pages;
  }
}

void Link::assign_addresses() {
  group_segments();
  unsigned __int128 at = 0;
  if (!options.relocatable) {
    if (options.stack_size % 16) diagnostics.error("stack size must be 16-byte aligned");
    if (options.stack_first) {
      place_stack(at);
      if (options.global_base_given) {
        if (options.global_base < uint64_t(at))
          diagnostics.error("--global-base cannot be less than stack size when --stack-first is used");
        at = options.global_base;
      }
    } else {
      at = options.global_base_given ? options.global_base : 1024;
    }
  }
  if (!place_segments(at)) return;
  if (options.relocatable) memory_pages = 1;
  else size_memory(at);
}

}  // namespace lode::link::wasm
