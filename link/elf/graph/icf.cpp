// Fold: identical functions and read-only data are kept once (--icf=all, --icf=safe).
//
// Two atoms are identical if their bytes are, their relocations are (place, type, addend), and the targets of these are
// identical in turn; unwinding must be the same, too: bytes of the FDEs, CIE, language-specific data. That is the
// largest equivalence with these properties, found as classes that get finer: a class is a 128-bit hash, first of
// everything local, then in each round of the hashes of the targets, until a round makes no new class. What is alone in
// its class folds with nothing and keeps its hash from then on, so that later rounds look at few. Before folding the
// local part is compared byte by byte.
//
// What may be folded: code, and data whose address tells nothing. An address is significant if .llvm_addrsig of the
// object says so (LLVM, "address-significance table"); an object without the table is looked through for references
// that are not calls. `safe` respects it for code and data, `all` for data only. Symbols in .dynsym are kept apart in
// both: other modules may compare them. So are sections named like C identifiers (they are counted through __start_),
// those ordered by others, and --keep-unique.
//
// A folded atom stays where symbols and relocations point; after layout it has the address of its leader.
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/code/lower.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

namespace {

struct Hash {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash&) const = default;
  auto operator<=>(const Hash&) const = default;
};

struct Node {
  uint32_t atom;
  uint32_t edges = 0, edge_count = 0;  // in Folder::edges_
};

struct Member {
  Hash hash;
  uint32_t node;
  auto operator<=>(const Member&) const = default;
};

// What is hashed is gathered first: most functions are short, and one call over one piece is much faster than a stream.
class Digest {
 public:
  explicit Digest(std::vector<uint8_t>& buffer) : buffer_(buffer) { buffer_.clear(); }
  void add(const void* p, size_t n) {
    buffer_.insert(buffer_.end(), static_cast<const uint8_t*>(p), static_cast<const uint8_t*>(p) + n);
  }
  template <class T>
  void add(const T& v) {
    add(&v, sizeof v);
  }
  Hash value() const {
    XXH128_hash_t h = XXH3_128bits(buffer_.data(), buffer_.size());
    return {h.low64, h.high64};
  }

 private:
  std::vector<uint8_t>& buffer_;
};

class Folder {
 public:
  explicit Folder(Link& link) : link_(link), significant_(link.atoms.size()), node_of_(link.atoms.size(), none) {}

  void run() {
    find_significant();
    collect();
    if (nodes_.empty()) return;
    first_hashes();
    refine();
    fold();
  }

 private:
  void mark_significant(uint32_t atom) {
    std::atomic_ref<uint8_t>(significant_[atom]).store(1, std::memory_order_relaxed);
  }

  void mark_symbol(ObjectFile& f, uint32_t sym) {
    if (sym >= f.syms.size()) return;
    Referent t = referent(link_, f, sym);
    uint32_t atom = t.id != none ? link_.symbols[t.id].atom : t.atom;
    if (atom != none) mark_significant(atom);
  }

  // Calls do not, nor does what only names a place in code: the label of another instruction, an end of a difference.
  bool takes_address(const ObjectFile& f, const Rela& r) const {
    switch (link_.machine->row(r.type).want) {
      case Want::call: case Want::follower: case Want::relax_mark: case Want::alignment: return false;
      case Want::set: case Want::add: case Want::subtract: case Want::set_leb: case Want::subtract_leb:
        return r.sym < f.syms.size() && (f.syms[r.sym].type() == STT_FUNC || f.syms[r.sym].type() == STT_SECTION);
      default: return true;
    }
  }

  void find_significant() {
    parallel_for(size_t(0), link_.objects.size(), [&](size_t k) {
      ObjectFile& f = *link_.objects[k];
      if (f.kind != FileKind::object) return;
      bool listed = false;
      for (const Shdr& s : f.sections) {
        if (s.type != SHT_LLVM_ADDRSIG || s.link == 0) continue;
        listed = true;
        Bytes data = f.view.section_data(s);
        for (size_t at = 0; at < data.size();) {
          uint64_t sym = 0;
          for (unsigned shift = 0; at < data.size(); shift += 7) {
            uint8_t byte = data[at++];
            if (shift < 63) sym |= uint64_t(byte & 0x7f) << shift;
            if (!(byte & 0x80)) break;
          }
          mark_symbol(f, uint32_t(std::min<uint64_t>(sym, none)));
        }
      }
      if (listed) return;
      for (uint32_t i = 1; i < f.sections.size(); i++) {
        const Atom& a = link_.atoms[f.atom_base + i];
        if (!a.live || a.kind != AtomKind::regular || !is_loaded(link_, a)) continue;
        for (uint32_t r = 0; r < a.reloc_count; r++)
          if (takes_address(f, a.relocs[r])) mark_symbol(f, a.relocs[r].sym);
      }
    });
    for (Symbol& s : link_.symbols)
      if (s.atom != none && s.exported) significant_[s.atom] |= 2;  // in .dynsym: not even `all` may fold it
    for (const std::string& name : link_.opt.keep_unique)
      if (uint32_t id = link_.names.find(name); id != none && link_.symbols[id].atom != none)
        significant_[link_.symbols[id].atom] |= 2;
    if (uint32_t id = link_.names.find(link_.entry_name); id != none && link_.symbols[id].atom != none)
      significant_[link_.symbols[id].atom] |= 2;
  }

