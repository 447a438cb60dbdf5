// Execution of a prepared function, block by block.
//
// A frame holds the scalars of all values; an instruction reads its operands' and writes its result's. An edge's
// arguments are read before the first parameter is written. What is undefined by air.h or opcodes.def ends the run with
// a message that names the instruction, or counts as an undefined result; nothing is guessed.
#include <algorithm>
#include <cstring>

#include "codegen/air/interpreter_impl.h"
#include "codegen/air/text.h"

namespace lode::air {

using T = TypeTable;

uint32_t Interpreter::Impl::take_edge(Frame& frame, uint32_t e) {
  const Code& code = *frame.code;
  const Function& fn = *code.fn;
  const Edge& x = fn.edges[e];
  const Block& target = fn.blocks[x.target.value];
  // All are read before any is written.
  Scalar small[16];
  std::vector<Scalar> large;
  uint32_t n = 0;
  for (uint32_t k = 0; k < x.arg_count; k++) n += code.count[fn.extra[x.args + k]];
  Scalar* moved = small;
  if (n > 16) {
    large.resize(n);
    moved = large.data();
  }
  uint32_t at = 0;
  for (uint32_t k = 0; k < x.arg_count; k++) {
    uint32_t v = fn.extra[x.args + k];
    for (uint32_t s = 0; s < code.count[v]; s++) moved[at++] = frame.values[code.first[v] + s];
  }
  if (x.arg_count) std::copy(moved, moved + n, frame.values.begin() + code.first[target.first_param]);
  return x.target.value;
}

bool Interpreter::Impl::run(Frame& frame, std::vector<Scalar>& result) {
  const Code& code = *frame.code;
  const Function& fn = *code.fn;
  uint32_t block = 0;
  auto value = [&](uint32_t v) { return frame.values[code.first[v]]; };
  for (;;) {
    const Block& b = fn.blocks[block];
    for (uint32_t k = 0; k < b.inst_count; k++) {
      const Inst& i = fn.insts[b.first_inst + k];
      bool ok = true;
      if (++steps > options.max_steps) ok = fail("too many steps");
      else if (!is_terminator(i.op)) ok = execute(frame, i);
      else
        switch (i.op) {
          case Op::br: block = take_edge(frame, i.a); break;
          case Op::cond_br: block = take_edge(frame, value(i.a) & 1 ? i.b : i.c); break;
          case Op::switch_: {
            Scalar v = value(i.a);
            uint32_t e = i.b;
            for (uint32_t c = 0, n = fn.extra[i.c]; c < n; c++)
              if (v == (fn.extra[i.c + 1 + 3 * c] | uint64_t(fn.extra[i.c + 2 + 3 * c]) << 32)) {
                e = fn.extra[i.c + 3 + 3 * c];
                break;
              }
            block = take_edge(frame, e);
            break;
          }
          case Op::indirect_br: {
            uint64_t target = uint64_t(value(i.a)) - block_base;
            uint32_t e = ~0u;
            for (uint32_t c = 0, n = fn.extra[i.b]; c < n; c++)
              if (fn.edges[fn.extra[i.b + 1 + c]].target.value == target) e = fn.extra[i.b + 1 + c];
            if (e == ~0u) ok = fail("a jump to an address that is not in the list");
            else block = take_edge(frame, e);
            break;
          }
          case Op::ret: {
            result.clear();
            for (uint32_t c = 0, n = fn.extra[i.a]; c < n; c++) {
              uint32_t v = fn.extra[i.a + 1 + c];
              for (uint32_t s = 0; s < code.count[v]; s++) result.push_back(frame.values[code.first[v] + s]);
            }
            return true;
          }
          case Op::invoke:
            ok = call_site(frame, i);
            if (ok) block = take_edge(frame, i.b);
            break;
          case Op::resume: ok = fail("exceptions are not interpreted"); break;
          case Op::trap: ok = fail("trap"); break;
          default: ok = fail("unreachable code is reached"); break;
        }
      if (!ok) {
        // The innermost place is the interesting one.
        if (!exit_status && error.find(" in function ") == std::string::npos)
          error += " in function " + std::string(module.name_of(fn.symbol)) + ", block " + std::to_string(block) +
                   ": " + print_instruction(module, fn, i);
        return false;
      }
    }
  }
}

bool Interpreter::Impl::execute(Frame& frame, const Inst& i) {
  const Code& code = *frame.code;
  const Function& fn = *code.fn;
  auto value = [&](uint32_t v, uint32_t s = 0) { return frame.values[code.first[v] + (code.count[v] == 1 ? 0 : s)]; };
  auto type_of = [&](uint32_t v) { return fn.values[v].type; };
  auto address = [&](uint32_t v) { return uint64_t(value(v)); };
  const TypeTable& types = module.types;
  auto element = [&](TypeId t) { return types[t].kind == TypeKind::Vector ? types[t].element : t; };
  Scalar* r = i.result.valid() ? &frame.values[code.first[i.result.value]] : nullptr;
  const uint32_t n = i.result.valid() ? code.count[i.result.value] : 0;
  const uint32_t pointer_bits = types.layout().pointer_bytes * 8u;
  switch (i.op) {
    case Op::icmp: case Op::fcmp: {
      const Type& t = types[element(type_of(i.a))];
      for (uint32_t s = 0; s < n; s++)
        r[s] = i.op == Op::icmp ? int_compare(IntPredicate(i.aux), t.kind == TypeKind::Ptr ? pointer_bits : t.bits,
                                              value(i.a, s), value(i.b, s))
                                : float_compare(FloatPredicate(i.aux), t.kind, value(i.a, s), value(i.b, s));
      return true;
    }
    case Op::select: {
      uint32_t c = code.count[i.a];
      for (uint32_t s = 0; s < n; s++)
        r[s] = value(i.a, c == 1 ? 0 : s / std::max(1u, n / c)) & 1 ? value(i.b, s) : value(i.c, s);
      return true;
    }
    case Op::trunc: case Op::zext: case Op::sext: case Op::ptrtoint: case Op::inttoptr: {
      const Type& from = types[element(type_of(i.a))];
      const Type& to = types[element(i.type)];
      uint32_t a = from.kind == TypeKind::Ptr ? pointer_bits : from.bits,
               b = to.kind == TypeKind::Ptr ? pointer_bits : to.bits;
      if (a > 128 || b > 128) return fail("integers wider than 128 bits are not interpreted");
      for (uint32_t s = 0; s < n; s++)
        r[s] = (i.op == Op::sext ? Scalar(to_signed(value(i.a, s), a)) : value(i.a, s)) & mask_of(b);
      return true;
    }
    case Op::fptoui: case Op::fptosi: case Op::fptoui_sat: case Op::fptosi_sat: {
      TypeKind from = types[element(type_of(i.a))].kind;
      bool is_signed = i.op == Op::fptosi || i.op == Op::fptosi_sat,
           sat = i.op == Op::fptoui_sat || i.op == Op::fptosi_sat;
      uint32_t bits = types[element(i.type)].bits;
      for (uint32_t s = 0; s < n; s++) {
        r[s] = float_to_int(from, bits, is_signed, sat, value(i.a, s));
        if (sat) continue;
        // In range is what the widest conversion gives as well.
        Scalar wide = float_to_int(from, 128, true, true, value(i.a, s));
        bool fits = bits >= 127 ? r[s] == float_to_int(from, bits, is_signed, true, value(i.a, s))
                                : wide == (is_signed ? Scalar(to_signed(r[s], bits)) : r[s]);
        if (!fits || float_compare(FloatPredicate::uno, from, value(i.a, s), value(i.a, s)))
          undefined_results++;
      }
      return true;
    }
    case Op::uitofp: case Op::sitofp:
      for (uint32_t s = 0; s < n; s++)
        r[s] = int_to_float(types[element(type_of(i.a))].bits, i.op == Op::sitofp, types[element(i.type)].kind,
                            value(i.a, s));
      return true;
    case Op::fptrunc: case Op::fpext:
      for (uint32_t s = 0; s < n; s++)
        r[s] = float_convert(types[element(type_of(i.a))].kind, types[element(i.type)].kind, value(i.a, s));
      return true;
    case Op::bitcast: case Op::freeze: {
      TypeId from = type_of(i.a);
      if (i.op == Op::freeze || from == i.type) {
        for (uint32_t s = 0; s < n; s++) r[s] = value(i.a, s);
        return true;
      }
      auto width = [&](TypeId t) -> uint64_t {
        const Type& e = types[t];
        return e.kind == TypeKind::Int ? e.bits : e.kind == TypeKind::F80 ? 80 : types.store_size_of(t) * 8;
      };
      uint64_t wf = width(element(from)), wt = width(element(i.type));
      std::vector<Scalar> in(code.count[i.a]);
      for (uint32_t s = 0; s < in.size(); s++) in[s] = value(i.a, s);
      for (uint32_t s = 0; s < n; s++) {
        Scalar v = 0;
        for (uint64_t b = 0; b < wt; b++) {
          uint64_t bit = s * wt + b;
          if (bit / wf < in.size() && (in[size_t(bit / wf)] >> unsigned(bit % wf) & 1)) v |= Scalar{1} << unsigned(b);
        }
        r[s] = v;
      }
      return true;
    }
    case Op::simd1: case Op::simd2: case Op::simd3: {
      std::array<SimdBytes, 3> in = {};
      SimdBytes out = {};
      const unsigned operands = i.op == Op::simd1 ? 1 : i.op == Op::simd2 ? 2 : 3;
      unsigned bytes = n > 1 ? n : 16;
      for (unsigned k = 0; k < operands; k++) {
        const uint32_t v = k == 0 ? i.a : k == 1 ? i.b : i.c;
        if (k == 0 && code.count[v] > 1) bytes = std::max<unsigned>(n > 1 ? n : 0, code.count[v]);
        for (uint32_t byte = 0; byte < (code.count[v] > 1 ? code.count[v] : 16); byte++)
          in[k][byte] = code.count[v] > 1 ? uint8_t(value(v, byte)) : uint8_t(value(v) >> (8 * byte));
      }
      interpret_simd(simd_op(i.aux), simd_immediate(i.aux), bytes, n > 1 ? n : 16, in, out);
      if (n != 1) {
        for (uint32_t s = 0; s < n; s++) r[s] = out[s];
        return true;
      }
      *r = 0;
      for (uint32_t byte = 0; byte < types.store_size_of(i.type); byte++) *r |= Scalar(out[byte]) << (8 * byte);
      return true;
    }
    case Op::slot_addr: *r = frame.allocations[i.a]; return true;
    case Op::alloca: {
      auto a = allocate(uint64_t(value(i.a)), uint64_t{1} << std::min<unsigned>(i.aux, 20));
      if (!a.ok()) return fail(a.error().text());
      frame.allocations.push_back(*a);
      *r = *a;
      return true;
    }
    case Op::stack_save: *r = frame.allocations.size(); return true;
    case Op::stack_restore: {
      uint64_t keep = std::max<uint64_t>(address(i.a), fn.slots.size());
      while (frame.allocations.size() > keep) {
        release(frame.allocations.back());
        frame.allocations.pop_back();
      }
      return true;
    }
    case Op::load: return load(i.type, address(i.a), r);
    case Op::store: return store(type_of(i.b), address(i.a), &frame.values[code.first[i.b]]);
    case Op::ptr_add: {
      PtrAddParts p = ptr_add_parts(fn, i);
      for (uint32_t s = 0; s < n; s++) {
        uint64_t v = uint64_t(value(i.a, s)) + uint64_t(p.offset);
        if (i.b != ~0u) {
          uint32_t bits = types[element(type_of(i.b))].bits;
          v += uint64_t(to_signed(value(i.b, s), bits)) * uint64_t(p.scale);
        }
        r[s] = v & mask_of(pointer_bits);
      }
      return true;
    }
    case Op::memcpy: case Op::memmove: case Op::memset: {
      uint64_t size = uint64_t(value(i.c));
      uint8_t* to = at(address(i.a), size, true);
      if (!to) return fail("write outside of every allocation");
      if (i.op == Op::memset) {
        std::memset(to, int(value(i.b)), size_t(size));
        return true;
      }
      const uint8_t* from = at(address(i.b), size, false);
      if (!from) return fail("read outside of every allocation");
      if (i.op == Op::memcpy && size && from != to && from < to + size && to < from + size)
        return fail("memcpy of areas that overlap");
      std::memmove(to, from, size_t(size));
      return true;
    }
    case Op::atomic_rmw: {
      TypeId t = i.type;
      const Type& type = types[t];
      Scalar old, x = value(i.b), next;
      if (!load(t, address(i.a), &old)) return false;
      const uint32_t bits = type.kind == TypeKind::Ptr ? pointer_bits : type.kind == TypeKind::Int ? type.bits : 0;
      auto floating = [&](Op op) { return float_scalar(op, type.kind, old, x, 0, next); };
      auto integer = [&](Op op) { return int_scalar(op, bits, old, x, 0, next); };
      const char* why = nullptr;
      switch (MemoryFlags::rmw(i.aux)) {
        case RmwOp::xchg: next = x; break;
        case RmwOp::add: why = integer(Op::add); break;
        case RmwOp::sub: why = integer(Op::sub); break;
        case RmwOp::and_: next = old & x; break;
        case RmwOp::nand: next = ~(old & x) & mask_of(bits); break;
        case RmwOp::or_: next = old | x; break;
        case RmwOp::xor_: next = old ^ x; break;
        case RmwOp::smax: why = integer(Op::smax); break;
        case RmwOp::smin: why = integer(Op::smin); break;
        case RmwOp::umax: why = integer(Op::umax); break;
        case RmwOp::umin: why = integer(Op::umin); break;
        case RmwOp::fadd: why = floating(Op::fadd); break;
        case RmwOp::fsub: why = floating(Op::fsub); break;
        case RmwOp::fmax: why = floating(Op::fmaxnum); break;
        case RmwOp::fmin: why = floating(Op::fminnum); break;
        case RmwOp::uinc_wrap: next = old >= x ? 0 : old + 1; break;
        case RmwOp::udec_wrap: next = old == 0 || old > x ? x : old - 1; break;
        default: return fail("an unknown operation");
      }
      if (why) return fail(why);
      if (!store(t, address(i.a), &next)) return false;
      *r = old;
      return true;
    }
    case Op::cmpxchg: {
      TypeId t = type_of(i.b);
      Scalar old, next = value(i.c);
      if (!load(t, address(i.a), &old)) return false;
      bool same = old == value(i.b);
      if (same && !store(t, address(i.a), &next)) return false;
      r[0] = old;
      r[1] = same;
      return true;
    }
    case Op::fence: case Op::prefetch: case Op::va_end: case Op::debug_trap: case Op::lifetime_start:
    case Op::lifetime_end: return true;
    case Op::extract: {
      uint32_t offset = 0;
      TypeId t = type_of(i.a);
      uint32_t count = fn.extra[i.b];
      if (fn.flags & function_flags::legal) {
        // One index, a leaf's number.
        std::vector<TypeId> leaves;
        auto got = result_leaves(types, t, options.target, leaves);
        if (!got.ok() || fn.extra[i.b + 1] >= leaves.size()) return fail("no such leaf");
        for (uint32_t k = 0; k < fn.extra[i.b + 1]; k++) offset += scalars(leaves[k]);
      } else {
        for (uint32_t k = 0; k < count; k++) {
          const Type& x = types[t];
          uint32_t index = fn.extra[i.b + 1 + k];
          if (x.kind == TypeKind::Struct) {
            for (uint32_t f = 0; f < index; f++) offset += scalars(types.member(x, f));
            t = types.member(x, index);
          } else {
            offset += index * scalars(x.element);
            t = x.element;
          }
        }
      }
      if (offset + n > code.count[i.a]) return fail("extract outside of the value");
      for (uint32_t s = 0; s < n; s++) r[s] = frame.values[code.first[i.a] + offset + s];
      return true;
    }
    case Op::insert: {
      uint32_t offset = 0;
      TypeId t = i.type;
      for (uint32_t k = 0, count = fn.extra[i.c]; k < count; k++) {
        const Type& x = types[t];
        uint32_t index = fn.extra[i.c + 1 + k];
        if (x.kind == TypeKind::Struct) {
          for (uint32_t f = 0; f < index; f++) offset += scalars(types.member(x, f));
          t = types.member(x, index);
        } else {
          offset += index * scalars(x.element);
          t = x.element;
        }
      }
      for (uint32_t s = 0; s < n; s++) r[s] = frame.values[code.first[i.a] + s];
      for (uint32_t s = 0; s < code.count[i.b]; s++) r[offset + s] = frame.values[code.first[i.b] + s];
      return true;
    }
    case Op::extract_element: {
      Scalar lane = value(i.b);
      *r = lane < code.count[i.a] ? frame.values[code.first[i.a] + uint32_t(lane)] : 0;
      return true;
    }
    case Op::insert_element: {
      Scalar lane = value(i.c);
      for (uint32_t s = 0; s < n; s++) r[s] = lane < n ? frame.values[code.first[i.a] + s] : 0;
      if (lane < n) r[uint32_t(lane)] = value(i.b);
      return true;
    }
    case Op::shuffle: {
      uint32_t lanes = code.count[i.a];
      for (uint32_t s = 0; s < n; s++) {
        uint32_t lane = fn.extra[i.c + 1 + s];
        r[s] = lane < lanes       ? frame.values[code.first[i.a] + lane]
               : lane < 2 * lanes ? frame.values[code.first[i.b] + lane - lanes]
                                  : 0;
      }
      return true;
    }
    case Op::reduce_add: case Op::reduce_mul: case Op::reduce_and: case Op::reduce_or: case Op::reduce_xor:
    case Op::reduce_smin: case Op::reduce_smax: case Op::reduce_umin: case Op::reduce_umax:
    case Op::reduce_fadd: case Op::reduce_fmul: case Op::reduce_fmin: case Op::reduce_fmax: {
      static constexpr Op of[] = {Op::add, Op::mul, Op::and_, Op::or_, Op::xor_, Op::smin, Op::smax, Op::umin, Op::umax,
                                  Op::fadd, Op::fmul, Op::fminnum, Op::fmaxnum};
      Op op = of[unsigned(i.op) - unsigned(Op::reduce_add)];
      bool started = i.op == Op::reduce_fadd || i.op == Op::reduce_fmul;
      uint32_t v = started ? i.b : i.a;
      const Type& e = types[types[type_of(v)].element];
      Scalar x = started ? value(i.a) : frame.values[code.first[v]];
      for (uint32_t s = started ? 0 : 1; s < code.count[v]; s++) {
        Scalar y = frame.values[code.first[v] + s];
        const char* why =
            e.kind == TypeKind::Int ? int_scalar(op, e.bits, x, y, 0, x) : float_scalar(op, e.kind, x, y, 0, x);
        if (why) return fail(why);
      }
      *r = x;
      return true;
    }
    case Op::call: return call_site(frame, i);
    case Op::va_start: {
      // The variadic arguments in one area, 8 bytes each (16 for wider ones).
      std::vector<uint8_t> area;
      unsigned cell = options.target.va_list == VaListKind::pointer ? types.layout().pointer_bytes : 8;
      for (size_t k = 0; k < frame.varargs.size(); k++) {
        TypeId t = frame.vararg_types[k];
        uint64_t size = types.size_of(t), align = types.align_of(t);
        if (align > cell) area.resize((area.size() + align - 1) / align * align);
        size_t start = area.size();
        area.resize(start + (size + cell - 1) / cell * cell);
        std::memcpy(area.data() + start, &frame.varargs[k], size_t(std::min<uint64_t>(size, 16)));
      }
      auto a = allocate(area.size() + 64, 16);
      if (!a.ok()) return fail(a.error().text());
      frame.allocations.push_back(*a);
      std::memcpy(at(*a, area.size(), true), area.data(), area.size());
      uint64_t start = *a, none = 0;
      if (options.target.va_list == VaListKind::pointer) {
        uint8_t* list = at(address(i.a), types.layout().pointer_bytes, true);
        if (!list) return fail("write outside of every allocation");
        std::memcpy(list, &start, types.layout().pointer_bytes);
      } else {
        uint8_t* list = at(address(i.a), 24, true);
        if (!list) return fail("write outside of every allocation");
        const uint32_t offsets[] = {48, 176};  // no registers are left
        std::memcpy(list, offsets, 8);
        std::memcpy(list + 8, &start, 8);
        std::memcpy(list + 16, &none, 8);
      }
      return true;
    }
    case Op::va_copy: {
      uint64_t size = options.target.va_list == VaListKind::pointer ? types.layout().pointer_bytes : 24;
      uint8_t* to = at(address(i.a), size, true);
      const uint8_t* from = at(address(i.b), size, false);
      if (!to || !from) return fail("a va_list outside of every allocation");
      std::memmove(to, from, size_t(size));
      return true;
    }
    case Op::va_arg: {
      unsigned cell = options.target.va_list == VaListKind::pointer ? types.layout().pointer_bytes : 8;
      uint64_t where = address(i.a) + (options.target.va_list == VaListKind::pointer ? 0 : 8), area = 0;
      uint8_t* p = at(where, cell, true);
      if (!p) return fail("a va_list outside of every allocation");
      std::memcpy(&area, p, cell);
      uint64_t align = types.align_of(i.type);
      if (align > cell) area = (area + align - 1) / align * align;
      if (!load(i.type, area, r)) return false;
      area += (types.size_of(i.type) + cell - 1) / cell * cell;
      std::memcpy(at(where, cell, true), &area, cell);
      return true;
    }
    case Op::return_address: case Op::frame_address: case Op::thread_pointer: *r = 0; return true;
    case Op::read_cycle_counter: *r = steps; return true;
    case Op::eh_sjlj_setjmp: case Op::eh_sjlj_longjmp: return fail("setjmp and longjmp are not interpreted");
    case Op::landing_pad: return fail("exceptions are not interpreted");
    default: break;
  }
  // Element by element.
  const OpInfo& o = info(i.op);
  const Type& e = types[element(type_of(i.a))];
  const bool has_b = o.shape == Shape::Binary || o.shape == Shape::Ternary, has_c = o.shape == Shape::Ternary;
  if (e.kind == TypeKind::Int && e.bits > 128) return fail("integers wider than 128 bits are not interpreted");
  if (o.result == ResultRule::Pair) {
    uint32_t lanes = n / 2;
    for (uint32_t s = 0; s < lanes; s++) {
      bool overflowed;
      r[s] = int_overflow(i.op, e.bits, value(i.a, s), value(i.b, s), overflowed);
      r[lanes + s] = overflowed;
    }
    return true;
  }
  for (uint32_t s = 0; s < n; s++) {
    Scalar a = value(i.a, s), b = has_b ? value(i.b, s) : 0, c = has_c ? value(i.c, s) : 0;
    if (b >= e.bits &&
        (i.op == Op::shl || i.op == Op::lshr || i.op == Op::ashr || i.op == Op::ushl_sat || i.op == Op::sshl_sat))
      undefined_results++;
    const char* why =
        e.kind == TypeKind::Int ? int_scalar(i.op, e.bits, a, b, c, r[s]) : float_scalar(i.op, e.kind, a, b, c, r[s]);
    if (why) return fail(why);
  }
  return true;
}

}  // namespace lode::air
