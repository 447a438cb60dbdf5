// Constants blocks, of the module and of function bodies. Records describe one value each of the current type
// (SETTYPE). Operands are absolute value numbers and may be forward references, so they are checked when all blocks
// have been read.
#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

constexpr const char* block_name = "CONSTANTS";

enum Code : uint32_t {
  set_type = 1, null = 2, undef = 3, integer = 4, wide_integer = 5, float_ = 6, aggregate = 7, string = 8, cstring = 9,
  ce_binop = 10, ce_cast = 11, ce_gep_old = 12, ce_select = 13, ce_extractelt = 14, ce_insertelt = 15,
  ce_shufflevec = 16, ce_cmp = 17, inline_asm_old = 18, ce_shufvec_ex = 19, ce_inbounds_gep_old = 20,
  block_address = 21, data = 22, inline_asm_old2 = 23, ce_gep_inrange_index_old = 24, ce_unop = 25, poison = 26,
  dso_local_equivalent = 27, inline_asm_old3 = 28, no_cfi = 29, inline_asm = 30, ce_gep_inrange = 31, ce_gep = 32,
  ptrauth = 33,
};

struct Reader {
  Cursor& c;
  const Module& m;
  Constants& out;

  bool operand(Constant& k, uint64_t v) {
    if (v >= none) return c.fail_malformed(block_name);
    if (k.count == 0) k.first = uint32_t(out.operands.size());
    out.operands.push_back(uint32_t(v));
    k.count++;
    return true;
  }
  bool operands(Constant& k, std::initializer_list<uint32_t> at) {
    k.bits = 0;
    for (uint32_t i : at)
      if (i >= c.size() || !operand(k, c[i])) return c.fail_malformed(block_name);
    return true;
  }

  // [type of base, base] and [type, index] pairs from record position `i` on.
  bool gep(Constant& k, uint64_t source, uint32_t i) {
    if (source >= m.types.size() || (c.size() - i) % 2 != 0 || c.size() - i < 2) return c.fail_malformed(block_name);
    k.kind = ConstKind::Gep;
    k.bits = 0;
    if (!operand(k, source)) return false;
    for (; i + 1 < c.size(); i += 2)
      if (!operand(k, c[i + 1])) return false;
    return true;
  }

  bool assembly(Constant& k, uint32_t i, uint32_t flag_count, bool typed) {
    uint64_t fnty = none;
    if (typed) {
      if (i >= c.size() || c[i] >= m.types.size()) return c.fail_malformed(block_name);
      fnty = c[i++];
    }
    if (i >= c.size()) return c.fail_malformed(block_name);
    k.kind = ConstKind::InlineAsm;
    k.flags = uint16_t(c[i++] & ((1u << flag_count) - 1));
    uint32_t span[4];
    for (int s = 0; s < 2; s++) {
      if (i >= c.size() || c[i] > c.size() - i - 1) return c.fail_malformed(block_name);
      uint32_t n = uint32_t(c[i++]);
      span[s * 2] = uint32_t(out.bytes.size());
      span[s * 2 + 1] = n;
      for (uint32_t e = i + n; i < e; i++) out.bytes.push_back(char(c[i]));
    }
    k.bits = 0;
    k.first = uint32_t(out.operands.size());
    k.count = 5;
    out.operands.push_back(uint32_t(fnty));
    out.operands.insert(out.operands.end(), span, span + 4);
    return true;
  }

  bool words(Constant& k, ConstKind kind) {
    k.kind = kind;
    k.first = uint32_t(out.words.size());
    return true;
  }

