// One dispatch loop. A table of 256 bytes says for each tag how it is emitted; most tags are copied, or copied with an
// unsigned LEB128 behind them. The loop never asks what an instruction does, only how its immediate looks.
#include "codegen/wasm/emit.h"

#include <array>
#include <cstring>

#include "base/bytes.h"

namespace lode::wasm {

using formats::wasm::RelocField;
using formats::wasm::RelocType;

namespace {

enum class Form : uint8_t {
  Copy, Uleb, Block, BrTable, Reference, CallIndirect, SelectType, TryTable, Memarg, I32, I64, F32, F64, Byte,
  Saturating, Vector, Atomic, FunctionAddress, DataAddress, I64Wide, F64Short, FrameAddress, Epilogue, Bad,
};

constexpr Form form_of(Immediate i) {
  switch (i) {
    case Immediate::None: return Form::Copy;
    case Immediate::BlockType: return Form::Block;
    case Immediate::Label: case Immediate::Local: case Immediate::Memory: return Form::Uleb;
    case Immediate::LabelTable: return Form::BrTable;
    case Immediate::Function: case Immediate::Global: case Immediate::Table: case Immediate::Tag:
    case Immediate::FunctionRef: return Form::Reference;
    case Immediate::IndirectType: return Form::CallIndirect;
    case Immediate::SelectType: return Form::SelectType;
    case Immediate::TryTable: return Form::TryTable;
    case Immediate::Memarg: return Form::Memarg;
    case Immediate::I32: return Form::I32;
    case Immediate::I64: return Form::I64;
    case Immediate::F32: return Form::F32;
    case Immediate::F64: return Form::F64;
    case Immediate::RefType: return Form::Byte;
    default: return Form::Bad;
  }
}

struct Tables {
  Form form[256];
  RelocType reloc[256];                      // Form::Reference
  Immediate prefixed[3][512];                // 0xfc, 0xfd, 0xfe
};

constexpr Tables make_tables() {
  Tables t{};
  for (Form& f : t.form) f = Form::Bad;
#define WASM_OP(id, name, prefix, opcode, immediate, signature, feature)                       \
  if (prefix == 0)                                                                             \
    t.form[opcode & 255] = form_of(Immediate::immediate);                                      \
  else                                                                                         \
    t.prefixed[prefix ? prefix - 0xfc : 0][opcode & 511] = Immediate::immediate;
#include "codegen/wasm/instructions.def"
#undef WASM_OP
  t.form[0xfc] = Form::Saturating;
  t.form[0xfd] = Form::Vector;
  t.form[0xfe] = Form::Atomic;
  t.form[unsigned(OwnTag::function_address)] = Form::FunctionAddress;
  t.form[unsigned(OwnTag::data_address)] = Form::DataAddress;
  t.form[unsigned(OwnTag::i64_const_wide)] = Form::I64Wide;
  t.form[unsigned(OwnTag::f64_const_short)] = Form::F64Short;
  t.form[unsigned(OwnTag::frame_address)] = Form::FrameAddress;
  t.form[unsigned(OwnTag::epilogue)] = Form::Epilogue;
  t.reloc[0x10] = t.reloc[0x12] = t.reloc[0xd2] = RelocType::function_index_leb;
  t.reloc[0x23] = t.reloc[0x24] = RelocType::global_index_leb;
  t.reloc[0x25] = t.reloc[0x26] = RelocType::table_number_leb;
  t.reloc[0x07] = t.reloc[0x08] = RelocType::tag_index_leb;
  return t;
}
constexpr Tables tables = make_tables();

struct Emitter {
  const mir::FunctionView& fn;
  const ReferenceValue* values;
  const EmitOptions& options;
  uint8_t* start;
  uint8_t* p;
  std::vector<Fixup>* fixups;
  bool memory64;
  Frame frame;

  void uleb(uint64_t v) {
    if (v < 0x80)
      *p++ = uint8_t(v);
    else
      p += write_uleb(p, v);
  }
  void sleb(int64_t v) { p += write_sleb(p, v); }

