// See bitcode.h.
#include "tests/fuzz/mutate/bitcode.h"

#include <map>
#include <utility>

namespace lode::fuzz {

namespace {

// One operand as it stands in the file: `width` bits, in chunks of `chunk` bits with a continuation bit each when it is
// variable.
struct Field {
  uint64_t at;
  uint32_t width;
  uint32_t chunk;  // 0: fixed width
};

struct Operand {
  enum Kind : uint8_t { literal, fixed, vbr, array, char6, blob } kind;
  uint64_t value;
};
using Abbreviation = std::vector<Operand>;

// Walks the stream and notes where every operand is. Whatever makes no sense ends the walk; what was found by then
// counts.
class Walk {
 public:
  explicit Walk(const std::vector<uint8_t>& file) : file_(file), end_(uint64_t(file.size()) * 8) {}

  std::map<std::pair<uint32_t, uint32_t>, std::vector<Field>> records;  // (block, code)
  std::vector<Field> structure;                                        // abbreviations, lengths, widths

  void run() {
    at_ = 32;
    while (!bad_ && at_ + 32 <= end_) {
      if (fixed(2) != 1) return;
      block(0);
    }
  }

 private:
  uint64_t fixed(uint32_t n) {
    if (n > 64 || at_ + n > end_) {
      bad_ = true;
      return 0;
    }
    uint64_t v = 0;
    for (uint32_t i = 0; i < n; i++, at_++) v |= uint64_t(file_[at_ / 8] >> (at_ % 8) & 1) << i;
    return v;
  }
  uint64_t vbr(uint32_t n) {
    if (n < 2 || n > 32) {
      bad_ = true;
      return 0;
    }
    uint64_t v = 0;
    for (uint32_t shift = 0; !bad_; shift += n - 1) {
      uint64_t c = fixed(n);
      if (shift < 64) v |= (c & ((uint64_t{1} << (n - 1)) - 1)) << shift;
      if (!(c >> (n - 1) & 1)) break;
    }
    return v;
  }
  // Reads one value and notes its place.
  uint64_t noted(std::vector<Field>& list, uint32_t width, uint32_t chunk) {
    uint64_t begin = at_;
    uint64_t v = chunk ? vbr(chunk) : fixed(width);
    if (!bad_ && at_ > begin) list.push_back({begin, uint32_t(at_ - begin), chunk});
    return v;
  }
  void align() { at_ = (at_ + 31) / 32 * 32; }

  Abbreviation definition() {
    Abbreviation a;
    uint64_t n = noted(structure, 0, 5);
    for (uint64_t i = 0; i < n && !bad_; i++) {
      if (fixed(1)) {
        a.push_back({Operand::literal, noted(structure, 0, 8)});
        continue;
      }
      auto kind = Operand::Kind(noted(structure, 3, 0));
      uint64_t value = kind == Operand::fixed || kind == Operand::vbr ? noted(structure, 0, 5) : 0;
      if (kind == Operand::literal || kind > Operand::blob) bad_ = true;
      a.push_back({kind, value});
    }
    return a;
  }

  uint64_t operand(const Operand& o, std::vector<Field>& list) {
    switch (o.kind) {
      case Operand::literal: return o.value;
      case Operand::fixed: return o.value ? noted(list, uint32_t(o.value), 0) : 0;
      case Operand::vbr: return o.value ? noted(list, 0, uint32_t(o.value)) : 0;
      case Operand::char6: return noted(list, 6, 0);
      default: bad_ = true; return 0;
    }
  }