  bool eligible(const ObjectFile& f, uint32_t section) const {
    uint32_t id = f.atom_base + section;
    const Atom& a = link_.atoms[id];
    if (!a.live || a.out == none || (significant_[id] & 2)) return false;
    const bool safe = link_.opt.icf == IcfMode::safe;
    if (a.kind == AtomKind::function)
      return !(safe && function_address_matters(link_, id)) && function_can_fold(link_, id);
    const Shdr& s = f.sections[section];
    if (f.kind != FileKind::object || a.kind != AtomKind::regular || !a.size || !a.data) return false;
    if (!(s.flags & SHF_ALLOC) || (s.flags & (SHF_WRITE | SHF_TLS | SHF_LINK_ORDER | SHF_GNU_RETAIN)) ||
        s.type != SHT_PROGBITS)
      return false;
    std::string_view name = section_name(f, section);
    if (is_c_identifier(name) || name == ".init" || name == ".fini") return false;
    if (s.flags & SHF_EXECINSTR) return !(safe && significant_[id]);
    if (name.starts_with(".gcc_except_table")) return true;
    return name.starts_with(".rodata") && (!significant_[id] || (link_.opt.ignore_data_address_equality && !safe));
  }

  void collect() {
    for (ObjectFile* f : link_.objects)
      for (uint32_t i = 1; i < f->sections.size(); i++)
        if (eligible(*f, i)) {
          node_of_[f->atom_base + i] = uint32_t(nodes_.size());
          nodes_.push_back({f->atom_base + i});
        }
  }

  // Adds what a reference to (symbol or place) + addend means: an edge to another node, or its identity.
  void add_target(Digest& d, std::vector<uint32_t>& edges, uint32_t atom, uint64_t value, int64_t addend,
                  uint32_t symbol, bool section_symbol) {
    if (atom != none && node_of_[atom] != none) {
      d.add(uint8_t(1));
      d.add(value);
      d.add(addend);
      edges.push_back(node_of_[atom]);
      return;
    }
    if (atom != none && link_.atoms[atom].kind == AtomKind::merge) {
      const Atom& a = link_.atoms[atom];
      d.add(uint8_t(2));
      d.add(link_.merge_inputs[a.extra].merged);
      d.add(section_symbol ? merged_offset(link_, a, value + uint64_t(addend))
                           : merged_offset(link_, a, value) + uint64_t(addend));
      return;
    }
    d.add(uint8_t(atom != none ? 3 : 4));
    d.add(atom != none ? atom : symbol);
    d.add(value);
    d.add(addend);
  }

  void add_relocation(Digest& d, std::vector<uint32_t>& edges, ObjectFile& f, const Rela& r, uint64_t base) {
    d.add(uint64_t(r.offset) - base);
    d.add(uint32_t(r.type));
    if (r.sym >= f.syms.size()) return;
    Referent t = referent(link_, f, r.sym);
    if (t.id != none) {
      const Symbol& s = link_.symbols[t.id];
      bool here = s.defined() && !s.imported && s.type != STT_GNU_IFUNC;
      add_target(d, edges, here ? s.atom : none, here ? s.value : 0, r.addend, t.id, false);
    } else {
      add_target(d, edges, t.atom, t.value, r.addend, none, t.section_symbol);
    }
  }

  void first_hashes() {
    std::vector<std::vector<uint32_t>> edges(nodes_.size());
    hashes_.resize(nodes_.size());
    PerThread<std::vector<uint8_t>> buffers;
    parallel_for(size_t(0), nodes_.size(), [&](size_t n) {
      const Atom& a = link_.atoms[nodes_[n].atom];
      ObjectFile& f = link_.object(a.file);
      Digest d(buffers.local());
      if (a.kind == AtomKind::function) {
        hash_function(
            link_, nodes_[n].atom, [&](const void* p, size_t size) { d.add(p, size); },
            [&](uint32_t id, int64_t addend) {
              const Symbol& s = link_.symbols[id];
              bool here = s.defined() && !s.imported && s.type != STT_GNU_IFUNC;
              add_target(d, edges[n], here ? s.atom : none, here ? s.value : 0, addend, id, false);
            });
      } else {
        d.add(uint64_t(f.sections[a.section].flags & (SHF_EXECINSTR | SHF_ALLOC)));
        d.add(a.size);
        d.add(a.data, a.size);
        for (uint32_t r = 0; r < a.reloc_count; r++) add_relocation(d, edges[n], f, a.relocs[r], 0);
        for (uint32_t k = 0; k < a.fde_count; k++) {
          const Fde& fde = f.fdes[a.fde_begin + k];
          const Atom& frame = link_.atoms[fde.source];
          // Behind the start of the code: its length, the rest, and the relocations there.
          if (fde.size > 12) d.add(frame.data + fde.input_offset + 12, fde.size - 12);
          for (uint32_t r = fde.reloc_begin + 1; r < fde.reloc_end; r++)
            add_relocation(d, edges[n], f, frame.relocs[r], fde.input_offset);
          std::string cie = cie_identity(link_, f, f.cies[fde.cie]);
          d.add(cie.data(), cie.size());
        }
      }
      hashes_[n] = d.value();
    });
    for (size_t n = 0; n < nodes_.size(); n++) {
      nodes_[n].edges = uint32_t(edges_.size());
      nodes_[n].edge_count = uint32_t(edges[n].size());
      edges_.insert(edges_.end(), edges[n].begin(), edges[n].end());
    }
  }

