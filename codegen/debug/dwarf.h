// The numbers of DWARF 5 (section 7) that are written, and a section on its way: bytes, and places that hold addresses
// or offsets in other sections.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace lode::codegen::dwarf {

enum Tag : uint16_t {
  tag_array_type = 0x01, tag_class_type = 0x02, tag_enumeration_type = 0x04, tag_formal_parameter = 0x05,
  tag_imported_declaration = 0x08, tag_label = 0x0a, tag_lexical_block = 0x0b, tag_member = 0x0d,
  tag_pointer_type = 0x0f, tag_reference_type = 0x10, tag_compile_unit = 0x11, tag_structure_type = 0x13,
  tag_subroutine_type = 0x15, tag_typedef = 0x16, tag_union_type = 0x17, tag_unspecified_parameters = 0x18,
  tag_variant = 0x19, tag_inheritance = 0x1c, tag_inlined_subroutine = 0x1d, tag_ptr_to_member_type = 0x1f,
  tag_subrange_type = 0x21, tag_base_type = 0x24, tag_const_type = 0x26, tag_enumerator = 0x28, tag_friend = 0x2a,
  tag_subprogram = 0x2e, tag_template_type_parameter = 0x2f, tag_template_value_parameter = 0x30, tag_variable = 0x34,
  tag_variant_part = 0x33, tag_namespace = 0x39, tag_imported_module = 0x3a, tag_unspecified_type = 0x3b,
  tag_rvalue_reference_type = 0x42, tag_generic_subrange = 0x45, tag_template_alias = 0x43, tag_module = 0x1e,
  tag_string_type = 0x12, tag_common_block = 0x1a, tag_gnu_template_template_parameter = 0x4106,
  tag_gnu_template_parameter_pack = 0x4107, tag_ptrauth_type = 0x4300,
};

enum At : uint16_t {
  at_location = 0x02, at_name = 0x03, at_byte_size = 0x0b, at_stmt_list = 0x10, at_low_pc = 0x11, at_high_pc = 0x12,
  at_language = 0x13, at_discr = 0x15, at_discr_value = 0x16, at_string_length = 0x19, at_import = 0x18,
  at_comp_dir = 0x1b, at_const_value = 0x1c, at_containing_type = 0x1d, at_default_value = 0x1e, at_inline = 0x20,
  at_lower_bound = 0x22, at_producer = 0x25, at_prototyped = 0x27, at_upper_bound = 0x2f, at_bit_size = 0x0d,
  at_abstract_origin = 0x31, at_accessibility = 0x32, at_artificial = 0x34, at_calling_convention = 0x36,
  at_count = 0x37, at_data_member_location = 0x38, at_decl_column = 0x39, at_decl_file = 0x3a, at_decl_line = 0x3b,
  at_declaration = 0x3c, at_encoding = 0x3e, at_external = 0x3f, at_frame_base = 0x40, at_specification = 0x47,
  at_type = 0x49, at_virtuality = 0x4c, at_vtable_elem_location = 0x4d, at_ranges = 0x55, at_call_column = 0x57,
  at_call_file = 0x58, at_call_line = 0x59, at_explicit = 0x63, at_object_pointer = 0x64, at_data_bit_offset = 0x6b,
  at_enum_class = 0x6d, at_linkage_name = 0x6e, at_str_offsets_base = 0x72, at_addr_base = 0x73,
  at_rnglists_base = 0x74, at_reference = 0x77, at_rvalue_reference = 0x78, at_export_symbols = 0x89,
  at_deleted = 0x8a, at_loclists_base = 0x8c, at_noreturn = 0x87, at_alignment = 0x88, at_byte_stride = 0x51,
  at_data_location = 0x50, at_allocated = 0x4e, at_associated = 0x4f, at_gnu_vector = 0x2107,
  at_gnu_template_name = 0x2110, at_main_subprogram = 0x6a, at_apple_optimized = 0x3fe1,
};

