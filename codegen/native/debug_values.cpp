// See debug_values.h.
//
// Values are numbered within a block: 0 is nothing known, each definition gets a new number, and so does what stands in
// a location when the block first reads it. A variable in a register or slot is a value's number and one location that
// holds it. Between blocks only locations count: two blocks that end with a variable in the same register agree,
// whatever numbers they used. The registers that marks name are followed like variables, from where they are written,
// so that a mark far from there finds them.
#include "codegen/native/debug_values.h"

#include <algorithm>
#include <bit>
#include <map>

namespace lode::codegen {

namespace {

constexpr uint32_t nowhere = ~0u;
constexpr uint32_t no_register = 255;  // what an operand nobody reads got, and a slot's number by chance

// What a variable's part is: a mark's words, with the location in the place of the register.
struct State {
  DebugRange::Kind kind = DebugRange::reg;
  uint32_t location = nowhere;  // of Location; nowhere: none is needed
  uint32_t expression = 0;
  uint64_t payload = 0;
  bool operator==(const State&) const = default;
};
struct Held {
  uint32_t part;
  State state;
  bool operator==(const Held&) const = default;
};

class Analysis {
 public:
  Analysis(const VCode& code, const RegisterInfo& info, const Allocation& a, std::span<const DebugMark> marks,
           const DebugPositions& positions, uint32_t first_slot, std::vector<DebugRange>& out)
      : code_(code), info_(info), a_(a), marks_(marks), at_(positions), first_slot_(first_slot), out_(out) {}

  void run() {
    find_parts();
    const uint32_t n = uint32_t(code_.blocks.size());
    ends_.resize(n);
    done_.assign(n, 0);
    find_predecessors();
    first_edit_.resize(n);
    size_t e = 0;
    for (uint32_t b = 0; b < n; b++) {
      while (e < a_.edits.size() && a_.edits[e].before_inst < code_.blocks[b].first_inst) e++;
      first_edit_[b] = e;
    }
    values_.resize(64 + a_.slots.size());
    users_.resize(values_.size());
    number_of_.assign(code_.vregs.size(), 0);
    stamp_of_.assign(code_.vregs.size(), 0);
    current_.resize(parts_.size());
    place_in_list_.resize(parts_.size());
    active_.assign(parts_.size(), 0);
    // Ends only lose places from round to round, so this comes to rest; the limit is for what is too large to wait for.
    stale_.assign(n, 1);
    bool changed = true;
    for (unsigned round = 0; changed && round < 64; round++) {
      changed = false;
      for (uint32_t b = 0; b < n; b++) {
        if (!stale_[b]) continue;
        stale_[b] = 0;
        if (!walk(b, false)) continue;
        changed = true;
        for (uint32_t k = 0; k < code_.blocks[b].succ_count; k++)
          stale_[code_.successors[code_.blocks[b].succs + k]] = 1;
      }
    }
    if (changed) return;
    last_range_.assign(variables_, nowhere);
    for (uint32_t b = 0; b < n; b++) walk(b, true);
  }

 private:
  struct Part {
    uint32_t variable, inlined_at, offset, size;
    auto operator<=>(const Part&) const = default;
  };

  void find_parts() {
    std::map<Part, uint32_t> known;
    for (const DebugMark& m : marks_) {
      auto [it, fresh] = known.try_emplace({m.variable, m.inlined_at, m.part_offset, m.part_size},
                                           uint32_t(parts_.size()));
      if (fresh) parts_.push_back(it->first);
      part_of_.push_back(it->second);
    }
    // Parts of one variable that lie over each other.
    overlaps_.resize(parts_.size());
    for (const auto& [a, i] : known)
      for (auto j = known.lower_bound({a.variable, a.inlined_at, 0, 0});
           j != known.end() && j->first.variable == a.variable && j->first.inlined_at == a.inlined_at; ++j) {
        const Part& b = j->first;
        if (!a.size || !b.size || (a.offset < b.offset + b.size && b.offset < a.offset + a.size))
          overlaps_[i].push_back(j->second);
      }
    variables_ = uint32_t(parts_.size());
    followed_.assign(code_.vregs.size(), nowhere);
    for (const DebugMark& m : marks_) {
      if (!m.known || !m.reg.is_virtual() || m.reg.index() >= followed_.size()) continue;
      uint32_t& part = followed_[m.reg.index()];
      if (part != nowhere) continue;
      part = uint32_t(parts_.size());
      parts_.push_back({m.reg.index(), 0, 0, 0});
    }
  }

