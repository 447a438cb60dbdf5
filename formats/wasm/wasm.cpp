// The relocation types of Linking.md as a table, and the writing of their fields.
#include "formats/wasm/wasm.h"

#include "base/bytes.h"

namespace lode::formats::wasm {

using enum RelocField;
using T = RelocTarget;

const RelocInfo reloc_table[reloc_type_count] = {
    {"R_WASM_FUNCTION_INDEX_LEB", leb5, T::function, false, false},
    {"R_WASM_TABLE_INDEX_SLEB", sleb5, T::table_slot, false, false},
    {"R_WASM_TABLE_INDEX_I32", u32, T::table_slot, false, false},
    {"R_WASM_MEMORY_ADDR_LEB", leb5, T::memory, true, false},
    {"R_WASM_MEMORY_ADDR_SLEB", sleb5, T::memory, true, false},
    {"R_WASM_MEMORY_ADDR_I32", u32, T::memory, true, false},
    {"R_WASM_TYPE_INDEX_LEB", leb5, T::type, false, false},
    {"R_WASM_GLOBAL_INDEX_LEB", leb5, T::global, false, false},
    {"R_WASM_FUNCTION_OFFSET_I32", u32, T::function_offset, true, false},
    {"R_WASM_SECTION_OFFSET_I32", u32, T::section_offset, true, false},
    {"R_WASM_TAG_INDEX_LEB", leb5, T::tag, false, false},
    {"R_WASM_MEMORY_ADDR_REL_SLEB", sleb5, T::memory, true, true},
    {"R_WASM_TABLE_INDEX_REL_SLEB", sleb5, T::table_slot, false, true},
    {"R_WASM_GLOBAL_INDEX_I32", u32, T::global, false, false},
    {"R_WASM_MEMORY_ADDR_LEB64", leb10, T::memory, true, false},
    {"R_WASM_MEMORY_ADDR_SLEB64", sleb10, T::memory, true, false},
    {"R_WASM_MEMORY_ADDR_I64", u64, T::memory, true, false},
    {"R_WASM_MEMORY_ADDR_REL_SLEB64", sleb10, T::memory, true, true},
    {"R_WASM_TABLE_INDEX_SLEB64", sleb10, T::table_slot, false, false},
    {"R_WASM_TABLE_INDEX_I64", u64, T::table_slot, false, false},
    {"R_WASM_TABLE_NUMBER_LEB", leb5, T::table_number, false, false},
    {"R_WASM_MEMORY_ADDR_TLS_SLEB", sleb5, T::memory, true, true},
    {"R_WASM_FUNCTION_OFFSET_I64", u64, T::function_offset, true, false},
    {"R_WASM_MEMORY_ADDR_LOCREL_I32", u32, T::memory, true, false},
    {"R_WASM_TABLE_INDEX_REL_SLEB64", sleb10, T::table_slot, false, true},
    {"R_WASM_MEMORY_ADDR_TLS_SLEB64", sleb10, T::memory, true, true},
    {"R_WASM_FUNCTION_INDEX_I32", u32, T::function, false, false},
};

void write_field(uint8_t* at, RelocField field, uint64_t value) {
  switch (field) {
    case u32: store_le<uint32_t>(at, uint32_t(value)); return;
    case u64: store_le<uint64_t>(at, value); return;
    default: break;
  }
  // A padded LEB128: continuation bits on all bytes but the last, whose unused bits repeat the sign (signed) or are
  // zero.
  unsigned n = field_size(field);
  bool is_signed = field == sleb5 || field == sleb10;
  if (field == sleb5) value = uint64_t(int64_t(int32_t(value)));
  if (field == leb5) value = uint32_t(value);
  for (unsigned i = 0; i < n; i++) {
    uint8_t b = value & 0x7f;
    value = is_signed ? uint64_t(int64_t(value) >> 7) : value >> 7;
    at[i] = i + 1 < n ? b | 0x80 : b;
  }
}

}  // namespace lode::formats::wasm
