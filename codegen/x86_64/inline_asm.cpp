// The constraint string. Places that one operand allows ("rm", "ir", "g") are all reported; the caller chooses. Of
// alternatives ("r|m") that the statement's operands take together, one is read at a time.
#include "codegen/x86_64/inline_asm.h"

#include <algorithm>
#include <cctype>

namespace lode::x86_64 {

namespace {

Error unsupported(std::string_view what, std::string_view constraints) {
  return error("inline assembly constraint \"" + std::string(what) + "\" is not supported (in \"" +
               std::string(constraints) + "\")");
}

struct Named {
  const char* name;
  uint8_t number;
};
constexpr Named named_gp[] = {
    {"ax", 0}, {"cx", 1}, {"dx", 2}, {"bx", 3}, {"sp", 4}, {"bp", 5}, {"si", 6}, {"di", 7}, {"al", 0}, {"cl", 1},
    {"dl", 2}, {"bl", 3}, {"spl", 4}, {"bpl", 5}, {"sil", 6}, {"dil", 7}, {"ah", 0}, {"ch", 1}, {"dh", 2}, {"bh", 3},
};

// The general register that a constraint names: "rax", "eax", "ax", "al", "r10", "r10d"; none if it is none.
uint8_t gp_by_name(std::string_view name) {
  std::string_view bare = name;
  if (bare.size() == 3 && (bare[0] == 'r' || bare[0] == 'e') && !std::isdigit(uint8_t(bare[1]))) bare.remove_prefix(1);
  for (const Named& n : named_gp)
    if (bare == n.name) return n.number;
  if (name.size() >= 2 && name[0] == 'r' && std::isdigit(uint8_t(name[1]))) {
    unsigned v = unsigned(name[1] - '0'), i = 2;
    if (i < name.size() && std::isdigit(uint8_t(name[i]))) v = v * 10 + unsigned(name[i++] - '0');
    std::string_view suffix = name.substr(i);
    if (v >= 8 && v < 16 && (suffix.empty() || suffix == "d" || suffix == "w" || suffix == "b")) return uint8_t(v);
  }
  return reg::none;
}

uint8_t xmm_by_name(std::string_view name) {
  if (name.size() < 4 || name.size() > 5) return reg::none;
  if (name.substr(1, 2) != "mm" || (name[0] != 'x' && name[0] != 'y' && name[0] != 'z')) return reg::none;
  unsigned v = 0;
  for (char c : name.substr(3)) {
    if (!std::isdigit(uint8_t(c))) return reg::none;
    v = v * 10 + unsigned(c - '0');
  }
  return v < 16 ? uint8_t(v) : reg::none;
}

bool name_starts(std::string_view s, std::string_view prefix) { return s.substr(0, prefix.size()) == prefix; }

Result<void> clobber(std::string_view name, AsmStatement& out, std::string_view all) {
  if (name == "memory") out.memory_clobber = true;
  else if (name == "cc" || name == "flags" || name == "dirflag" || name == "fpsr" || name == "fpcr" ||
           name == "mxcsr" || name == "rip" || name == "eflags" || name == "redzone")
    return {};
  else if (name_starts(name, "st") || name_starts(name, "mm")) out.x87_clobber = true;
  else if (uint8_t r = gp_by_name(name); r != reg::none) {
    if (r == reg::rsp) out.moves_stack = true;
    else out.gp_clobbers |= uint16_t(1u << r);
  } else if (uint8_t x = xmm_by_name(name); x != reg::none) out.fp_clobbers |= uint16_t(1u << x);
  else if (name_starts(name, "xmm") || name_starts(name, "ymm") || name_starts(name, "zmm") || name_starts(name, "k"))
    return {};  // not used by us
  else return unsupported(name, all);
  return {};
}

Result<AsmOperand> operand(std::string_view s, std::string_view all) {
  AsmOperand o;
  std::string_view whole = s;
  if (s == "!i") {
    o.label = true;
    return o;
  }
  for (; !s.empty(); s.remove_prefix(1)) {
    char c = s[0];
    switch (c) {
      case '=': o.output = true; continue;
      case '&': o.early_clobber = true; continue;
      case '*': o.indirect = true; continue;
      case '%': case '?': case '!': continue;  // commutative, costs: hints to a cleverer allocator
      case '+': return unsupported(whole, all);          // front ends split these
      case 'r': case 'R': case 'l': case 'q': o.gp = true; continue;
      case 'Q': o.gp = o.legacy_byte = true; continue;
      case 'a': case 'A': o.gp = true, o.fixed = reg::rax; continue;  // A: rax or rdx for one value
      case 'b': o.gp = true, o.fixed = reg::rbx; continue;
      case 'c': o.gp = true, o.fixed = reg::rcx; continue;
      case 'd': o.gp = true, o.fixed = reg::rdx; continue;
      case 'S': o.gp = true, o.fixed = reg::rsi; continue;
      case 'D': o.gp = true, o.fixed = reg::rdi; continue;
      case 'x': case 'v': o.fp = true; continue;
      case 'Y':
        if (s.size() > 1) s.remove_prefix(1);  // Yz, Y2, Yi ...: kinds of xmm
        o.fp = true;
        continue;
      case 't': o.x87 = true, o.fixed = 0; continue;
      case 'u': o.x87 = true, o.fixed = 1; continue;
      case 'f': o.x87 = true; continue;
      case 'm': case 'o': case 'V': o.memory = true; continue;
      case 'p': o.gp = true; continue;
      case 'i': case 'n': case 's': case 'E': case 'F': o.immediate = true; continue;
      case 'I': case 'J': case 'K': case 'L': case 'M': case 'N': case 'O': case 'e': case 'Z': case 'G': case 'C':
        o.immediate = true, o.range = c;
        continue;
      case 'W':  // Ws: a symbol with an offset
        if (s.size() > 1) s.remove_prefix(1);
        o.immediate = true;
        continue;
      case 'g': case 'X': o.gp = o.memory = o.immediate = true; continue;
      case '^':  // ^Yz: two-letter constraint
        continue;
      case '{': {
        size_t close = s.find('}');
        if (close == std::string_view::npos) return unsupported(whole, all);
        std::string_view name = s.substr(1, close - 1);
        if (name_starts(name, "@cc") && o.output && condition_by_name(name.substr(3), o.cond)) o.condition = true;
        else if (uint8_t r = gp_by_name(name); r != reg::none && r != reg::rsp) o.gp = true, o.fixed = r;
        else if (uint8_t x = xmm_by_name(name); x != reg::none) o.fp = true, o.fixed = x;
        else if (name == "st") o.x87 = true, o.fixed = 0;
        else if (name.size() == 5 && name_starts(name, "st(")) o.x87 = true, o.fixed = uint8_t(name[3] - '0') & 7;
        else return unsupported(whole, all);
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
  if (o.tied < 0 && !o.gp && !o.fp && !o.x87 && !o.memory && !o.immediate && !o.condition)
    return unsupported(whole, all);
  return o;
}

// "=*&imr|x", 1 -> "=*&x": what stands in front of the alternatives (LLVM's order: '=' or '~', '*', '&') belongs to all
// of them.
std::string choose(std::string_view one, uint32_t alternative, uint32_t& alternatives) {
  const size_t body = std::min(one.find_first_not_of("=+*&%!"), one.size());
  uint32_t count = 1 + uint32_t(std::count(one.begin(), one.end(), '|'));
  if (count == 1) return std::string(one);
  alternatives = std::max(alternatives, count);
  std::string_view rest = one.substr(body);
  for (uint32_t k = std::min(alternative, count - 1); k > 0; k--) rest.remove_prefix(rest.find('|') + 1);
  return std::string(one.substr(0, body)) + std::string(rest.substr(0, rest.find('|')));
}

// Whether the template has an instruction that moves the stack pointer: push, pushfq, popq, call ...
bool moves_stack(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && std::isalnum(uint8_t(text[end]))) end++;
    std::string_view word = text.substr(i, end - i);
    if (word == "rsp" || word == "esp") return true;
    for (std::string_view stem : {"push", "pop", "call"})
      if (name_starts(word, stem) && word.find_first_not_of("qlwf", stem.size()) == std::string_view::npos) return true;
    i = end + 1;
  }
  return false;
}

}  // namespace

Result<AsmStatement> parse_inline_asm(std::string_view text, std::string_view constraints, uint32_t alternative) {
  AsmStatement out;
  std::string_view rest = constraints;
  while (!rest.empty()) {
    // Commas within braces do not separate.
    size_t end = 0;
    for (bool braces = false; end < rest.size() && (braces || rest[end] != ','); end++) {
      if (rest[end] == '{') braces = true;
      if (rest[end] == '}') braces = false;
    }
    std::string_view one = rest.substr(0, end);
    rest.remove_prefix(end == rest.size() ? end : end + 1);
    if (one.size() > 3 && one[0] == '~' && one[1] == '{' && one.back() == '}') {
      LODE_TRY(clobber(one.substr(2, one.size() - 3), out, constraints));
      continue;
    }
    std::string chosen = choose(one, alternative, out.alternatives);
    LODE_ASSIGN(AsmOperand o, operand(chosen, constraints));
    // One of several alternatives that offers no memory to a place in memory is passed over by whoever knows the
    // values.
    if (o.indirect && !o.memory && o.tied < 0 && one.find('|') == std::string_view::npos)
      return unsupported(one, constraints);
    if (o.tied >= int32_t(out.operands.size()) || (o.tied >= 0 && !out.operands[size_t(o.tied)].output))
      return unsupported(one, constraints);
    out.operands.push_back(o);
  }
  // ${n:h}: ah, bh, ch and dh exist only of those four registers.
  for (size_t k = 0; k < out.operands.size(); k++) {
    AsmOperand& o = out.operands[k];
    if (text.find("${" + std::to_string(k) + ":h}") != std::string_view::npos)
      (o.tied >= 0 ? out.operands[size_t(o.tied)] : o).legacy_byte = true;
  }
  out.moves_stack |= moves_stack(text);
  return out;
}

bool accepts_immediate(const AsmOperand& o, int64_t v) {
  if (!o.immediate) return false;
  switch (o.range) {
    case 'I': return v >= 0 && v <= 31;
    case 'J': return v >= 0 && v <= 63;
    case 'K': return v >= -128 && v <= 127;
    case 'L': return v == 0xff || v == 0xffff || v == 0xffffffff;
    case 'M': return v >= 0 && v <= 3;
    case 'N': return v >= 0 && v <= 255;
    case 'O': return v >= 0 && v <= 127;
    case 'e': return v == int32_t(v);
    case 'Z': return v == int64_t(uint32_t(v));
    case 'G': case 'C': return false;  // floating-point constants
    default: return true;
  }
}

}  // namespace lode::x86_64
