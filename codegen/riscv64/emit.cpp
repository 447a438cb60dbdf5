// The emitter of riscv64; codegen/native/emit.h says how the parts work together.
//
// Every instruction is written in its shortest form (encode.h), but for those whose immediates need final addresses:
// such a pair is a patch, which says where the instruction with the high part is and how far behind it the one with the
// low part. Branches have no code at all (forward, to the next byte), 2 bytes where a 16-bit form reaches, 4, or more:
// a conditional one that has to go far jumps over a jump, and a jump beyond 1 MiB is auipc and jalr by the scratch
// register.
//
// Memory operands that one signed 12-bit offset cannot say are reached by a register that gets the upper part: the
// instruction's own destination where it is a load into an integer register, else the scratch register.
//
// Where the linker has found a reference to be near (ReferenceForm::near and the others behind it), a call is one
// `jal`, and an address one offset from register 0, gp or tp.
//
// Object mode leaves Fixups for each patch that refers to a symbol; the low part of a pc-relative address refers to the
// place of its high part. No relocation says that another linker may shorten the code (R_RISCV_RELAX): it is short
// already, and branches within a function, jump tables and unwind rows need no relocation then.
#include "codegen/riscv64/emit.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "codegen/native/emit.h"
#include "codegen/riscv64/encode.h"
#include "codegen/riscv64/fixups.h"
#include "codegen/riscv64/lower_frame.h"
#include "codegen/riscv64/mir.h"