  void find_predecessors() {
    predecessors_.resize(code_.blocks.size());
    for (uint32_t b = 0; b < code_.blocks.size(); b++)
      for (uint32_t k = 0; k < code_.blocks[b].succ_count; k++)
        predecessors_[code_.successors[code_.blocks[b].succs + k]].push_back(b);
  }

  // ---- what locations hold

  uint32_t value_in(uint32_t location) {
    if (!values_[location]) values_[location] = ++last_value_;
    return values_[location];
  }
  void set(uint32_t location, uint32_t value) {
    if (values_[location] == value && value) return;
    values_[location] = value;
    if (!users_[location].empty()) moved_.push_back(location);
  }
  // The register has been written, and nobody knows where to.
  void forget(Reg r) {
    if (!r.is_virtual()) return;
    stamp_of_[r.index()] = stamp_;
    number_of_[r.index()] = 0;
    if (followed_[r.index()] != nowhere) close(followed_[r.index()], 0);
  }
  // The register's value is in that location from here on.
  void name(Reg r, uint32_t value, uint32_t location) {
    if (!r.is_virtual()) return;
    number_of_[r.index()] = value;
    stamp_of_[r.index()] = stamp_;
    const uint32_t part = followed_[r.index()];
    if (part == nowhere || (active_[part] && current_[part].value == value)) return;
    close(part, 0);
    open(part, {DebugRange::reg, location, 0, 0}, 0);
  }
  uint32_t number(Reg r) const { return stamp_of_[r.index()] == stamp_ ? number_of_[r.index()] : 0; }

  // ---- variables

  void open(uint32_t part, const State& s, uint32_t from) {
    current_[part] = {s, from, s.location == nowhere ? 0 : value_in(s.location)};
    active_[part] = 1;
    place_in_list_[part] = uint32_t(list_.size());
    list_.push_back(part);
    if (s.location != nowhere) users_[s.location].push_back(part);
  }
  void close(uint32_t part, uint32_t to) {
    if (!active_[part]) return;
    const Current& c = current_[part];
    active_[part] = 0;
    const uint32_t place = place_in_list_[part];
    place_in_list_[list_[place] = list_.back()] = place;
    list_.pop_back();
    if (c.state.location != nowhere) std::erase(users_[c.state.location], part);
    if (!emits_ || part >= variables_ || c.from >= to) return;
    DebugRange r;
    r.variable = parts_[part].variable;
    r.inlined_at = parts_[part].inlined_at;
    r.expression = c.state.expression;
    r.kind = c.state.kind;
    r.payload = c.state.payload;
    if (c.state.location != nowhere) {
      r.payload = c.state.location;
      if (c.state.location >= 64) {
        r.payload = first_slot_ + c.state.location - 64;
        r.kind = DebugRange::slot_value;
        if (c.state.kind == DebugRange::memory) return;  // an address that lies in memory itself
      }
    }
    r.begin = c.from;
    r.end = to;
    if (const uint32_t last = last_range_[part]; last != nowhere) {
      DebugRange& l = out_[last];
      if (l.end == r.begin && l.kind == r.kind && l.payload == r.payload && l.expression == r.expression) {
        l.end = to;
        return;
      }
    }
    last_range_[part] = uint32_t(out_.size());
    out_.push_back(r);
  }

  // Variables whose location holds something else now go to another that has the value, if there is one.
  void settle(uint32_t at) {
    for (size_t k = 0; k < moved_.size(); k++) {
      const uint32_t location = moved_[k];
      leaving_.clear();
      for (uint32_t p : users_[location])
        if (values_[location] != current_[p].value) leaving_.push_back(p);
      for (uint32_t p : leaving_) {
        const Current c = current_[p];
        close(p, at);
        uint32_t other = nowhere;
        for (uint32_t l = 0; l < values_.size() && other == nowhere; l++)
          if (values_[l] == c.value) other = l;
        if (other == nowhere) continue;
        State s = c.state;
        s.location = other;
        open(p, s, at);
      }
    }
    moved_.clear();
  }

  // Whether the block reads r from instruction k on before it writes it.
  bool reads_next(Reg r, uint32_t k, uint32_t end) const {
    for (uint32_t steps = 0; k < end && steps < 200; k++, steps++) {
      uint32_t count;
      const Operand* o = code_.operands_of(code_.insts[k], count);
      bool reads = false, writes = false;
      for (uint32_t i = 0; i < count; i++)
        if (o[i].reg() == r) reads |= o[i].reads(), writes |= o[i].writes();
      if (reads) return true;
      if (writes) return false;
    }
    return false;
  }

