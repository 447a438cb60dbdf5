// Relaxation of riscv64 code (psABI, chapter "Linker Relaxation"): which instructions may go, which forms there are,
// and how what is left looks.
//
// R_RISCV_RELAX behind a relocation allows that its instruction be changed or removed; nothing is shortened without it.
// R_RISCV_ALIGN is honoured always: padding is as large as it may ever have to be, and labels are unaligned until the
// linker has taken the surplus away.
//
//   auipc+jalr               c.j, jal, or by register 0 to an undefined weak function
//   lui+lower part           lower part by register 0 or gp; c.lui+lower part
//   auipc+lower part         lower part by register 0 or gp (at fixed addresses)
//   lui+add tp+lower part    lower part by tp; c.lui
//   GOT: auipc+ld            c.li, addi by register 0 or gp, auipc or lui+addi
//   TLS initial-exec         c.li or addi from register 0, lui+addi
//   TLS general-dynamic      auipc+ld+add tp (imported), lui+addi+add tp, addi from tp
//   TLS descriptors          auipc+ld (imported), lui+addi, addi from register 0
//
// Parts of one address are relaxed together or not at all. Lower parts of a distance name the instruction with the
// upper part. Those of an absolute address do not: all that speak of the same symbol in a file are taken as one group,
// whose least and whose largest place have to be in reach; compilers use one upper part for several lower parts. The
// assembler puts R_RISCV_RELAX of an access by the GOT only to its lower part; where the two stand next to each other
// and the lower part is the only one, the upper one's place takes the instruction that is left, and the lower one's is
// what goes.
#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/machines/riscv64.h"
#include "link/elf/relocations/shrink.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace lode::link::elf::riscv64 {