namespace lode::riscv64 {

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

// Kinds of branches. Displacements count from the instruction that has them.
enum BranchKind : uint8_t { jump_branch, zero_branch, compare_branch };
constexpr int32_t mebi = 1 << 20;
constexpr codegen::BranchForm
    jump_forms[] = {{0, 0, 0, 0}, {2, 0, -2048, 2046}, {4, 0, -mebi, mebi - 2}, {8, 0, INT32_MIN, INT32_MAX}},
    // eq and ne of one of eight registers with zero
    zero_forms[] = {{0, 0, 0, 0}, {2, 0, -256, 254}, {4, 0, -4096, 4094}, {8, 4, -mebi, mebi - 2},
                    {12, 4, INT32_MIN, INT32_MAX}},
    compare_forms[] = {{0, 0, 0, 0}, {4, 0, -4096, 4094}, {8, 4, -mebi, mebi - 2}, {12, 4, INT32_MIN, INT32_MAX}};
constexpr std::span<const codegen::BranchForm> branch_forms[] = {jump_forms, zero_forms, compare_forms};

const codegen::EmitRules rules = {"riscv64", branch_forms, cie_code_align, cie_data_align,
                                  uint16_t(FixupKind::pcrel32)};

enum class PatchKind : uint8_t {
  pc_reference,   // address of reference `target` + addend - the first instruction
  pc_constants,   // own constants + addend - the first instruction
  pc_label,       // MIR index `target` - the first instruction
  abs_reference,  // address of the reference + addend
  lower_part,     // the same, in one instruction: an offset of 12 bits from register 0, gp or tp
  near_call,      // of `jal`
  fixup,          // object mode
};
struct Patch {
  Place field;      // auipc or lui
  uint32_t target;
  int64_t addend;
  FixupKind high, low;
  PatchKind kind;
  uint8_t second;   // bytes from there to the instruction with the low part
  bool store;       // that is a store
  bool wraps;       // the two are added in 32 bits (addiw)
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

uint8_t* put_nops(uint8_t* p, unsigned bytes) {
  for (; bytes >= 2; bytes -= 2) {
    store_le(p, uint16_t{0x0001});
    p += 2;
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
  void instruction(uint32_t i, uint16_t tag, uint32_t operand);
  template <class F>
  void leave(F&& jump);

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
  void emit(Op op, const Fields& f) { p_ = put(p_, op, f); }
  void emit_i(Op op, uint8_t a, uint8_t b, int64_t imm) { emit(op, {a, b, 0, 0, 0, imm}); }
  void emit_r(Op op, uint8_t a, uint8_t b, uint8_t c) { emit(op, {a, b, c, 0, 0, 0}); }

  // How the upper part of an address gets into a register.
  struct Upper {
    bool lui = false, thread = false;
    bool lower_only = false;  // `base` is near enough for one instruction
    uint8_t base = reg::zero;
    PatchKind kind = PatchKind::pc_reference;
    FixupKind high = FixupKind::pcrel_hi20;
    uint32_t target = 0;
    int64_t addend = 0;
  };
  bool symbol_upper(uint32_t ref, Upper& u);
  bool constants_upper(int64_t offset, Upper& u);
  void pair(uint8_t r, const Upper& u, Op op, uint8_t value, uint8_t base, bool wraps = false);
  void near_or_far(Op op, uint8_t value, uint8_t base, int64_t disp);
  void memory(Op op, uint8_t value, const Mem& m);
  bool frame_place(const Mem& m, uint8_t& base, int64_t& disp);
  void lea(uint8_t to, const Mem& m);

  void jump_to_reference(uint32_t ref, bool call);
  void lea_reference(uint8_t r, uint32_t ref);
  void got_slot(uint8_t r, uint32_t ref, FixupKind high, Op op);
  void tls_address(uint8_t r, uint32_t ref);
  void tls_general_dynamic(uint32_t at);
  void jump_table(uint32_t operand);
  void raw_bytes(uint32_t at);
  void surround_entry();
  void add_branch(uint32_t i, Cond c, uint32_t operand);
};

uint32_t Assembler::constants_reference() {
  for (size_t i = fn_.references.size(); i-- > 0;)
    if (fn_.references[i].kind == ReferenceKind::constants) return uint32_t(i);
  decode_.ok = false;
  return 0;
}

// ---- addresses in pairs of instructions -----------------------------------------------------------------------------

// False: the reference has no address that a pair of instructions can say.
bool Assembler::symbol_upper(uint32_t ref, Upper& u) {
  if (!valid_reference(ref)) return false;
  u.target = ref;
  switch (refs_[ref].form) {
    case ReferenceForm::direct: return true;
    case ReferenceForm::absolute:
      u.lui = true;
      u.kind = PatchKind::abs_reference;
      return true;
    case ReferenceForm::tls_local_exec:
      u.lui = u.thread = true;
      u.kind = PatchKind::abs_reference;
      return true;
    case ReferenceForm::tls_near: u.thread = true; [[fallthrough]];
    case ReferenceForm::small_absolute: case ReferenceForm::gp_relative:
      u.lower_only = true;
      u.base = u.thread ? reg::tp : refs_[ref].form == ReferenceForm::gp_relative ? reg::gp : reg::zero;
      u.kind = PatchKind::lower_part;
      return true;
    case ReferenceForm::relocation:
      u.kind = PatchKind::fixup;
      u.addend = fn_.references[ref].addend;
      switch (fn_.references[ref].kind) {
        case ReferenceKind::direct: case ReferenceKind::call: case ReferenceKind::constants: return true;
        case ReferenceKind::tls_local_exec:
          u.lui = u.thread = true;
          u.high = FixupKind::tprel_hi20;
          return true;
        default: return false;
      }
    default: return false;
  }
}

bool Assembler::constants_upper(int64_t offset, Upper& u) {
  u.kind = options_.object ? PatchKind::fixup : PatchKind::pc_constants;
  u.addend = offset;
  if (options_.object) u.target = constants_reference();
  return true;
}

// r gets the upper part; `op` then names `value` and the low part from `base`, which is r.
void Assembler::pair(uint8_t r, const Upper& u, Op op, uint8_t value, uint8_t base, bool wraps) {
  const uint8_t* first = p_;
  const Place field = here(p_);
  if (u.lower_only) {
    const bool store = info(op).form == Form::store;
    w_.patches.push_back({field, u.target, u.addend, FixupKind::none, FixupKind::none, u.kind, 0, store, false});
    p_ = put32(p_, op, {value, u.base, 0, 0, 0, 0});
    return;
  }
  p_ = put32(p_, u.lui ? Op::lui : Op::auipc, {r, 0, 0, 0, 0, 0});
  if (u.thread) {
    const Fields add = {r, r, reg::tp, 0, 0, 0};
    p_ = options_.object ? put32(p_, Op::add, add) : put(p_, Op::add, add);
  }
  const bool store = info(op).form == Form::store;
  FixupKind low = store ? FixupKind::pcrel_lo12_s : FixupKind::pcrel_lo12_i;
  if (u.high == FixupKind::tprel_hi20) low = store ? FixupKind::tprel_lo12_s : FixupKind::tprel_lo12_i;
  w_.patches.push_back({field, u.target, u.addend, u.high, low, u.kind, uint8_t(p_ - first), store, wraps});
  p_ = put32(p_, op, {value, base, 0, 0, 0, 0});
}

// ---- memory operands ------------------------------------------------------------------------------------------------

bool is_integer_load(Op op) { return info(op).form == Form::load && info(op).registers[0] == 'x'; }

// `op` at base + disp, whatever the distance.
void Assembler::near_or_far(Op op, uint8_t value, uint8_t base, int64_t disp) {
  if (fits12(disp)) return emit_i(op, value, base, disp);
  if (!fits_pair(disp)) return fail("a stack address does not fit in 32 bits");
  const uint8_t upper = is_integer_load(op) && value != base && value != reg::zero ? value : reg::scratch;
  emit(Op::lui, {upper, 0, 0, 0, 0, high_part(disp) & 0xfffff});
  emit_r(Op::add, upper, upper, base);
  emit_i(op, value, upper, low_part(disp));
}

// For the kinds that are places in the frame or base registers.
bool Assembler::frame_place(const Mem& m, uint8_t& base, int64_t& disp) {
  disp = m.disp;
  switch (m.kind) {
    case Mem::Kind::base: base = m.base; return true;
    case Mem::Kind::slot:
      if (m.target >= w_.slots.size()) {
        decode_.ok = false;
        return false;
      }
      base = frame_.slot_base;
      disp += w_.slots[m.target];
      return true;
    case Mem::Kind::incoming:
      base = frame_.incoming_base;
      disp += frame_.incoming_disp;
      return true;
    case Mem::Kind::outgoing: base = reg::sp; return true;
    case Mem::Kind::dynamic_area:
      base = reg::sp;
      disp += frame_.outgoing;
      return true;
    default: return false;
  }
}

void Assembler::memory(Op op, uint8_t value, const Mem& m) {
  uint8_t base;
  int64_t disp;
  if (frame_place(m, base, disp)) return near_or_far(op, value, base, disp);
  if (!decode_.ok) return;
  Upper u;
  const bool known = m.kind == Mem::Kind::constants ? constants_upper(m.disp, u) : symbol_upper(m.target, u);
  if (!decode_.ok) return;
  if (!known) return fail("a memory operand refers to a symbol that is only reachable through the GOT");
  const uint8_t upper = is_integer_load(op) && value != reg::zero ? value : reg::scratch;
  pair(upper, u, op, value, upper);
}

void Assembler::lea(uint8_t to, const Mem& m) {
  uint8_t base;
  int64_t disp;
  if (frame_place(m, base, disp)) {
    if (fits12(disp)) return emit_i(Op::addi, to, base, disp);
    if (!fits_pair(disp)) return fail("a stack address does not fit in 32 bits");
    const uint8_t upper = to == base ? reg::scratch : to;
    emit(Op::lui, {upper, 0, 0, 0, 0, high_part(disp) & 0xfffff});
    if (const int32_t low = low_part(disp)) emit_i(Op::addiw, upper, upper, low);
    return emit_r(Op::add, to, upper, base);
  }
  if (!decode_.ok) return;
  Upper u;
  const bool known = m.kind == Mem::Kind::constants ? constants_upper(m.disp, u) : symbol_upper(m.target, u);
  if (!decode_.ok) return;
  if (!known) return fail("the address of a symbol that is only reachable through the GOT");
  pair(to, u, Op::addi, to, to);
}

// ---- symbols --------------------------------------------------------------------------------------------------------

void Assembler::got_slot(uint8_t r, uint32_t ref, FixupKind high, Op op) {
  Upper u;
  u.target = ref;
  u.high = high;
  if (refs_[ref].form == ReferenceForm::relocation) u.kind = PatchKind::fixup;
  pair(r, u, op, r, r);
}

void Assembler::jump_to_reference(uint32_t ref, bool call) {
  if (!valid_reference(ref)) return;
  const uint8_t link = call ? reg::ra : reg::zero, upper = call ? reg::ra : reg::scratch;
  Upper u;
  u.target = ref;
  switch (refs_[ref].form) {
    case ReferenceForm::direct: return pair(upper, u, Op::jalr, link, upper);
    case ReferenceForm::near:
      w_.patches.push_back({here(p_), ref, 0, FixupKind::none, FixupKind::none, PatchKind::near_call, 0, false, false});
      p_ = put32(p_, Op::jal, {link, 0, 0, 0, 0, 0});
      return;
    case ReferenceForm::absolute:
      u.lui = true;
      u.kind = PatchKind::abs_reference;
      return pair(upper, u, Op::jalr, link, upper);
    case ReferenceForm::relocation:
      w_.patches.push_back({here(p_), ref, fn_.references[ref].addend, FixupKind::call_plt, FixupKind::none,
                            PatchKind::fixup, 0, false, false});
      p_ = put32(p_, Op::auipc, {upper, 0, 0, 0, 0, 0});
      p_ = put32(p_, Op::jalr, {link, upper, 0, 0, 0, 0});
      return;
    case ReferenceForm::got:
      got_slot(reg::scratch, ref, FixupKind::got_hi20, Op::ld);
      return emit_i(Op::jalr, link, reg::scratch, 0);
    default: return fail("a call of a thread-local symbol");
  }
}

void Assembler::lea_reference(uint8_t r, uint32_t ref) {
  if (!valid_reference(ref)) return;
  const ReferenceForm form = refs_[ref].form;
  if (form == ReferenceForm::got ||
      (form == ReferenceForm::relocation && fn_.references[ref].kind == ReferenceKind::got))
    return got_slot(r, ref, FixupKind::got_hi20, Op::ld);
  Upper u;
  if (!symbol_upper(ref, u) || u.thread) return fail("the plain address of a thread-local symbol");
  pair(r, u, u.lui ? Op::addiw : Op::addi, r, r, u.lui);
}

void Assembler::tls_address(uint8_t r, uint32_t ref) {
  if (!valid_reference(ref)) return;
  ReferenceForm form = refs_[ref].form;
  if (form == ReferenceForm::relocation && fn_.references[ref].kind == ReferenceKind::tls_initial_exec)
    form = ReferenceForm::tls_initial_exec;
  if (form == ReferenceForm::tls_initial_exec) {
    got_slot(r, ref, FixupKind::tls_got_hi20, Op::ld);
    return emit_r(Op::add, r, r, reg::tp);
  }
  Upper u;
  if (!symbol_upper(ref, u) || !u.thread)
    return fail("a thread-local symbol that needs a dynamic TLS model, in code that was made for a static one");
  pair(r, u, Op::addi, r, r);
}

void Assembler::tls_general_dynamic(uint32_t at) {
  const uint32_t ref = decode_.word(at), get_addr = decode_.word(uint64_t(at) + 1);
  if (!valid_reference(ref) || !valid_reference(get_addr)) return;
  switch (refs_[ref].form) {
    case ReferenceForm::tls_local_exec: case ReferenceForm::tls_near:
    case ReferenceForm::tls_initial_exec: return tls_address(reg::a0, ref);
    case ReferenceForm::tls_general_dynamic:
    case ReferenceForm::relocation:
      got_slot(reg::a0, ref, FixupKind::tls_gd_hi20, Op::addi);
      return jump_to_reference(get_addr, true);
    default: return fail("a thread-local symbol resolved to a form that riscv64 code cannot use here");
  }
}

void Assembler::jump_table(uint32_t operand) {
  const uint8_t index = operand & 31, scratch = operand >> 5 & 31;
  const uint32_t at = operand >> 10;
  if (!codegen::valid_table(fn_, at)) {
    decode_.ok = false;
    return;
  }
  w_.tables.push_back(at);
  lea(scratch, Mem::constants(fn_.extra[at + 1]));
  emit_i(Op::slli, index, index, 2);
  emit_r(Op::add, index, index, scratch);
  emit_i(Op::lw, index, index, 0);
  emit_r(Op::add, index, index, scratch);
  emit_i(Op::jalr, reg::zero, index, 0);
}

// Nops in front of the entry and at it, then the call of a profiler. A nop is 2 bytes.
void Assembler::surround_entry() {
  const uint32_t at = fn_.frame[frame::word_entry];
  if (!at) return;
  const uint64_t first = at - 1;
  const uint32_t prefix = decode_.word(first + entry::word_prefix), nops = decode_.word(first + entry::word_nops),
                 fentry = decode_.word(first + entry::word_fentry);
  if (prefix > entry::most_nops || nops > entry::most_nops) decode_.ok = false;
  if (!decode_.ok) return;
  reserve(2 * (size_t{prefix} + nops) + 64);
  p_ = put_nops(p_, 2 * prefix);
  w_.entry = uint32_t(p_ - begin_);
  p_ = put_nops(p_, 2 * nops);
  if (fentry) fail("a function that is called ahead of another's prologue");
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

void Assembler::add_branch(uint32_t i, Cond c, uint32_t o) {
  const uint32_t target = o >> 10;
  uint32_t a = o & 31, b = o >> 5 & 31;
  const bool equality = c == Cond::eq || c == Cond::ne;
  if (target >= fn_.count || (unsigned(c) & 6) == 2) {
    decode_.ok = false;
    return;
  }
  if (equality && a == 0) std::swap(a, b);
  const bool zero = equality && b == 0 && a >= 8 && a < 16;
  w_.layout.add_branch(uint32_t(p_ - begin_), target, zero ? zero_branch : compare_branch, target > i ? 0 : 1,
                       uint32_t(c) | a << 3 | b << 8);
}

// Everything ahead of the body: what surrounds the entry, and the prologue.
Result<void> Assembler::begin() {
  w_.clear();
  w_.patches.clear();
  if (fn_.tag_bytes != 2 || refs_.size() != fn_.references.size()) return damaged();
  LODE_ASSIGN(frame_, plan_frame(fn_, w_.slots));
  if (w_.code.size() < size_t{fn_.count} * 6 + 512) w_.code.resize(size_t{fn_.count} * 6 + 512);
  w_.layout.places.resize(size_t{fn_.count} + 1);
  begin_ = p_ = w_.code.data();
  surround_entry();
  reserve(max_prologue_code);
  p_ = put_prologue(p_, frame_, begin_, w_.cfi);
  if (!decode_.ok) return damaged();
  return {};
}

Result<void> Assembler::run() {
  LODE_TRY(begin());
  for (uint32_t i = 0; i < fn_.count; i++) {
    reserve(max_frame_code + 32);
    w_.layout.places[i] = here(p_);
    const uint16_t tag = fn_.tag16(i);
    if ((tag & 0xfff) >= op_count) return damaged();
    instruction(i, tag, fn_.operands[i]);
    if (!decode_.ok) return damaged();
    if (problem_) return error(std::string("riscv64: ") + problem_);
  }
  w_.layout.places[fn_.count] = here(p_);
  w_.code_size = uint32_t(p_ - begin_);
  return {};
}

// An epilogue and the jump that goes with it.
template <class F>
void Assembler::leave(F&& jump) {
  p_ = put_epilogue(p_, frame_, begin_, uint32_t(w_.layout.branches.size()), w_.cfi);
  jump();
  if (frame_.cfi && !frame_.empty())
    w_.cfi.push_back({uint32_t(p_ - begin_), uint32_t(w_.layout.branches.size()), CfiRow::Kind::restore, 0, 0});
}

inline void Assembler::instruction(uint32_t i, uint16_t tag, uint32_t o) {
  const Op op = tag_op(tag);
  const InstInfo& row = info(op);
  switch (row.form) {
    case Form::load:
    case Form::store: return memory(op, o & 31, decode_.memory(o));
    default: {
      const Fields f = Decoder::fields(row, o);
      if (!valid(row, f)) decode_.ok = false;
      else emit(op, f);
      return;
    }
    case Form::pseudo_none:
      if (op == Op::ret) leave([&] { emit_i(Op::jalr, reg::zero, reg::ra, 0); });
      return;
    case Form::pseudo_r: {
      const uint8_t r = o & 31;
      if (op == Op::tail_r) leave([&] { emit_i(Op::jalr, reg::zero, r, 0); });
      else emit_i(Op::jalr, op == Op::call_r ? reg::ra : reg::zero, r, 0);
      return;
    }
    case Form::pseudo_jump:
      if (o >= fn_.count) decode_.ok = false;
      else w_.layout.add_branch(uint32_t(p_ - begin_), o, jump_branch, o > i ? 0 : 1, 0);
      return;
    case Form::pseudo_branch: return add_branch(i, tag_cond(tag), o);
    case Form::pseudo_ref:
      if (op == Op::tail_ref) leave([&] { jump_to_reference(o, false); });
      else jump_to_reference(o, true);
      return;
    case Form::pseudo_r_ref:
      if (op == Op::lea_ref) lea_reference(o & 31, o >> 5);
      else tls_address(o & 31, o >> 5);
      return;
    case Form::pseudo_r_label: {
      Upper u;
      u.kind = PatchKind::pc_label;
      u.target = o >> 5;
      if (u.target >= fn_.count) decode_.ok = false;
      else pair(o & 31, u, Op::addi, o & 31, o & 31);
      return;
    }
    case Form::pseudo_lea: return lea(o & 31, decode_.memory(o));
    case Form::pseudo_jump_table: return jump_table(o);
    case Form::pseudo_tls_gd: return tls_general_dynamic(o);
    case Form::pseudo_bytes: return raw_bytes(o);
    case Form::pseudo_align:
      if ((o & 15) < 1 || (o & 15) > 12 || (o & 15) > fn_.text_align_log2) decode_.ok = false;
      else w_.layout.add_alignment(uint32_t(p_ - begin_), o & 15, o >> 4);
      return;
  }
}

Result<FunctionSizes> prepare(const mir::FunctionView& fn, std::span<const ResolvedReference> references,
                              const TargetOptions& options, Work& w) {
  LODE_TRY(Assembler(fn, references, options, w).run());
  return codegen::lay_out_text(fn, rules, w);
}

// ---- writing --------------------------------------------------------------------------------------------------------

uint8_t* put_word(uint8_t* out, uint32_t word) {
  store_le(out, word);
  return out + 4;
}

uint8_t* put_far_jump(uint8_t* out, int32_t distance, bool long_form) {
  if (!long_form) return put_word(out, info(Op::jal).match | jump_bits(distance));
  out = put32(out, Op::auipc, {reg::scratch, 0, 0, 0, 0, high_part(distance) & 0xfffff});
  return put32(out, Op::jalr, {reg::zero, reg::scratch, 0, 0, 0, low_part(distance)});
}

uint8_t* put_branch(uint8_t* out, const codegen::TextLayout& layout, size_t index) {
  const codegen::Branch& b = layout.branches[index];
  const int32_t distance = layout.displacement(index, branch_forms);
  auto half = [&](unsigned word) {
    store_le(out, uint16_t(word));
    return out + 2;
  };
  if (b.kind == jump_branch)
    return b.size == 2 ? half(0xa001u | short_jump_bits(distance)) : put_far_jump(out, distance, b.size == 8);
  const Cond c = Cond(b.data & 7);
  const uint8_t x = b.data >> 3 & 31, y = b.data >> 8 & 31;
  if (b.size == 2)
    return half((c == Cond::eq ? 0xc001u : 0xe001u) | uint32_t(x & 7) << 7 | short_branch_bits(distance));
  auto conditional = [&](Cond cond, int32_t d) {
    return put_word(out, info(Op::beq).match | uint32_t(cond) << 12 | uint32_t(x) << 15 | uint32_t(y) << 20 |
                             branch_bits(d));
  };
  if (b.size == 4) return conditional(c, distance);
  out = conditional(inverse(c), b.size);
  return put_far_jump(out, distance, b.size == 12);
}

// The lower part in its field.
uint32_t lower_bits(int32_t low, bool store) {
  const uint32_t part = uint32_t(low) & 0xfff;
  return store ? (part & 31) << 7 | part >> 5 << 25 : part << 20;
}

// Adds the two parts of a value to the immediates of a pair of instructions.
void add_parts(uint8_t* high, uint8_t* low, bool store, int64_t value) {
  store_le(high, load_le<uint32_t>(high) | uint32_t(high_part(value)) << 12);
  store_le(low, load_le<uint32_t>(low) | lower_bits(low_part(value), store));
}

void leave_fixups(const Patch& x, uint32_t field, std::vector<Fixup>& out) {
  out.push_back({field, uint16_t(x.high), Fixup::Place::text, Fixup::Target::reference, x.target, x.addend});
  if (x.low == FixupKind::none) return;
  const uint32_t at = field + x.second;
  if (x.high != FixupKind::tprel_hi20) {
    out.push_back({at, uint16_t(x.low), Fixup::Place::text, Fixup::Target::label, field, 0});
    return;
  }
  out.push_back({field + 4, uint16_t(FixupKind::tprel_add), Fixup::Place::text, Fixup::Target::reference, x.target,
                 x.addend});
  out.push_back({at, uint16_t(x.low), Fixup::Place::text, Fixup::Target::reference, x.target, x.addend});
}

Result<void> apply_patches(const Work& w, std::span<const ResolvedReference> refs, const EmitPlace& place) {
  for (const Patch& x : w.patches) {
    const uint32_t field = w.layout.offset(x.field);
    const uint64_t here = place.text_address + field;
    int64_t value = 0;
    switch (x.kind) {
      case PatchKind::fixup:
        if (!place.fixups) return error("riscv64: a relocation is left over in an executable");
        leave_fixups(x, field, *place.fixups);
        continue;
      case PatchKind::pc_reference: value = int64_t(refs[x.target].address + uint64_t(x.addend) - here); break;
      case PatchKind::pc_constants: value = int64_t(place.constants_address + uint64_t(x.addend) - here); break;
      case PatchKind::pc_label: value = int64_t(w.layout.offset_of(x.target)) - int64_t(field); break;
      case PatchKind::near_call: {
        value = int64_t(refs[x.target].address - here);
        if (value < -mebi || value > mebi - 2 || (value & 1))
          return error("riscv64: reference " + std::to_string(x.target) + " of the function is not as near as it was");
        uint8_t* p = place.text + field;
        store_le(p, load_le<uint32_t>(p) | jump_bits(int32_t(value)));
        continue;
      }
      case PatchKind::lower_part: {
        value = int64_t(refs[x.target].address + uint64_t(x.addend));
        if (!fits12(value))
          return error("riscv64: reference " + std::to_string(x.target) + " of the function is not as near as it was");
        uint8_t* p = place.text + field;
        store_le(p, load_le<uint32_t>(p) | lower_bits(int32_t(value), x.store));
        continue;
      }
      case PatchKind::abs_reference: value = int64_t(refs[x.target].address + uint64_t(x.addend)); break;
    }
    if (x.wraps ? value != int32_t(value) : !fits_pair(value))
      return error("riscv64: reference " + std::to_string(x.target) +
                   " of the function is out of the reach of 32 bits");
    add_parts(place.text + field, place.text + field + x.second, x.store, value);
  }
  return {};
}

}  // namespace

ReferenceForm near_form(ReferenceForm full, ReferenceForm now, const codegen::NearPlace& place) {
  switch (now) {
    case ReferenceForm::near: {
      auto reaches = [&](uint64_t from) {
        const int64_t d = int64_t(place.address - from);
        return d >= -mebi && d <= mebi - 2 && (d & 1) == 0;
      };
      return reaches(place.text_begin) && reaches(place.text_end) ? now : full;
    }
    case ReferenceForm::tls_near: return fits12(int64_t(place.address)) ? now : full;
    case ReferenceForm::small_absolute:
      if (fits12(int64_t(place.address))) return now;
      [[fallthrough]];
    case ReferenceForm::gp_relative:
      if (place.global_pointer && fits12(int64_t(place.address - place.global_pointer)))
        return ReferenceForm::gp_relative;
      return full;
    default: return full;
  }
}

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
    return error("riscv64: the function is not of the size that was kept for it");
  codegen::write_text(
      w, place.text, [&](uint8_t* out, size_t k) { return put_branch(out, w.layout, k); }, put_nops);
  LODE_TRY(apply_patches(w, references, place));
  LODE_TRY(codegen::write_constants(fn, rules, w, place, options.object));
  LODE_TRY(codegen::write_exceptions(rules, w, references, place, options.object));
  codegen::append_lists(w, place);
  return {};
}

}  // namespace lode::riscv64
