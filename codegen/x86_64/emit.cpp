// The emitter of x86_64; codegen/native/emit.h says how the parts work together.
//
// A field whose value needs final addresses is a patch. Branches have no code at all (forward, to the next byte), or 2
// bytes, or 5 (jmp) and 6 (jcc).
//
// Object mode leaves a Fixup for each patch that refers to a symbol; references to the function's own constants go
// through its Reference of kind `constants`.
#include "codegen/x86_64/emit.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "codegen/native/emit.h"
#include "codegen/x86_64/encode.h"
#include "codegen/x86_64/fixups.h"
#include "codegen/x86_64/lower_frame.h"
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

using codegen::CfiRow;
using codegen::EmitPlace;
using codegen::Fixup;
using codegen::FunctionSizes;
using codegen::ReferenceForm;
using codegen::ResolvedReference;
using codegen::TargetOptions;
using mir::ReferenceKind;

namespace {

using Place = codegen::TextPlace;

// Kinds of branches, by what they cost when they are long (Intel SDM, "Jcc" and "JMP"). Displacements count from the
// next instruction.
enum BranchKind : uint8_t { jmp_branch, jcc_branch };
constexpr codegen::BranchForm jmp_forms[] = {{0, 0, 0, 0}, {2, 2, -128, 127}, {5, 5, INT32_MIN, INT32_MAX}},
                              jcc_forms[] = {{0, 0, 0, 0}, {2, 2, -128, 127}, {6, 6, INT32_MIN, INT32_MAX}};
constexpr std::span<const codegen::BranchForm> branch_forms[] = {jmp_forms, jcc_forms};

const codegen::EmitRules rules = {"x86_64", branch_forms, cie_code_align, cie_data_align, uint16_t(FixupKind::pc32)};

enum class PatchKind : uint8_t {
  pc_reference,  // address of reference `target` + addend - end of the instruction
  pc_constants,  // own constants + addend - end of the instruction
  pc_label,      // MIR index `target` - end of the instruction
  abs_reference, // address of the reference + addend, sign-extended 32 bits
  abs_zero,      // the same, zero-extended 32 bits (mov r32, imm32)
  fixup,         // object mode: relocation `relocation` against reference `target`; addend complete
};
struct Patch {
  Place field;
  uint32_t target;
  int64_t addend;
  FixupKind relocation;
  PatchKind kind;
  uint8_t tail;  // bytes of the instruction behind the field
};

struct Work : codegen::AssembledText {
  std::vector<Patch> patches;
  std::vector<int32_t> slots;
};

Work& work() {
  static thread_local Work w;
  return w;
}

Error damaged() { return codegen::damaged_code(rules); }

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
  Result<void> begin();
  void instruction(uint32_t i, unsigned op, Cond cc, uint32_t operand);
  void pseudo(Op op);
  void pseudo_register(Op op, uint32_t operand);
  template <class F>
  void leave(bool tail, F&& jump);

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
  Place here(const uint8_t* p) const { return {uint32_t(p - begin_), uint32_t(w_.layout.branches.size())}; }
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
    uint32_t target = 0;
    FixupKind relocation = FixupKind::none;
    int64_t addend = 0;
  };
  void resolve(const Mem& m, Pending& out);
  void resolve_symbol(const Mem& m, Pending& out);
  void frame_address(Address& a, uint8_t base, int64_t disp);
  // After the instruction has been written up to `end`.
  void finish(Pending& x, const uint8_t* end);
  void pc_patch(const uint8_t* field, PatchKind kind, uint32_t target, int64_t addend,
                FixupKind relocation = FixupKind::none) {
    w_.patches.push_back({here(field), target, addend, relocation, kind, 0});
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
  void rip_instruction(Op op, uint8_t r, PatchKind kind, uint32_t target, int64_t addend,
                FixupKind relocation = FixupKind::none);
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
        x.relocation = FixupKind::pc32;
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
          x.relocation = FixupKind::tpoff32;
          return;
        case ReferenceKind::direct:
          a.rip = !registers;
          a.wide = registers;
          x.relocation = registers ? FixupKind::abs32s : FixupKind::pc32;
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
  w_.patches.push_back({here(x.address.field), x.target, x.addend, x.relocation, x.kind, tail});
}

void Assembler::epilogue(bool tail) {
  p_ = put_epilogue(p_, frame_, tail, begin_, uint32_t(w_.layout.branches.size()), w_.cfi);
}

void Assembler::after_epilogue() {
  if (frame_.cfi && (frame_.frame_pointer || frame_.push_count || frame_.size))
    w_.cfi.push_back({uint32_t(p_ - begin_), uint32_t(w_.layout.branches.size()), CfiRow::Kind::restore, 0, 0});
}

