// AIR instructions without memory as nodes: integers, overflow checks, floats, conversions.
//
// i8 and i16 values stand in i32 with unknown bits above; z() and s() extend them where an operation looks at those
// bits. Addition, subtraction, multiplication, logic and left shifts do not. i1 is always 0 or 1.
#include <bit>

#include "base/bytes.h"
#include "codegen/wasm/select.h"

namespace lode::wasm {

using AirOp = air::Op;
using T = air::TypeTable;

void Selector::lower_inst(uint32_t index) {
  const air::Inst& inst = fn_->insts[index];
  switch (inst.op) {
    case AirOp::add: case AirOp::sub: case AirOp::mul: case AirOp::udiv: case AirOp::sdiv: case AirOp::urem:
    case AirOp::srem: case AirOp::and_: case AirOp::or_: case AirOp::xor_: case AirOp::shl: case AirOp::lshr:
    case AirOp::ashr: case AirOp::smin: case AirOp::smax: case AirOp::umin: case AirOp::umax: case AirOp::iabs:
    case AirOp::ctlz: case AirOp::cttz: case AirOp::ctpop:
    case AirOp::bswap: case AirOp::bitreverse: case AirOp::fshl: case AirOp::fshr: case AirOp::icmp:
      return lower_integer(inst);
    case AirOp::uadd_overflow: case AirOp::sadd_overflow: case AirOp::usub_overflow: case AirOp::ssub_overflow:
    case AirOp::umul_overflow: case AirOp::smul_overflow:
      return lower_overflow(inst);
    case AirOp::fadd: case AirOp::fsub: case AirOp::fmul: case AirOp::fdiv: case AirOp::fneg: case AirOp::fabs:
    case AirOp::fsqrt: case AirOp::fcopysign: case AirOp::fminimum: case AirOp::fmaximum: case AirOp::fceil:
    case AirOp::ffloor: case AirOp::ftrunc: case AirOp::frint: case AirOp::froundeven: case AirOp::fcmp:
      return lower_float(inst);
    case AirOp::trunc: case AirOp::zext: case AirOp::sext: case AirOp::fptoui: case AirOp::fptosi:
    case AirOp::fptoui_sat: case AirOp::fptosi_sat: case AirOp::uitofp: case AirOp::sitofp: case AirOp::fptrunc:
    case AirOp::fpext: case AirOp::ptrtoint: case AirOp::inttoptr: case AirOp::bitcast: case AirOp::freeze:
      return lower_conversion(inst);
    case AirOp::select: return define(inst, select(node_of(inst.va()), node_of(inst.vb()), node_of(inst.vc())));
    case AirOp::extract: {
      NodeId n = fn_->extra[inst.b + 1] == 0 ? value_node_[inst.a] : second_node_[inst.a];
      if (n == no_node || fn_->extra[inst.b] != 1 || fn_->extra[inst.b + 1] > 1)
        return unsupported("an extract from this value");
      return define(inst, n);
    }
    case AirOp::slot_addr: return define(inst, frame_address(slots_[inst.a].offset));
    case AirOp::ptr_add: case AirOp::load: case AirOp::store: case AirOp::memcpy: case AirOp::memmove:
    case AirOp::memset:
    case AirOp::alloca: case AirOp::stack_save: case AirOp::stack_restore: case AirOp::va_start: case AirOp::atomic_rmw:
    case AirOp::cmpxchg: case AirOp::fence:
      return lower_memory(index);
    case AirOp::call: return lower_call(index);
    case AirOp::prefetch: case AirOp::va_end: case AirOp::lifetime_start: case AirOp::lifetime_end: return;
    case AirOp::return_address: return define(inst, int_const(address_, 0));
    case AirOp::frame_address: return define(inst, inst.a == 0 ? frame_address(0) : int_const(address_, 0));
    case AirOp::read_cycle_counter: return define(inst, int_const(value_type(*types_, inst.type), 0));
    case AirOp::debug_trap: {
      Node n;
      n.op = uint16_t(Op::unreachable);
      n.effect = effect_write;
      append(n);
      return;
    }
    case AirOp::thread_pointer: {
      Node n;
      n.type = uint8_t(address_);
      n.op = pseudo_global;
      n.a = mir_.reference(mir::ReferenceKind::wasm_global, context_->tls_base);
      return define(inst, intern(n));
    }
    case AirOp::eh_sjlj_setjmp: case AirOp::eh_sjlj_longjmp: return unsupported("setjmp and longjmp");
    case AirOp::landing_pad: return unsupported("a landing pad (exceptions)");
    default: return unsupported(std::string("the instruction ") + air::info(inst.op).name);
  }
}

void Selector::lower_integer(const air::Inst& inst) {
  air::TypeId type = inst.op == AirOp::icmp ? fn_->values[inst.a].type : inst.type;
  unsigned bits = bits_of(type);
  bool wide = bits > 32;
  ValueType vt = wide ? ValueType::i64 : ValueType::i32;
  auto op2 = [&](Op narrow, Op large) { return wide ? large : narrow; };
  auto k = [&](int64_t v) { return int_const(vt, v); };
  auto n = [&](uint32_t v) { return node_of(air::ValueId(v)); };
  auto plain = [&](Op narrow, Op large) { define(inst, binary(op2(narrow, large), n(inst.a), n(inst.b))); };
  // Where upper bits do not matter, a narrow constant is what is shorter of its two extensions: 208 of 8 bits is -48.
  auto low = [&](uint32_t v) {
    NodeId m = n(v);
    int64_t c = 0;
    return bits < 32 && constant(m, c) && (c >> (bits - 1) & 1) ? k(sign_extend(uint64_t(c), bits)) : m;
  };
  auto modular = [&](Op narrow, Op large) { define(inst, binary(op2(narrow, large), low(inst.a), low(inst.b))); };
  // The count of a shift: below the width, so that only garbage above it matters.
  auto count = [&]() { return bits < 32 ? z(inst.vb()) : n(inst.b); };
  auto add = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_add, Op::i64_add), x, y); };
  auto sub = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_sub, Op::i64_sub), x, y); };
  auto and_ = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_and, Op::i64_and), x, y); };
  auto or_ = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_or, Op::i64_or), x, y); };
  auto xor_ = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_xor, Op::i64_xor), x, y); };
  auto shl = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_shl, Op::i64_shl), x, y); };
  auto shr = [&](NodeId x, NodeId y) { return binary(op2(Op::i32_shr_u, Op::i64_shr_u), x, y); };
  switch (inst.op) {
    case AirOp::add: return modular(Op::i32_add, Op::i64_add);
    case AirOp::sub: return modular(Op::i32_sub, Op::i64_sub);
    case AirOp::mul: return modular(Op::i32_mul, Op::i64_mul);
    case AirOp::and_: return plain(Op::i32_and, Op::i64_and);
    case AirOp::or_: return plain(Op::i32_or, Op::i64_or);
    case AirOp::xor_: return plain(Op::i32_xor, Op::i64_xor);
    case AirOp::udiv: return define(inst, binary(op2(Op::i32_div_u, Op::i64_div_u), z(inst.va()), z(inst.vb())));
    case AirOp::urem: return define(inst, binary(op2(Op::i32_rem_u, Op::i64_rem_u), z(inst.va()), z(inst.vb())));
    case AirOp::sdiv: return define(inst, binary(op2(Op::i32_div_s, Op::i64_div_s), s(inst.va()), s(inst.vb())));
    case AirOp::srem: return define(inst, binary(op2(Op::i32_rem_s, Op::i64_rem_s), s(inst.va()), s(inst.vb())));
    case AirOp::shl: return define(inst, shl(n(inst.a), count()));
    case AirOp::lshr: return define(inst, shr(z(inst.va()), count()));
    case AirOp::ashr: return define(inst, binary(op2(Op::i32_shr_s, Op::i64_shr_s), s(inst.va()), count()));
    case AirOp::smin: case AirOp::smax: case AirOp::umin: case AirOp::umax: {
      bool is_signed = inst.op == AirOp::smin || inst.op == AirOp::smax;
      NodeId a = is_signed ? s(inst.va()) : z(inst.va()), b = is_signed ? s(inst.vb()) : z(inst.vb());
      Op op = inst.op == AirOp::smin   ? op2(Op::i32_lt_s, Op::i64_lt_s)
              : inst.op == AirOp::smax ? op2(Op::i32_gt_s, Op::i64_gt_s)
              : inst.op == AirOp::umin ? op2(Op::i32_lt_u, Op::i64_lt_u)
                                       : op2(Op::i32_gt_u, Op::i64_gt_u);
      return define(inst, select(binary(op, a, b), a, b));
    }
    case AirOp::iabs: {
      NodeId a = s(inst.va());
      NodeId sign = binary(op2(Op::i32_shr_s, Op::i64_shr_s), a, k(wide ? 63 : 31));
      return define(inst, sub(xor_(a, sign), sign));
    }
    case AirOp::ctlz: {
      NodeId r = unary(op2(Op::i32_clz, Op::i64_clz), z(inst.va()));
      return define(inst, bits < 32 ? add(r, k(int(bits) - 32)) : r);
    }
    case AirOp::cttz: {
      NodeId a = n(inst.a);
      return define(inst, unary(op2(Op::i32_ctz, Op::i64_ctz), bits < 32 ? or_(a, k(int64_t{1} << bits)) : a));
    }
    case AirOp::ctpop: return define(inst, unary(op2(Op::i32_popcnt, Op::i64_popcnt), z(inst.va())));
    case AirOp::bswap: {
      if (bits == 16) return define(inst, or_(shl(n(inst.a), k(8)), shr(z(inst.va()), k(8))));
      return define(inst, byte_swap(n(inst.a), bits));
    }
    case AirOp::bitreverse: {
      // Pairs exchanged at growing distances; the narrow types come out of the top of 32 bits.
      NodeId a = n(inst.a);
      uint64_t masks[] = {0x5555555555555555ull, 0x3333333333333333ull, 0x0f0f0f0f0f0f0f0full, 0x00ff00ff00ff00ffull,
                          0x0000ffff0000ffffull};
      for (unsigned step = 0, distance = 1; step < (wide ? 5u : 4u); step++, distance *= 2) {
        NodeId m = wide ? k(int64_t(masks[step])) : k(int32_t(uint32_t(masks[step])));
        a = or_(and_(shr(a, k(distance)), m), shl(and_(a, m), k(distance)));
      }
      a = binary(op2(Op::i32_rotl, Op::i64_rotl), a, k(wide ? 32 : 16));
      return define(inst, bits < 32 ? shr(a, k(32 - bits)) : a);
    }
    case AirOp::fshl: case AirOp::fshr: {
      if (inst.a != inst.b) return unsupported("a funnel shift of two values");
      bool left = inst.op == AirOp::fshl;
      if (bits >= 32)
        return define(inst, binary(left ? op2(Op::i32_rotl, Op::i64_rotl) : op2(Op::i32_rotr, Op::i64_rotr), n(inst.a),
                                   n(inst.c)));
      NodeId a = z(inst.va()), c = and_(n(inst.c), k(bits - 1)), back = and_(sub(k(0), n(inst.c)), k(bits - 1));
      return define(inst, or_(shl(a, left ? c : back), shr(a, left ? back : c)));
    }
    case AirOp::icmp: {
      auto p = air::IntPredicate(inst.aux);
      using P = air::IntPredicate;
      NodeId a, b;
      if (p == P::eq || p == P::ne) {
        a = n(inst.a);
        b = n(inst.b);
        if (bits < 32 && bits > 1) {
          // Either extension does; signed is the shorter one.
          int64_t v = 0;
          if (constant(a, v) && !constant(b, v)) std::swap(a, b);
          bool constant_b = constant(b, v);
          if (nodes_[a].zbits <= bits && (constant_b || nodes_[b].zbits <= bits)) {
            b = zext(b, bits);
          } else if (constant_b && v == 0 && !has(Feature::sign_ext)) {
            a = zext(a, bits);
          } else {
            a = sext(a, bits);
            b = sext(b, bits);
          }
        }
      } else if (p >= P::sgt) {
        a = s(inst.va());
        b = s(inst.vb());
      } else {
        a = z(inst.va());
        b = z(inst.vb());
      }
      Op op;
      switch (p) {
        case P::eq: op = op2(Op::i32_eq, Op::i64_eq); break;
        case P::ne: op = op2(Op::i32_ne, Op::i64_ne); break;
        case P::ugt: op = op2(Op::i32_gt_u, Op::i64_gt_u); break;
        case P::uge: op = op2(Op::i32_ge_u, Op::i64_ge_u); break;
        case P::ult: op = op2(Op::i32_lt_u, Op::i64_lt_u); break;
        case P::ule: op = op2(Op::i32_le_u, Op::i64_le_u); break;
        case P::sgt: op = op2(Op::i32_gt_s, Op::i64_gt_s); break;
        case P::sge: op = op2(Op::i32_ge_s, Op::i64_ge_s); break;
        case P::slt: op = op2(Op::i32_lt_s, Op::i64_lt_s); break;
        default: op = op2(Op::i32_le_s, Op::i64_le_s); break;
      }
      if (bits == 1 && p == P::ne) return define(inst, binary(Op::i32_xor, a, b));
      return define(inst, binary(op, a, b));
    }
    default: return;
  }
}

