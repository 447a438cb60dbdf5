// Emit in three steps, the first two shared by measure():
//   1. Assemble: one pass over the MIR writes every instruction but the branches to a working buffer. A branch is a
//      mark between two bytes, and so is an alignment. A field whose value needs final addresses is a patch. Widths
//      depend on the forms of the references, never on addresses, which is what makes measure() and emit() agree.
//   2. Relax: each branch starts at its smallest size (nothing, for a forward branch to the next byte; else 2) and
//      grows until all displacements fit. A branch's size only grows, so this ends, and without alignments at the least
//      solution. An alignment's size follows from where it stands, from the function's start, which layout aligns at
//      least as much.
//   3. Write: the pieces between the branches are copied to their final place, branches written, patches applied.
//
// Object mode leaves a Fixup for each patch that refers to a symbol; references to the function's own constants go
// through its Reference of kind `constants`.
#include "codegen/x86_64/emit.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "codegen/native/exception_table.h"
#include "codegen/x86_64/cfi.h"
#include "codegen/x86_64/encode.h"
#include "codegen/x86_64/lower_frame.h"
#include "codegen/x86_64/mir.h"
#include "formats/elf/elf.h"

namespace lode::x86_64 {

using codegen::EmitPlace;
using codegen::FunctionSizes;
using codegen::ReferenceForm;
using codegen::ResolvedReference;
using codegen::TargetOptions;
using mir::ReferenceKind;

namespace {

// A place in the text while the branches' sizes are open.
struct Place {
  uint32_t offset;    // bytes that are not branches
  uint32_t branches;  // branches before it
};

struct Branch {
  uint32_t offset;   // where it stands, as Place::offset
  uint32_t target;   // MIR index; alignment: the operand word
  uint16_t size;     // 0, 2, 5 (jmp) or 6 (jcc); alignment: the bytes it skips, below 4096
  uint8_t opcode;    // short form: eb, or 70 + condition
  bool alignment;
};

enum class PatchKind : uint8_t {
  pc_reference,  // address of reference `target` + addend - end of the instruction
  pc_constants,  // own constants + addend - end of the instruction
  pc_label,      // MIR index `target` - end of the instruction
  abs_reference, // address of the reference + addend, sign-extended 32 bits
  abs_zero,      // the same, zero-extended 32 bits (mov r32, imm32)
  fixup,         // object mode: relocation `type` against reference `target`; addend complete
};
struct Patch {
  Place field;
  uint32_t target;
  int64_t addend;
  uint32_t type;
  PatchKind kind;
  uint8_t tail;  // bytes of the instruction behind the field
};

struct Table {
  uint32_t extra;  // index of {count, offset, targets}
};

struct Work {
  std::vector<uint8_t> code;
  std::vector<Place> places;  // by MIR index, and one for the end
  std::vector<Branch> branches;
  std::vector<uint32_t> branch_bytes;  // sizes of the first k branches together
  std::vector<Patch> patches;
  std::vector<Table> tables;
  std::vector<CfiRow> cfi;
  std::vector<Place> traps;   // of type checks
  uint32_t entry = 0;         // no branch stands before it
  std::vector<uint8_t> cfi_bytes;
  codegen::ExceptionTable exceptions;
  std::vector<int32_t> slots;
  uint32_t code_size = 0;
  uint64_t max_padding = 0;  // of all alignments together
};

Work& work() {
  static thread_local Work w;
  return w;
}

Error damaged() { return error("damaged x86_64 machine code in the store"); }

// Intel SDM, NOP, "Recommended Multi-Byte Sequence of NOP Instruction".
uint8_t* put_nops(uint8_t* p, unsigned bytes) {
  static constexpr uint8_t longest[9][9] = {{0x90},
                                            {0x66, 0x90},
                                            {0x0f, 0x1f, 0x00},
                                            {0x0f, 0x1f, 0x40},
                                            {0x0f, 0x1f, 0x44},
                                            {0x66, 0x0f, 0x1f, 0x44},
                                            {0x0f, 0x1f, 0x80},
                                            {0x0f, 0x1f, 0x84},
                                            {0x66, 0x0f, 0x1f, 0x84}};
  while (bytes) {
    unsigned n = std::min(bytes, 9u);
    std::memcpy(p, longest[n - 1], n);
    p += n;
    bytes -= n;
  }
  return p;
}

class Assembler {
 public:
  Assembler(const mir::FunctionView& fn, std::span<const ResolvedReference> refs, const TargetOptions& options, Work& w)
      : fn_(fn), refs_(refs), options_(options), w_(w), decode_{fn.extra} {}