namespace {

enum Kind : uint8_t {
  align, call, upper, tp_upper, tp_add, leader,  // sites; leader and below: of groups, too
  got_pair, tls_pair, general, descriptor_part,
};
// Forms of groups, shortest first; they grow by one or more.
enum Form : uint8_t {
  form_li,      // c.li
  form_zero,    // lower part by register 0; TLS: from tp
  form_gp,      // lower part by gp
  form_full,
};

constexpr uint32_t x0 = 0, sp = 2, gp = 3, tp = 4, a0 = 10;
constexpr uint32_t nop = 0x13;

uint32_t word(const uint8_t* p) { return load_le<uint32_t>(p); }
uint32_t rd_of(uint32_t code) { return code >> 7 & 31; }
uint32_t rs1_of(uint32_t code) { return code >> 15 & 31; }
constexpr uint32_t addi(uint32_t rd, uint32_t rs1) { return 0x13 | rd << 7 | rs1 << 15; }
constexpr uint32_t add(uint32_t rd, uint32_t rs1, uint32_t rs2) { return 0x33 | rd << 7 | rs1 << 15 | rs2 << 20; }
constexpr uint32_t lui(uint32_t rd) { return 0x37 | rd << 7; }
constexpr uint32_t ld(uint32_t rd, uint32_t rs1) { return 0x3003 | rd << 7 | rs1 << 15; }
bool is_auipc(uint32_t code) { return (code & 0x7f) == 0x17; }
bool is_lui(uint32_t code) { return (code & 0x7f) == 0x37; }
bool is_ld(uint32_t code) { return (code & 0x707f) == 0x3003; }
bool is_addi(uint32_t code) { return (code & 0x707f) == 0x13; }
bool is_jalr(uint32_t code) { return (code & 0x707f) == 0x67; }
uint16_t c_li(uint32_t rd, int64_t v) {
  return uint16_t(0x4001 | rd << 7 | (uint64_t(v) >> 5 & 1) << 12 | (uint64_t(v) & 31) << 2);
}
uint32_t with_base(uint32_t code, uint32_t base) { return (code & ~(31u << 15)) | base << 15; }

bool is_marked(const Rela* relocs, uint32_t count, uint32_t i) {
  return i + 1 < count && relocs[i + 1].type == R_RISCV_RELAX && relocs[i + 1].offset == relocs[i].offset;
}

bool has_compressed(const ObjectFile& f) { return f.view.header && (f.view.header->flags & EF_RISCV_RVC); }

// gp is set up by start-up code at a fixed address, and only where that names the symbol.
bool may_use_gp(const Link& link) { return !link.pic && link.opt.relax && link.opt.relax_gp; }

bool fits12(int64_t v) { return fits_signed(v, 12); }

// ---- sequences ------------------------------------------------------------------------------------------------------

// An auipc whose only followers are loads of a doubleword from where it points to, which may be changed.
bool is_load_pair(const InputPlace& place) {
  const Rela& r = place.rel();
  if (!is_auipc(word(place.data.data() + r.offset)) || place.followers.empty()) return false;
  const uint32_t base = rd_of(word(place.data.data() + r.offset));
  for (uint32_t i : place.followers) {
    const uint32_t code = word(place.data.data() + place.relocs[i].offset);
    if (place.relocs[i].type != R_RISCV_PCREL_LO12_I || !is_ld(code) || rs1_of(code) != base) return false;
    if (!is_marked(place.relocs, place.count, i)) return false;
  }
  return true;
}

// auipc a0; addi a0, a0; call __tls_get_addr, one behind the other. The call's relocation; none: it is something else.
uint32_t general_call(const InputPlace& place) {
  const Rela& r = place.rel();
  const uint64_t at = r.offset;
  if (place.followers.size() != 1 || place.data.size() - at < 16) return none;
  const uint32_t low = place.followers[0];
  const uint8_t* code = place.data.data() + at;
  if (word(code) != (0x17 | a0 << 7) || (word(code + 4) & 0xfffff) != addi(a0, a0) ||
      place.relocs[low].type != R_RISCV_PCREL_LO12_I || place.relocs[low].offset != at + 4 ||
      !is_marked(place.relocs, place.count, low))
    return none;
  for (uint32_t i = low + 1; i < place.count && place.relocs[i].offset <= at + 8; i++)
    if (place.relocs[i].offset == at + 8 &&
        (place.relocs[i].type == R_RISCV_CALL_PLT || place.relocs[i].type == R_RISCV_CALL))
      return is_marked(place.relocs, place.count, i) && is_jalr(word(code + 12)) ? i : none;
  return none;
}

// The three that follow the first instruction of a descriptor's sequence.
struct DescriptorParts {
  uint32_t load = none, add = none, call = none;
};
bool descriptor_parts(const InputPlace& place, DescriptorParts& parts) {
  if (!is_auipc(word(place.data.data() + place.rel().offset)) || place.followers.size() != 3) return false;
  const uint32_t base = rd_of(word(place.data.data() + place.rel().offset));
  for (uint32_t i : place.followers) {
    const uint32_t code = word(place.data.data() + place.relocs[i].offset);
    switch (uint32_t(place.relocs[i].type)) {
      case R_RISCV_TLSDESC_LOAD_LO12:
        if (is_ld(code) && rs1_of(code) == base) parts.load = i;
        break;
      case R_RISCV_TLSDESC_ADD_LO12:
        if (is_addi(code) && rs1_of(code) == base && rd_of(code) == a0) parts.add = i;
        break;
      case R_RISCV_TLSDESC_CALL:
        if (is_jalr(code)) parts.call = i;
        break;
      default: break;
    }
  }
  if (parts.load == none || parts.add == none || parts.call == none) return false;
  return rd_of(word(place.data.data() + place.relocs[parts.load].offset)) ==
         rs1_of(word(place.data.data() + place.relocs[parts.call].offset));
}

}  // namespace

int sequence(const InputPlace& place, Rewrite to) {
  if (to == Rewrite::none) return 0;
  switch (uint32_t(place.rel().type)) {
    case R_RISCV_GOT_HI20: case R_RISCV_TLS_GOT_HI20: return is_load_pair(place) ? 0 : -1;
    case R_RISCV_TLS_GD_HI20: {
      const uint32_t call = general_call(place);
      return call == none || call - place.index > 200 ? -1 : int(call + 1 - place.index);
    }
    case R_RISCV_TLSDESC_HI20: {
      DescriptorParts parts;
      return descriptor_parts(place, parts) ? 0 : -1;
    }
    default: return -1;
  }
}

namespace {

// ---- finding --------------------------------------------------------------------------------------------------------

class Finder {
 public:
  Finder(Link& link, ShrinkFile& s, ShrinkAtom& shrunk)
      : link_(link), s_(s), f_(*s.file), a_(link.atoms[shrunk.atom]), relocs_(a_.relocs), count_(a_.reloc_count),
        compressed_(has_compressed(f_)), rewrites_(f_, a_.section) {}

  void run() {
    // The table of followers is wanted by few.
    for (uint32_t i = 0; i < count_; i++) {
      const uint32_t type = relocs_[i].type;
      if ((type == R_RISCV_PCREL_HI20 && may_use_gp(link_)) || type == R_RISCV_GOT_HI20 ||
          type == R_RISCV_TLS_GOT_HI20 || type == R_RISCV_TLS_GD_HI20 || type == R_RISCV_TLSDESC_HI20) {
        followers_ = find_followers(link_, f_, a_);
        break;
      }
    }
    for (uint32_t i = 0; i < count_; i++) visit(i);
    std::stable_sort(s_.sites.begin() + ptrdiff_t(first_site_), s_.sites.end(),
                     [](const ShrinkSite& x, const ShrinkSite& y) { return x.offset < y.offset; });
    reject_overlaps();
  }

