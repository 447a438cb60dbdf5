#include "codegen/native/emit.h"

#include <string>

#include "base/bytes.h"
#include "codegen/native/mir_writer.h"

namespace lode::codegen {

void AssembledText::clear() {
  layout.clear();
  tables.clear();
  cfi.clear();
  traps.clear();
  entry = 0;
}

Error damaged_code(const EmitRules& rules) {
  return error(std::string("damaged ") + rules.machine + " machine code in the store");
}

namespace {
Error problem(const EmitRules& rules, const char* what) { return error(std::string(rules.machine) + ": " + what); }
}  // namespace

bool valid_table(const mir::FunctionView& fn, uint32_t at) {
  if (uint64_t{at} + 2 > fn.extra.size()) return false;
  const uint64_t count = fn.extra[at], table = fn.extra[at + 1];
  return at + 2 + count <= fn.extra.size() && table + 4 * count <= fn.constants.size();
}

Result<FunctionSizes> lay_out_text(const mir::FunctionView& fn, const EmitRules& rules, AssembledText& text) {
  if (text.code_size + text.layout.most_bytes(rules.branches) > 0x7fffffff)
    return error("the function's code is larger than 2 GiB");
  text.layout.relax(rules.branches);
  FunctionSizes sizes;
  sizes.text = text.code_size + text.layout.bytes();
  sizes.constants = uint32_t(fn.constants.size());
  sizes.entry = text.entry;
  sizes.traps = uint32_t(text.traps.size());
  text.cfi_bytes.clear();
  append_cfi(text.cfi, text.layout, sizes.text, rules.cie_code_align, rules.cie_data_align, text.cfi_bytes);
  sizes.cfi = uint32_t(text.cfi_bytes.size());
  text.exceptions.bytes.clear();
  if (uint32_t at = fn.frame[frame::word_exceptions]) {
    auto offset_of = [&](uint32_t i) { return text.layout.offset_of(i); };
    if (!build_exception_table(fn.extra, at - 1, fn.count, fn.references.size(), offset_of, text.exceptions))
      return damaged_code(rules);
    sizes.exceptions = uint32_t(text.exceptions.bytes.size());
    sizes.personality = text.exceptions.personality;
  }
  return sizes;
}

Result<void> write_constants(const mir::FunctionView& fn, const EmitRules& rules, const AssembledText& text,
                             const EmitPlace& place, bool object) {
  if (!fn.constants.empty()) std::memcpy(place.constants, fn.constants.data(), fn.constants.size());
  for (uint32_t record : text.tables) {
    const uint32_t count = fn.extra[record], at = fn.extra[record + 1];
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t target = fn.extra[record + 2 + i];
      if (target >= fn.count) return damaged_code(rules);
      const uint32_t label = text.layout.offset_of(target);
      if (object) {  // label - table = (text + label + 4 i) - (table + 4 i)
        if (!place.fixups) return problem(rules, "no room for the relocations of a jump table");
        place.fixups->push_back(
            {at + 4 * i, rules.pc_relative, Fixup::Place::constants, Fixup::Target::text, 0, int64_t(label) + 4 * i});
        continue;
      }
      const int64_t value = int64_t(place.text_address + label - (place.constants_address + at));
      if (value != int32_t(value)) return problem(rules, "a jump table is out of the reach of 32 bits");
      store_le(place.constants + at + 4 * i, int32_t(value));
    }
  }
  return {};
}

Result<void> write_exceptions(const EmitRules& rules, const AssembledText& text,
                              std::span<const ResolvedReference> references, const EmitPlace& place, bool object) {
  const ExceptionTable& x = text.exceptions;
  if (x.bytes.empty()) return {};
  if (!place.exceptions) return problem(rules, "no room for an exception table");
  std::memcpy(place.exceptions, x.bytes.data(), x.bytes.size());
  for (const ExceptionTable::Type& t : x.types) {
    if (object) {
      if (!place.fixups) return problem(rules, "no room for the relocations of an exception table");
      place.fixups->push_back(
          {t.offset, rules.pc_relative, Fixup::Place::exceptions, Fixup::Target::reference, t.reference, 0});
      continue;
    }
    const int64_t value = int64_t(references[t.reference].address - (place.exceptions_address + t.offset));
    if (value != int32_t(value)) return problem(rules, "a typeinfo is out of the reach of 32 bits");
    store_le(place.exceptions + t.offset, int32_t(value));
  }
  return {};
}

void append_lists(const AssembledText& text, const EmitPlace& place) {
  if (place.traps)
    for (const TextPlace& p : text.traps) place.traps->push_back(text.layout.offset(p));
  if (place.cfi) place.cfi->insert(place.cfi->end(), text.cfi_bytes.begin(), text.cfi_bytes.end());
}

Result<void> find_label_offsets(const mir::FunctionView& fn, const EmitRules& rules, const AssembledText& text,
                                std::span<uint32_t> labels) {
  for (uint32_t& label : labels) {
    if (label > fn.count) return damaged_code(rules);
    label = text.layout.offset_of(label);
  }
  return {};
}

bool asm_sections(const mir::FunctionView& fn, std::vector<AsmSection>& out) {
  return !fn.extra.empty() && read_asm_sections(fn.extra, fn.extra.back(), fn.count, fn.references.size(), out);
}

}  // namespace lode::codegen