void Selector::lower_overflow(const air::Inst& inst) {
  unsigned bits = bits_of(fn_->values[inst.a].type);
  bool is_signed =
      inst.op == AirOp::sadd_overflow || inst.op == AirOp::ssub_overflow || inst.op == AirOp::smul_overflow;
  bool is_mul = inst.op == AirOp::umul_overflow || inst.op == AirOp::smul_overflow;
  bool is_sub = inst.op == AirOp::usub_overflow || inst.op == AirOp::ssub_overflow;
  NodeId result, overflow;
  if (bits == 1) return unsupported("overflow arithmetic of one bit");
  if (bits < 32) {
    // Exact in 32 bits; overflowed when the narrow value extends to something else.
    NodeId a = is_signed ? s(inst.va()) : z(inst.va()), b = is_signed ? s(inst.vb()) : z(inst.vb());
    result = binary(is_mul ? Op::i32_mul : is_sub ? Op::i32_sub : Op::i32_add, a, b);
    if (is_signed) {
      NodeId back = has(Feature::sign_ext) ? unary(bits == 8 ? Op::i32_extend8_s : Op::i32_extend16_s, result)
                                           : sext(result, bits);
      overflow = binary(Op::i32_ne, result, back);
    } else {
      overflow = binary(Op::i32_gt_u, result, i32c(int32_t((1u << bits) - 1)));
    }
  } else if (is_mul) {
    if (bits == 64) return unsupported("overflow-checked multiplication of 64 bits");
    Op extend = is_signed ? Op::i64_extend_i32_s : Op::i64_extend_i32_u;
    NodeId product = binary(Op::i64_mul, unary(extend, node_of(inst.va())), unary(extend, node_of(inst.vb())));
    result = unary(Op::i32_wrap_i64, product);
    overflow = is_signed ? binary(Op::i64_ne, unary(Op::i64_extend_i32_s, result), product)
                         : eqz(eqz(binary(Op::i64_shr_u, product, i64c(32))));
  } else {
    bool wide = bits == 64;
    auto op2 = [&](Op narrow, Op large) { return wide ? large : narrow; };
    NodeId a = node_of(inst.va()), b = node_of(inst.vb());
    result = binary(is_sub ? op2(Op::i32_sub, Op::i64_sub) : op2(Op::i32_add, Op::i64_add), a, b);
    if (!is_signed) {
      overflow =
          is_sub ? binary(op2(Op::i32_lt_u, Op::i64_lt_u), a, b) : binary(op2(Op::i32_lt_u, Op::i64_lt_u), result, a);
    } else {
      Op xor_ = op2(Op::i32_xor, Op::i64_xor), and_ = op2(Op::i32_and, Op::i64_and);
      NodeId changed = binary(xor_, a, result);
      NodeId other = is_sub ? binary(xor_, a, b) : binary(xor_, b, result);
      overflow = binary(op2(Op::i32_lt_s, Op::i64_lt_s), binary(and_, changed, other), wide ? i64c(0) : i32c(0));
    }
  }
  value_node_[inst.result.value] = result;
  second_node_[inst.result.value] = overflow;
}