 private:
  bool marked(uint32_t i) const { return link_.opt.relax && is_marked(relocs_, count_, i); }
  uint32_t code(uint32_t i) const { return word(a_.data + relocs_[i].offset); }
  InputPlace place(uint32_t i) const {
    return {relocs_, i, count_, {a_.data, a_.size}, f_.syms.size(), followers_.of(i)};
  }

  void add_site(Kind kind, uint64_t offset, uint64_t length, uint32_t wanted, uint32_t reloc, uint32_t group) {
    s_.sites.push_back({uint32_t(offset), uint32_t(length), wanted, wanted, 0, reloc, group, kind, {}});
  }

  void visit(uint32_t i) {
    const Rela& r = relocs_[i];
    switch (uint32_t(r.type)) {
      case R_RISCV_ALIGN: return alignment(i);
      case R_RISCV_CALL: case R_RISCV_CALL_PLT:
        if (marked(i) && i >= skip_ && is_auipc(code(i)) && is_jalr(word(a_.data + r.offset + 4)))
          add_site(call, r.offset, 8, compressed_ && rd_of(word(a_.data + r.offset + 4)) == x0 ? 6 : 4, i, none);
        return;
      case R_RISCV_HI20: case R_RISCV_LO12_I: case R_RISCV_LO12_S: return absolute(i);
      case R_RISCV_TPREL_HI20: case R_RISCV_TPREL_ADD: case R_RISCV_TPREL_LO12_I: case R_RISCV_TPREL_LO12_S:
        return local_exec(i);
      case R_RISCV_PCREL_HI20: return distance(i);
      case R_RISCV_GOT_HI20: case R_RISCV_TLS_GOT_HI20: case R_RISCV_TLS_GD_HI20: case R_RISCV_TLSDESC_HI20:
        if (const KeptRewrite* kept = rewrites_.at(i)) rewritten(i, *kept);
        return;
      default: return;
    }
  }

  void alignment(uint32_t i) {
    const Rela& r = relocs_[i];
    const uint64_t bytes = uint64_t(r.addend);
    if (bytes == 0) return;
    if (bytes > a_.size - r.offset || (bytes & 1)) {
      link_.diag.error(relocation_place(link_, f_, a_, r.offset) + ": R_RISCV_ALIGN asks for " +
                           std::to_string(r.addend) + " bytes of padding, which are not there",
                       relocation_key(f_, a_, i));
      return;
    }
    // The section as a whole has to be as aligned as what is in it.
    a_.p2align = std::max(a_.p2align, uint8_t(std::countr_zero(std::bit_ceil(bytes + 1))));
    add_site(align, r.offset, bytes, 0, i, none);
  }

  ShrinkGroup& group_of_symbol(unsigned table, uint32_t sym, Kind kind) {
    auto& index = s_.group_of_symbol[table];
    if (index.empty()) index.assign(f_.syms.size(), none);
    if (index[sym] == none) {
      index[sym] = uint32_t(s_.groups.size());
      ShrinkGroup g;
      g.sym = sym;
      g.kind = kind;
      g.form = form_zero;
      g.least = INT64_MAX;
      g.most = INT64_MIN;
      s_.groups.push_back(g);
    }
    return s_.groups[index[sym]];
  }

  void extend(ShrinkGroup& g, uint32_t i) {
    g.marked &= marked(i) && !(is_upper(relocs_[i].type) && !is_lui(code(i)));
    g.least = std::min<int64_t>(g.least, relocs_[i].addend);
    g.most = std::max<int64_t>(g.most, relocs_[i].addend);
    // Places by section symbol need not lie in the order of their addends: of strings, each is where its like is.
    if (f_.syms[g.sym].type() == STT_SECTION && g.least != g.most) g.marked = false;
  }
  static bool is_upper(uint32_t type) { return type == R_RISCV_HI20 || type == R_RISCV_TPREL_HI20; }

  void absolute(uint32_t i) {
    if (!link_.opt.relax) return;
    ShrinkGroup& g = group_of_symbol(0, relocs_[i].sym, upper);
    extend(g, i);
    if (relocs_[i].type == R_RISCV_HI20 && marked(i) && is_lui(code(i)))
      add_site(upper, relocs_[i].offset, 4, 4, i, uint32_t(&g - s_.groups.data()));
  }