  // A value that depends on the link.
  void linked(RelocType type, uint32_t reference, uint64_t value) {
    RelocField field = formats::wasm::info(type).field;
    if (options.object) {
      fixups->push_back({uint32_t(p - start), reference, type});
      formats::wasm::write_field(p, field, value);
      p += formats::wasm::field_size(field);
    } else if (field == RelocField::sleb5) {
      sleb(int32_t(uint32_t(value)));
    } else if (field == RelocField::sleb10) {
      sleb(int64_t(value));
    } else {
      uleb(value);
    }
  }
  void linked(RelocType type, uint32_t reference) { linked(type, reference, values[reference]); }

  void block_type(uint32_t operand) {
    if (operand < 0x100)
      *p++ = uint8_t(operand);
    else if (options.object)  // the field is a signed 33-bit LEB; padding an unsigned index gives the same bytes
      linked(RelocType::type_index_leb, operand - 0x100);
    else
      sleb(int64_t(values[operand - 0x100]));
  }

  void memarg(uint32_t operand) {
    uleb(MemoryOperand::align_log2(operand));
    uint32_t payload = MemoryOperand::payload(operand);
    switch (MemoryOperand::form(operand)) {
      case MemoryOperand::wide: uleb(fn.extra[payload] | uint64_t(fn.extra[payload + 1]) << 32); break;
      case MemoryOperand::symbol:
        linked(memory64 ? RelocType::memory_addr_leb64 : RelocType::memory_addr_leb, payload);
        break;
      default: uleb(payload);
    }
  }
  void prefixed_memarg(uint32_t payload, bool lane) {
    if (!(payload & PrefixedMemory::in_extra)) {
      uleb(payload >> 18 & 15);
      uleb(payload & (PrefixedMemory::offset_limit - 1));
      return;
    }
    uint32_t at = payload & (PrefixedMemory::extra_limit - 1);
    memarg(fn.extra[at]);
    if (lane) *p++ = uint8_t(fn.extra[at + 1]);
  }

  void address_const(int64_t v) {
    *p++ = memory64 ? 0x42 : 0x41;
    sleb(memory64 ? v : int32_t(v));
  }
  void address_op(uint8_t op32, uint8_t op64) { *p++ = memory64 ? op64 : op32; }
  void local_op(uint8_t op, uint32_t local) {
    *p++ = op;
    uleb(local);
  }
  void global_op(uint8_t op, uint32_t reference) {
    *p++ = op;
    linked(RelocType::global_index_leb, reference);
  }

  void prologue() {
    bool saved = frame.saved_local != Frame::no_local;
    global_op(0x23, frame.stack_pointer);
    if (saved) local_op(0x22, frame.saved_local);
    if (frame.size) {
      address_const(frame.size);
      address_op(0x6b, 0x7d);  // sub
    }
    if (frame.align_log2 > 4) {
      address_const(-(int64_t{1} << frame.align_log2));
      address_op(0x71, 0x83);  // and
    }
    if (frame.keeps_stack_pointer) {
      local_op(0x22, frame.base_local);
      global_op(0x24, frame.stack_pointer);
    } else {
      local_op(0x21, frame.base_local);
    }
  }

  void epilogue() {
    if (!frame.present || !frame.keeps_stack_pointer) return;
    if (frame.saved_local != Frame::no_local) {
      local_op(0x20, frame.saved_local);
    } else {
      local_op(0x20, frame.base_local);
      if (frame.size) {
        address_const(frame.size);
        address_op(0x6a, 0x7c);  // add
      }
    }
    global_op(0x24, frame.stack_pointer);
  }

  void locals() {
    std::span<const uint8_t> all = fn.locals;
    uint32_t runs = 0;
    for (size_t i = 0; i < all.size(); i++) runs += i == 0 || all[i] != all[i - 1];
    uleb(runs);
    for (size_t i = 0; i < all.size();) {
      size_t end = i + 1;
      while (end < all.size() && all[end] == all[i]) end++;
      uleb(end - i);
      *p++ = all[i];
      i = end;
    }
  }