  // The record just read, as a constant of `type`.
  bool read(Constant& k) {
    const Type& t = m.types[k.type];
    auto bad = [&] { return c.fail_malformed(block_name); };
    switch (c.code()) {
      case null: k.kind = ConstKind::Null; return true;
      case undef: k.kind = ConstKind::Undef; return true;
      case poison: k.kind = ConstKind::Poison; return true;
      case integer: {
        if (t.kind != TypeKind::Integer || t.count > 64 || c.size() < 1) return bad();
        k.kind = ConstKind::Int;
        k.bits = uint64_t(sign_extend(uint64_t(unrotate(c[0])), unsigned(t.count)));
        return true;
      }
      case wide_integer: {
        uint64_t n = (t.count + 63) / 64;
        if (t.kind != TypeKind::Integer || t.count <= 64 || c.size() > n) return bad();
        words(k, ConstKind::WideInt);
        k.count = uint32_t(n);
        for (uint32_t i = 0; i < n; i++) out.words.push_back(i < c.size() ? uint64_t(unrotate(c[i])) : 0);
        if (t.count % 64) out.words.back() &= low_mask(t.count % 64);
        return true;
      }
      case float_: {
        if (c.size() < 1) return bad();
        k.kind = ConstKind::Float;
        switch (t.kind) {
          case TypeKind::Half:
          case TypeKind::BFloat: k.bits = c[0] & 0xffff; return true;
          case TypeKind::Float: k.bits = c[0] & 0xffffffff; return true;
          case TypeKind::Double: k.bits = c[0]; return true;
          case TypeKind::X86Fp80:
            // The record holds the 64 high bits, then the 16 low ones.
            if (c.size() < 2) return bad();
            words(k, ConstKind::WideFloat);
            out.words.push_back(c[0] << 16 | (c[1] & 0xffff));
            out.words.push_back(c[0] >> 48);
            k.count = 2;
            return true;
          case TypeKind::Fp128:
          case TypeKind::PpcFp128:
            if (c.size() < 2) return bad();
            words(k, ConstKind::WideFloat);
            out.words.push_back(c[0]);
            out.words.push_back(c[1]);
            k.count = 2;
            return true;
          default: return bad();
        }
      }
      case aggregate:
        if (t.kind != TypeKind::Struct && t.kind != TypeKind::Array && t.kind != TypeKind::Vector) return bad();
        if (c.size() != t.count) return bad();
        k.kind = ConstKind::Aggregate;
        k.bits = 0;
        for (uint64_t v : c.ops())
          if (!operand(k, v)) return false;
        return true;
      case string:
      case cstring: {
        uint32_t n = c.size() + (c.code() == cstring);
        if (t.kind != TypeKind::Array || t.count != n) return bad();
        const Type& e = m.types[t.element];
        if (e.kind != TypeKind::Integer || e.count != 8) return bad();
        k.kind = ConstKind::String;
        k.first = uint32_t(out.bytes.size());
        k.count = n;
        out.bytes.resize(out.bytes.size() + n);
        char* p = out.bytes.data() + k.first;
        for (uint32_t i = 0; i < c.size(); i++) p[i] = char(c[i]);
        return true;
      }
      case data: {
        if ((t.kind != TypeKind::Array && t.kind != TypeKind::Vector) || t.count != c.size()) return bad();
        const Type& e = m.types[t.element];
        uint64_t bits = 0;
        switch (e.kind) {
          case TypeKind::Integer: bits = e.count; break;
          case TypeKind::Half:
          case TypeKind::BFloat: bits = 16; break;
          case TypeKind::Float: bits = 32; break;
          case TypeKind::Double: bits = 64; break;
          default: return bad();
        }
        if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return bad();
        words(k, ConstKind::Data);
        k.count = c.size();
        for (uint64_t v : c.ops()) out.words.push_back(v & low_mask(bits));
        return true;
      }
      case ce_binop:
        k.kind = ConstKind::Binop;
        if (c.size() < 3 || c[0] > uint64_t(BinaryOp::Xor)) return bad();
        k.op = uint8_t(c[0]);
        return operands(k, {1, 2});
      case ce_unop:
        k.kind = ConstKind::Unop;
        if (c.size() < 2 || c[0] != 0) return bad();
        return operands(k, {1});
      case ce_cast:
        k.kind = ConstKind::Cast;
        if (c.size() < 3 || c[0] > uint64_t(CastOp::PtrToAddr) || c[1] >= m.types.size()) return bad();
        k.op = uint8_t(c[0]);
        return operands(k, {2, 1});
      case ce_gep_old:
      case ce_inbounds_gep_old: {
        k.flags = c.code() == ce_inbounds_gep_old;
        if (c.size() % 2 != 0) return gep(k, c[0], 1);
        // Without a source element type the base has a typed pointer.
        if (c.size() < 2 || c[0] >= m.types.size() || m.types[c[0]].kind != TypeKind::Pointer ||
            m.types[c[0]].element == none)
          return bad();
        return gep(k, m.types[c[0]].element, 0);
      }
      case ce_gep_inrange_index_old:
      case ce_gep:
        if (c.size() < 4) return bad();
        k.flags = c[1] & 1;
        return gep(k, c[0], 2);
      case ce_gep_inrange: {
        if (c.size() < 6) return bad();
        k.flags = c[1] & 1;
        uint64_t width = c[2], skip = 2;
        if (width > 64) skip = 1 + (c[3] & 0xffffffff) + (c[3] >> 32);
        if (skip > c.size() - 3) return bad();
        return gep(k, c[0], uint32_t(3 + skip));
      }
      case ce_select: k.kind = ConstKind::Select; return operands(k, {0, 1, 2});
      case ce_extractelt:
        k.kind = ConstKind::ExtractElement;
        return c.size() >= 4 ? operands(k, {1, 3}) : operands(k, {1, 2});
      case ce_insertelt:
        k.kind = ConstKind::InsertElement;
        return c.size() >= 4 ? operands(k, {0, 1, 3}) : operands(k, {0, 1, 2});
      case ce_shufflevec: k.kind = ConstKind::ShuffleVector; return operands(k, {0, 1, 2});
      case ce_shufvec_ex: k.kind = ConstKind::ShuffleVector; return operands(k, {1, 2, 3});
      case ce_cmp:
        k.kind = ConstKind::Compare;
        if (c.size() < 4 || c[3] > 255) return bad();
        k.op = uint8_t(c[3]);
        return operands(k, {1, 2});
      case block_address: k.kind = ConstKind::BlockAddress; return operands(k, {1, 2});
      case dso_local_equivalent: k.kind = ConstKind::DsoLocalEquivalent; return operands(k, {1});
      case no_cfi: k.kind = ConstKind::NoCfi; return operands(k, {1});
      case ptrauth: k.kind = ConstKind::PtrAuth; return operands(k, {0, 1, 2, 3});
      case inline_asm_old: return assembly(k, 0, 2, false);
      case inline_asm_old2: return assembly(k, 0, 3, false);
      case inline_asm_old3: return assembly(k, 0, 4, false);
      case inline_asm: return assembly(k, 0, 4, true);
      default: return c.fail_unknown(block_name);
    }
  }
};

}  // namespace