  void local_exec(uint32_t i) {
    if (!link_.opt.relax) return;
    ShrinkGroup& g = group_of_symbol(1, relocs_[i].sym, tp_upper);
    extend(g, i);
    const uint32_t type = relocs_[i].type;
    if ((type == R_RISCV_TPREL_HI20 || type == R_RISCV_TPREL_ADD) && marked(i))
      add_site(type == R_RISCV_TPREL_ADD ? tp_add : tp_upper, relocs_[i].offset, 4, 4, i,
               uint32_t(&g - s_.groups.data()));
  }

  uint32_t add_group(uint32_t i, Kind kind, Form form, Rewrite to) {
    const auto list = followers_.of(i);
    ShrinkGroup g;
    g.sym = relocs_[i].sym;
    g.reloc = i;
    g.kind = kind;
    g.form = form;
    g.least = g.most = relocs_[i].addend;
    g.followers = uint32_t(s_.followers.size());
    g.follower_count = uint32_t(list.size());
    g.to = to;
    s_.followers.insert(s_.followers.end(), list.begin(), list.end());
    s_.groups.push_back(g);
    return uint32_t(s_.groups.size() - 1);
  }

  void distance(uint32_t i) {
    if (!marked(i) || !may_use_gp(link_) || followers_.of(i).empty() || !is_auipc(code(i))) return;
    for (uint32_t k : followers_.of(i)) {
      const uint32_t type = relocs_[k].type;
      if (!marked(k) || (type != R_RISCV_PCREL_LO12_I && type != R_RISCV_PCREL_LO12_S)) return;
    }
    add_site(leader, relocs_[i].offset, 4, 4, i, add_group(i, leader, form_zero, Rewrite::none));
  }

  // Whether the only follower stands behind its leader.
  bool adjacent(uint32_t i) const {
    const auto list = followers_.of(i);
    return list.size() == 1 && relocs_[list[0]].offset == relocs_[i].offset + 4;
  }

  void rewritten(uint32_t i, const KeptRewrite& kept) {
    const Rela& r = relocs_[i];
    const uint64_t at = r.offset;
    switch (uint32_t(r.type)) {
      case R_RISCV_GOT_HI20: case R_RISCV_TLS_GOT_HI20: {
        const Kind kind = r.type == R_RISCV_GOT_HI20 ? got_pair : tls_pair;
        const bool alone = adjacent(i), short_form = alone || marked(i);
        const bool li = alone && compressed_ && rd_of(code(followers_.of(i)[0])) != x0;
        const uint32_t g = add_group(i, kind, !short_form ? form_full : li ? form_li : form_zero, kept.to);
        if (short_form) add_site(leader, at, alone ? 8 : 4, li ? 6 : 4, i, g);
        return;
      }
      case R_RISCV_TLS_GD_HI20: {
        skip_ = i + kept.span + 1;
        const bool local = kept.to == Rewrite::local_exec;
        const uint32_t g = add_group(i, general, local ? form_zero : form_full, kept.to);
        add_site(general, at, 16, local ? 12 : 4, i, g);
        return;
      }
      case R_RISCV_TLSDESC_HI20: {
        const bool local = kept.to == Rewrite::local_exec;
        const uint32_t g = add_group(i, descriptor_part, local ? form_zero : form_full, kept.to);
        if (marked(i)) add_site(descriptor_part, at, 4, local ? 4 : 0, i, g);
        for (uint32_t k : followers_.of(i))
          if (marked(k)) add_site(descriptor_part, relocs_[k].offset, 4, 0, k, g);
        return;
      }
      default: return;
    }
  }

  // Nobody can say what is left where two relocations want to change the same bytes.
  void reject_overlaps() {
    uint64_t end = 0;
    size_t kept = first_site_;
    for (size_t k = first_site_; k < s_.sites.size(); k++) {
      const ShrinkSite& site = s_.sites[k];
      if (site.offset < end) {
        link_.diag.error(relocation_place(link_, f_, a_, site.offset) +
                             ": relocations ask for changes of the same instruction",
                         relocation_key(f_, a_, site.reloc));
        continue;
      }
      end = uint64_t(site.offset) + site.length;
      s_.sites[kept++] = site;
    }
    s_.sites.resize(kept);
  }

