// What riscv64 objects say of themselves, put together: e_flags and .riscv.attributes (RISC-V psABI, chapters "ELF
// Object Files" and "Attributes"; unprivileged ISA manual, "ISA Extension Naming Conventions" for the order of
// extensions).
//
// Flags: compressed instructions and total store order are what any object has; the floating-point ABI and RV64E are
// how functions call each other, so all objects with code agree or there is no output. Attributes: extensions are
// united, the later version of each counts; the alignment of the stack and the use of register x3 are agreed on, as
// are the mappings of atomics that do not go together. An object without attributes says nothing. What is malformed is
// an error with the object's name; names of extensions that nobody here knows pass, if they are of the kinds (Z, S, X)
// that new names come in.
#include <algorithm>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/machines/riscv64.h"

namespace lode::link::elf::riscv64 {

namespace {

const char* float_abi_name(uint32_t flags) {
  static constexpr const char* names[] = {"soft-float", "single-float", "double-float", "quad-float"};
  return names[(flags & EF_RISCV_FLOAT_ABI) >> 1];
}

bool has_code(const ObjectFile& f) {
  for (const Shdr& s : f.sections)
    if ((s.flags & SHF_EXECINSTR) && s.size) return true;
  return false;
}

// ---- arch strings ---------------------------------------------------------------------------------------------------

struct Version {
  uint32_t major = 0, minor = 0;
  bool given = false;
  bool operator<(const Version& o) const { return major != o.major ? major < o.major : minor < o.minor; }
};

constexpr std::string_view standard_letters = "mafdqlcbkjtpvnh";

// Where an extension stands: the base first, then single letters in their order, then names in Z by the letter that
// follows and alphabetically, then those in S and those in X.
uint32_t rank_of_letter(char c) {
  if (c == 'i') return 0;
  if (c == 'e') return 1;
  const size_t at = standard_letters.find(c);
  return uint32_t(at != std::string_view::npos ? 2 + at : 2 + standard_letters.size() + size_t(c - 'a'));
}
uint32_t rank_of(std::string_view name) {
  if (name.size() == 1) return rank_of_letter(name[0]);
  switch (name[0]) {
    case 'z': return 256 + rank_of_letter(name[1]);
    case 's': return 512;
    default: return 768;
  }
}
struct ByRank {
  bool operator()(const std::string& a, const std::string& b) const {
    const uint32_t x = rank_of(a), y = rank_of(b);
    return x != y ? x < y : a < b;
  }
};
using Extensions = std::map<std::string, Version, ByRank>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

// Digits at the front; false: none, or too many.
bool take_number(std::string_view& s, uint32_t& n) {
  size_t digits = 0;
  n = 0;
  while (digits < s.size() && is_digit(s[digits]) && digits < 6) n = n * 10 + uint32_t(s[digits++] - '0');
  s.remove_prefix(digits);
  return digits && (s.empty() || !is_digit(s[0]));
}

// "2p1" or "2"; nothing is a version that is not given. False: malformed.
bool take_version(std::string_view& s, Version& v) {
  if (s.empty() || !is_digit(s[0])) return true;
  v.given = true;
  if (!take_number(s, v.major)) return false;
  if (s.size() < 2 || s[0] != 'p' || !is_digit(s[1])) return true;
  s.remove_prefix(1);
  return take_number(s, v.minor);
}

// One name of several letters, up to its version: "zicsr2p0", "zve32x1p0".
bool take_name(std::string_view part, std::string& name, Version& v) {
  size_t end = part.size();
  while (end && is_digit(part[end - 1])) end--;
  if (end < part.size() && end > 1 && part[end - 1] == 'p' && is_digit(part[end - 2])) {
    end--;
    while (end && is_digit(part[end - 1])) end--;
  }
  std::string_view version = part.substr(end);
  name = part.substr(0, end);
  if (name.size() < 2 || !is_lower(name[1])) return false;
  for (char c : name)
    if (!is_lower(c) && !is_digit(c)) return false;
  return take_version(version, v) && version.empty();
}

// Why a string is none; empty: it is one, and `out` has what it names.
std::string parse_arch(std::string_view text, Extensions& out) {
  std::string_view s = text;
  if (s.starts_with("rv32")) return "is for rv32";
  if (!s.starts_with("rv64")) return "does not begin with rv64";
  s.remove_prefix(4);
  auto add = [&](std::string name, const Version& v) {
    Version& known = out[std::move(name)];
    if (known < v) known = v;
  };
  bool first = true;
  while (!s.empty()) {
    if (s[0] == '_') {
      s.remove_prefix(1);
      if (s.empty()) return "ends in an underscore";
    }
    Version v;
    const char c = s[0];
    if (!first && (c == 'z' || c == 's' || c == 'x')) {
      const std::string_view part = s.substr(0, s.find('_'));
      std::string name;
      if (!take_name(part, name, v)) return "has a malformed extension '" + std::string(part) + "'";
      add(std::move(name), v);
      s.remove_prefix(part.size());
      continue;
    }
    if (first != (c == 'i' || c == 'e' || c == 'g') && (first || c != 'e'))
      return first ? "names no base" : "names a second base '" + std::string(1, c) + "'";
    if (!first && standard_letters.find(c) == std::string_view::npos)
      return "has an unknown extension '" + std::string(1, c) + "'";
    s.remove_prefix(1);
    if (!take_version(s, v)) return "has a malformed version";
    if (c == 'g') {
      for (const char* name : {"i", "m", "a", "f", "d", "zicsr", "zifencei"}) add(name, {});
    } else {
      add(std::string(1, c), v);
    }
    first = false;
  }
  return first ? "names no base" : std::string();
}

std::string arch_string(const Extensions& extensions) {
  std::string out = "rv64";
  bool first = true;
  for (auto& [name, v] : extensions) {
    if (!first) out += '_';
    first = false;
    out += name;
    if (v.given || v.major || v.minor) out += std::to_string(v.major) + "p" + std::to_string(v.minor);
  }
  return out;
}

// ---- attributes -----------------------------------------------------------------------------------------------------

enum Tag : uint32_t {
  stack_align = 4, arch = 5, unaligned_access = 6, priv_spec = 8, priv_spec_minor = 10, priv_spec_revision = 12,
  atomic_abi = 14, x3_reg_usage = 16,
};

struct Attributes {
  std::map<uint32_t, uint64_t> numbers;
  std::optional<std::string> arch;
};

// Reads what a section says. Empty: all is well; else what is wrong.
class Reader {
 public:
  explicit Reader(Bytes data) : p_(data.data()), end_(p_ + data.size()) {}

