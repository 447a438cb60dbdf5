// One machine instruction to bytes, driven by the row (Intel SDM volume 2, chapter 2).
//
// Order: segment, size or mandatory prefix, lock, REX, opcode map (or VEX for all four), opcode, modrm, sib,
// displacement, immediate. Functions write at `p` and return the end; at most 15 bytes. An address whose value is known
// only later (rip-relative, symbols) has a 32-bit field, whose place is returned in Address::field.
#pragma once

#include <cstdint>
#include <utility>

#include "base/bytes.h"
#include "codegen/x86_64/mir.h"

namespace lode::x86_64 {

// A memory operand after frame and symbols have been resolved.
struct Address {
  uint8_t base = reg::none, index = reg::none, scale_log2 = 0;
  Segment segment = Segment::none;
  bool rip = false;     // [rip + disp32]
  bool wide = false;    // the displacement is a 32-bit field whatever its value
  int32_t disp = 0;
  uint8_t* field = nullptr;  // out: the displacement field, when rip or wide
};

namespace detail {

// spl, bpl, sil, dil need a REX prefix; without one the numbers 4..7 mean ah, ch, dh, bh.
inline bool byte_needs_rex(RegKind kind, uint8_t r) { return kind == RegKind::g8 && r >= 4; }

// VEX prefix and opcode (SDM 2.3.5): two bytes where only modrm.reg is extended, the map is 0F and W is 0. `vvvv`: the
// register that modrm has no room for; 0 where there is none.
inline uint8_t* put_vex_opcode(uint8_t* p, const InstInfo& row, uint8_t opcode, uint8_t reg, uint8_t index,
                               uint8_t rm, uint8_t vvvv) {
  uint8_t r = (reg >> 3 & 1) ^ 1, x = (index >> 3 & 1) ^ 1, b = (rm >> 3 & 1) ^ 1;
  uint8_t pp = row.prefix == 0x66 ? 1 : row.prefix == 0xf3 ? 2 : row.prefix == 0xf2 ? 3 : 0;
  uint8_t tail = uint8_t((vvvv ^ 15) << 3 | (row.traits & T_vex256 ? 4 : 0) | pp);
  if (row.map == 1 && !row.w && x && b) {
    *p++ = 0xc5;
    *p++ = uint8_t(r << 7 | tail);
  } else {
    *p++ = 0xc4;
    *p++ = uint8_t(r << 7 | x << 6 | b << 5 | row.map);
    *p++ = uint8_t(uint8_t(row.w) << 7 | tail);
  }
  *p++ = opcode;
  return p;
}

inline uint8_t* put_opcode(uint8_t* p, const InstInfo& row, uint8_t opcode, uint8_t reg, uint8_t index, uint8_t rm,
                           bool force_rex, uint8_t vvvv = 0) {
  if (row.traits & T_vex) return put_vex_opcode(p, row, opcode, reg, index, rm, vvvv);
  if (row.traits & T_data16) *p++ = 0x66;
  if (row.prefix) *p++ = row.prefix;
  if (row.traits & T_lock) *p++ = 0xf0;
  uint8_t rex = uint8_t(uint8_t(row.w) << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (rm >> 3 & 1));
  if (rex || force_rex) *p++ = 0x40 | rex;
  if (row.map) {
    *p++ = 0x0f;
    if (row.map == 2) *p++ = 0x38;
    if (row.map == 3) *p++ = 0x3a;
  }
  *p++ = opcode;
  return p;
}

inline uint8_t modrm(unsigned mod, uint8_t reg, uint8_t rm) { return uint8_t(mod << 6 | (reg & 7) << 3 | (rm & 7)); }

// modrm, sib and displacement.
inline uint8_t* put_address(uint8_t* p, uint8_t reg, Address& a) {
  auto disp32 = [&] {
    a.field = p;
    store_le(p, a.disp);
    return p + 4;
  };
  if (a.rip) {
    *p++ = modrm(0, reg, 5);
    return disp32();
  }
  if (a.base == reg::none) {  // sib without base; modrm.rm = 5 alone would be rip-relative
    *p++ = modrm(0, reg, 4);
    *p++ = modrm(a.scale_log2, a.index == reg::none ? 4 : a.index, 5);
    return disp32();
  }
  unsigned mod;
  if (a.wide) mod = 2;
  else if (a.disp == 0 && (a.base & 7) != 5) mod = 0;  // rbp and r13 have no form without displacement
  else if (a.disp == int8_t(a.disp)) mod = 1;
  else mod = 2;
  if (a.index != reg::none) {
    *p++ = modrm(mod, reg, 4);
    *p++ = modrm(a.scale_log2, a.index, a.base);
  } else if ((a.base & 7) == 4) {  // rsp and r12 need a sib
    *p++ = modrm(mod, reg, 4);
    *p++ = modrm(0, 4, a.base);
  } else {
    *p++ = modrm(mod, reg, a.base);
  }
  if (mod == 1) *p++ = uint8_t(a.disp);
  if (mod == 2) return disp32();
  return p;
}

inline int64_t narrow(Imm kind, int64_t imm) {
  switch (kind) {
    case Imm::ib:
    case Imm::r4:
    case Imm::sh: return int8_t(imm);
    case Imm::iw:
    case Imm::zw: return int16_t(imm);
    case Imm::iq: return imm;
    default: return int32_t(imm);
  }
}
// zw and zd have a form with an 8-bit immediate.
inline bool short_imm(const InstInfo& row, int64_t imm) {
  return (row.imm == Imm::zd || row.imm == Imm::zw) && imm == int8_t(imm);
}
inline uint8_t imm_opcode(const InstInfo& row, int64_t imm) {
  if (short_imm(row, imm)) return row.opcode | 2;
  if (row.imm == Imm::sh && imm == 1) return row.opcode | 0x10;  // c0 -> d0, c1 -> d1
  return row.opcode;
}
inline uint8_t* put_imm(uint8_t* p, const InstInfo& row, int64_t imm) {
  switch (row.imm) {
    case Imm::none: return p;
    case Imm::ib:
    case Imm::r4: *p = uint8_t(imm); return p + 1;
    case Imm::sh:
      if (imm == 1) return p;
      *p = uint8_t(imm);
      return p + 1;
    case Imm::iw: store_le(p, int16_t(imm)); return p + 2;
    case Imm::id: store_le(p, int32_t(imm)); return p + 4;
    case Imm::iq: store_le(p, imm); return p + 8;
    case Imm::zw:
    case Imm::zd:
      if (short_imm(row, imm)) {
        *p = uint8_t(imm);
        return p + 1;
      }
      if (row.imm == Imm::zw) {
        store_le(p, int16_t(imm));
        return p + 2;
      }
      store_le(p, int32_t(imm));
      return p + 4;
  }
  return p;
}

}  // namespace detail

namespace detail {
// A VEX-encoded move by its store's opcode, which makes the prefix a byte shorter.
inline uint8_t* put_reverse(uint8_t* p, InstInfo row, uint8_t reg, uint8_t rm) {
  if (row.opcode == 0x7e) row.opcode = 0xd6, row.prefix = 0x66;
  else row.opcode = row.opcode == 0x6f ? 0x7f : row.opcode | 1;
  p = put_opcode(p, row, row.opcode, reg, 0, rm, false);
  *p++ = modrm(3, reg, rm);
  return p;
}
}  // namespace detail

inline uint8_t* encode_none(uint8_t* p, const InstInfo& row) {
  p = detail::put_opcode(p, row, row.opcode, 0, 0, 0, false);
  if (row.enc == Enc::NP2) *p++ = row.ext;
  return p;
}

inline uint8_t* encode_r(uint8_t* p, const InstInfo& row, uint8_t r, Cond cc = Cond::o) {
  bool force = detail::byte_needs_rex(row.a, r);
  switch (row.enc) {
    case Enc::O: return detail::put_opcode(p, row, row.opcode | (r & 7), 0, 0, r, force);
    case Enc::O2:
      p = detail::put_opcode(p, row, row.opcode, 0, 0, 0, false);
      *p++ = uint8_t(row.ext + (r & 7));
      return p;
    default:
      p = detail::put_opcode(p, row, row.opcode | uint8_t(cc), 0, 0, r, force);
      *p++ = detail::modrm(3, row.ext, r);
      return p;
  }
}

inline uint8_t* encode_rr(uint8_t* p, const InstInfo& row, uint8_t a, uint8_t b, Cond cc = Cond::o) {
  if ((row.traits & T_acc) && (a == 0 || b == 0) && !(a == b && row.a == RegKind::g32))  // xchg with rax
    return detail::put_opcode(p, row, 0x90 | ((a | b) & 7), 0, 0, a | b, false);
  bool force = detail::byte_needs_rex(row.a, a) || detail::byte_needs_rex(row.b, b);
  uint8_t reg = row.enc == Enc::RM ? a : b, rm = row.enc == Enc::RM ? b : a, vvvv = 0;
  if (row.enc == Enc::VM) reg = row.ext, rm = b, vvvv = a;
  if (row.traits & T_reverse && rm >= 8 && reg < 8) return detail::put_reverse(p, row, rm, reg);
  p = detail::put_opcode(p, row, row.opcode | uint8_t(cc), reg, 0, rm, force, vvvv);
  *p++ = detail::modrm(3, reg, rm);
  return p;
}

inline uint8_t* encode_ri(uint8_t* p, const InstInfo& row, uint8_t r, int64_t imm) {
  imm = detail::narrow(row.imm, imm);
  bool force = detail::byte_needs_rex(row.a, r);
  if (row.enc == Enc::O) {
    p = detail::put_opcode(p, row, row.opcode | (r & 7), 0, 0, r, force);
  } else if ((row.traits & T_acc) && r == 0 && !detail::short_imm(row, imm)) {
    // 80, 81 /digit -> digit * 8 + 4, 5; f6, f7 (test) -> a8, a9
    uint8_t opcode = row.opcode >= 0xf6 ? 0xa8 | (row.opcode & 1) : uint8_t(row.ext << 3 | 4 | (row.opcode & 1));
    p = detail::put_opcode(p, row, opcode, 0, 0, 0, false);
  } else {
    p = detail::put_opcode(p, row, detail::imm_opcode(row, imm), 0, 0, r, force);
    *p++ = detail::modrm(3, row.ext, r);
  }
  return detail::put_imm(p, row, imm);
}

inline uint8_t* encode_rri(uint8_t* p, const InstInfo& row, uint8_t a, uint8_t b, int64_t imm) {
  imm = detail::narrow(row.imm, imm);
  uint8_t reg = row.enc == Enc::RM ? a : b, rm = row.enc == Enc::RM ? b : a, vvvv = 0;
  if (row.enc == Enc::VM) reg = row.ext, rm = b, vvvv = a;
  p = detail::put_opcode(p, row, detail::imm_opcode(row, imm), reg, 0, rm, false, vvvv);
  *p++ = detail::modrm(3, reg, rm);
  return detail::put_imm(p, row, imm);
}

inline uint8_t* encode_i(uint8_t* p, const InstInfo& row, int64_t imm) {
  imm = detail::narrow(row.imm, imm);
  p = detail::put_opcode(p, row, detail::imm_opcode(row, imm), 0, 0, 0, false);
  return detail::put_imm(p, row, imm);
}

namespace detail {
inline uint8_t* put_memory_op(uint8_t* p, const InstInfo& row, uint8_t opcode, uint8_t reg, bool force, Address& a,
                              uint8_t vvvv = 0) {
  if (a.segment != Segment::none) *p++ = a.segment == Segment::fs ? 0x64 : 0x65;
  p = put_opcode(p, row, opcode, reg, a.index == reg::none ? 0 : a.index, a.base == reg::none ? 0 : a.base, force,
                 vvvv);
  return put_address(p, reg, a);
}
}  // namespace detail

// Forms rm and mr: `r` is modrm.reg in both, but VEX.vvvv in encoding VM.
inline uint8_t* encode_rm(uint8_t* p, const InstInfo& row, uint8_t r, Address& a, Cond cc = Cond::o) {
  if (row.enc == Enc::VM) return detail::put_memory_op(p, row, row.opcode, row.ext, false, a, r);
  return detail::put_memory_op(p, row, row.opcode | uint8_t(cc), r, detail::byte_needs_rex(row.a, r), a);
}
inline uint8_t* encode_m(uint8_t* p, const InstInfo& row, Address& a, Cond cc = Cond::o) {
  return detail::put_memory_op(p, row, row.opcode | uint8_t(cc), row.ext, false, a);
}
inline uint8_t* encode_mi(uint8_t* p, const InstInfo& row, Address& a, int64_t imm) {
  imm = detail::narrow(row.imm, imm);
  p = detail::put_memory_op(p, row, detail::imm_opcode(row, imm), row.ext, false, a);
  return detail::put_imm(p, row, imm);
}
inline uint8_t* encode_rmi(uint8_t* p, const InstInfo& row, uint8_t r, Address& a, int64_t imm) {
  imm = detail::narrow(row.imm, imm);
  p = detail::put_memory_op(p, row, detail::imm_opcode(row, imm), r, false, a);
  return detail::put_imm(p, row, imm);
}

// Three registers, and the immediate if the row has one.
inline uint8_t* encode_rrr(uint8_t* p, const InstInfo& row, uint8_t a, uint8_t b, uint8_t c, int64_t imm = 0) {
  uint8_t rm = row.enc == Enc::RMV ? b : c, vvvv = row.enc == Enc::RMV ? c : b, reg = a, opcode = row.opcode;
  // The short VEX prefix extends modrm.reg and vvvv, but not rm.
  if (rm >= 8 && row.map == 1 && !row.w) {
    if (row.traits & T_commutes && vvvv < 8 && (row.opcode != 0xc2 || (imm & 3) == 0 || (imm & 3) == 3)) {
      std::swap(rm, vvvv);
    } else if (row.traits & T_reverse && reg < 8) {
      std::swap(rm, reg);
      opcode |= 1;
    }
  }
  p = detail::put_opcode(p, row, opcode, reg, 0, rm, false, vvvv);
  *p++ = detail::modrm(3, reg, rm);
  return detail::put_imm(p, row, detail::narrow(row.imm, imm));
}
// Forms rrm, rrmi, rmr and mrr: `a` is modrm.reg, `b` VEX.vvvv.
inline uint8_t* encode_rrm(uint8_t* p, const InstInfo& row, uint8_t a, uint8_t b, Address& address, int64_t imm = 0) {
  p = detail::put_memory_op(p, row, row.opcode, a, false, address, b);
  return detail::put_imm(p, row, detail::narrow(row.imm, imm));
}

}  // namespace lode::x86_64