  Result<void> run();

 private:
  const mir::FunctionView& fn_;
  std::span<const ResolvedReference> refs_;
  const TargetOptions& options_;
  Work& w_;
  Decoder decode_;
  FramePlan frame_;
  uint8_t* p_ = nullptr;
  uint8_t* begin_ = nullptr;
  const char* problem_ = nullptr;  // first thing that cannot be done; the text of the error

  void fail(const char* why) {
    if (!problem_) problem_ = why;
  }
  Place here(const uint8_t* p) const { return {uint32_t(p - begin_), uint32_t(w_.branches.size())}; }
  void reserve(size_t bytes) {
    size_t used = size_t(p_ - begin_);
    if (w_.code.size() - used >= bytes) return;
    w_.code.resize((used + bytes) * 2);
    begin_ = w_.code.data();
    p_ = begin_ + used;
  }
  bool valid_reference(uint32_t ref) {
    if (ref < refs_.size()) return true;
    decode_.ok = false;
    return false;
  }
  uint32_t constants_reference();

  // A memory operand on its way: what its displacement field becomes.
  struct Pending {
    Address address;
    PatchKind kind = PatchKind::pc_label;
    bool patch = false;
    uint32_t target = 0, type = 0;
    int64_t addend = 0;
  };
  void resolve(const Mem& m, Pending& out);
  void resolve_symbol(const Mem& m, Pending& out);
  void frame_address(Address& a, uint8_t base, int64_t disp);
  // After the instruction has been written up to `end`.
  void finish(Pending& x, const uint8_t* end);
  void pc_patch(const uint8_t* field, PatchKind kind, uint32_t target, int64_t addend, uint32_t type = 0) {
    w_.patches.push_back({here(field), target, addend, type, kind, 0});
  }