void Constants::clear() {
  list.clear();
  operands.clear();
  words.clear();
  bytes.clear();
}

bool read_constants(Cursor& c, const Module& m, Constants& out) {
  if (!c.enter_block()) return false;
  Reader r{c, m, out};
  uint32_t type = none;
  while (c.next_record()) {
    if (c.code() == set_type) {
      if (c.size() < 1 || c[0] >= m.types.size()) return c.fail_malformed(block_name);
      type = uint32_t(c[0]);
      TypeKind kind = m.types[type].kind;
      if (kind == TypeKind::Void || kind == TypeKind::Label || kind == TypeKind::Function)
        return c.fail_malformed(block_name);
      continue;
    }
    if (type == none) return c.fail("constant before SETTYPE");
    Constant k;
    k.type = type;
    if (!r.read(k)) return false;
    out.list.push_back(k);
    if (out.operands.size() > 0xfffffff0 || out.words.size() > 0xfffffff0 || out.bytes.size() > 0xfffffff0)
      return c.fail("too many constants");
  }
  return !c.failed();
}

bool check_constants(Cursor& c, const Constants& out, uint32_t module_values, uint32_t local_base,
                     uint32_t local_count) {
  auto value = [&](uint32_t v) { return v < module_values || v - local_base < local_count; };
  for (const Constant& k : out.list) {
    std::span<const uint32_t> values;
    switch (k.kind) {
      case ConstKind::Aggregate:
      case ConstKind::Binop:
      case ConstKind::Unop:
      case ConstKind::Select:
      case ConstKind::ExtractElement:
      case ConstKind::InsertElement:
      case ConstKind::ShuffleVector:
      case ConstKind::Compare:
      case ConstKind::PtrAuth: values = out.operands_of(k); break;
      case ConstKind::Cast:
      case ConstKind::BlockAddress:
      case ConstKind::DsoLocalEquivalent:
      case ConstKind::NoCfi: values = out.operands_of(k).first(1); break;
      case ConstKind::Gep: values = out.operands_of(k).subspan(1); break;
      default: continue;
    }
    for (uint32_t v : values)
      if (!value(v)) return c.fail("constant that refers to a value that does not exist");
  }
  return true;
}

}  // namespace lode::formats::bitcode