  std::string run(Attributes& out) {
    if (p_ == end_) return {};
    if (*p_++ != 'A') return "unknown format version";
    while (p_ != end_) {
      const uint8_t* start = p_;
      if (end_ - p_ < 4) return "truncated";
      const uint32_t length = load_le<uint32_t>(p_);
      if (length < 4 || length > uint64_t(end_ - start)) return "malformed length";
      const uint8_t* end = start + length;
      p_ += 4;
      std::string vendor;
      if (!text(end, vendor)) return "a vendor's name does not end";
      if (vendor == "riscv")
        if (std::string why = vendor_part(end, out); !why.empty()) return why;
      p_ = end;
    }
    return {};
  }

 private:
  bool number(const uint8_t* end, uint64_t& v) {
    v = 0;
    for (unsigned shift = 0; p_ != end; shift += 7) {
      const uint8_t byte = *p_++;
      if (shift < 63) v |= uint64_t(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return shift < 63;
    }
    return false;
  }
  bool text(const uint8_t* end, std::string& s) {
    const uint8_t* nul = std::find(p_, end, uint8_t(0));
    if (nul == end) return false;
    s.assign(p_, nul);
    p_ = nul + 1;
    return true;
  }

  std::string vendor_part(const uint8_t* end, Attributes& out) {
    while (p_ != end) {
      const uint8_t* start = p_;
      uint64_t tag;
      if (!number(end, tag) || end - p_ < 4) return "truncated";
      const uint32_t length = load_le<uint32_t>(p_);
      p_ += 4;
      if (length < uint64_t(p_ - start) || length > uint64_t(end - start)) return "malformed length";
      const uint8_t* part_end = start + length;
      if (tag == 1)  // of the file as a whole
        if (std::string why = file_part(part_end, out); !why.empty()) return why;
      p_ = part_end;
    }
    return {};
  }

  std::string file_part(const uint8_t* end, Attributes& out) {
    while (p_ != end) {
      uint64_t tag, value;
      if (!number(end, tag)) return "truncated";
      if (tag & 1) {
        std::string s;
        if (!text(end, s)) return "a string does not end";
        if (tag == arch) out.arch = std::move(s);
      } else {
        if (!number(end, value)) return "truncated";
        if (tag <= x3_reg_usage) out.numbers[uint32_t(tag)] = value;
      }
    }
    return {};
  }

  const uint8_t *p_, *end_;
};

// What is known so far, and which object said so first.
class Merger {
 public:
  explicit Merger(Link& link) : link_(link) {}

  void add(ObjectFile& f, const Attributes& a) {
    file_ = &f;
    any_ = true;
    if (a.arch) {
      if (std::string why = parse_arch(*a.arch, extensions_); !why.empty())
        fail("the arch string '" + *a.arch + "' " + why);
      has_arch_ = true;
    }
    for (auto& [tag, value] : a.numbers) {
      auto [it, fresh] = numbers_.try_emplace(tag, value);
      if (fresh) from_[tag] = &f;
      else if (it->second != value) it->second = both(tag, it->second, value);
    }
  }