  void epilogue(bool tail);
  void after_epilogue();
  void jump_to_reference(uint32_t ref, bool call);
  void lea_reference(uint8_t r, uint32_t ref);
  void thread_pointer(uint8_t r);
  void tls_local_exec(uint8_t r, uint32_t ref, bool relocation);
  void tls_initial_exec(uint8_t r, uint32_t ref, Op op, bool relocation);
  void tls_address(uint8_t r, uint32_t ref, bool offset_only);
  void tls_general_dynamic(uint32_t at);
  void jump_table(uint32_t operand);
  void raw_bytes(uint32_t at);
  void surround_entry();
  void rip_instruction(Op op, uint8_t r, PatchKind kind, uint32_t target, int64_t addend, uint32_t type = 0);
};

uint32_t Assembler::constants_reference() {
  for (size_t i = fn_.references.size(); i-- > 0;)
    if (fn_.references[i].kind == ReferenceKind::constants) return uint32_t(i);
  decode_.ok = false;
  return 0;
}

void Assembler::frame_address(Address& a, uint8_t base, int64_t disp) {
  if (disp != int32_t(disp)) fail("a stack address does not fit in 32 bits");
  a.base = base;
  a.disp = int32_t(disp);
}

void Assembler::resolve(const Mem& m, Pending& x) {
  Address& a = x.address;
  a.index = m.index;
  a.scale_log2 = m.scale_log2;
  a.segment = m.segment;
  switch (m.kind) {
    case Mem::Kind::base:
      a.base = m.base;
      a.disp = m.disp;
      return;
    case Mem::Kind::slot:
      if (m.target >= w_.slots.size()) {
        decode_.ok = false;
        return;
      }
      return frame_address(a, frame_.slot_base, int64_t(w_.slots[m.target]) + m.disp);
    case Mem::Kind::incoming:
      return frame_address(a, frame_.incoming_base, int64_t(frame_.incoming_disp) + m.disp);
    case Mem::Kind::outgoing:
      return frame_address(a, reg::rsp, m.disp);
    case Mem::Kind::dynamic_area:
      return frame_address(a, reg::rsp, int64_t(frame_.outgoing) + m.disp);
    case Mem::Kind::absolute:
      a.disp = m.disp;
      return;
    case Mem::Kind::constants:
      a.rip = true;
      x.patch = true;
      x.addend = m.disp;
      if (options_.object) {
        x.kind = PatchKind::fixup;
        x.target = constants_reference();
        x.type = formats::elf::R_X86_64_PC32;
      } else {
        x.kind = PatchKind::pc_constants;
      }
      return;
    case Mem::Kind::symbol:
      return resolve_symbol(m, x);
  }
  decode_.ok = false;
}

void Assembler::resolve_symbol(const Mem& m, Pending& x) {
  if (!valid_reference(m.target)) return;
  Address& a = x.address;
  bool registers = m.base != reg::none || m.index != reg::none;
  a.base = m.base;
  x.patch = true;
  x.target = m.target;
  x.addend = m.disp;
  switch (refs_[m.target].form) {
    case ReferenceForm::direct:
    case ReferenceForm::absolute: {
      bool absolute = registers || (options_.pic && refs_[m.target].form == ReferenceForm::absolute);
      if (registers && options_.pic && refs_[m.target].form == ReferenceForm::direct)
        fail("a symbol's absolute address in position-independent code");
      a.rip = !absolute;
      a.wide = absolute;
      x.kind = absolute ? PatchKind::abs_reference : PatchKind::pc_reference;
      return;
    }
    case ReferenceForm::tls_local_exec:
      a.wide = true;
      x.kind = PatchKind::abs_reference;
      return;
    case ReferenceForm::relocation: {
      x.kind = PatchKind::fixup;
      x.addend += fn_.references[m.target].addend;
      switch (fn_.references[m.target].kind) {
        case ReferenceKind::tls_local_exec:
          a.wide = true;
          x.type = formats::elf::R_X86_64_TPOFF32;
          return;
        case ReferenceKind::direct:
          a.rip = !registers;
          a.wide = registers;
          x.type = registers ? formats::elf::R_X86_64_32S : formats::elf::R_X86_64_PC32;
          return;
        default:
          return fail("a memory operand refers to a symbol that is only reachable through the GOT");
      }
    }
    default:
      return fail("a memory operand refers to a symbol that is only reachable through the GOT");
  }
}

void Assembler::finish(Pending& x, const uint8_t* end) {
  if (!x.patch || !x.address.field) return;
  uint8_t tail = uint8_t(end - (x.address.field + 4));
  if (x.kind == PatchKind::fixup && x.address.rip) x.addend -= 4 + tail;
  w_.patches.push_back({here(x.address.field), x.target, x.addend, x.type, x.kind, tail});
}

void Assembler::epilogue(bool tail) {
  p_ = put_epilogue(p_, frame_, tail, begin_, uint32_t(w_.branches.size()), w_.cfi);
}

void Assembler::after_epilogue() {
  if (frame_.cfi && (frame_.frame_pointer || frame_.push_count || frame_.size))
    w_.cfi.push_back({uint32_t(p_ - begin_), uint32_t(w_.branches.size()), CfiRow::Kind::restore, 0, 0});
}

void Assembler::rip_instruction(Op op, uint8_t r, PatchKind kind, uint32_t target, int64_t addend, uint32_t type) {
  Address a;
  a.rip = true;
  p_ = encode_rm(p_, info(op), r, a);
  pc_patch(a.field, kind, target, kind == PatchKind::fixup ? addend - 4 : addend, type);
}

void Assembler::jump_to_reference(uint32_t ref, bool call) {
  if (!valid_reference(ref)) return;
  switch (refs_[ref].form) {
    case ReferenceForm::direct:
    case ReferenceForm::absolute:
      *p_++ = call ? 0xe8 : 0xe9;
      pc_patch(p_, PatchKind::pc_reference, ref, 0);
      break;
    case ReferenceForm::relocation:
      *p_++ = call ? 0xe8 : 0xe9;
      pc_patch(p_, PatchKind::fixup, ref, int64_t(fn_.references[ref].addend) - 4, formats::elf::R_X86_64_PLT32);
      break;
    case ReferenceForm::got:
      *p_++ = 0xff;
      *p_++ = call ? 0x15 : 0x25;
      pc_patch(p_, PatchKind::pc_reference, ref, 0);
      break;
    default:
      return fail("a call of a thread-local symbol");
  }
  store_le(p_, uint32_t{0});
  p_ += 4;
}

void Assembler::lea_reference(uint8_t r, uint32_t ref) {
  if (!valid_reference(ref)) return;
  switch (refs_[ref].form) {
    case ReferenceForm::direct:
      return rip_instruction(Op::lea64rm, r, PatchKind::pc_reference, ref, 0);
    case ReferenceForm::got:
      return rip_instruction(Op::mov64rm, r, PatchKind::pc_reference, ref, 0);
    case ReferenceForm::absolute:
      p_ = encode_ri(p_, info(Op::mov32ri), r, 0);
      pc_patch(p_ - 4, PatchKind::abs_zero, ref, 0);
      return;
    case ReferenceForm::relocation:
      switch (fn_.references[ref].kind) {
        case ReferenceKind::direct:
        case ReferenceKind::call:
        case ReferenceKind::constants:
          return rip_instruction(Op::lea64rm, r, PatchKind::fixup, ref, fn_.references[ref].addend,
                                 formats::elf::R_X86_64_PC32);
        case ReferenceKind::got:
          return rip_instruction(Op::mov64rm, r, PatchKind::fixup, ref, 0, formats::elf::R_X86_64_REX_GOTPCRELX);
        default:
          break;
      }
      [[fallthrough]];
    default:
      return fail("the plain address of a thread-local symbol");
  }
}

void Assembler::thread_pointer(uint8_t r) {
  Address a;
  a.segment = Segment::fs;
  p_ = encode_rm(p_, info(Op::mov64rm), r, a);
}

// r += offset of the variable
void Assembler::tls_local_exec(uint8_t r, uint32_t ref, bool relocation) {
  Address a;
  a.base = r;
  a.wide = true;
  p_ = encode_rm(p_, info(Op::lea64rm), r, a);
  if (relocation) pc_patch(a.field, PatchKind::fixup, ref, fn_.references[ref].addend, formats::elf::R_X86_64_TPOFF32);
  else pc_patch(a.field, PatchKind::abs_reference, ref, 0);
}

// r = or += the GOT slot with the offset
void Assembler::tls_initial_exec(uint8_t r, uint32_t ref, Op op, bool relocation) {
  if (relocation) rip_instruction(op, r, PatchKind::fixup, ref, 0, formats::elf::R_X86_64_GOTTPOFF);
  else rip_instruction(op, r, PatchKind::pc_reference, ref, 0);
}

void Assembler::tls_address(uint8_t r, uint32_t ref, bool offset_only) {
  if (!valid_reference(ref)) return;
  ReferenceForm form = refs_[ref].form;
  bool relocation = form == ReferenceForm::relocation;
  if (relocation) {
    if (fn_.references[ref].kind == ReferenceKind::tls_local_exec) form = ReferenceForm::tls_local_exec;
    if (fn_.references[ref].kind == ReferenceKind::tls_initial_exec) form = ReferenceForm::tls_initial_exec;
  }
  if (form == ReferenceForm::tls_local_exec) {
    if (!offset_only) {
      thread_pointer(r);
      return tls_local_exec(r, ref, relocation);
    }
    p_ = encode_ri(p_, info(Op::mov64ri), r, 0);
    if (relocation) pc_patch(p_ - 4, PatchKind::fixup, ref, fn_.references[ref].addend, formats::elf::R_X86_64_TPOFF32);
    else pc_patch(p_ - 4, PatchKind::abs_reference, ref, 0);
    return;
  }
  if (form == ReferenceForm::tls_initial_exec) {
    if (!offset_only) thread_pointer(r);
    return tls_initial_exec(r, ref, offset_only ? Op::mov64rm : Op::add64rm, relocation);
  }
  fail("a thread-local symbol that needs a dynamic TLS model, in code that was made for a static one");
}

void Assembler::tls_general_dynamic(uint32_t at) {
  uint32_t ref = decode_.word(at), get_addr = decode_.word(uint64_t(at) + 1);
  if (!valid_reference(ref) || !valid_reference(get_addr)) return;
  switch (refs_[ref].form) {
    case ReferenceForm::tls_local_exec:
      thread_pointer(reg::rax);
      return tls_local_exec(reg::rax, ref, false);
    case ReferenceForm::tls_initial_exec:
      thread_pointer(reg::rax);
      return tls_initial_exec(reg::rax, ref, Op::add64rm, false);
    case ReferenceForm::tls_general_dynamic:
      rip_instruction(Op::lea64rm, reg::rdi, PatchKind::pc_reference, ref, 0);
      return jump_to_reference(get_addr, true);
    case ReferenceForm::relocation:
      // The padded form that linkers know how to relax (psABI, "Thread-Local Storage"): data16 lea; data16 data16 rex.W
      // call
      *p_++ = 0x66;
      rip_instruction(Op::lea64rm, reg::rdi, PatchKind::fixup, ref, 0, formats::elf::R_X86_64_TLSGD);
      *p_++ = 0x66;
      *p_++ = 0x66;
      *p_++ = 0x48;
      return jump_to_reference(get_addr, true);
    default:
      return fail("a thread-local symbol resolved to a form that x86_64 code cannot use here");
  }
}

void Assembler::jump_table(uint32_t operand) {
  uint8_t index = operand & 15, scratch = operand >> 4 & 15;
  uint32_t at = operand >> 8;
  uint64_t count = decode_.word(at), table = decode_.word(uint64_t(at) + 1);
  if (!decode_.ok || at + 2 + count > fn_.extra.size() || table + 4 * count > fn_.constants.size()) {
    decode_.ok = false;
    return;
  }
  w_.tables.push_back({at});
  if (options_.object)
    rip_instruction(Op::lea64rm, scratch, PatchKind::fixup, constants_reference(), int64_t(table),
                    formats::elf::R_X86_64_PC32);
  else rip_instruction(Op::lea64rm, scratch, PatchKind::pc_constants, 0, int64_t(table));
  Address a;
  a.base = scratch;
  a.index = index;
  a.scale_log2 = 2;
  p_ = encode_rm(p_, info(Op::movsxd64rm32), index, a);
  p_ = encode_rr(p_, info(Op::add64rr), index, scratch);
  if (fn_.frame[frame::word_flags] & frame::untracked_tables) p_ = encode_none(p_, info(Op::notrack));
  p_ = encode_r(p_, info(Op::jmp64r), index);
}

// The type id and the nops in front of the entry; at it the mark, then nops, then the call of a profiler.
void Assembler::surround_entry() {
  const uint32_t at = fn_.frame[frame::word_entry];
  if (!at) return;
  const uint64_t first = at - 1;
  const uint32_t flags = decode_.word(first + entry::word_flags), prefix = decode_.word(first + entry::word_prefix),
                 nops = decode_.word(first + entry::word_nops), fentry = decode_.word(first + entry::word_fentry);
  if (prefix > entry::most_nops || nops > entry::most_nops) decode_.ok = false;
  if (!decode_.ok) return;
  reserve(size_t{prefix} + nops + (size_t{1} << 12) + 64);
  if (flags & entry::has_type_id) {
    const uint32_t move = 5;
    p_ = std::fill_n(
        p_, align_up(move + prefix, uint64_t{1} << std::min<unsigned>(fn_.text_align_log2, 12)) - move - prefix,
        uint8_t{0x90});
    p_ = encode_ri(p_, info(Op::mov32ri), reg::rax, int64_t(decode_.word(first + entry::word_type_id)));
  }
  p_ = std::fill_n(p_, prefix, uint8_t{0x90});
  w_.entry = uint32_t(p_ - begin_);
  if (flags & entry::marked) p_ = encode_none(p_, info(Op::endbr64));
  p_ = put_nops(p_, nops);
  if (fentry) jump_to_reference(fentry - 1, true);
}

void Assembler::raw_bytes(uint32_t at) {
  uint64_t count = decode_.word(at);
  if (!decode_.ok || at + 1 + (count + 3) / 4 > fn_.extra.size()) {
    decode_.ok = false;
    return;
  }
  reserve(count + 64);
  for (uint64_t i = 0; i < count; i++) *p_++ = uint8_t(fn_.extra[at + 1 + i / 4] >> (8 * (i % 4)));
}

Result<void> Assembler::run() {
  w_.places.clear();
  w_.branches.clear();
  w_.patches.clear();
  w_.tables.clear();
  w_.cfi.clear();
  w_.traps.clear();
  w_.entry = 0;
  w_.max_padding = 0;
  if (fn_.tag_bytes != 2 || refs_.size() != fn_.references.size()) return damaged();
  LODE_ASSIGN(frame_, plan_frame(fn_, w_.slots));
  if (w_.code.size() < size_t{fn_.count} * 8 + 256) w_.code.resize(size_t{fn_.count} * 8 + 256);
  w_.places.resize(size_t{fn_.count} + 1);
  begin_ = p_ = w_.code.data();
  surround_entry();
  static_assert(max_prologue_code <= 256);
  reserve(max_prologue_code);
  p_ = put_prologue(p_, frame_, begin_, w_.cfi, [&](uint8_t* p) {
    p_ = p;
    jump_to_reference(frame_.probe_reference, true);
    return p_;
  });
  if (!decode_.ok) return damaged();

  for (uint32_t i = 0; i < fn_.count; i++) {
    reserve(max_frame_code + 16);
    w_.places[i] = here(p_);
    uint16_t tag = fn_.tag16(i);
    unsigned op = tag & 0xfff;
    if (op >= op_count) return damaged();
    const InstInfo& row = inst_table[op];
    Cond cc = tag_cond(tag);
    uint32_t o = fn_.operands[i];
    switch (row.form) {
      case Form::none:
        p_ = encode_none(p_, row);
        break;
      case Form::r:
        p_ = encode_r(p_, row, o & 15, cc);
        break;
      case Form::rr:
        p_ = encode_rr(p_, row, o & 15, o >> 4 & 15, cc);
        break;
      case Form::ri:
        p_ = encode_ri(p_, row, o & 15, decode_.immediate(o, 4, row.imm == Imm::iq));
        break;
      case Form::rri:
        p_ = encode_rri(p_, row, o & 15, o >> 4 & 15, decode_.immediate(o, 8, false));
        break;
      case Form::i:
        p_ = encode_i(p_, row, decode_.immediate(o, 4, false));
        break;
      case Form::rm:
      case Form::mr: {
        Pending x;
        resolve(decode_.memory(o), x);
        p_ = encode_rm(p_, row, o & 15, x.address, cc);
        finish(x, p_);
        break;
      }
      case Form::m: {
        Pending x;
        resolve(decode_.memory(o), x);
        p_ = encode_m(p_, row, x.address, cc);
        finish(x, p_);
        break;
      }
      case Form::mi: {
        Pending x;
        int64_t imm;
        resolve(decode_.memory_immediate(o, imm), x);
        p_ = encode_mi(p_, row, x.address, imm);
        finish(x, p_);
        break;
      }
      case Form::rmi: {
        Pending x;
        int64_t imm;
        resolve(decode_.register_memory_immediate(o, imm), x);
        p_ = encode_rmi(p_, row, o & 15, x.address, imm);
        finish(x, p_);
        break;
      }
      case Form::pseudo_branch: {
        if (o >= fn_.count) return damaged();
        bool conditional = Op(op) == Op::jcc;
        w_.branches.push_back({uint32_t(p_ - begin_), o, uint16_t(o > i ? 0 : 2),
                               uint8_t(conditional ? 0x70 | uint8_t(cc) : 0xeb), false});
        break;
      }
      case Form::pseudo_none:
        if (Op(op) == Op::ret) {
          epilogue(false);
          *p_++ = 0xc3;
          after_epilogue();
        } else if (Op(op) == Op::type_trap) {
          w_.traps.push_back(here(p_));
          p_ = encode_none(p_, info(Op::ud2));
        }
        break;
      case Form::pseudo_r:
        if (Op(op) == Op::zero32r) {
          p_ = encode_rr(p_, info(Op::xor32rr), o & 15, o & 15);
        } else if (Op(op) == Op::thread_pointer) {
          thread_pointer(o & 15);
        } else {  // tail64r
          epilogue(true);
          if (o & 16) p_ = encode_none(p_, info(Op::notrack));
          p_ = encode_r(p_, info(Op::jmp64r), o & 15);
          after_epilogue();
        }
        break;
      case Form::pseudo_ref:
        if (Op(op) != Op::jmp_ref) {
          jump_to_reference(o, Op(op) == Op::call_ref);
        } else {
          epilogue(true);
          jump_to_reference(o, false);
          after_epilogue();
        }
        break;
      case Form::pseudo_r_ref:
        if (Op(op) == Op::lea_ref) lea_reference(o & 15, o >> 4);
        else tls_address(o & 15, o >> 4, Op(op) == Op::tls_offset);
        break;
      case Form::pseudo_r_label:
        if (o >> 4 >= fn_.count) return damaged();
        rip_instruction(Op::lea64rm, o & 15, PatchKind::pc_label, o >> 4, 0);
        break;
      case Form::pseudo_jump_table:
        jump_table(o);
        break;
      case Form::pseudo_tls_gd:
        tls_general_dynamic(o);
        break;
      case Form::pseudo_bytes:
        raw_bytes(o);
        break;
      case Form::pseudo_align:
        if ((o & 15) < 1 || (o & 15) > 12 || (o & 15) > fn_.text_align_log2) return damaged();
        w_.branches.push_back({uint32_t(p_ - begin_), o, 0, 0, true});
        w_.max_padding += 1u << (o & 15);
        break;
    }
    if (!decode_.ok) return damaged();
    if (problem_) return error(std::string("x86_64: ") + problem_);
  }
  w_.places[fn_.count] = here(p_);
  if (size_t(p_ - begin_) + 6 * w_.branches.size() + w_.max_padding > 0x7fffffff)
    return error("the function's code is larger than 2 GiB");
  w_.code_size = uint32_t(p_ - begin_);
  return {};
}

void relax(Work& w) {
  size_t n = w.branches.size();
  w.branch_bytes.resize(n + 1);
  for (Branch& b : w.branches)
    if (!b.alignment && b.size == 0 && w.places[b.target].offset != b.offset) b.size = 2;
  auto sum = [&] {
    uint32_t bytes = 0;
    for (size_t k = 0; k < n; k++) {
      Branch& b = w.branches[k];
      w.branch_bytes[k] = bytes;
      if (b.alignment) {
        uint32_t skip = -(b.offset + bytes) & ((1u << (b.target & 15)) - 1);
        b.size = uint16_t(skip <= b.target >> 4 ? skip : 0);
      }
      bytes += b.size;
    }
    w.branch_bytes[n] = bytes;
  };
  sum();
  for (bool changed = n != 0; changed;) {
    changed = false;
    for (size_t k = 0; k < n; k++) {
      Branch& b = w.branches[k];
      if (b.alignment || b.size > 2) continue;
      const Place& t = w.places[b.target];
      int64_t distance =
          int64_t(t.offset) + w.branch_bytes[t.branches] - (int64_t(b.offset) + w.branch_bytes[k] + b.size);
      uint16_t size = b.size;
      if (size == 0 && distance != 0) size = 2;
      if (size == 2 && distance != int8_t(distance)) size = b.opcode == 0xeb ? 5 : 6;
      if (size != b.size) {
        b.size = size;
        changed = true;
      }
    }
    if (changed) sum();
  }
}

Result<FunctionSizes> prepare(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                              const TargetOptions& options, Work& w) {
  LODE_TRY(Assembler(fn, references, options, w).run());
  relax(w);
  FunctionSizes sizes;
  sizes.text = w.code_size + w.branch_bytes.back();
  sizes.constants = uint32_t(fn.constants.size());
  sizes.entry = w.entry;
  sizes.traps = uint32_t(w.traps.size());
  w.cfi_bytes.clear();
  append_cfi(w.cfi, w.branch_bytes, sizes.text, w.cfi_bytes);
  sizes.cfi = uint32_t(w.cfi_bytes.size());
  w.exceptions.bytes.clear();
  if (uint32_t at = fn.frame[frame::word_exceptions]) {
    auto offset_of = [&](uint32_t i) { return w.places[i].offset + w.branch_bytes[w.places[i].branches]; };
    if (!codegen::build_exception_table(fn.extra, at - 1, fn.count, fn.references.size(), offset_of, w.exceptions))
      return damaged();
    sizes.exceptions = uint32_t(w.exceptions.bytes.size());
    sizes.personality = w.exceptions.personality;
  }
  return sizes;
}

class Writer {
 public:
  Writer(const mir::FunctionView& fn, std::span<const ResolvedReference> refs, const EmitPlace& place, Work& w)
      : fn_(fn), refs_(refs), place_(place), w_(w) {}

