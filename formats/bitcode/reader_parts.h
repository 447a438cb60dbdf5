// The parts of the module reader: each reads one block that the cursor has just found (next() == SubBlock) and leaves
// it. All return false with the cursor failed. Internal to formats/bitcode.
#pragma once

#include "formats/bitcode/module.h"

namespace lode::formats::bitcode {

enum BlockId : uint32_t {
  block_info = 0, block_module = 8, block_attribute_lists = 9, block_attribute_groups = 10, block_constants = 11,
  block_function = 12, block_identification = 13, block_symbol_table = 14, block_metadata = 15,
  block_metadata_attachment = 16, block_types = 17, block_use_list = 18, block_module_strtab = 19, block_summary = 20,
  block_bundle_tags = 21, block_metadata_kinds = 22, block_strtab = 23, block_full_lto_summary = 24, block_symtab = 25,
  block_sync_scopes = 26,
};

bool read_types(Cursor& c, Module& m);
// After read_types: refuses by-value cycles and adds what bodies need implicitly (i1, pointers).
bool finish_types(Cursor& c, Module& m);
bool read_attribute_groups(Cursor& c, Module& m);
bool read_attribute_lists(Cursor& c, Module& m);
// After both and the types.
bool finish_attributes(Cursor& c, Module& m);
bool read_constants(Cursor& c, const Module& m, Constants& out);
// Checks every operand: below module_values, or local_base <= value < local_base + local_count.
bool check_constants(Cursor& c, const Constants& out, uint32_t module_values, uint32_t local_base,
                     uint32_t local_count);

// The strings of a METADATA_STRINGS record.
bool read_metadata_strings(Cursor& c, std::vector<std::string_view>& out);
// Goes to the metadata block of the body that the cursor has just found. False: it has none, or the cursor failed.
bool find_body_metadata(Cursor& c);

// A copy of a record's operands from `from` on as characters.
std::string_view text_of(Module& m, const Cursor& c, uint32_t from = 0);
// Undoes the "sign in bit 0" form.
inline int64_t unrotate(uint64_t v) {
  if (!(v & 1)) return int64_t(v >> 1);
  return v == 1 ? INT64_MIN : -int64_t(v >> 1);
}
inline uint64_t low_mask(uint64_t bits) { return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

}  // namespace lode::formats::bitcode