  // The location of a register's value; nowhere: not known.
  uint32_t find(const DebugMark& m, uint32_t k, uint32_t end) {
    if (!m.reg.is_virtual()) return nowhere;
    if (const uint32_t part = followed_[m.reg.index()]; active_[part]) return current_[part].state.location;
    uint32_t value = number(m.reg);
    const uint32_t home = m.reg.index() < a_.homes.size() ? a_.homes[m.reg.index()] : 255;
    if (!value && home < 64) {
      const bool fresh = m.at_block_start && !written_[home];
      if (fresh || reads_next(m.reg, k, end)) name(m.reg, value = value_in(home), home);
    }
    if (!value) return nowhere;
    if (home < 64 && values_[home] == value) return home;
    for (uint32_t l = 0; l < values_.size(); l++)
      if (values_[l] == value) return l;
    return nowhere;
  }

  // The marks in front of instruction k. False: some were not found, and may be behind the edits.
  bool apply_marks(uint32_t& next, uint32_t k, uint32_t end, uint32_t at, bool last_chance) {
    bool all = true;
    for (uint32_t i = next; i < marks_.size() && marks_[i].inst == k; i++) {
      const DebugMark& m = marks_[i];
      for (uint32_t p : overlaps_[part_of_[i]]) close(p, at);
      if (!m.known) continue;
      State s{m.kind, nowhere, m.expression, m.payload};
      if (m.kind == DebugRange::reg || m.kind == DebugRange::memory) {
        s.location = find(m, k, end);
        if (s.location == nowhere) {
          all = false;
          continue;
        }
      }
      open(part_of_[i], s, at);
    }
    if (all || last_chance)
      while (next < marks_.size() && marks_[next].inst == k) next++;
    return all;
  }

  void apply_edits(size_t& edit, uint32_t k) {
    for (; edit < a_.edits.size() && a_.edits[edit].before_inst <= k; edit++) {
      const Edit& e = a_.edits[edit];
      switch (e.kind) {
        case EditKind::move: set(e.dst.value, value_in(e.src.value)); break;
        case EditKind::exchange: {
          const uint32_t x = value_in(e.dst.value), y = value_in(e.src.value);
          set(e.dst.value, y);
          set(e.src.value, x);
          break;
        }
        case EditKind::remat: {
          uint32_t count;
          const Operand* o = code_.operands_of(code_.insts[e.src.value], count);
          const uint32_t known = count && o[0].reg().is_virtual() ? number(o[0].reg()) : 0;
          set(e.dst.value, known ? known : ++last_value_);
          break;
        }
      }
      if (e.dst.value < 64) written_[e.dst.value] = 1;
      if (e.kind == EditKind::exchange) written_[e.src.value & 63] = 1;
    }
  }

  void apply_inst(uint32_t k) {
    const VInst& v = code_.insts[k];
    uint32_t count;
    const Operand* o = code_.operands_of(v, count);
    const Location* at = a_.operands.data() + (o - code_.operands.data());
    auto location = [&](uint32_t i) {
      return at[i].value < values_.size() && at[i].value != no_register ? at[i].value : nowhere;
    };
    if (v.flags & (vflags::copy | vflags::parallel_copy)) {
      // Its moves are edits, and done: what was copied is where the copy's result lives.
      for (uint32_t i = 0; i + 1 < count; i += 2)
        if (location(i) != nowhere) name(o[i].reg(), value_in(location(i)), location(i));
        else forget(o[i].reg());
      return;
    }
    for (uint32_t i = 0; i < count; i++)
      if (o[i].reads() && o[i].reg().is_virtual() && location(i) != nowhere)
        name(o[i].reg(), value_in(location(i)), location(i));
    if (const unsigned c = v.flags & vflags::clobber_mask; c && c < info_.clobbers.size())
      for (uint64_t rest = info_.clobbers[c]; rest; rest &= rest - 1) {
        const uint32_t l = uint32_t(std::countr_zero(rest));
        set(l, 0);
        written_[l] = 1;
      }
    // A call's range of addresses is what a debugger looks up for the caller's frame.
    if (!moved_.empty()) settle(at_.behind[k]);
    for (uint32_t i = 0; i < count; i++) {
      if (!o[i].writes()) continue;
      if (at[i].value == no_register && no_register < values_.size()) set(no_register, 0);
      if (location(i) == nowhere) {
        forget(o[i].reg());
        continue;
      }
      set(location(i), ++last_value_);
      if (location(i) < 64) written_[location(i)] = 1;
      name(o[i].reg(), last_value_, location(i));
    }
  }