void Assembler::rip_instruction(Op op, uint8_t r, PatchKind kind, uint32_t target, int64_t addend,
                                FixupKind relocation) {
  Address a;
  a.rip = true;
  p_ = encode_rm(p_, info(op), r, a);
  pc_patch(a.field, kind, target, kind == PatchKind::fixup ? addend - 4 : addend, relocation);
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
      pc_patch(p_, PatchKind::fixup, ref, int64_t(fn_.references[ref].addend) - 4, FixupKind::plt32);
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
                                 FixupKind::pc32);
        case ReferenceKind::got:
          return rip_instruction(Op::mov64rm, r, PatchKind::fixup, ref, 0, FixupKind::rex_gotpcrelx);
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
  if (relocation) pc_patch(a.field, PatchKind::fixup, ref, fn_.references[ref].addend, FixupKind::tpoff32);
  else pc_patch(a.field, PatchKind::abs_reference, ref, 0);
}

// r = or += the GOT slot with the offset
void Assembler::tls_initial_exec(uint8_t r, uint32_t ref, Op op, bool relocation) {
  if (relocation) rip_instruction(op, r, PatchKind::fixup, ref, 0, FixupKind::gottpoff);
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
    if (relocation) pc_patch(p_ - 4, PatchKind::fixup, ref, fn_.references[ref].addend, FixupKind::tpoff32);
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
      rip_instruction(Op::lea64rm, reg::rdi, PatchKind::fixup, ref, 0, FixupKind::tlsgd);
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
  if (!codegen::valid_table(fn_, at)) {
    decode_.ok = false;
    return;
  }
  const uint32_t table = fn_.extra[at + 1];
  w_.tables.push_back(at);
  if (options_.object)
    rip_instruction(Op::lea64rm, scratch, PatchKind::fixup, constants_reference(), int64_t(table),
                    FixupKind::pc32);
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

// Everything ahead of the body: what surrounds the entry, and the prologue.
Result<void> Assembler::begin() {
  w_.clear();
  w_.patches.clear();
  if (fn_.tag_bytes != 2 || refs_.size() != fn_.references.size()) return damaged();
  LODE_ASSIGN(frame_, plan_frame(fn_, w_.slots));
  if (w_.code.size() < size_t{fn_.count} * 8 + 256) w_.code.resize(size_t{fn_.count} * 8 + 256);
  w_.layout.places.resize(size_t{fn_.count} + 1);
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
  return {};
}

Result<void> Assembler::run() {
  LODE_TRY(begin());
  for (uint32_t i = 0; i < fn_.count; i++) {
    reserve(max_frame_code + 16);
    w_.layout.places[i] = here(p_);
    const uint16_t tag = fn_.tag16(i);
    if ((tag & 0xfff) >= op_count) return damaged();
    instruction(i, tag & 0xfff, tag_cond(tag), fn_.operands[i]);
    if (!decode_.ok) return damaged();
    if (problem_) return error(std::string("x86_64: ") + problem_);
  }
  w_.layout.places[fn_.count] = here(p_);
  w_.code_size = uint32_t(p_ - begin_);
  return {};
}

// An epilogue and the jump that goes with it.
template <class F>
void Assembler::leave(bool tail, F&& jump) {
  epilogue(tail);
  jump();
  after_epilogue();
}

void Assembler::pseudo(Op op) {
  if (op == Op::ret) {
    leave(false, [&] { *p_++ = 0xc3; });
  } else if (op == Op::type_trap) {
    w_.traps.push_back(here(p_));
    p_ = encode_none(p_, info(Op::ud2));
  }
}

void Assembler::pseudo_register(Op op, uint32_t o) {
  if (op == Op::zero32r) {
    p_ = encode_rr(p_, info(Op::xor32rr), o & 15, o & 15);
  } else if (op == Op::thread_pointer) {
    thread_pointer(o & 15);
  } else {  // tail64r
    leave(true, [&] {
      if (o & 16) p_ = encode_none(p_, info(Op::notrack));
      p_ = encode_r(p_, info(Op::jmp64r), o & 15);
    });
  }
}

inline void Assembler::instruction(uint32_t i, unsigned op, Cond cc, uint32_t o) {
  const InstInfo& row = inst_table[op];
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
    case Form::rmi:
    case Form::mri: {
      Pending x;
      int64_t imm;
      resolve(decode_.register_memory_immediate(o, imm), x);
      p_ = encode_rmi(p_, row, o & 15, x.address, imm);
      finish(x, p_);
      break;
    }
    case Form::rrr:
    case Form::rrri: p_ = encode_rrr(p_, row, o & 15, o >> 4 & 15, o >> 8 & 15, o >> 12 & 0xff); break;
    case Form::rrm:
    case Form::rrmi:
    case Form::rmr:
    case Form::mrr: {
      Pending x;
      uint8_t second;
      int64_t imm = 0;
      resolve(row.form == Form::rrmi ? decode_.two_registers_memory_immediate(o, second, imm)
                                     : decode_.two_registers_memory(o, second),
              x);
      p_ = encode_rrm(p_, row, o & 15, second, x.address, imm);
      finish(x, p_);
      break;
    }
    case Form::pseudo_branch: {
      const bool conditional = Op(op) == Op::jcc;
      if (o >= fn_.count) decode_.ok = false;
      else
        w_.layout.add_branch(uint32_t(p_ - begin_), o, conditional ? jcc_branch : jmp_branch, o > i ? 0 : 1,
                             conditional ? 0x70 | uint8_t(cc) : 0xeb);
      break;
    }
    case Form::pseudo_none: pseudo(Op(op)); break;
    case Form::pseudo_r: pseudo_register(Op(op), o); break;
    case Form::pseudo_ref:
      if (Op(op) == Op::jmp_ref) leave(true, [&] { jump_to_reference(o, false); });
      else jump_to_reference(o, Op(op) == Op::call_ref);
      break;
    case Form::pseudo_r_ref:
      if (Op(op) == Op::lea_ref) lea_reference(o & 15, o >> 4);
      else tls_address(o & 15, o >> 4, Op(op) == Op::tls_offset);
      break;
    case Form::pseudo_r_label:
      if (o >> 4 >= fn_.count) decode_.ok = false;
      else rip_instruction(Op::lea64rm, o & 15, PatchKind::pc_label, o >> 4, 0);
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
      if ((o & 15) < 1 || (o & 15) > 12 || (o & 15) > fn_.text_align_log2) decode_.ok = false;
      else w_.layout.add_alignment(uint32_t(p_ - begin_), o & 15, o >> 4);
      break;
  }
}

