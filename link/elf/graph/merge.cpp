// SHF_MERGE sections: split into strings or constants, equal ones kept once.
//
// Pieces are found and hashed per input in parallel. Then each merged section is filled shard by shard (by the hash's
// low bits); a shard sees the inputs in their order, so the result does not depend on the threads. A piece is aligned
// as its place in the input was, up to the section's alignment; equal pieces take the largest. Tails are not shared.
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "link/elf/link.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

static void split(Link& link, const ObjectFile& file, MergeInput& in) {
  const Atom& a = link.atoms[in.atom];
  const Shdr& s = file.sections[a.section];
  uint64_t entsize = s.entsize;
  auto add = [&](uint64_t at, uint64_t n) {
    in.pieces.push_back({uint32_t(at), none});
    in.hashes.push_back(XXH3_64bits(a.data + at, n));
  };
  if (s.flags & SHF_STRINGS) {
    in.pieces.reserve(a.size / 16 + 1);
    for (uint64_t at = 0; at < a.size;) {
      uint64_t end = at;
      if (entsize == 1) {
        const void* z = std::memchr(a.data + at, 0, a.size - at);
        end = z ? uint64_t(static_cast<const uint8_t*>(z) - a.data) + 1 : a.size;
      } else {
        for (;; end += entsize) {
          if (end + entsize > a.size) {
            end = a.size;
            break;
          }
          bool zero = true;
          for (uint64_t k = 0; k < entsize; k++) zero &= a.data[end + k] == 0;
          if (zero) {
            end += entsize;
            break;
          }
        }
      }
      add(at, end - at);
      at = end;
    }
  } else {
    in.pieces.reserve(a.size / entsize + 1);
    for (uint64_t at = 0; at < a.size; at += entsize) add(at, std::min(entsize, a.size - at));
  }
}

void split_mergeable(Link& link) {
  // A section that is not a whole number of entries, or a string section without a final NUL, is kept as it is.
  std::vector<std::vector<uint32_t>> found(link.objects.size());
  parallel_for(size_t(0), link.objects.size(), [&](size_t k) {
    ObjectFile& f = *link.objects[k];
    for (uint32_t i = 1; i < f.sections.size(); i++) {
      Atom& a = link.atoms[f.atom_base + i];
      if (a.kind != AtomKind::merge) continue;
      const Shdr& s = f.sections[i];
      bool whole = a.size % s.entsize == 0 && a.size < none && s.entsize < 65536;
      if (whole && (s.flags & SHF_STRINGS))
        for (uint64_t b = a.size - s.entsize; b < a.size; b++) whole &= a.data[b] == 0;
      if (!whole) a.kind = AtomKind::regular;
      else found[k].push_back(f.atom_base + i);
    }
  });
  link.merge_inputs.clear();
  for (auto& list : found)
    for (uint32_t atom : list) {
      link.atoms[atom].extra = uint32_t(link.merge_inputs.size());
      link.merge_inputs.emplace_back();
      link.merge_inputs.back().atom = atom;
    }
  parallel_for(size_t(0), link.merge_inputs.size(), [&](size_t i) {
    MergeInput& in = link.merge_inputs[i];
    split(link, link.object(link.atoms[in.atom].file), in);
    const Atom& a = link.atoms[in.atom];
    if (link.opt.gc_sections && (link.object(a.file).sections[a.section].flags & SHF_ALLOC)) {
      in.all_live = false;
      in.live.assign(in.pieces.size(), 0);
    }
  });
}