  bool walk(uint32_t b, bool emits) {
    // The places that all predecessors that were looked at agree on.
    std::vector<Held> start;
    bool first = true, any = b == 0;
    for (uint32_t p : predecessors_[b]) {
      if (!done_[p]) continue;
      any = true;
      if (first) start = ends_[p];
      else keep_common(start, ends_[p]);
      first = false;
    }
    if (b == 0) start.clear();
    if (!any) return false;
    emits_ = emits;
    stamp_++;
    last_value_ = 0;
    std::fill(values_.begin(), values_.end(), 0u);
    for (auto& list : users_) list.clear();
    std::fill(std::begin(written_), std::end(written_), uint8_t(0));
    moved_.clear();
    const VBlock& block = code_.blocks[b];
    const uint32_t end = block.first_inst + block.inst_count;
    for (const Held& h : start) {
      open(h.part, h.state, at_.before[block.first_inst]);
      if (h.part < variables_) continue;
      number_of_[parts_[h.part].variable] = current_[h.part].value;
      stamp_of_[parts_[h.part].variable] = stamp_;
    }
    size_t edit = first_edit_[b];
    uint32_t mark = uint32_t(std::lower_bound(marks_.begin(), marks_.end(), block.first_inst,
                                              [](const DebugMark& m, uint32_t k) { return m.inst < k; }) -
                             marks_.begin());
    for (uint32_t k = block.first_inst; k < end; k++) {
      if (mark < marks_.size() && marks_[mark].inst == k) apply_marks(mark, k, end, at_.before[k], false);
      const bool has_edits = edit < a_.edits.size() && a_.edits[edit].before_inst <= k;
      if (has_edits) apply_edits(edit, k);
      if (!moved_.empty()) settle(at_.before[k]);
      if (mark < marks_.size() && marks_[mark].inst == k) apply_marks(mark, k, end, at_.behind[k], true);
      apply_inst(k);
      if (!moved_.empty()) settle(at_.before[k + 1]);
    }
    std::vector<Held> held;
    held.reserve(list_.size());
    for (uint32_t p : list_) held.push_back({p, current_[p].state});
    std::sort(held.begin(), held.end(), by_part);
    for (const Held& h : held) close(h.part, at_.before[end]);
    if (emits) return false;
    const bool changed = !done_[b] || held != ends_[b];
    done_[b] = 1;
    ends_[b] = std::move(held);
    return changed;
  }

  static bool by_part(const Held& a, const Held& b) { return a.part < b.part; }
  static void keep_common(std::vector<Held>& list, const std::vector<Held>& other) {
    size_t kept = 0, j = 0;
    for (const Held& h : list) {
      while (j < other.size() && other[j].part < h.part) j++;
      if (j < other.size() && other[j] == h) list[kept++] = h;
    }
    list.resize(kept);
  }

  const VCode& code_;
  const RegisterInfo& info_;
  const Allocation& a_;
  std::span<const DebugMark> marks_;
  const DebugPositions& at_;
  uint32_t first_slot_;
  std::vector<DebugRange>& out_;
  std::vector<Part> parts_;
  std::vector<uint32_t> part_of_;                  // by mark
  std::vector<std::vector<uint32_t>> overlaps_;    // by part, itself among them
  std::vector<std::vector<uint32_t>> predecessors_;
  std::vector<std::vector<Held>> ends_;            // by block
  std::vector<uint8_t> done_;
  std::vector<size_t> first_edit_;                 // by block
  std::vector<uint32_t> values_;                   // by location: what it holds
  std::vector<std::vector<uint32_t>> users_;       // by location: parts that are there
  uint32_t variables_ = 0;                         // parts behind these are registers that are followed
  std::vector<uint32_t> followed_;                 // by virtual register: its part
  std::vector<uint32_t> number_of_, stamp_of_;     // by virtual register: its value, if the stamp is this block's
  uint32_t stamp_ = 0, last_value_ = 0;
  uint8_t written_[64] = {};                       // registers, since the block's start
  struct Current {
    State state;
    uint32_t from = 0, value = 0;
  };
  std::vector<Current> current_;
  std::vector<uint8_t> active_, stale_;            // by part; by block
  std::vector<uint32_t> list_, place_in_list_;     // of active parts
  std::vector<uint32_t> moved_, leaving_, last_range_;
  bool emits_ = false;
};

}  // namespace

void find_debug_ranges(const VCode& code, const RegisterInfo& info, const Allocation& allocation,
                       std::span<const DebugMark> marks, const DebugPositions& positions, uint32_t first_slot,
                       std::vector<DebugRange>& out) {
  if (!marks.empty()) Analysis(code, info, allocation, marks, positions, first_slot, out).run();
}

}  // namespace lode::codegen