Result<FunctionSizes> prepare(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                              const TargetOptions& options, Work& w) {
  LODE_TRY(Assembler(fn, references, options, w).run());
  return codegen::lay_out_text(fn, rules, w);
}

uint8_t* put_branch(uint8_t* out, const codegen::TextLayout& layout, size_t index) {
  const codegen::Branch& b = layout.branches[index];
  const int32_t distance = layout.displacement(index, branch_forms);
  if (b.size == 2) {
    *out++ = uint8_t(b.data);
    *out++ = uint8_t(distance);
    return out;
  }
  if (b.size == 6) {
    *out++ = 0x0f;
    *out++ = uint8_t(b.data + 0x10);
  } else {
    *out++ = 0xe9;
  }
  store_le(out, distance);
  return out + 4;
}

Result<void> apply_patches(const Work& w, std::span<const ResolvedReference> refs, const EmitPlace& place) {
  for (const Patch& x : w.patches) {
    uint32_t field = w.layout.offset(x.field);
    uint64_t end = place.text_address + field + 4 + x.tail;
    int64_t value = 0;
    switch (x.kind) {
      case PatchKind::fixup:
        if (!place.fixups) return error("x86_64: a relocation is left over in an executable");
        place.fixups->push_back(
            {field, uint16_t(x.relocation), Fixup::Place::text, Fixup::Target::reference, x.target, x.addend});
        continue;
      case PatchKind::pc_reference:
        value = int64_t(refs[x.target].address + uint64_t(x.addend) - end);
        break;
      case PatchKind::pc_constants:
        value = int64_t(place.constants_address + uint64_t(x.addend) - end);
        break;
      case PatchKind::pc_label:
        value = int64_t(w.layout.offset_of(x.target)) - int64_t(field + 4 + x.tail);
        break;
      case PatchKind::abs_reference:
        value = int64_t(refs[x.target].address + uint64_t(x.addend));
        break;
      case PatchKind::abs_zero:
        value = int64_t(refs[x.target].address + uint64_t(x.addend));
        value =
            value == int64_t(uint32_t(value)) ? int32_t(value) : INT64_MAX;  // a negative one would lose its upper half
        break;
    }
    if (place.fields && (x.kind == PatchKind::pc_reference || x.kind == PatchKind::abs_reference ||
                         x.kind == PatchKind::abs_zero))
      place.fields->push_back({field, x.target});
    if (value != int32_t(value))
      return error("x86_64: reference " + std::to_string(x.target) + " of the function is out of the reach of 32 bits");
    store_le(place.text + field, int32_t(value));
  }
  return {};
}

}  // namespace

Result<FunctionSizes> measure(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                              const TargetOptions& options) {
  return prepare(fn, references, options, work());
}

Result<void> label_offsets(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                           const TargetOptions& options, std::span<uint32_t> labels) {
  Work& w = work();
  if (auto r = prepare(fn, references, options, w); !r) return r.take_error();
  return codegen::find_label_offsets(fn, rules, w, labels);
}

Result<void> emit(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                  const TargetOptions& options, const EmitPlace& place) {
  Work& w = work();
  LODE_ASSIGN(const FunctionSizes sizes, prepare(fn, references, options, w));
  if (place.sizes && !(*place.sizes == sizes))
    return error("x86_64: the function is not of the size that was kept for it");
  codegen::write_text(
      w, place.text, [&](uint8_t* out, size_t k) { return put_branch(out, w.layout, k); }, put_nops);
  LODE_TRY(apply_patches(w, references, place));
  LODE_TRY(codegen::write_constants(fn, rules, w, place, options.object));
  LODE_TRY(codegen::write_exceptions(rules, w, references, place, options.object));
  codegen::append_lists(w, place);
  return {};
}

}  // namespace lode::x86_64