  void prefixed(uint8_t tag, uint32_t operand) {
    uint32_t opcode = operand & prefixed_opcode_mask, payload = operand >> prefixed_opcode_bits;
    *p++ = tag;
    uleb(opcode);
    switch (tables.prefixed[tag - 0xfc][opcode]) {
      case Immediate::Memarg: prefixed_memarg(payload, false); break;
      case Immediate::MemargLane: prefixed_memarg(payload, true); break;
      case Immediate::Lane: *p++ = uint8_t(payload); break;
      case Immediate::V128: case Immediate::Shuffle:
        std::memcpy(p, &fn.extra[payload], 16);
        p += 16;
        break;
      case Immediate::DataSegment: case Immediate::ElementSegment: uleb(payload); break;
      case Immediate::MemoryInit:
        uleb(payload);
        *p++ = 0;
        break;
      case Immediate::MemoryCopy:
        *p++ = 0;
        *p++ = 0;
        break;
      case Immediate::MemoryFill: case Immediate::Fence: *p++ = 0; break;
      case Immediate::Table: linked(RelocType::table_number_leb, payload); break;
      case Immediate::TableInit:
        uleb(fn.extra[payload]);
        linked(RelocType::table_number_leb, fn.extra[payload + 1]);
        break;
      case Immediate::TableCopy:
        linked(RelocType::table_number_leb, fn.extra[payload]);
        linked(RelocType::table_number_leb, fn.extra[payload + 1]);
        break;
      default: break;
    }
  }