  void code();
  Result<void> patches();
  Result<void> constants(bool object);
  Result<void> exceptions(bool object);

 private:
  const mir::FunctionView& fn_;
  std::span<const ResolvedReference> refs_;
  const EmitPlace& place_;
  Work& w_;

  uint32_t offset(Place p) const { return p.offset + w_.branch_bytes[p.branches]; }
};

void Writer::code() {
  uint8_t* out = place_.text;
  uint32_t done = 0;
  for (size_t k = 0; k < w_.branches.size(); k++) {
    const Branch& b = w_.branches[k];
    std::memcpy(out, w_.code.data() + done, b.offset - done);
    out += b.offset - done;
    done = b.offset;
    if (b.alignment) {
      out = put_nops(out, b.size);
      continue;
    }
    if (b.size == 0) continue;
    int32_t distance = int32_t(offset(w_.places[b.target]) - (b.offset + w_.branch_bytes[k] + b.size));
    if (b.size == 2) {
      *out++ = b.opcode;
      *out++ = uint8_t(distance);
      continue;
    }
    if (b.size == 6) {
      *out++ = 0x0f;
      *out++ = b.opcode + 0x10;
    } else {
      *out++ = 0xe9;
    }
    store_le(out, distance);
    out += 4;
  }
  std::memcpy(out, w_.code.data() + done, w_.code_size - done);
}

Result<void> Writer::patches() {
  for (const Patch& x : w_.patches) {
    uint32_t field = offset(x.field);
    uint64_t end = place_.text_address + field + 4 + x.tail;
    int64_t value = 0;
    switch (x.kind) {
      case PatchKind::fixup:
        if (!place_.fixups) return error("x86_64: a relocation is left over in an executable");
        place_.fixups->push_back({field, x.type, x.target, x.addend, false, false});
        continue;
      case PatchKind::pc_reference:
        value = int64_t(refs_[x.target].address + uint64_t(x.addend) - end);
        break;
      case PatchKind::pc_constants:
        value = int64_t(place_.constants_address + uint64_t(x.addend) - end);
        break;
      case PatchKind::pc_label:
        value = int64_t(offset(w_.places[x.target])) - int64_t(field + 4 + x.tail);
        break;
      case PatchKind::abs_reference:
        value = int64_t(refs_[x.target].address + uint64_t(x.addend));
        break;
      case PatchKind::abs_zero:
        value = int64_t(refs_[x.target].address + uint64_t(x.addend));
        value =
            value == int64_t(uint32_t(value)) ? int32_t(value) : INT64_MAX;  // a negative one would lose its upper half
        break;
    }
    if (value != int32_t(value))
      return error("x86_64: reference " + std::to_string(x.target) + " of the function is out of the reach of 32 bits");
    store_le(place_.text + field, int32_t(value));
  }
  return {};
}

// The constants as they are, but for the jump tables, whose entries are the labels minus the table's start.
Result<void> Writer::constants(bool object) {
  if (!fn_.constants.empty()) std::memcpy(place_.constants, fn_.constants.data(), fn_.constants.size());
  for (const Table& t : w_.tables) {
    uint32_t count = fn_.extra[t.extra], at = fn_.extra[t.extra + 1];
    for (uint32_t i = 0; i < count; i++) {
      uint32_t target = fn_.extra[t.extra + 2 + i];
      if (target >= fn_.count) return damaged();
      uint32_t label = offset(w_.places[target]);
      if (object) {  // label - table = (text + label + 4 i) - (table + 4 i)
        if (!place_.fixups) return error("x86_64: no room for the relocations of a jump table");
        place_.fixups->push_back({at + 4 * i, formats::elf::R_X86_64_PC32, 0, int64_t(label) + 4 * i, true, true});
        continue;
      }
      int64_t value = int64_t(place_.text_address + label - (place_.constants_address + at));
      if (value != int32_t(value)) return error("x86_64: a jump table is out of the reach of 32 bits");
      store_le(place_.constants + at + 4 * i, int32_t(value));
    }
  }
  return {};
}

Result<void> Writer::exceptions(bool object) {
  const codegen::ExceptionTable& x = w_.exceptions;
  if (x.bytes.empty()) return {};
  if (!place_.exceptions) return error("x86_64: no room for an exception table");
  std::memcpy(place_.exceptions, x.bytes.data(), x.bytes.size());
  for (const codegen::ExceptionTable::Type& t : x.types) {
    if (object) {
      if (!place_.fixups) return error("x86_64: no room for the relocations of an exception table");
      codegen::Fixup fixup{t.offset, formats::elf::R_X86_64_PC32, t.reference, 0, false, false};
      fixup.in_exceptions = true;
      place_.fixups->push_back(fixup);
      continue;
    }
    int64_t value = int64_t(refs_[t.reference].address - (place_.exceptions_address + t.offset));
    if (value != int32_t(value)) return error("x86_64: a typeinfo is out of the reach of 32 bits");
    store_le(place_.exceptions + t.offset, int32_t(value));
  }
  return {};
}

}  // namespace

Result<FunctionSizes> measure(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                              const TargetOptions& options) {
  return prepare(fn, references, options, work());
}

bool asm_sections(const mir::FunctionView& fn, std::vector<codegen::AsmSection>& out) {
  return !fn.extra.empty() &&
         codegen::read_asm_sections(fn.extra, fn.extra.back(), fn.count, fn.references.size(), out);
}

Result<void> label_offsets(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                           const TargetOptions& options, std::span<uint32_t> labels) {
  Work& w = work();
  if (auto r = prepare(fn, references, options, w); !r) return r.take_error();
  for (uint32_t& label : labels) {
    if (label > fn.count) return damaged();
    label = w.places[label].offset + w.branch_bytes[w.places[label].branches];
  }
  return {};
}

Result<void> emit(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                  const TargetOptions& options, const EmitPlace& place) {
  Work& w = work();
  LODE_ASSIGN(const FunctionSizes sizes, prepare(fn, references, options, w));
  if (place.sizes && !(*place.sizes == sizes))
    return error("x86_64: the function is not of the size that was kept for it");
  Writer out(fn, references, place, w);
  out.code();
  LODE_TRY(out.patches());
  LODE_TRY(out.constants(options.object));
  LODE_TRY(out.exceptions(options.object));
  if (place.traps)
    for (const Place& p : w.traps) place.traps->push_back(p.offset + w.branch_bytes[p.branches]);
  if (place.cfi) place.cfi->insert(place.cfi->end(), w.cfi_bytes.begin(), w.cfi_bytes.end());
  return {};
}

}  // namespace lode::x86_64