  Link& link_;
  ShrinkFile& s_;
  ObjectFile& f_;
  Atom& a_;
  const Rela* relocs_;
  const uint32_t count_;
  const bool compressed_;
  RewriteCursor rewrites_;
  Followers followers_;
  uint32_t skip_ = 0;  // calls before this one belong to a sequence
  const size_t first_site_ = s_.sites.size();
};

// ---- lengths --------------------------------------------------------------------------------------------------------

// The shortest form that all of a group have, not shorter than it is.
uint8_t form_of(Link& link, ShrinkFile& s, const ShrinkGroup& g) {
  auto target = [&](int64_t addend) { return int64_t(code_target(link, *s.file, g.sym, addend)); };
  const bool tls = g.kind == tp_upper || g.kind == tls_pair || g.kind == general || g.kind == descriptor_part;
  const int64_t base = tls ? int64_t(link.tp) : 0;
  const int64_t least = target(g.least) - base, most = target(g.most) - base;
  // A number is one wherever the output is loaded.
  if (tls || !link.pic || g.to == Rewrite::absolute || resolve_target(link, *s.file, g.sym).absolute) {
    if (g.form <= form_li && fits_signed(least, 6)) return form_li;
    if (g.form <= form_zero && fits12(least) && fits12(most)) return form_zero;
  }
  if (g.form <= form_gp && !tls && link.gp && may_use_gp(link) && fits12(least - int64_t(link.gp)) &&
      fits12(most - int64_t(link.gp)))
    return form_gp;
  return form_full;
}

// What an instruction of a descriptor's sequence loses.
uint32_t descriptor_surplus(const ShrinkGroup& g, uint32_t type, bool together) {
  if (g.to == Rewrite::initial_exec) {
    if (together) return type == R_RISCV_TLSDESC_ADD_LO12 || type == R_RISCV_TLSDESC_CALL ? 4 : 0;
    return type == R_RISCV_TLSDESC_ADD_LO12 ? 4 : 0;
  }
  if (type == R_RISCV_TLSDESC_HI20) return g.form == form_zero ? 4 : 0;
  return type == R_RISCV_TLSDESC_ADD_LO12 ? 0 : 4;
}

// Whether the four instructions stand one behind the other, in their order.
bool descriptor_together(const Rela* relocs, const ShrinkFile& s, const ShrinkGroup& g) {
  const uint64_t at = relocs[g.reloc].offset;
  for (uint32_t i : std::span(s.followers).subspan(g.followers, g.follower_count)) {
    const uint64_t want = relocs[i].type == R_RISCV_TLSDESC_LOAD_LO12  ? 4
                          : relocs[i].type == R_RISCV_TLSDESC_ADD_LO12 ? 8
                                                                       : 12;
    if (relocs[i].offset != at + want) return false;
  }
  return true;
}

uint32_t call_surplus(Link& link, ShrinkFile& s, const Atom& a, const ShrinkSite& site, uint64_t section) {
  const Rela& r = a.relocs[site.reloc];
  if (const RelocationTarget t = resolve_target(link, *s.file, r.sym); t.undefined_weak) return 4;
  const int64_t v =
      int64_t(code_target(link, *s.file, r.sym, r.addend) - (section + site.offset - site.before));
  if (v & 1) return 0;
  if (site.wanted == 6 && fits_signed(v, 12)) return 6;
  return fits_signed(v, 21) ? 4 : 0;
}

uint32_t surplus_now(Link& link, ShrinkFile& s, const ShrinkAtom& shrunk, const ShrinkSite& site) {
  const Atom& a = link.atoms[shrunk.atom];
  if (site.kind == call) return call_surplus(link, s, a, site, link.atom_address[shrunk.atom]);
  const ShrinkGroup& g = s.groups[site.group];
  const Rela& r = a.relocs[site.reloc];
  const bool small = g.marked && g.form < form_full;
  switch (site.kind) {
    case upper: case tp_upper: {
      if (small) return 4;
      const uint32_t rd = rd_of(word(a.data + r.offset));
      if (site.wanted < 2 || !has_compressed(*s.file) || rd == x0 || rd == sp) return 0;
      const int64_t v = int64_t(code_target(link, *s.file, r.sym, r.addend)) -
                        (site.kind == tp_upper ? int64_t(link.tp) : 0);
      return fits_signed((v + 0x800) >> 12, 6) ? 2 : 0;
    }
    case tp_add: return small ? 4 : 0;
    case leader:
      if (g.form == form_full) return 0;
      return g.form == form_li ? 6 : 4;
    case general: return g.form == form_zero ? 12 : 4;
    default: return descriptor_surplus(g, r.type, descriptor_together(a.relocs, s, g));
  }
}

bool grow(Link& link, ShrinkFile& s) {
  bool grown = false;
  for (ShrinkGroup& g : s.groups) {
    if (g.to == Rewrite::initial_exec || g.form == form_full || !g.marked) continue;
    const uint8_t form = form_of(link, s, g);
    grown |= form != g.form;
    g.form = form;
  }
  for (const ShrinkAtom& shrunk : s.atoms) {
    if (shrunk.leader_file != none) continue;
    for (ShrinkSite& site : std::span(s.sites).subspan(shrunk.sites, shrunk.site_count)) {
      if (site.kind == align) continue;
      const uint32_t now = std::min(site.wanted, surplus_now(link, s, shrunk, site));
      grown |= now != site.wanted;
      site.wanted = now;
    }
  }
  return grown;
}

uint32_t surplus(const ShrinkSite& site, uint64_t at) {
  if (site.kind != align) return site.wanted;
  const uint64_t boundary = std::bit_ceil(uint64_t(site.length) + 1);
  const uint64_t needed = align_up(at, boundary) - at;
  return needed > site.length ? 0 : uint32_t(site.length - needed);
}

// Groups of symbols are known when the whole file is; what the first layout has is their shortest forms.
void begin(Link& link, ShrinkFile& s) {
  for (ShrinkGroup& g : s.groups)
    if (!g.marked) g.form = form_full;
  for (ShrinkAtom& shrunk : s.atoms)
    for (ShrinkSite& site : std::span(s.sites).subspan(shrunk.sites, shrunk.site_count)) {
      if (site.kind == align || site.group == none) continue;
      const ShrinkGroup& g = s.groups[site.group];
      if (site.kind == descriptor_part)
        site.wanted = descriptor_surplus(g, link.atoms[shrunk.atom].relocs[site.reloc].type,
                                         descriptor_together(link.atoms[shrunk.atom].relocs, s, g));
      else if (!g.marked)
        site.wanted = site.kind == tp_add ? 0 : 2;
    }
}

// ---- what is left ---------------------------------------------------------------------------------------------------

class Rewriter {
 public:
  Rewriter(Link& link, const ShrinkFile& s, const ShrinkAtom& shrunk, uint8_t* data, Rela* relocs)
      : link_(link), s_(s), shrunk_(shrunk), a_(link.atoms[shrunk.atom]), data_(data), relocs_(relocs) {}