  void body() {
    locals();
    if (frame.present) prologue();
    const uint8_t* tags = fn.tags;
    const uint32_t* operands = fn.operands;
    for (uint32_t i = 0, n = fn.count; i < n; i++) {
      uint8_t tag = tags[i];
      uint32_t operand = operands[i];
      switch (tables.form[tag]) {
        case Form::Copy: *p++ = tag; break;
        case Form::Uleb:
          *p++ = tag;
          uleb(operand);
          break;
        case Form::Memarg:
          *p++ = tag;
          memarg(operand);
          break;
        case Form::I32:
          *p++ = tag;
          sleb(int32_t(operand));
          break;
        case Form::I64:
          *p++ = tag;
          sleb(int32_t(operand));
          break;
        case Form::F32:
          *p++ = tag;
          store_le(p, operand);
          p += 4;
          break;
        case Form::F64:
          *p++ = tag;
          std::memcpy(p, &fn.extra[operand], 8);
          p += 8;
          break;
        case Form::Block:
          *p++ = tag;
          block_type(operand);
          break;
        case Form::Reference:
          if (tag == 0x23 && (values[operand] & constant_global) && !options.object) {
            address_const(int64_t(values[operand] & ~constant_global));
            break;
          }
          *p++ = tag;
          linked(tables.reloc[tag], operand);
          break;
        case Form::CallIndirect:
          if (memory64 && !options.table64) *p++ = uint8_t(Op::i32_wrap_i64);
          *p++ = tag;
          linked(RelocType::type_index_leb, operand);
          if (options.object && options.table_fixups)
            linked(RelocType::table_number_leb, Fixup::indirect_table, options.indirect_table);
          else
            uleb(options.indirect_table);
          break;
        case Form::BrTable: {
          *p++ = tag;
          const uint32_t* x = &fn.extra[operand];
          uleb(x[0]);
          for (uint32_t k = 0; k <= x[0]; k++) uleb(x[1 + k]);
          break;
        }
        case Form::SelectType:
          *p++ = tag;
          *p++ = 1;
          *p++ = uint8_t(operand);
          break;
        case Form::Byte:
          *p++ = tag;
          *p++ = uint8_t(operand);
          break;
        case Form::TryTable: {
          *p++ = tag;
          const uint32_t* x = &fn.extra[operand];
          block_type(x[0]);
          uleb(x[1]);
          for (uint32_t k = 0; k < x[1]; k++) {
            const uint32_t* clause = x + 2 + 3 * k;
            *p++ = uint8_t(clause[0]);
            if (clause[0] < 2) linked(RelocType::tag_index_leb, clause[1]);  // catch, catch_ref
            uleb(clause[2]);
          }
          break;
        }
        case Form::Saturating: case Form::Vector: case Form::Atomic: prefixed(tag, operand); break;
        case Form::FunctionAddress:
          *p++ = memory64 ? 0x42 : 0x41;
          linked(memory64 ? RelocType::table_index_sleb64 : RelocType::table_index_sleb, operand);
          break;
        case Form::DataAddress: {
          bool tls = fn.references[operand].kind == mir::ReferenceKind::tls_local_exec;
          *p++ = memory64 ? 0x42 : 0x41;
          linked(memory64 ? (tls ? RelocType::memory_addr_tls_sleb64 : RelocType::memory_addr_sleb64)
                          : (tls ? RelocType::memory_addr_tls_sleb : RelocType::memory_addr_sleb),
                 operand);
          break;
        }
        case Form::I64Wide:
          *p++ = 0x42;
          sleb(int64_t(fn.extra[operand] | uint64_t(fn.extra[operand + 1]) << 32));
          break;
        case Form::F64Short: {
          float f;
          std::memcpy(&f, &operand, 4);
          double d = f;
          *p++ = 0x44;
          std::memcpy(p, &d, 8);
          p += 8;
          break;
        }
        case Form::FrameAddress:
          local_op(0x20, frame.base_local);
          if (operand) {
            address_const(int32_t(operand));
            address_op(0x6a, 0x7c);
          }
          break;
        case Form::Epilogue: epilogue(); break;
        case Form::Bad: *p++ = 0; break;  // no select pass makes it; `unreachable` keeps the module valid
      }
    }
    *p++ = 0x0b;
  }
};

}  // namespace

size_t body_bound(const mir::FunctionView& fn) {
  return size_t(fn.count) * 32 + fn.extra.size() * 5 + fn.locals.size() * 6 + 80;
}

uint8_t* emit_body(const mir::FunctionView& fn, std::span<const ReferenceValue> values, const EmitOptions& options,
                   uint8_t* out, std::vector<Fixup>* fixups) {
  Emitter e{
      fn, values.data(), options, out, out, fixups, bool(fn.flags & function_flags::memory64), Frame::read(fn.frame)};
  e.body();
  return e.p;
}

void count_references(const mir::FunctionView& fn, std::span<uint32_t> counts) {
  auto add = [&](uint32_t r) {
    if (r < counts.size()) counts[r]++;
  };
  Frame frame = Frame::read(fn.frame);
  auto memarg = [&](uint32_t operand) {
    if (MemoryOperand::form(operand) == MemoryOperand::symbol) add(MemoryOperand::payload(operand));
  };
  if (frame.present) {
    add(frame.stack_pointer);
    if (frame.keeps_stack_pointer) add(frame.stack_pointer);
  }
  for (uint32_t i = 0; i < fn.count; i++) {
    uint32_t operand = fn.operands[i];
    switch (tables.form[fn.tags[i]]) {
      case Form::Reference: case Form::CallIndirect: case Form::FunctionAddress:
      case Form::DataAddress: add(operand); break;
      case Form::Block:
        if (operand >= 0x100) add(operand - 0x100);
        break;
      case Form::Memarg: memarg(operand); break;
      case Form::TryTable: {
        const uint32_t* x = &fn.extra[operand];
        if (x[0] >= 0x100) add(x[0] - 0x100);
        for (uint32_t k = 0; k < x[1]; k++)
          if (x[2 + 3 * k] < 2) add(x[3 + 3 * k]);
        break;
      }
      case Form::Saturating: case Form::Vector: case Form::Atomic: {
        uint32_t payload = operand >> prefixed_opcode_bits;
        switch (tables.prefixed[fn.tags[i] - 0xfc][operand & prefixed_opcode_mask]) {
          case Immediate::Memarg: case Immediate::MemargLane:
            if (payload & PrefixedMemory::in_extra) memarg(fn.extra[payload & (PrefixedMemory::extra_limit - 1)]);
            break;
          case Immediate::Table: add(payload); break;
          case Immediate::TableInit: add(fn.extra[payload + 1]); break;
          case Immediate::TableCopy:
            add(fn.extra[payload]);
            add(fn.extra[payload + 1]);
            break;
          default: break;
        }
        break;
      }
      case Form::Epilogue:
        if (frame.present && frame.keeps_stack_pointer) add(frame.stack_pointer);
        break;
      default: break;
    }
  }
}

mir::FunctionView view_of(const mir::FunctionDraft& draft, std::vector<uint8_t>& tags) {
  tags.assign(draft.tags.begin(), draft.tags.end());
  mir::FunctionView v;
  v.symbol = draft.symbol;
  v.tags = tags.data();
  v.operands = draft.operands.data();
  v.count = uint32_t(tags.size());
  v.extra = draft.extra;
  v.locals = draft.locals;
  v.references = draft.references;
  v.constants = draft.constants;
  v.frame = draft.frame;
  v.tag_bytes = 1;
  v.flags = draft.flags;
  return v;
}

}  // namespace lode::wasm