  // Sorts the members into classes, forgets those that are alone, and says how many classes there were.
  size_t divide() {
    parallel_sort(members_.begin(), members_.end());
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < members_.size();) {
      size_t j = i + 1;
      while (j < members_.size() && members_[j].hash == members_[i].hash) j++;
      count++;
      if (j - i > 1)
        for (; i < j; i++) members_[kept++] = members_[i];
      i = j;
    }
    members_.resize(kept);
    return count;
  }

  void refine() {
    members_.resize(nodes_.size());
    for (uint32_t n = 0; n < nodes_.size(); n++) members_[n] = {hashes_[n], n};
    size_t all = members_.size(), count = divide();
    for (;;) {
      count -= all - members_.size();  // classes of those that are left
      all = members_.size();
      parallel_for(size_t(0), members_.size(), [&](size_t i) {
        const Node& node = nodes_[members_[i].node];
        // Chained, so that no state is needed for the many nodes with few edges.
        Hash h = members_[i].hash;
        for (uint32_t e = 0; e < node.edge_count; e++) {
          Hash pair[2] = {h, hashes_[edges_[node.edges + e]]};
          XXH128_hash_t x = XXH3_128bits(pair, sizeof pair);
          h = {x.low64, x.high64};
        }
        members_[i].hash = h;
      });
      for (const Member& m : members_) hashes_[m.node] = m.hash;
      size_t now = divide();
      if (now == count) break;
      count = now;
    }
  }

  // What a hash has said, once more by comparison.
  bool same_content(uint32_t x, uint32_t y) const {
    const Atom &a = link_.atoms[x], &b = link_.atoms[y];
    if (a.kind != b.kind || a.size != b.size || a.reloc_count != b.reloc_count || a.fde_count != b.fde_count)
      return false;
    if (a.kind == AtomKind::function) return true;  // compared by its hash
    if (std::memcmp(a.data, b.data, a.size) != 0) return false;
    for (uint32_t r = 0; r < a.reloc_count; r++)
      if (uint64_t(a.relocs[r].offset) != uint64_t(b.relocs[r].offset) ||
          uint32_t(a.relocs[r].type) != uint32_t(b.relocs[r].type))
        return false;
    return true;
  }

  std::string place(uint32_t atom) const {
    const Atom& a = link_.atoms[atom];
    return link_.files[a.file]->name + ":(" + std::string(section_name(link_.object(a.file), a.section)) + ")";
  }

  void fold() {
    // Nodes stand in the order of the inputs; the first of a class is its leader.
    std::vector<std::pair<uint32_t, uint32_t>> folds;  // leader, member
    for (size_t i = 0; i < members_.size();) {
      size_t j = i + 1;
      for (; j < members_.size() && members_[j].hash == members_[i].hash; j++)
        if (same_content(nodes_[members_[i].node].atom, nodes_[members_[j].node].atom))
          folds.emplace_back(members_[i].node, members_[j].node);
      i = j;
    }
    std::sort(folds.begin(), folds.end());
    for (size_t i = 0; i < folds.size(); i++) {
      uint32_t leader = nodes_[folds[i].first].atom, member = nodes_[folds[i].second].atom;
      Atom &to = link_.atoms[leader], &from = link_.atoms[member];
      to.p2align = std::max(to.p2align, from.p2align);
      from.folded = 1;
      from.out = to.out;
      if (from.kind == AtomKind::function) fold_parts(link_, member);
      link_.folded.emplace_back(member, leader);
      if (!link_.opt.print_icf_sections) continue;
      if (i == 0 || folds[i - 1].first != folds[i].first)
        link_.diag.print("selected section %s\n", place(leader).c_str());
      link_.diag.print("  removing identical section %s\n", place(member).c_str());
    }
  }

  Link& link_;
  std::vector<uint8_t> significant_;  // by atom: 1 address-significant, 2 never folded
  std::vector<uint32_t> node_of_;     // by atom
  std::vector<Node> nodes_;
  std::vector<uint32_t> edges_;       // nodes
  std::vector<Hash> hashes_;
  std::vector<Member> members_;       // of classes with more than one, sorted
};

}  // namespace

void fold_identical(Link& link) {
  if (link.opt.icf != IcfMode::none) Folder(link).run();
}

}  // namespace lode::link::elf