  void run() {
    for (uint32_t i = 0; i < a_.reloc_count; i++) by_symbol(i);
    for (const ShrinkGroup& g : std::span(s_.groups).subspan(shrunk_.groups, shrunk_.group_count))
      if (g.reloc != none) by_leader(g);
    for (const ShrinkSite& site : std::span(s_.sites).subspan(shrunk_.sites, shrunk_.site_count)) by_site(site);
    for (uint32_t i = 0; i < a_.reloc_count; i++)
      if (relocs_[i].type == R_RISCV_RELAX || relocs_[i].type == R_RISCV_ALIGN) clear(relocs_[i]);
  }

 private:
  uint8_t* at(const Rela& r) { return data_ + r.offset; }
  void clear(Rela& r) { r = {r.offset, R_RISCV_NONE, 0, 0}; }
  void set_base(const Rela& r, uint32_t base) { store_le(at(r), with_base(word(at(r)), base)); }

  // A lower part on its own: its relocation, and the register that it is relative to.
  void lower(Rela& r, const ShrinkGroup& g, bool is_store) {
    const Rela& from = a_.relocs[g.reloc];
    r.sym = from.sym;
    r.addend = from.addend;
    if (g.form == form_gp) r.type = is_store ? gprel_lo12_s : gprel_lo12_i;
    else r.type = is_store ? R_RISCV_LO12_S : R_RISCV_LO12_I;
    set_base(r, g.form == form_gp ? gp : x0);
  }

  const ShrinkGroup* group_of_symbol(unsigned table, uint32_t i) const {
    const auto& index = s_.group_of_symbol[table];
    if (index.empty() || index[relocs_[i].sym] == none) return nullptr;
    const ShrinkGroup& g = s_.groups[index[relocs_[i].sym]];
    return g.marked && g.form != form_full ? &g : nullptr;
  }

  void by_symbol(uint32_t i) {
    Rela& r = relocs_[i];
    switch (uint32_t(r.type)) {
      case R_RISCV_LO12_I: case R_RISCV_LO12_S:
        if (const ShrinkGroup* g = group_of_symbol(0, i)) {
          set_base(r, g->form == form_gp ? gp : x0);
          if (g->form == form_gp) r.type = r.type == R_RISCV_LO12_I ? gprel_lo12_i : gprel_lo12_s;
        }
        break;
      case R_RISCV_TPREL_LO12_I: case R_RISCV_TPREL_LO12_S:
        if (group_of_symbol(1, i)) set_base(r, tp);
        break;
      default: break;
    }
  }

