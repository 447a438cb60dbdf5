// Numbers of the WebAssembly binary format and of its conventions for relocatable objects.
//
// Sources: WebAssembly core specification 2.0, section 5 (binary format); tool-conventions Linking.md (version 2 of the
// custom section "linking", "reloc.*"), DynamicLinking.md ("dylink.0"), ProducersSection.md, and the custom sections
// "name" (appendix of the core specification) and "target_features".
#pragma once

#include <cstdint>

namespace lode::formats::wasm {

inline constexpr uint8_t magic[8] = {0, 'a', 's', 'm', 1, 0, 0, 0};

enum class SectionId : uint8_t {
  custom, type, import, function, table, memory, global, export_, start, element, code, data, data_count, tag,
};

enum class ExternalKind : uint8_t { function, table, memory, global, tag };

namespace limits_flags {
inline constexpr uint8_t has_max = 1, shared = 2, is_64 = 4;
}

// Linking.md: relocation types.
enum class RelocType : uint8_t {
  function_index_leb, table_index_sleb, table_index_i32, memory_addr_leb, memory_addr_sleb, memory_addr_i32,
  type_index_leb, global_index_leb, function_offset_i32, section_offset_i32, tag_index_leb, memory_addr_rel_sleb,
  table_index_rel_sleb, global_index_i32, memory_addr_leb64, memory_addr_sleb64, memory_addr_i64,
  memory_addr_rel_sleb64, table_index_sleb64, table_index_i64, table_number_leb, memory_addr_tls_sleb,
  function_offset_i64, memory_addr_locrel_i32, table_index_rel_sleb64, memory_addr_tls_sleb64, function_index_i32,
};
inline constexpr unsigned reloc_type_count = 27;

enum class RelocField : uint8_t { leb5, sleb5, leb10, sleb10, u32, u64 };
enum class RelocTarget : uint8_t {
  function, table_slot, memory, type, global, function_offset, section_offset, tag, table_number,
};
struct RelocInfo {
  const char* name;
  RelocField field;
  RelocTarget target;
  bool has_addend;
  bool relative;  // to __memory_base, __table_base or __tls_base
};
extern const RelocInfo reloc_table[reloc_type_count];
inline const RelocInfo& info(RelocType t) { return reloc_table[unsigned(t)]; }
inline constexpr unsigned field_size(RelocField f) {
  return f == RelocField::u32                                ? 4
         : f == RelocField::u64                              ? 8
         : f == RelocField::leb10 || f == RelocField::sleb10 ? 10
                                                             : 5;
}
// Writes `value` at `at` in the field's full width: a padded LEB128 or little-endian bytes.
void write_field(uint8_t* at, RelocField field, uint64_t value);

// Linking.md: subsections of "linking", symbol kinds and flags.
enum class LinkingSubsection : uint8_t { segment_info = 5, init_funcs = 6, comdat_info = 7, symbol_table = 8 };
inline constexpr uint32_t linking_version = 2;
enum class SymbolKind : uint8_t { function, data, global, section, tag, table };
namespace symbol_flags {
inline constexpr uint32_t binding_mask = 3, weak = 1, local = 2, hidden = 4, undefined = 0x10, exported = 0x20,
    explicit_name = 0x40, no_strip = 0x80, tls = 0x100, absolute = 0x200;
}
namespace segment_flags {
inline constexpr uint32_t strings = 1, tls = 2, retain = 4;
}
enum class ComdatKind : uint8_t { data, function, global, tag, table, section };

enum class NameSubsection : uint8_t { module, function, local, label, type, table, memory, global, element, data };
enum class DylinkSubsection : uint8_t { mem_info = 1, needed = 2, export_info = 3, import_info = 4 };

}  // namespace lode::formats::wasm