enum Form : uint16_t {
  form_addr = 0x01, form_data2 = 0x05, form_data4 = 0x06, form_data8 = 0x07, form_data1 = 0x0b, form_sdata = 0x0d,
  form_udata = 0x0f, form_ref_addr = 0x10, form_ref4 = 0x13, form_sec_offset = 0x17, form_exprloc = 0x18,
  form_flag_present = 0x19, form_strx = 0x1a, form_addrx = 0x1b, form_data16 = 0x1e, form_line_strp = 0x1f,
  form_loclistx = 0x22, form_rnglistx = 0x23,
};

enum Expression : uint32_t {
  op_addr = 0x03, op_deref = 0x06, op_const8u = 0x0e, op_constu = 0x10, op_consts = 0x11, op_dup = 0x12,
  op_minus = 0x1c, op_plus = 0x22, op_plus_uconst = 0x23, op_lit0 = 0x30, op_reg0 = 0x50, op_breg0 = 0x70,
  op_regx = 0x90, op_fbreg = 0x91, op_bregx = 0x92, op_piece = 0x93, op_deref_size = 0x94, op_xderef_size = 0x95,
  op_push_object_address = 0x97, op_form_tls_address = 0x9b, op_bit_piece = 0x9d, op_implicit_value = 0x9e,
  op_stack_value = 0x9f, op_addrx = 0xa1,
  // LLVM's own, which metadata has and DWARF has not.
  op_llvm_fragment = 0x1000, op_llvm_convert = 0x1001, op_llvm_tag_offset = 0x1002, op_llvm_entry_value = 0x1003,
  op_llvm_implicit_pointer = 0x1004, op_llvm_arg = 0x1005, op_llvm_extract_bits_sext = 0x1006,
  op_llvm_extract_bits_zext = 0x1007,
};

enum ListEntry : uint8_t {
  rle_end = 0, rle_base_addressx = 1, rle_startx_length = 3, rle_offset_pair = 4,
  lle_end = 0, lle_base_addressx = 1, lle_offset_pair = 4,
};

enum SectionId : uint8_t { info, abbrev, line, str, line_str, str_offsets, addr, rnglists, loclists, section_count };
inline constexpr std::string_view section_names[section_count] = {
    ".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_line_str", ".debug_str_offsets",
    ".debug_addr", ".debug_rnglists", ".debug_loclists"};

// A field that the linker fills in: an offset in a section of these (4 bytes), or the address of a symbol, or its
// offset in thread-local storage (8 bytes).
struct Relocation {
  enum Target : uint8_t { section, symbol, tls };
  uint32_t offset = 0;
  Target target = section;
  uint32_t index = 0;    // SectionId, or the caller's number of the symbol
  int64_t addend = 0;
};

struct Section {
  std::vector<uint8_t> bytes;
  std::vector<Relocation> relocations;

  uint32_t size() const { return uint32_t(bytes.size()); }
  void u8(uint64_t v) { bytes.push_back(uint8_t(v)); }
  void u16(uint64_t v) { append_le(bytes, uint16_t(v)); }
  void u32(uint64_t v) { append_le(bytes, uint32_t(v)); }
  void u64(uint64_t v) { append_le(bytes, v); }
  void uleb(uint64_t v) { append_uleb(bytes, v); }
  void sleb(int64_t v) { append_sleb(bytes, v); }
  void text(std::string_view s) {
    bytes.insert(bytes.end(), s.begin(), s.end());
    bytes.push_back(0);
  }
  void offset_in(SectionId to, uint64_t v) {
    relocations.push_back({size(), Relocation::section, to, int64_t(v)});
    u32(v);
  }
  void address_of(uint32_t symbol, int64_t addend) {
    relocations.push_back({size(), Relocation::symbol, symbol, addend});
    u64(0);
  }
  // Lengths of units: a field of 4 bytes that finish() fills in with what follows it.
  uint32_t begin_length() {
    u32(0);
    return size();
  }
  void end_length(uint32_t start) { store_le(bytes.data() + start - 4, size() - start); }
};

struct Sections {
  Section of[section_count];
  Section& operator[](SectionId id) { return of[id]; }
};

}  // namespace lode::codegen::dwarf