  void block(unsigned depth) {
    uint32_t id = uint32_t(noted(structure, 0, 8));
    uint32_t width = uint32_t(noted(structure, 0, 4));
    align();
    noted(structure, 32, 0);
    if (depth > 16 || width < 2 || width > 32) bad_ = true;
    std::vector<Abbreviation> abbreviations = common_[id];
    uint64_t told = ~uint64_t{0};  // BLOCKINFO: the block that definitions are for
    while (!bad_) {
      uint64_t abbreviation = fixed(width);
      if (bad_) return;
      if (abbreviation == 0) {
        align();
        return;
      }
      if (abbreviation == 1) {
        block(depth + 1);
        continue;
      }
      if (abbreviation == 2) {
        Abbreviation a = definition();
        if (id == 0) common_[uint32_t(told)].push_back(std::move(a));
        else abbreviations.push_back(std::move(a));
        continue;
      }
      std::vector<Field> fields;
      uint64_t code = 0;
      if (abbreviation == 3) {
        code = vbr(6);
        uint64_t n = noted(structure, 0, 6);
        for (uint64_t i = 0; i < n && !bad_; i++) {
          uint64_t v = noted(fields, 0, 6);
          if (id == 0 && code == 1 && i == 0) told = v;
        }
      } else {
        if (abbreviation - 4 >= abbreviations.size()) return void(bad_ = true);
        const Abbreviation a = abbreviations[abbreviation - 4];
        for (size_t i = 0; i < a.size() && !bad_; i++) {
          if (a[i].kind == Operand::array) {
            uint64_t n = noted(structure, 0, 6);
            if (i + 1 >= a.size()) return void(bad_ = true);
            for (uint64_t k = 0; k < n && !bad_; k++) operand(a[i + 1], fields);
            break;
          }
          if (a[i].kind == Operand::blob) {
            uint64_t n = noted(structure, 0, 6);
            align();
            if (n > (end_ - at_) / 8) return void(bad_ = true);
            for (uint64_t k = 0; k < n; k++, at_ += 8) fields.push_back({at_, 8, 0});
            align();
            break;
          }
          uint64_t v = operand(a[i], fields);
          if (i == 0) {
            code = v;
            if (a[0].kind != Operand::literal && !fields.empty()) fields.pop_back();
          }
        }
      }
      auto& list = records[{id, uint32_t(code)}];
      list.insert(list.end(), fields.begin(), fields.end());
    }
  }

  const std::vector<uint8_t>& file_;
  uint64_t end_, at_ = 0;
  bool bad_ = false;
  std::map<uint32_t, std::vector<Abbreviation>> common_;  // by block id, from BLOCKINFO
};

uint64_t get(const std::vector<uint8_t>& file, const Field& f) {
  uint64_t v = 0;
  if (!f.chunk) {
    for (uint32_t i = 0; i < f.width && i < 64; i++) v |= uint64_t(file[(f.at + i) / 8] >> ((f.at + i) % 8) & 1) << i;
    return v;
  }
  unsigned k = 0;
  for (uint32_t i = 0; i < f.width; i++)
    if (i % f.chunk != f.chunk - 1 && k < 64) v |= uint64_t(file[(f.at + i) / 8] >> ((f.at + i) % 8) & 1) << k++;
  return v;
}
// As much of `v` as the field has room for; continuation bits stay, so that the field keeps its size.
void set(std::vector<uint8_t>& file, const Field& f, uint64_t v) {
  for (uint32_t i = 0; i < f.width; i++) {
    if (f.chunk && i % f.chunk == f.chunk - 1) continue;
    uint64_t bit = f.at + i;
    uint8_t mask = uint8_t(1u << (bit % 8));
    if (v & 1) file[bit / 8] |= mask;
    else file[bit / 8] &= uint8_t(~mask);
    v >>= 1;
  }
}

}  // namespace

void mutate_bitcode(std::vector<uint8_t>& file, Random& random) {
  if (file.size() < 8) return;
  Walk walk(file);
  walk.run();
  if (walk.records.empty() || random.one_in(24)) {
    const Field f =
        walk.structure.empty() ? Field{random.below(uint64_t(file.size()) * 8), 1, 0} : random.pick(walk.structure);
    return set(file, f, random.one_in(2) ? random.below(16) : random.next());
  }
  std::vector<uint32_t> blocks;
  for (const auto& [key, fields] : walk.records)
    if (!fields.empty() && (blocks.empty() || blocks.back() != key.first)) blocks.push_back(key.first);
  if (blocks.empty()) return;
  // Half of the changes are in constants, types and function bodies (blocks 11, 17, 12), where most of the meaning is.
  uint32_t block = random.pick(blocks);
  if (random.one_in(2)) {
    static constexpr uint32_t preferred[] = {11, 12, 12, 17, 8};
    uint32_t wanted = random.pick(preferred);
    for (uint32_t b : blocks)
      if (b == wanted) block = b;
  }
  std::vector<const std::vector<Field>*> lists;
  for (const auto& [key, fields] : walk.records)
    if (key.first == block && !fields.empty()) lists.push_back(&fields);
  const std::vector<Field>& fields = *random.pick(lists);
  const Field f = random.pick(fields);
  const uint64_t old = get(file, f);
  switch (random.below(6)) {
    case 0: set(file, f, old + 1); break;
    case 1: set(file, f, old - 1); break;
    case 2: set(file, f, old ^ uint64_t{1} << random.below(std::min<uint64_t>(f.width, 64))); break;
    case 3: set(file, f, random.boundary()); break;
    case 4: set(file, f, get(file, random.pick(fields))); break;
    default: set(file, f, random.next()); break;
  }
}

}  // namespace lode::fuzz
