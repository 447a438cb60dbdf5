// Values: constants of the function, constant expressions, address arithmetic and casts.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/import/function_import.h"

namespace lode::codegen {

namespace {

uint64_t low_bits(uint64_t v, uint32_t bits) { return bits >= 64 ? v : v & ((uint64_t{1} << bits) - 1); }

}  // namespace

air::ValueId FunctionImporter::use(uint32_t value) {
  if (value >= b_.first_local) {
    V v = w_.locals[value - b_.first_local];
    if (value >= b_.first_constant && value < b_.first_result) return v.valid() ? v : constant(value, 0);
    if (v.valid()) {
      const uint32_t home = w_.homes[value - b_.first_local];
      if (home == current_air_ || dominates(home, current_air_)) return v;
    }
    fail("use of a value that is not defined before");
    return {};
  }
  if (w_.stamps[value] == w_.stamp) return w_.module_values[value];
  return constant(value, 0);
}

air::ValueId FunctionImporter::emit(O op, T type, uint32_t a, uint32_t b, uint32_t c, uint16_t aux, uint8_t flags) {
  air::Inst i;
  i.op = op;
  i.flags = flags;
  i.aux = aux;
  i.type = type;
  i.a = a;
  i.b = b;
  i.c = c;
  if (type != types_.void_type) {
    i.result = V(uint32_t(f_.values.size()));
    f_.values.push_back(air::Value::make(type, air::ValueKind::Inst, uint32_t(f_.insts.size())));
  }
  f_.insts.push_back(i);
  if (has_locations_) f_.inst_locations.push_back(location_);
  return i.result;
}

air::ValueId FunctionImporter::constant_value(const air::Constant& c) {
  V v(uint32_t(f_.values.size()));
  f_.values.push_back(air::Value::make(c.type, air::ValueKind::Const, uint32_t(f_.constants.size())));
  f_.constants.push_back(c);
  return v;
}

air::ValueId FunctionImporter::int_constant(T type, uint64_t bits) {
  const uint32_t width = air_type(type).bits;
  if (width <= 64) return constant_value({air::ConstantKind::Int, type, ~0u, low_bits(bits, width)});
  const uint64_t at = f_.extra.size();
  for (uint32_t i = 0; i < (width + 31) / 32; i++) f_.extra.push_back(i < 2 ? uint32_t(bits >> (32 * i)) : 0);
  return constant_value({air::ConstantKind::WideInt, type, ~0u, at});
}

air::ValueId FunctionImporter::symbol_constant(air::SymbolIndex symbol, uint64_t addend) {
  return constant_value({air::ConstantKind::Symbol, types_.ptr, symbol.value, addend});
}

air::ValueId FunctionImporter::zero_constant(T type) {
  switch (air_type(type).kind) {
    case air::TypeKind::Int: return int_constant(type, 0);
    case air::TypeKind::F16:
    case air::TypeKind::BF16:
    case air::TypeKind::F32:
    case air::TypeKind::F64: return constant_value({air::ConstantKind::Float, type, ~0u, 0});
    default: return constant_value({air::ConstantKind::Zero, type, ~0u, 0});
  }
}

air::ValueId FunctionImporter::undef_constant(T type) {
  return constant_value({air::ConstantKind::Undef, type, ~0u, 0});
}

air::ValueId FunctionImporter::build_aggregate(T type, const std::vector<V>& members, bool& pure) {
  pure = true;
  for (V v : members) pure = pure && f_.values[v.value].kind() == air::ValueKind::Const;
  if (pure) {
    const uint64_t at = f_.extra.size();
    for (V v : members) f_.extra.push_back(v.value);
    return constant_value({air::ConstantKind::Aggregate, type, ~0u, at});
  }
  V whole = undef_constant(type);
  for (uint32_t i = 0; i < members.size(); i++) {
    if (air_type(type).kind == air::TypeKind::Vector) {
      whole = emit(O::insert_element, type, whole.value, members[i].value, int_constant(types_.i32, i).value);
    } else {
      uint32_t at = uint32_t(f_.extra.size());
      f_.extra.push_back(1);
      f_.extra.push_back(i);
      whole = emit(O::insert, type, whole.value, members[i].value, at);
    }
  }
  return whole;
}

air::ValueId FunctionImporter::constant(uint32_t value, int depth) {
  if (depth > int(air::TypeTable::max_nesting) || --budget_ < 0) {
    fail("constant nested too deeply");
    return {};
  }
  const bool local = value >= b_.first_local;
  if (local) {
    if (value < b_.first_constant || value >= b_.first_result) {
      fail("constant that refers to a value that is not constant");
      return {};
    }
    V v = w_.locals[value - b_.first_local];
    if (v.valid()) return v;
  } else if (w_.stamps[value] == w_.stamp) {
    return w_.module_values[value];
  }
  bool pure = true;
  V v;
  if (value < m_.globals.size()) {
    if (!s_.symbols[value]) {
      fail("'" + std::string(m_.globals[value].name) + "' is used as a value");
      return {};
    }
    v = symbol_constant(s_.symbols[value], 0);
  } else {
    const bc::Constant* k;
    const bc::Constants* pool = folder_.pool(value, k);
    const bc::Type& t = m_.types[k->type];
    if (!s_.type_ok[k->type]) {
      fail("constant of a type that is not supported");
      return {};
    }
    if (k->kind >= bc::ConstKind::Binop && k->kind != bc::ConstKind::InlineAsm &&
        (t.kind == bc::TypeKind::Pointer || t.kind == bc::TypeKind::Integer)) {
      Folded f = folder_.fold(value);
      const T type = s_.types[k->type];
      if (f.kind == Folded::Int) {
        v = type == types_.ptr && f.bits == 0 ? zero_constant(type) : V{};
        if (type != types_.ptr) v = int_constant(type, f.bits);
      } else if (f.kind == Folded::Address && type == types_.ptr) {
        v = symbol_constant(f.symbol, f.bits);
      } else if (f.kind == Folded::Address && types_.size_of(type) <= types_.layout().pointer_bytes) {
        pure = false;
        v = emit(O::ptrtoint, type, symbol_constant(f.symbol, f.bits).value);
      } else if (f.kind == Folded::Block && type == types_.ptr) {
        if (f.symbol != f_.symbol) {
          fail("address of a block of another function is not supported");
          return {};
        }
        if (f.block >= b_.block_count()) {
          fail("address of a block that does not exist");
          return {};
        }
        uint32_t n = w_.number[f.block];
        v = n == bc::none ? zero_constant(type) : constant_value({air::ConstantKind::BlockAddress, type, n, 0});
      }
    }
    if (!v.valid()) v = make_constant(*pool, *k, depth, pure);
  }
  if (!v.valid() || !pure) return v;
  if (local) {
    w_.locals[value - b_.first_local] = v;
  } else {
    w_.module_values[value] = v;
    w_.stamps[value] = w_.stamp;
  }
  return v;
}

air::ValueId FunctionImporter::make_constant(const bc::Constants& pool, const bc::Constant& k, int depth, bool& pure) {
  const T type = s_.types[k.type];
  pure = true;
  switch (k.kind) {
    case bc::ConstKind::Null: return zero_constant(type);
    case bc::ConstKind::Undef:
    case bc::ConstKind::Poison: return undef_constant(type);
    case bc::ConstKind::Int: return int_constant(type, k.bits);
    case bc::ConstKind::Float: return constant_value({air::ConstantKind::Float, type, ~0u, k.bits});
    case bc::ConstKind::WideInt: {
      auto w = pool.words_of(k);
      const uint64_t at = f_.extra.size();
      for (uint32_t i = 0; i < (air_type(type).bits + 31) / 32; i++)
        f_.extra.push_back(uint32_t(w[i / 2] >> (32 * (i % 2))));
      return constant_value({air::ConstantKind::WideInt, type, ~0u, at});
    }
    case bc::ConstKind::WideFloat: {
      auto w = pool.words_of(k);
      const uint64_t at = f_.extra.size();
      for (uint32_t i = 0; i < (type == types_.f80 ? 3u : 4u); i++)
        f_.extra.push_back(uint32_t(w[i / 2] >> (32 * (i % 2))));
      return constant_value({air::ConstantKind::WideFloat, type, ~0u, at});
    }
    case bc::ConstKind::Aggregate: {
      std::vector<V> members;
      const air::Type t = air_type(type);
      auto ops = pool.operands_of(k);
      for (uint32_t i = 0; i < ops.size(); i++) {
        V v = constant(ops[i], depth + 1);
        if (!v.valid()) return {};
        if (type_of(v) != (t.kind == air::TypeKind::Struct ? types_.member(t, i) : t.element)) {
          fail("constant with a member of a wrong type");
          return {};
        }
        members.push_back(v);
      }
      return build_aggregate(type, members, pure);
    }
    case bc::ConstKind::String: {
      std::vector<V> members;
      for (char c : pool.bytes_of(k)) members.push_back(int_constant(types_.i8, uint8_t(c)));
      return build_aggregate(type, members, pure);
    }
    case bc::ConstKind::Data: {
      std::vector<V> members;
      const T e = air_type(type).element;
      for (uint64_t w : pool.words_of(k))
        members.push_back(is_int(e) ? int_constant(e, w) : constant_value({air::ConstantKind::Float, e, ~0u, w}));
      return build_aggregate(type, members, pure);
    }
    default: pure = false; return constant_instructions(pool, k, depth);
  }
}

// A constant expression that is not one by the linker's means.
air::ValueId FunctionImporter::constant_instructions(const bc::Constants& pool, const bc::Constant& k, int depth) {
  const T type = s_.types[k.type];
  V v[3];
  auto o = pool.operands_of(k);
  auto values = [&](std::initializer_list<uint32_t> which) {
    int n = 0;
    for (uint32_t i : which) {
      v[n] = constant(o[i], depth + 1);
      if (!v[n++].valid()) return false;
    }
    return true;
  };
  switch (k.kind) {
    case bc::ConstKind::Cast:
      if (!values({0})) return {};
      return cast_value(v[0], bc::CastOp(k.op), type, 0);
    case bc::ConstKind::Gep:
      if (!values({1})) return {};
      return gep_value(v[0], o[0], o.subspan(2), type, depth + 1, k.flags & 1);
    case bc::ConstKind::Binop: {
      static constexpr O int_ops[] = {O::add, O::sub, O::mul, O::udiv, O::sdiv, O::urem, O::srem,
                                      O::shl, O::lshr, O::ashr, O::and_, O::or_, O::xor_};
      if (!values({0, 1})) return {};
      if (type_of(v[0]) != type || type_of(v[1]) != type || !is_int(scalar_of(type))) break;
      return emit(int_ops[k.op], type, v[0].value, v[1].value);
    }
    case bc::ConstKind::Compare:
      if (!values({0, 1})) return {};
      if (type_of(v[0]) != type_of(v[1]) || scalar_of(type) != types_.i1) break;
      if (k.op >= 32 && k.op <= 41) return emit(O::icmp, type, v[0].value, v[1].value, ~0u, k.op - 32);
      if (k.op < 16 && is_float(scalar_of(type_of(v[0]))))
        return emit(O::fcmp, type, v[0].value, v[1].value, ~0u, k.op);
      break;
    case bc::ConstKind::Select:
      if (!values({0, 1, 2})) return {};
      if (type_of(v[0]) != types_.i1 || type_of(v[1]) != type || type_of(v[2]) != type) break;
      return emit(O::select, type, v[0].value, v[1].value, v[2].value);
    case bc::ConstKind::ExtractElement:
      if (!values({0, 1})) return {};
      if (air_type(type_of(v[0])).kind != air::TypeKind::Vector || air_type(type_of(v[0])).element != type) break;
      return emit(O::extract_element, type, v[0].value, v[1].value);
    case bc::ConstKind::InsertElement:
      if (!values({0, 1, 2})) return {};
      if (type_of(v[0]) != type || air_type(type).kind != air::TypeKind::Vector ||
          air_type(type).element != type_of(v[1]))
        break;
      return emit(O::insert_element, type, v[0].value, v[1].value, v[2].value);
    case bc::ConstKind::InlineAsm: fail("inline assembly is used as a value"); return {};
    default: break;
  }
  fail("constant expression is not supported");
  return {};
}

air::ValueId FunctionImporter::emit_ptr_add(V base, V index, int64_t scale, int64_t offset) {
  if (!index.valid() && offset == 0) return base;
  if (!index.valid()) {
    // A symbol takes the offset into its addend.
    if (const air::Constant* c = f_.constant(base); c && c->kind == air::ConstantKind::Symbol)
      return symbol_constant(air::SymbolIndex(c->symbol), c->bits + uint64_t(offset));
    scale = 0;
  }
  const uint32_t at = uint32_t(f_.extra.size());
  f_.extra.push_back(uint32_t(scale));
  f_.extra.push_back(uint32_t(uint64_t(scale) >> 32));
  f_.extra.push_back(uint32_t(offset));
  f_.extra.push_back(uint32_t(uint64_t(offset) >> 32));
  return emit(O::ptr_add, types_.ptr, base.value, index.value, at);
}

air::ValueId FunctionImporter::resize_index(V v) {
  const T t = type_of(v);
  if (t == s_.pointer_int) return v;
  if (!is_int(t)) {
    fail("index that is not an integer");
    return {};
  }
  return emit(air_type(t).bits < air_type(s_.pointer_int).bits ? O::sext : O::trunc, s_.pointer_int, v.value);
}

air::ValueId FunctionImporter::resize_unsigned(V v, T type) {
  const T t = type_of(v);
  if (t == type) return v;
  if (const air::Constant* c = f_.constant(v); c && c->kind == air::ConstantKind::Int && air_type(type).bits <= 64)
    return int_constant(type, c->bits);
  return emit(air_type(t).bits < air_type(type).bits ? O::zext : O::trunc, type, v.value);
}

air::ValueId FunctionImporter::gep_value(V base, uint32_t source, std::span<const uint32_t> indices, T type, int depth,
                                         bool inbounds) {
  if (air_type(type).kind != air::TypeKind::Vector) return gep_parts(base, source, indices, depth, -1, inbounds);
  if (air_type(type).count > 64) {
    fail("vector of pointers that is too long");
    return {};
  }
  V whole = undef_constant(type);
  for (int lane = 0; lane < int(air_type(type).count); lane++) {
    V p = gep_parts(base, source, indices, depth, lane, inbounds);
    if (!p.valid()) return {};
    whole = emit(O::insert_element, type, whole.value, p.value, int_constant(types_.i32, uint64_t(lane)).value);
  }
  return whole;
}

air::ValueId FunctionImporter::gep_parts(V base, uint32_t source, std::span<const uint32_t> indices, int depth,
                                         int lane, bool inbounds) {
  auto pick = [&](V v) {
    const air::Type& t = air_type(type_of(v));
    if (lane < 0 || t.kind != air::TypeKind::Vector || uint64_t(lane) >= t.count) return v;
    return emit(O::extract_element, t.element, v.value, int_constant(types_.i32, uint64_t(lane)).value);
  };
  base = pick(base);
  if (type_of(base) != types_.ptr) {
    fail("address arithmetic on something that is not a pointer");
    return {};
  }
  uint64_t offset = 0;
  uint32_t t = source;
  V pending;             // an index that is not constant, and its scale, not yet added
  uint64_t pending_scale = 0;
  V current = base;
  bool first = true;
  for (uint32_t index : indices) {
    const bc::Type& a = m_.types[t];
    uint64_t scale = 0;
    const bc::Constant* k;
    const bc::Constants* pool = folder_.pool(index, k);
    if (!first && a.kind == bc::TypeKind::Struct) {
      // A vector of field numbers has the same one in every lane.
      if (pool && lane >= 0 && k->kind == bc::ConstKind::Aggregate && k->count)
        pool = folder_.pool(index = pool->operands_of(*k)[0], k);
      Folded f;
      if (pool && lane >= 0 && k->kind == bc::ConstKind::Data && k->count) {
        f.kind = Folded::Int;
        f.bits = pool->words_of(*k)[0];
      } else if (pool && lane >= 0 && k->kind == bc::ConstKind::Null) {
        f.kind = Folded::Int;
      } else if (pool) {
        f = folder_.fold(index);
      }
      if (f.kind != Folded::Int || f.bits >= a.count || !s_.type_ok[t]) {
        fail("bad field number");
        return {};
      }
      offset += types_.field_offset(s_.types[t], uint32_t(f.bits));
      t = m_.type_lists[a.element + uint32_t(f.bits)];
      continue;
    }
    if (!first) {
      if (a.kind != bc::TypeKind::Array && a.kind != bc::TypeKind::Vector) {
        fail("index into something that has no elements");
        return {};
      }
      t = a.element;
    }
    first = false;
    if (!s_.type_ok[t]) {
      fail("index into something without a size");
      return {};
    }
    scale = types_.size_of(s_.types[t]);
    if (pool) {
      const bc::Type& it = m_.types[k->type];
      Folded f = it.kind == bc::TypeKind::Integer && it.count <= 64 ? folder_.fold(index) : Folded{};
      if (f.kind == Folded::Int) {
        offset += uint64_t(sign_extend(f.bits, unsigned(it.count))) * scale;
        continue;
      }
    }
    if (scale == 0) continue;
    V v = depth ? constant(index, depth) : use(index);
    if (!v.valid()) return {};
    v = resize_index(pick(v));
    if (!v.valid()) return {};
    if (pending.valid()) current = emit_ptr_add(current, pending, int64_t(pending_scale), 0);
    pending = v;
    pending_scale = scale;
    // A constant part before the index: moved behind it, the sum without it need not lie inside the object.
    if (offset) inbounds = false;
  }
  const size_t before = f_.insts.size();
  V result = emit_ptr_add(current, pending, int64_t(pending_scale), int64_t(offset));
  if (inbounds && int64_t(offset) >= 0 && f_.insts.size() > before && f_.insts.back().op == O::ptr_add)
    f_.insts.back().flags |= air::flags::no_unsigned_wrap;
  return result;
}

air::ValueId FunctionImporter::cast_value(V v, bc::CastOp op, T to, uint16_t flags) {
  const T from = type_of(v);
  const air::Type &a = air_type(from), &b = air_type(to);
  auto bad = [&] {
    fail("cast between types that do not fit");
    return V{};
  };
  // Lanes must agree, except for bitcasts.
  if (op != bc::CastOp::Bitcast && ((a.kind == air::TypeKind::Vector) != (b.kind == air::TypeKind::Vector) ||
                                    (a.kind == air::TypeKind::Vector && a.count != b.count)))
    return bad();
  const T ea = scalar_of(from), eb = scalar_of(to);
  const uint32_t bits_a = air_type(ea).bits, bits_b = air_type(eb).bits;
  auto plain = [&](O o, bool ok, uint8_t air_flags = 0) {
    return ok ? emit(o, to, v.value, ~0u, ~0u, 0, air_flags) : bad();
  };
  auto width = [&](T t) -> uint32_t {
    switch (air_type(t).kind) {
      case air::TypeKind::F16:
      case air::TypeKind::BF16: return 16;
      case air::TypeKind::F32: return 32;
      case air::TypeKind::F64: return 64;
      case air::TypeKind::F80: return 80;
      case air::TypeKind::F128: return 128;
      case air::TypeKind::Int: return air_type(t).bits;
      case air::TypeKind::Ptr: return types_.layout().pointer_bytes * 8;
      default: return 0;
    }
  };
  switch (op) {
    case bc::CastOp::Trunc: return plain(O::trunc, is_int(ea) && is_int(eb) && bits_b < bits_a);
    case bc::CastOp::ZExt:
      return plain(O::zext, is_int(ea) && is_int(eb) && bits_b > bits_a, flags & 1 ? air::flags::non_negative : 0);
    case bc::CastOp::SExt: return plain(O::sext, is_int(ea) && is_int(eb) && bits_b > bits_a);
    case bc::CastOp::FpToUi: return plain(O::fptoui, is_float(ea) && is_int(eb));
    case bc::CastOp::FpToSi: return plain(O::fptosi, is_float(ea) && is_int(eb));
    case bc::CastOp::UiToFp:  // of what is not negative: the same with a sign
      return plain(flags & 1 ? O::sitofp : O::uitofp, is_int(ea) && is_float(eb));
    case bc::CastOp::SiToFp: return plain(O::sitofp, is_int(ea) && is_float(eb));
    case bc::CastOp::FpTrunc: return plain(O::fptrunc, is_float(ea) && is_float(eb) && width(eb) < width(ea));
    case bc::CastOp::FpExt: return plain(O::fpext, is_float(ea) && is_float(eb) && width(eb) > width(ea));
    case bc::CastOp::PtrToAddr:
    case bc::CastOp::PtrToInt: return plain(O::ptrtoint, ea == types_.ptr && is_int(eb));
    case bc::CastOp::IntToPtr: return plain(O::inttoptr, is_int(ea) && eb == types_.ptr);
    case bc::CastOp::AddrSpaceCast: return ea == types_.ptr && eb == types_.ptr ? v : bad();
    case bc::CastOp::Bitcast: {
      if (from == to) return v;
      uint64_t na = a.kind == air::TypeKind::Vector ? a.count : 1, nb = b.kind == air::TypeKind::Vector ? b.count : 1;
      uint64_t wa = width(ea) * na, wb = width(eb) * nb;
      // Pointers take part in bitcasts among themselves only.
      if (wa == 0 || wa != wb || (ea == types_.ptr) != (eb == types_.ptr)) return bad();
      return emit(O::bitcast, to, v.value);
    }
  }
  return bad();
}

}  // namespace lode::codegen
