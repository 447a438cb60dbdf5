// MIR as text. Reads the same rows as emit; what stands behind the mnemonic is the operand as mir.h describes it.
#include <cstdio>
#include <cstring>

#include "codegen/wasm/emit.h"

namespace lode::wasm {

const char* value_type_name(uint32_t t) {
  switch (t) {
    case 0x7f: return "i32";
    case 0x7e: return "i64";
    case 0x7d: return "f32";
    case 0x7c: return "f64";
    case 0x7b: return "v128";
    case 0x70: return "funcref";
    case 0x6f: return "externref";
    case 0x69: return "exnref";
    case 0x40: return "";
    default: return "?";
  }
}

namespace {

std::string number(uint64_t v) { return std::to_string(v); }
std::string reference(uint32_t r) { return "#" + std::to_string(r); }
std::string hex(uint64_t v) {
  char buf[24];
  std::snprintf(buf, sizeof buf, "0x%llx", static_cast<unsigned long long>(v));
  return buf;
}

struct Printer {
  const mir::FunctionView& fn;
  uint64_t extra(uint64_t i) const { return i < fn.extra.size() ? fn.extra[i] : 0; }
  uint64_t extra64(uint64_t i) const { return extra(i) | extra(i + 1) << 32; }

  std::string block(uint32_t t) const { return t < 0x100 ? value_type_name(t) : "type=" + reference(t - 0x100); }
  std::string memarg(uint32_t operand) const {
    uint32_t payload = MemoryOperand::payload(operand);
    std::string offset = MemoryOperand::form(operand) == MemoryOperand::symbol ? reference(payload)
                         : MemoryOperand::form(operand) == MemoryOperand::wide ? number(extra64(payload))
                                                                               : number(payload);
    return "offset=" + offset + " align=" + number(uint64_t{1} << MemoryOperand::align_log2(operand));
  }

  std::string own(uint8_t tag, uint32_t operand) const {
    switch (OwnTag(tag)) {
      case OwnTag::function_address: return "function_address " + reference(operand);
      case OwnTag::data_address: return "data_address " + reference(operand);
      case OwnTag::i64_const_wide: return "i64.const " + number(extra64(operand));
      case OwnTag::f64_const_short: return "f64.const float " + hex(operand);
      case OwnTag::frame_address: return "frame_address " + number(operand);
      case OwnTag::epilogue: return "epilogue";
    }
    return "tag " + hex(tag);
  }

  std::string instruction(uint8_t tag, uint32_t operand) const {
    unsigned prefix = tag >= 0xfc && tag <= 0xfe ? tag : 0;
    unsigned opcode = prefix ? operand & prefixed_opcode_mask : tag;
    uint32_t payload = prefix ? operand >> prefixed_opcode_bits : operand;
    const OpInfo& i = info(Op(op_code(prefix, opcode)));
    if (!i.exists()) return own(tag, operand);
    std::string s = i.name();
    switch (i.immediate) {
      case Immediate::None: case Immediate::MemoryCopy: case Immediate::MemoryFill: case Immediate::Fence: return s;
      case Immediate::BlockType: return s + " " + block(payload);
      case Immediate::Label: case Immediate::Local: case Immediate::Memory: case Immediate::Lane:
      case Immediate::DataSegment:
      case Immediate::ElementSegment: case Immediate::MemoryInit: return s + " " + number(payload);
      case Immediate::LabelTable:
        for (uint64_t k = 0; k <= extra(payload); k++) s += " " + number(extra(payload + 1 + k));
        return s;
      case Immediate::Function: case Immediate::IndirectType: case Immediate::Global: case Immediate::Table:
      case Immediate::Tag: case Immediate::FunctionRef: return s + " " + reference(payload);
      case Immediate::SelectType: case Immediate::RefType: return s + " " + value_type_name(payload);
      case Immediate::TryTable:
        return s + " " + block(uint32_t(extra(payload))) + " clauses=" + number(extra(payload + 1));
      case Immediate::Memarg: case Immediate::MemargLane:
        if (!prefix) return s + " " + memarg(payload);
        if (!(payload & PrefixedMemory::in_extra))
          return s + " offset=" + number(payload & (PrefixedMemory::offset_limit - 1)) +
                 " align=" + number(1u << (payload >> 18 & 15));
        payload &= PrefixedMemory::extra_limit - 1;
        s += " " + memarg(uint32_t(extra(payload)));
        return i.immediate == Immediate::MemargLane ? s + " lane=" + number(extra(payload + 1)) : s;
      case Immediate::I32: case Immediate::I64: return s + " " + std::to_string(int32_t(payload));
      case Immediate::F32: return s + " " + hex(payload);
      case Immediate::F64: return s + " " + hex(extra64(payload));
      case Immediate::V128:
      case Immediate::Shuffle: return s + " " + hex(extra64(payload)) + " " + hex(extra64(payload + 2));
      case Immediate::TableInit:
      case Immediate::TableCopy: return s + " " + number(extra(payload)) + " " + number(extra(payload + 1));
    }
    return s;
  }
};

}  // namespace

std::string print(const mir::FunctionView& fn) {
  std::string out;
  Printer p{fn};
  Frame f = Frame::read(fn.frame);
  if (f.present)
    out += "frame size=" + number(f.size) + " align=" + number(1u << f.align_log2) + " base=" + number(f.base_local) +
           (f.keeps_stack_pointer ? " keeps" : "") +
           (f.saved_local != Frame::no_local ? " saved=" + number(f.saved_local) : "") + "\n";
  for (uint32_t i = 0; i < fn.count; i++) out += p.instruction(fn.tags[i], fn.operands[i]) + "\n";
  return out;
}

}  // namespace lode::wasm