void Selector::lower_float(const air::Inst& inst) {
  air::TypeId type = inst.op == AirOp::fcmp ? fn_->values[inst.a].type : inst.type;
  bool wide = type == T::f64;
  if (!wide && type != T::f32) return unsupported("a float of this type");
  auto op2 = [&](Op narrow, Op large) { return wide ? large : narrow; };
  auto plain = [&](Op narrow, Op large) {
    define(inst, binary(op2(narrow, large), node_of(inst.va()), node_of(inst.vb())));
  };
  auto one = [&](Op narrow, Op large) { define(inst, unary(op2(narrow, large), node_of(inst.va()))); };
  switch (inst.op) {
    case AirOp::fadd: return plain(Op::f32_add, Op::f64_add);
    case AirOp::fsub: return plain(Op::f32_sub, Op::f64_sub);
    case AirOp::fmul: return plain(Op::f32_mul, Op::f64_mul);
    case AirOp::fdiv: return plain(Op::f32_div, Op::f64_div);
    case AirOp::fcopysign: return plain(Op::f32_copysign, Op::f64_copysign);
    case AirOp::fminimum: return plain(Op::f32_min, Op::f64_min);
    case AirOp::fmaximum: return plain(Op::f32_max, Op::f64_max);
    case AirOp::fneg: return one(Op::f32_neg, Op::f64_neg);
    case AirOp::fabs: return one(Op::f32_abs, Op::f64_abs);
    case AirOp::fsqrt: return one(Op::f32_sqrt, Op::f64_sqrt);
    case AirOp::fceil: return one(Op::f32_ceil, Op::f64_ceil);
    case AirOp::ffloor: return one(Op::f32_floor, Op::f64_floor);
    case AirOp::ftrunc: return one(Op::f32_trunc, Op::f64_trunc);
    case AirOp::frint: case AirOp::froundeven: return one(Op::f32_nearest, Op::f64_nearest);
    default: break;
  }
  NodeId a = node_of(inst.va()), b = node_of(inst.vb());
  auto compare = [&](Op narrow, Op large) { return binary(op2(narrow, large), a, b); };
  auto ordered = [&] {
    NodeId x = binary(op2(Op::f32_eq, Op::f64_eq), a, a);
    return a == b ? x : binary(Op::i32_and, x, binary(op2(Op::f32_eq, Op::f64_eq), b, b));
  };
  auto unordered = [&] {
    NodeId x = binary(op2(Op::f32_ne, Op::f64_ne), a, a);
    return a == b ? x : binary(Op::i32_or, x, binary(op2(Op::f32_ne, Op::f64_ne), b, b));
  };
  using P = air::FloatPredicate;
  NodeId r = no_node;
  switch (P(inst.aux)) {
    case P::false_: r = i32c(0); break;
    case P::true_: r = i32c(1); break;
    case P::oeq: r = compare(Op::f32_eq, Op::f64_eq); break;
    case P::ogt: r = compare(Op::f32_gt, Op::f64_gt); break;
    case P::oge: r = compare(Op::f32_ge, Op::f64_ge); break;
    case P::olt: r = compare(Op::f32_lt, Op::f64_lt); break;
    case P::ole: r = compare(Op::f32_le, Op::f64_le); break;
    case P::une: r = compare(Op::f32_ne, Op::f64_ne); break;
    case P::ugt: r = eqz(compare(Op::f32_le, Op::f64_le)); break;
    case P::uge: r = eqz(compare(Op::f32_lt, Op::f64_lt)); break;
    case P::ult: r = eqz(compare(Op::f32_ge, Op::f64_ge)); break;
    case P::ule: r = eqz(compare(Op::f32_gt, Op::f64_gt)); break;
    case P::one: r = binary(Op::i32_or, compare(Op::f32_lt, Op::f64_lt), compare(Op::f32_gt, Op::f64_gt)); break;
    case P::ueq: r = eqz(binary(Op::i32_or, compare(Op::f32_lt, Op::f64_lt), compare(Op::f32_gt, Op::f64_gt))); break;
    case P::ord: r = ordered(); break;
    case P::uno: r = unordered(); break;
  }
  define(inst, r);
}

