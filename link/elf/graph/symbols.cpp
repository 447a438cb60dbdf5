// Names to dense indices, filled by all threads at once and yet in a fixed order.
//
// The table is cut into shards by the top bits of a name's hash. A batch of files is interned shard by shard in
// parallel; inside a shard the files come in their order, so which name is new, and its number in the shard, does not
// depend on the threads. A prefix sum over the shards then turns those numbers into dense indices.
#include <xxhash.h>

#include <cstring>

#include "link/elf/link.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

uint64_t hash_name(std::string_view s) { return XXH3_64bits(s.data(), s.size()); }

void NameBatch::sort_by_shard() {
  starts.assign(NameTable::shard_count + 1, 0);
  for (const NameRef& n : names) starts[NameTable::shard_of(n.hash) + 1]++;
  for (uint32_t i = 0; i < NameTable::shard_count; i++) starts[i + 1] += starts[i];
  order.resize(names.size());
  uint32_t at[NameTable::shard_count];
  std::memcpy(at, starts.data(), sizeof at);
  for (uint32_t i = 0; i < names.size(); i++) order[at[NameTable::shard_of(names[i].hash)]++] = i;
}

void NameTable::Shard::grow(uint32_t more) {
  size_t wanted = size_t(count) + more;
  if (wanted * 3 / 2 < slots.size()) return;
  size_t n = slots.empty() ? 64 : slots.size();
  while (n <= wanted * 3 / 2) n *= 2;
  std::vector<Slot> old(n);
  old.swap(slots);
  for (const Slot& s : old)
    if (s.id != none) {
      size_t i = s.hash & (n - 1);
      while (slots[i].id != none) i = (i + 1) & (n - 1);
      slots[i] = s;
    }
}

NameTable::Slot& NameTable::Shard::probe(uint64_t hash, std::string_view name) {
  size_t mask = slots.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    Slot& s = slots[i];
    if (s.id == none || (s.hash == hash && s.size == name.size() && std::memcmp(s.data, name.data(), name.size()) == 0))
      return s;
  }
}

void NameTable::intern(std::span<NameBatch* const> batches, uint32_t next_index, std::vector<NameRef>& new_names) {
  constexpr uint32_t pending = 0x80000000u;  // | number in the shard, until the shard's base is known
  struct New {
    NameRef name;
  };
  std::vector<New> fresh[shard_count];
  parallel_for(size_t(0), batches.size(), [&](size_t b) { batches[b]->sort_by_shard(); });
  parallel_for(uint32_t(0), shard_count, [&](uint32_t s) {
    Shard& shard = shards_[s];
    size_t total = 0;
    for (NameBatch* b : batches) total += b->starts[s + 1] - b->starts[s];
    if (total == 0) return;
    // Repeated names are common; growing as names arrive keeps the table small.
    for (NameBatch* b : batches) {
      uint32_t begin = b->starts[s], end = b->starts[s + 1];
      shard.grow(end - begin);
      for (uint32_t k = begin; k < end; k++) {
        NameRef& n = b->names[b->order[k]];
        Slot& slot = shard.probe(n.hash, n.str());
        if (slot.id == none) {
          slot = {n.hash, n.data, n.size, pending | uint32_t(fresh[s].size())};
          shard.count++;
          fresh[s].push_back({n});
        }
        n.id = slot.id;
      }
    }
  });
  uint32_t base[shard_count];
  for (uint32_t s = 0; s < shard_count; s++) {
    base[s] = next_index;
    next_index += uint32_t(fresh[s].size());
  }
  size_t first = new_names.size();
  new_names.resize(first + (next_index - base[0]));
  parallel_for(uint32_t(0), shard_count, [&](uint32_t s) {
    for (size_t i = 0; i < fresh[s].size(); i++) {
      NameRef& n = fresh[s][i].name;
      shards_[s].probe(n.hash, n.str()).id = base[s] + uint32_t(i);
      new_names[first + (base[s] - base[0]) + i] = n;
    }
  });
  parallel_for(size_t(0), batches.size(), [&](size_t b) {
    for (NameRef& n : batches[b]->names)
      if (n.id != none && (n.id & pending)) n.id = base[shard_of(n.hash)] + (n.id & ~pending);
  });
}

uint32_t NameTable::find(std::string_view name) const {
  uint64_t hash = hash_name(name);
  const Shard& shard = shards_[shard_of(hash)];
  if (shard.slots.empty()) return none;
  size_t mask = shard.slots.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& s = shard.slots[i];
    if (s.id == none) return none;
    if (s.hash == hash && s.size == name.size() && std::memcmp(s.data, name.data(), name.size()) == 0) return s.id;
  }
}

uint32_t NameTable::insert(std::string_view name, uint32_t next_index) {
  uint64_t hash = hash_name(name);
  Shard& shard = shards_[shard_of(hash)];
  shard.grow(1);
  Slot& s = shard.probe(hash, name);
  if (s.id == none) {
    s = {hash, name.data(), uint32_t(name.size()), next_index};
    shard.count++;
  }
  return s.id;
}

uint32_t Link::intern(std::string_view name) {
  uint32_t next = uint32_t(symbols.size());
  uint32_t id = names.insert(name, next);
  if (id == next) {
    uint32_t first;
    if (!symbols.append(1, first) || !best.append(1, first) || !lazy_of.append(1, first)) {
      diag.error(too_many_symbols);
      return 0;
    }
    symbols[id].name = name.data();
    symbols[id].name_size = uint32_t(name.size());
    best[id] = ~uint64_t{0};
    lazy_of[id] = none;
  }
  return id;
}

std::string_view Link::save(std::string s) {
  saved.push_back(std::make_unique<std::string>(std::move(s)));
  return *saved.back();
}

}  // namespace lode::link::elf