  std::vector<uint8_t> write() const {
    std::vector<uint8_t> out;
    if (!any_) return out;
    std::vector<uint8_t> body;
    auto put = [&](uint64_t v) {
      do body.push_back(uint8_t((v & 0x7f) | (v > 0x7f ? 0x80 : 0)));
      while (v >>= 7);
    };
    auto put_number = [&](uint32_t tag) {
      if (auto it = numbers_.find(tag); it != numbers_.end() && it->second) {
        put(tag);
        put(it->second);
      }
    };
    put_number(stack_align);
    if (has_arch_) {
      put(arch);
      const std::string s = arch_string(extensions_);
      body.insert(body.end(), s.begin(), s.end());
      body.push_back(0);
    }
    for (uint32_t tag : {unaligned_access, priv_spec, priv_spec_minor, priv_spec_revision, atomic_abi, x3_reg_usage})
      put_number(tag);
    static constexpr char vendor[] = "riscv";
    const uint32_t part = uint32_t(1 + 4 + body.size());
    out.push_back('A');
    append_le(out, uint32_t(4 + sizeof vendor + part));
    out.insert(out.end(), vendor, vendor + sizeof vendor);
    out.push_back(1);
    append_le(out, part);
    out.insert(out.end(), body.begin(), body.end());
    return out;
  }

 private:
  void fail(const std::string& what) {
    link_.diag.error(file_->name + ":(.riscv.attributes): " + what, uint64_t(file_->priority) << 32);
  }
  void mixed(uint32_t tag, const char* what, uint64_t a, uint64_t b) {
    fail(std::string(what) + " " + std::to_string(b) + " does not go with " + std::to_string(a) + " of " +
         from_[tag]->name);
  }

  // Of two values that are not the same.
  uint64_t both(uint32_t tag, uint64_t a, uint64_t b) {
    switch (tag) {
      case stack_align: mixed(tag, "a stack alignment of", a, b); return a;
      case unaligned_access: return 1;
      case atomic_abi: {
        // A6C 1, A6S 2, A7 3: A6S code goes with both of the others, and these not with each other.
        if (!a || !b) return std::max(a, b);
        const uint64_t low = std::min(a, b), high = std::max(a, b);
        if (high > 3 || (low == 1 && high == 3)) mixed(tag, "the mapping of atomics (Tag_RISCV_atomic_abi)", a, b);
        return low == 1 ? 1 : high;
      }
      case x3_reg_usage:
        if (!a || !b) return std::max(a, b);
        mixed(tag, "the use of register x3 (Tag_RISCV_x3_reg_usage)", a, b);
        return a;
      default: return std::max(a, b);  // versions of the privileged architecture
    }
  }

  Link& link_;
  ObjectFile* file_ = nullptr;
  bool any_ = false, has_arch_ = false;
  Extensions extensions_;
  std::map<uint32_t, uint64_t> numbers_;
  std::map<uint32_t, const ObjectFile*> from_;
};

}  // namespace

uint32_t merge_flags(Link& link) {
  uint32_t out = 0;
  const InputFile* first = nullptr;
  auto agree = [&](const InputFile& f, uint32_t flags) {
    auto fail = [&](const std::string& what) {
      link.diag.error(f.name + ": cannot link object files with different " + what, uint64_t(f.priority) << 32);
    };
    if (!first) {
      first = &f;
      out = flags & (EF_RISCV_FLOAT_ABI | EF_RISCV_RVE);
    }
    if ((flags ^ out) & EF_RISCV_FLOAT_ABI)
      fail(std::string("floating-point ABI: this is ") + float_abi_name(flags) + ", and " + first->name + " is " +
           float_abi_name(out));
    if ((flags ^ out) & EF_RISCV_RVE)
      fail(std::string("base: this is ") + (flags & EF_RISCV_RVE ? "RV64E, and " : "not RV64E, and ") + first->name +
           " is " + (out & EF_RISCV_RVE ? "" : "not"));
  };
  for (const ObjectFile* f : link.objects) {
    // Code that is made here is RV64GC with the LP64D ABI.
    uint32_t flags = EF_RISCV_RVC | EF_RISCV_FLOAT_ABI_DOUBLE;
    if (f->kind == FileKind::object) {
      if (f->made || !f->view.header || !has_code(*f)) continue;
      flags = f->view.header->flags;
    } else if (f->kind != FileKind::module) {
      continue;
    }
    agree(*f, flags);
    out |= flags & (EF_RISCV_RVC | EF_RISCV_TSO);
  }
  if (!link.relocatable)
    for (const SharedFile* so : link.shareds)
      if (so->data.size() >= sizeof(Ehdr)) agree(*so, reinterpret_cast<const Ehdr*>(so->data.data())->flags);
  return out;
}

std::vector<uint8_t> merge_attributes(Link& link) {
  Merger merger(link);
  for (ObjectFile* f : link.objects) {
    if (f->kind != FileKind::object || !f->view.header) continue;
    for (const Shdr& s : f->sections) {
      if (s.type != SHT_RISCV_ATTRIBUTES) continue;
      Attributes a;
      if (std::string why = Reader(f->view.section_data(s)).run(a); !why.empty())
        link.diag.error(f->name + ":(.riscv.attributes): " + why, uint64_t(f->priority) << 32);
      else merger.add(*f, a);
    }
  }
  return merger.write();
}

}  // namespace lode::link::elf::riscv64