void Selector::lower_conversion(const air::Inst& inst) {
  air::TypeId from_type = fn_->values[inst.a].type;
  unsigned from = bits_of(from_type), to = bits_of(inst.type);
  ValueType result = value_type(*types_, inst.type);
  NodeId a = node_of(inst.va());
  bool from_f64 = from_type == T::f64;
  switch (inst.op) {
    case AirOp::freeze: return define(inst, a);
    case AirOp::trunc:
      if (to <= 32) a = wrap(a);
      return define(inst, to == 1 ? zext(a, 1) : a);
    case AirOp::zext: return define(inst, zext_to(a, from, result));
    case AirOp::sext:
      if (from == 1) {
        NodeId minus = binary(Op::i32_sub, i32c(0), a);
        return define(inst, result == ValueType::i64 ? unary(Op::i64_extend_i32_s, minus) : minus);
      }
      return define(inst, sext_to(a, from, result));
    case AirOp::ptrtoint: case AirOp::inttoptr: {
      // Legal between equal widths; other widths as zero extension and truncation.
      if (result == ValueType::i64) return define(inst, zext_to(a, from, result));
      return define(inst, wrap(a));
    }
    case AirOp::bitcast: {
      ValueType have = ValueType(nodes_[a].type);
      if (have == result) return define(inst, a);
      if (have == ValueType::i32 && result == ValueType::f32) return define(inst, unary(Op::f32_reinterpret_i32, a));
      if (have == ValueType::f32 && result == ValueType::i32) return define(inst, unary(Op::i32_reinterpret_f32, a));
      if (have == ValueType::i64 && result == ValueType::f64) return define(inst, unary(Op::f64_reinterpret_i64, a));
      if (have == ValueType::f64 && result == ValueType::i64) return define(inst, unary(Op::i64_reinterpret_f64, a));
      return unsupported("a bitcast between these types");
    }
    case AirOp::fptrunc: return define(inst, unary(Op::f32_demote_f64, a));
    case AirOp::fpext: return define(inst, unary(Op::f64_promote_f32, a));
    case AirOp::sitofp: case AirOp::uitofp: {
      bool is_signed = inst.op == AirOp::sitofp;
      NodeId x = is_signed ? (from == 1 ? binary(Op::i32_sub, i32c(0), a) : sext(a, from)) : zext(a, from);
      bool wide = from > 32;
      // A zero-extended narrow integer is not negative.
      bool as_signed = is_signed;
      Op op = result == ValueType::f64 ? (wide ? (as_signed ? Op::f64_convert_i64_s : Op::f64_convert_i64_u)
                                               : (as_signed ? Op::f64_convert_i32_s : Op::f64_convert_i32_u))
                                       : (wide ? (as_signed ? Op::f32_convert_i64_s : Op::f32_convert_i64_u)
                                               : (as_signed ? Op::f32_convert_i32_s : Op::f32_convert_i32_u));
      return define(inst, unary(op, x));
    }
    case AirOp::fptosi: case AirOp::fptoui: case AirOp::fptosi_sat: case AirOp::fptoui_sat: {
      bool is_signed = inst.op == AirOp::fptosi || inst.op == AirOp::fptosi_sat;
      bool saturating = inst.op == AirOp::fptosi_sat || inst.op == AirOp::fptoui_sat;
      bool wide = to > 32;
      if (to < 32) is_signed = true;  // what fits is the same, the rest is undefined
      if (saturating && !has(Feature::nontrapping_fptoint))
        return unsupported("a saturating conversion without nontrapping-fptoint");
      if (saturating && to < 32) return unsupported("a saturating conversion to a narrow integer");
      if (has(Feature::nontrapping_fptoint)) {
        Op op = wide ? (from_f64 ? (is_signed ? Op::i64_trunc_sat_f64_s : Op::i64_trunc_sat_f64_u)
                                 : (is_signed ? Op::i64_trunc_sat_f32_s : Op::i64_trunc_sat_f32_u))
                     : (from_f64 ? (is_signed ? Op::i32_trunc_sat_f64_s : Op::i32_trunc_sat_f64_u)
                                 : (is_signed ? Op::i32_trunc_sat_f32_s : Op::i32_trunc_sat_f32_u));
        return define(inst, unary(op, a));
      }
      Op op = wide ? (from_f64 ? (is_signed ? Op::i64_trunc_f64_s : Op::i64_trunc_f64_u)
                               : (is_signed ? Op::i64_trunc_f32_s : Op::i64_trunc_f32_u))
                   : (from_f64 ? (is_signed ? Op::i32_trunc_f64_s : Op::i32_trunc_f64_u)
                               : (is_signed ? Op::i32_trunc_f32_s : Op::i32_trunc_f32_u));
      Node n;
      n.op = pseudo_trunc_guarded;
      n.type = uint8_t(wide ? ValueType::i64 : ValueType::i32);
      n.a = a;
      n.b = uint32_t(op);
      n.operands = 1;
      NodeId id = pure(n);
      return define(inst, id);
    }
    default: return;
  }
}

}  // namespace lode::wasm