  void by_leader(const ShrinkGroup& g) {
    switch (g.kind) {
      case leader:
        if (g.form == form_full) return;
        for (uint32_t i : followers(g)) lower(relocs_[i], g, relocs_[i].type == R_RISCV_PCREL_LO12_S);
        clear(relocs_[g.reloc]);
        return;
      case got_pair: case tls_pair: return pair(g);
      case general: return general_dynamic(g);
      case descriptor_part: return g.to == Rewrite::local_exec ? descriptor_local(g) : descriptor_initial(g);
      default: return;
    }
  }

  std::span<const uint32_t> followers(const ShrinkGroup& g) const {
    return std::span(s_.followers).subspan(g.followers, g.follower_count);
  }

  // An upper part of the same size: for a place near the program counter, or for a number.
  void upper_part(const ShrinkGroup& g, Rela& r, bool number, uint32_t type) {
    r.type = type;
    r.sym = a_.relocs[g.reloc].sym;
    r.addend = a_.relocs[g.reloc].addend;
    if (number) store_le(at(r), lui(rd_of(word(at(r)))));
  }

  void pair(const ShrinkGroup& g) {
    Rela& first = relocs_[g.reloc];
    const bool tls = g.kind == tls_pair, number = tls || g.to == Rewrite::absolute;
    const uint32_t base = rd_of(word(at(first)));
    if (g.form == form_full) {
      for (uint32_t i : followers(g)) {
        Rela& r = relocs_[i];
        store_le(at(r), addi(rd_of(word(at(r))), base));
        if (!number) continue;
        r.type = tls ? R_RISCV_TPREL_LO12_I : R_RISCV_LO12_I;
        r.sym = a_.relocs[g.reloc].sym;
        r.addend = a_.relocs[g.reloc].addend;
      }
      upper_part(g, first, number, tls ? R_RISCV_TPREL_HI20 : number ? R_RISCV_HI20 : R_RISCV_PCREL_HI20);
      return;
    }
    const bool alone = g.follower_count == 1 && a_.relocs[followers(g)[0]].offset == a_.relocs[g.reloc].offset + 4;
    if (!alone) {  // the first instruction goes
      for (uint32_t i : followers(g)) {
        Rela& r = relocs_[i];
        store_le(at(r), addi(rd_of(word(at(r))), x0));
        lower(r, g, false);
        if (tls) r.type = R_RISCV_TPREL_LO12_I;
      }
      clear(first);
      return;
    }
    const uint32_t rd = rd_of(word(a_.data + a_.relocs[followers(g)[0]].offset));
    clear(relocs_[followers(g)[0]]);
    if (g.form == form_li) {
      const int64_t v = int64_t(code_target(link_, *s_.file, first.sym, first.addend)) - (tls ? int64_t(link_.tp) : 0);
      store_le(at(first), c_li(rd, v));
      clear(first);
      return;
    }
    store_le(at(first), addi(rd, x0));
    lower(first, g, false);
    if (tls) first.type = R_RISCV_TPREL_LO12_I;
  }

  // auipc a0; addi a0, a0; auipc ra; jalr ra
  void general_dynamic(const ShrinkGroup& g) {
    Rela &first = relocs_[g.reloc], &second = relocs_[followers(g)[0]];
    for (uint32_t i = followers(g)[0] + 1; i < a_.reloc_count && a_.relocs[i].offset <= a_.relocs[g.reloc].offset + 8;
         i++)
      clear(relocs_[i]);
    uint8_t* code = at(first);
    if (g.to == Rewrite::local_exec && g.form == form_zero) {
      store_le(code, addi(a0, tp));
      first.type = R_RISCV_TPREL_LO12_I;
      clear(second);
      return;
    }
    const bool local = g.to == Rewrite::local_exec;
    store_le(code + 4, local ? addi(a0, a0) : ld(a0, a0));
    store_le(code + 8, add(a0, a0, tp));
    upper_part(g, first, local, local ? R_RISCV_TPREL_HI20 : R_RISCV_TLS_GOT_HI20);
    if (!local) return;  // the second one follows the first as before
    second.type = R_RISCV_TPREL_LO12_I;
    second.sym = first.sym;
    second.addend = first.addend;
  }

