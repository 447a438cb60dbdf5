// The constraint string. Places that one operand allows ("rI", "rJ") are all reported; the caller chooses.
#include "codegen/riscv64/inline_asm.h"

#include <cctype>

#include "codegen/riscv64/abi.h"
#include "codegen/riscv64/print.h"

namespace lode::riscv64 {

namespace {

Error unsupported(std::string_view what, std::string_view constraints) {
  return error("inline assembly constraint \"" + std::string(what) + "\" is not supported (in \"" +
               std::string(constraints) + "\")");
}

bool register_by_name(std::string_view name, uint8_t& out) {
  uint8_t n;
  if (parse_register(name, 'x', n)) return out = n, true;
  if (parse_register(name, 'f', n)) return out = uint8_t(fp_base + n), true;
  return false;
}

Result<void> clobber(std::string_view name, AsmStatement& out, std::string_view all) {
  uint8_t r;
  if (register_by_name(name, r)) {
    out.clobbers |= uint64_t{1} << r;
    return {};
  }
  // What the code here does not keep anything in.
  for (std::string_view other : {"memory", "cc", "fflags", "frm", "vtype", "vl", "vxsat", "vxrm", "vcsr"})
    if (name == other) return {};
  if (name.size() >= 2 && name[0] == 'v' && std::isdigit(uint8_t(name[1]))) return {};
  return unsupported(name, all);
}

Result<AsmOperand> operand(std::string_view s, std::string_view all) {
  AsmOperand o;
  const std::string_view whole = s;
  if (s == "!i") {
    o.label = true;
    return o;
  }
  for (; !s.empty(); s.remove_prefix(1)) {
    const char c = s[0];
    switch (c) {
      case '=': o.output = true; continue;
      case '&': o.early_clobber = true; continue;
      case '*': o.indirect = true; continue;
      case '%': case '?': case '!': continue;  // commutative, costs: hints to a cleverer allocator
      case 'r': o.gp = true; continue;
      case 'f': o.fp = true; continue;
      case 'm': case 'o': o.memory = true; continue;
      case 'A': o.memory = o.plain_address = true; continue;
      case 'i': case 'n': case 's': case 'S': o.immediate = true; continue;
      case 'I': case 'J': case 'K': o.immediate = true, o.range = c; continue;
      case 'g': case 'X': o.gp = o.memory = o.immediate = true; continue;
      case '{': {
        const size_t close = s.find('}');
        uint8_t r;
        if (close == std::string_view::npos || !register_by_name(s.substr(1, close - 1), r) ||
            !(all_registers >> r & 1))
          return unsupported(whole, all);
        (r < fp_base ? o.gp : o.fp) = true;
        o.fixed = r;
        s.remove_prefix(close);
        continue;
      }
      default: break;
    }
    if (!std::isdigit(uint8_t(c))) return unsupported(whole, all);
    int32_t v = 0;
    while (!s.empty() && std::isdigit(uint8_t(s[0])) && v < 1000) {
      v = v * 10 + (s[0] - '0');
      s.remove_prefix(1);
    }
    o.tied = v;
    if (s.empty()) break;
    return unsupported(whole, all);
  }
  if (o.tied < 0 && !o.gp && !o.fp && !o.memory && !o.immediate) return unsupported(whole, all);
  return o;
}

}  // namespace

Result<AsmStatement> parse_inline_asm(std::string_view constraints) {
  AsmStatement out;
  std::string_view rest = constraints;
  while (!rest.empty()) {
    size_t end = 0;  // commas within braces do not separate
    for (bool braces = false; end < rest.size() && (braces || rest[end] != ','); end++) {
      if (rest[end] == '{') braces = true;
      if (rest[end] == '}') braces = false;
    }
    const std::string_view one = rest.substr(0, end);
    rest.remove_prefix(end == rest.size() ? end : end + 1);
    if (one.size() > 3 && one[0] == '~' && one[1] == '{' && one.back() == '}') {
      LODE_TRY(clobber(one.substr(2, one.size() - 3), out, constraints));
      continue;
    }
    LODE_ASSIGN(AsmOperand o, operand(one, constraints));
    if (o.indirect && !o.memory) return unsupported(one, constraints);
    if (o.tied >= int32_t(out.operands.size()) || (o.tied >= 0 && !out.operands[size_t(o.tied)].output))
      return unsupported(one, constraints);
    out.operands.push_back(o);
  }
  return out;
}

bool accepts_immediate(const AsmOperand& o, int64_t v) {
  if (!o.immediate) return false;
  switch (o.range) {
    case 'I': return v >= -2048 && v <= 2047;
    case 'J': return v == 0;
    case 'K': return v >= 0 && v <= 31;
    default: return true;
  }
}

}  // namespace lode::riscv64