static void merge_shard(Link& link, MergedSection& m, uint32_t shard) {
  std::vector<uint32_t> slots(64, none);
  std::vector<uint64_t> hashes;
  std::vector<MergeEntry>& entries = m.shards[shard];
  auto grow = [&] {
    slots.assign(slots.size() * 2, none);
    for (uint32_t e = 0; e < entries.size(); e++) {
      size_t i = (hashes[e] >> 8) & (slots.size() - 1);
      while (slots[i] != none) i = (i + 1) & (slots.size() - 1);
      slots[i] = e;
    }
  };
  for (uint32_t index : m.inputs) {
    MergeInput& in = link.merge_inputs[index];
    const Atom& a = link.atoms[in.atom];
    for (size_t k = 0; k < in.pieces.size(); k++) {
      uint64_t hash = in.hashes[k];
      if ((hash & (MergedSection::shard_count - 1)) != shard || (!in.all_live && !in.live[k])) continue;
      uint32_t at = in.pieces[k].offset;
      uint32_t size = uint32_t((k + 1 < in.pieces.size() ? in.pieces[k + 1].offset : a.size) - at);
      uint8_t p2align = at ? uint8_t(std::min<int>(a.p2align, std::countr_zero(at))) : a.p2align;
      size_t i = (hash >> 8) & (slots.size() - 1);
      for (;; i = (i + 1) & (slots.size() - 1)) {
        if (slots[i] == none) break;
        const MergeEntry& e = entries[slots[i]];
        if (hashes[slots[i]] == hash && e.size == size && std::memcmp(e.data, a.data + at, size) == 0) break;
      }
      if (slots[i] == none) {
        slots[i] = uint32_t(entries.size());
        entries.push_back({a.data + at, size, p2align, 0});
        hashes.push_back(hash);
        in.pieces[k].entry = (uint32_t(entries.size()) - 1) << MergedSection::shard_bits | shard;
        if (entries.size() * 2 > slots.size()) grow();
      } else {
        entries[slots[i]].p2align = std::max(entries[slots[i]].p2align, p2align);
        in.pieces[k].entry = slots[i] << MergedSection::shard_bits | shard;
      }
    }
  }
  if (!m.own.empty() && (XXH3_64bits(m.own.data(), m.own.size()) & (MergedSection::shard_count - 1)) == shard) {
    const auto* data = reinterpret_cast<const uint8_t*>(m.own.data());
    auto same = [&](const MergeEntry& e) { return e.size == m.own.size() && std::memcmp(e.data, data, e.size) == 0; };
    if (std::none_of(entries.begin(), entries.end(), same)) entries.push_back({data, uint32_t(m.own.size()), 0, 0});
  }
}

void merge_pieces(Link& link) {
  size_t n = link.merged.size();
  for (auto& m : link.merged) m->shards.resize(MergedSection::shard_count);
  parallel_for(size_t(0), n * MergedSection::shard_count, [&](size_t i) {
    merge_shard(link, *link.merged[i / MergedSection::shard_count], uint32_t(i % MergedSection::shard_count));
  });
  parallel_for(size_t(0), n, [&](size_t i) {
    MergedSection& m = *link.merged[i];
    uint8_t p2align = 0;
    for (auto& shard : m.shards)
      for (MergeEntry& e : shard) p2align = std::max(p2align, e.p2align);
    uint64_t at = 0;
    for (auto& shard : m.shards)
      for (MergeEntry& e : shard) {
        at = align_up(at, uint64_t{1} << e.p2align);
        e.offset = at;
        at += e.size;
      }
    m.size = at;
    m.align = uint64_t{1} << p2align;
    link.atoms[m.body].size = at;
    link.atoms[m.body].p2align = p2align;
  });
  parallel_for(size_t(0), link.merge_inputs.size(),
                    [&](size_t i) { std::vector<uint64_t>().swap(link.merge_inputs[i].hashes); });
}

static const MergePiece* piece_at(const MergeInput& in, uint64_t offset) {
  auto it = std::upper_bound(in.pieces.begin(), in.pieces.end(), offset,
                             [](uint64_t o, const MergePiece& p) { return o < p.offset; });
  return it == in.pieces.begin() ? nullptr : &it[-1];
}

void mark_piece(Link& link, const Atom& atom, uint64_t offset) {
  MergeInput& in = link.merge_inputs[atom.extra];
  if (in.all_live) return;
  if (const MergePiece* p = piece_at(in, offset))
    std::atomic_ref<uint8_t>(in.live[size_t(p - in.pieces.data())]).store(1, std::memory_order_relaxed);
}

uint64_t merged_offset(Link& link, const Atom& atom, uint64_t offset) {
  const MergeInput& in = link.merge_inputs[atom.extra];
  const MergePiece* p = piece_at(in, offset);
  if (!p || p->entry == none || in.merged == none) return 0;
  const MergedSection& m = *link.merged[in.merged];
  return m.shards[p->entry & (MergedSection::shard_count - 1)][p->entry >> MergedSection::shard_bits].offset +
         (offset - p->offset);
}

uint64_t merged_address(Link& link, const Atom& atom, uint64_t offset) {
  const MergeInput& in = link.merge_inputs[atom.extra];
  if (in.merged == none) return 0;
  return link.atom_address[link.merged[in.merged]->body] + merged_offset(link, atom, offset);
}

void write_merged(const MergedSection& m, uint8_t* out) {
  parallel_for(size_t(0), m.shards.size(), [&](size_t s) {
    for (const MergeEntry& e : m.shards[s]) std::memcpy(out + e.offset, e.data, e.size);
  });
}

}  // namespace lode::link::elf