  struct Parts {
    Rela *load, *add, *call;
  };
  Parts parts(const ShrinkGroup& g) {
    Parts p{};
    for (uint32_t i : followers(g)) {
      const uint32_t type = a_.relocs[i].type;
      (type == R_RISCV_TLSDESC_LOAD_LO12 ? p.load : type == R_RISCV_TLSDESC_ADD_LO12 ? p.add : p.call) = &relocs_[i];
    }
    return p;
  }
  bool is_gone(const Rela& r) const {
    const uint32_t i = uint32_t(&r - relocs_);
    const auto sites = std::span(s_.sites).subspan(shrunk_.sites, shrunk_.site_count);
    const uint64_t offset = a_.relocs[i].offset;
    auto it = std::partition_point(sites.begin(), sites.end(), [&](const ShrinkSite& x) { return x.offset < offset; });
    return it != sites.end() && it->reloc == i && it->removed == 4;
  }
  // Where an instruction is not wanted any more: nothing is left, or one that does nothing.
  void drop(Rela& r, bool gone) {
    if (!gone) store_le(at(r), nop);
    clear(r);
  }

  void descriptor_local(const ShrinkGroup& g) {
    Rela& first = relocs_[g.reloc];
    const Parts p = parts(g);
    const uint32_t base = rd_of(word(a_.data + a_.relocs[g.reloc].offset));
    const bool gone[3] = {is_gone(first), is_gone(*p.load), is_gone(*p.call)};
    store_le(at(*p.add), addi(a0, g.form == form_zero ? x0 : base));
    p.add->type = R_RISCV_TPREL_LO12_I;
    p.add->sym = a_.relocs[g.reloc].sym;
    p.add->addend = a_.relocs[g.reloc].addend;
    if (g.form == form_zero) drop(first, gone[0]);
    else upper_part(g, first, true, R_RISCV_TPREL_HI20);
    drop(*p.load, gone[1]);
    drop(*p.call, gone[2]);
  }

  // The slot's contents are what the call would have given: into a0 at once where the instructions stand together.
  void descriptor_initial(const ShrinkGroup& g) {
    Rela& first = relocs_[g.reloc];
    const Parts p = parts(g);
    const uint32_t got = rd_of(word(a_.data + (p.load - relocs_ + a_.relocs)->offset));
    const bool gone[2] = {is_gone(*p.add), is_gone(*p.call)};
    if (descriptor_together(a_.relocs, s_, g)) {
      store_le(at(first), 0x17 | a0 << 7);
      store_le(at(*p.load), ld(a0, a0));
      drop(*p.call, gone[1]);
    } else {
      store_le(at(*p.call), addi(a0, got));
      clear(*p.call);
    }
    first.type = R_RISCV_TLS_GOT_HI20;
    p.load->type = R_RISCV_PCREL_LO12_I;
    drop(*p.add, gone[0]);
  }

  void by_site(const ShrinkSite& site) {
    Rela& r = relocs_[site.reloc];
    switch (site.kind) {
      case align: {
        uint8_t* p = at(r);
        uint32_t left = site.length - site.removed;
        for (; left >= 4; left -= 4, p += 4) store_le(p, nop);
        if (left) store_le(p, uint16_t(1));
        return;
      }
      case call: return branch(site, r);
      case upper: case tp_upper:
        if (site.removed == 4) clear(r);
        if (site.removed != 2) return;
        store_le(at(r), uint16_t(0x6001 | rd_of(word(a_.data + site.offset)) << 7));
        if (site.kind == tp_upper) {
          const int64_t v = int64_t(code_target(link_, *s_.file, r.sym, r.addend) - link_.tp);
          link_.machine->store(link_.machine->row(R_RISCV_RVC_LUI), at(r), uint64_t(v));
          clear(r);
        } else {
          r.type = R_RISCV_RVC_LUI;
        }
        return;
      case tp_add:
        if (site.removed) clear(r);
        return;
      default: return;
    }
  }

  void branch(const ShrinkSite& site, Rela& r) {
    const uint32_t rd = rd_of(word(a_.data + site.offset + 4));
    if (site.removed == 6) {
      store_le(at(r), uint16_t(0xa001));
      r.type = R_RISCV_RVC_JUMP;
    } else if (site.removed == 4) {
      store_le(at(r), 0x6f | rd << 7);
      r.type = R_RISCV_JAL;
    }
  }

  Link& link_;
  const ShrinkFile& s_;
  const ShrinkAtom& shrunk_;
  const Atom& a_;
  uint8_t* data_;
  Rela* relocs_;
};

}  // namespace

const ShrinkRules shrink_rules{
    .find = [](Link& link, ShrinkFile& s, ShrinkAtom& a) { Finder(link, s, a).run(); },
    .begin = begin,
    .grow = grow,
    .surplus = surplus,
    .rewrite = [](Link& link, const ShrinkFile& s, const ShrinkAtom& a, uint8_t* data,
                  Rela* relocs) { Rewriter(link, s, a, data, relocs).run(); },
};

}  // namespace lode::link::elf::riscv64
