// Instructions whose operands are registers or numbers alone and that no row describes: ports, segment registers on the
// stack, frames of ENTER, addresses of 64 bits, and those that are two instructions or one by another name.
#include "codegen/native/asm_text.h"
#include "codegen/x86_64/asm_operands.h"

namespace lode::x86_64 {

namespace {

using Kind = AsmItem::Kind;

bool is_reg(const AsmItem& x, RegKind kind, uint8_t number) {
  return x.kind == Kind::reg && x.reg.kind == kind && x.reg.number == number && !x.reg.high;
}

// al, ax or eax, as the letter of the mnemonic says or the register itself: 1, 2, 4; 0: neither.
unsigned accumulator(const AsmItem& x) {
  return is_reg(x, RegKind::g8, 0) ? 1 : is_reg(x, RegKind::g16, 0) ? 2 : is_reg(x, RegKind::g32, 0) ? 4 : 0;
}

bool port(const AsmRequest& q, std::vector<uint8_t>& out) {
  const std::string& m = q.mnemonic;
  const bool in = m.starts_with("in");
  const std::string_view suffix = std::string_view(m).substr(in ? 2 : 3);
  unsigned width = suffix == "b" ? 1 : suffix == "w" ? 2 : suffix == "l" ? 4 : 0;
  if (!width && !suffix.empty()) return false;
  bool by_register = false, number = false;
  int64_t value = 0;
  for (const AsmItem& x : q.items) {
    const bool dx = is_reg(x, RegKind::g16, reg::rdx) ||
                    (x.kind == Kind::mem && x.base == reg::rdx && x.expression == codegen::no_expression);
    if (dx) by_register = true;
    else if (x.kind == Kind::imm && q.known(x.expression, value)) number = true;
    else if (unsigned n = accumulator(x); n && (!width || width == n)) width = n;
    else return false;
  }
  if (by_register == number || !width || value < -128 || value > 255) return false;
  if (width == 2) out.push_back(0x66);
  out.push_back(uint8_t((by_register ? 0xec : 0xe4) | (in ? 0 : 2) | (width > 1)));
  if (number) out.push_back(uint8_t(value));
  return true;
}

bool segment_on_stack(const AsmRequest& q, std::vector<uint8_t>& out) {
  if (q.items.size() != 1 || q.items[0].kind != Kind::reg || q.items[0].reg.kind != RegKind::sg) return false;
  const std::string_view m = q.mnemonic;
  const bool push = m.starts_with("push");
  const std::string_view suffix = m.substr(push ? 4 : 3);
  const uint8_t n = q.items[0].reg.number;
  if ((n != 4 && n != 5) || (!suffix.empty() && suffix != "q" && suffix != "w" && suffix != "l")) return false;
  if (suffix == "w") out.push_back(0x66);
  out.push_back(0x0f);
  out.push_back(uint8_t((n == 4 ? 0xa0 : 0xa8) | (push ? 0 : 1)));
  return true;
}

bool enter(const AsmRequest& q, std::vector<uint8_t>& out) {
  if (q.items.size() != 2) return false;
  int64_t v[2];
  for (unsigned k = 0; k < 2; k++)
    if (q.items[k].kind != Kind::imm || !q.known(q.items[k].expression, v[k])) return false;
  if (v[0] < 0 || v[0] > 65535 || v[1] < 0 || v[1] > 255) return false;
  out.insert(out.end(), {0xc8, uint8_t(v[0]), uint8_t(v[0] >> 8), uint8_t(v[1])});
  return true;
}

}  // namespace

bool special_instruction(const AsmRequest& q, std::vector<uint8_t>& out) {
  const std::string& m = q.mnemonic;
  if (m == "int1" || m == "icebp") {
    out.push_back(0xf1);
    return q.items.empty();
  }
  if (m == "int" && q.items.size() == 1) {
    int64_t v;
    if (q.items[0].kind != Kind::imm || !q.known(q.items[0].expression, v) || v != 3) return false;
    out.push_back(0xcc);
    return true;
  }
  if (m == "fnstsw") {
    if (q.items.empty() || !(is_reg(q.items[0], RegKind::g16, 0) || is_reg(q.items[0], RegKind::g32, 0))) return false;
    out.insert(out.end(), {0xdf, 0xe0});
    return true;
  }
  if (m == "enter") return enter(q, out);
  if (m == "xabort" && q.items.size() == 1) {
    int64_t v;
    if (q.items[0].kind != Kind::imm || !q.known(q.items[0].expression, v) || v < -128 || v > 255) return false;
    out.insert(out.end(), {0xc6, 0xf8, uint8_t(v)});
    return true;
  }
  if (m.starts_with("push") || m.starts_with("pop")) return segment_on_stack(q, out);
  if (m == "in" || m == "inb" || m == "inw" || m == "inl" || m.starts_with("out"))
    return !m.starts_with("outs") && port(q, out);
  return false;
}

bool waiting_form(std::string& mnemonic) {
  for (const char* waits : {"fstcw", "fstsw", "fstenv", "fsave", "fclex", "finit"})
    if (mnemonic == waits) {
      mnemonic.insert(1, "n");
      return true;
    }
  return false;
}

}  // namespace lode::x86_64
