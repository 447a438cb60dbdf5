// Inside the register allocator: what its passes share. See regalloc.cpp for the method.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/native/regalloc.h"

namespace lode::codegen {

// Program points: instruction i is read at point 2i (early) and written at 2i + 1 (late). Ranges are half-open.
using Point = uint32_t;

// Which physical registers are taken at which points, and which are destroyed there by calls: masks of registers a
// point, and summaries for every `chunk` and every `region` of points, so that a range is taken in time of its length /
// chunk and tested in that of length / region.
class Occupancy {
 public:
  static constexpr uint32_t chunk = 32, region = 32 * chunk;
  struct Masks {
    uint64_t taken = 0, clobbered = 0;
    void operator|=(Masks m) {
      taken |= m.taken;
      clobbered |= m.clobbered;
    }
    uint64_t both() const { return taken | clobbered; }
  };
  void reset(uint32_t points);
  Masks in(Point from, Point to) const;  // anywhere in [from, to)
  void take(Point from, Point to, uint64_t mask);
  void release(Point from, Point to, uint64_t mask);
  void clobber(Point at, uint64_t mask);

 private:
  uint32_t points_ = 0;
  std::vector<Masks> at_;      // a point
  std::vector<uint64_t> all_;  // a chunk: taken at every point (and not written in at_)
  std::vector<Masks> any_;     // a chunk: somewhere
  std::vector<Masks> region_;  // a region: somewhere
};

struct Segment {
  Point from, to;
  uint32_t next;  // index in State::segments, or none
};

// A live range: a virtual register, or several that were coalesced (then the fields of the root count).
struct Interval {
  uint32_t first_segment = 0;  // with `to` 0: empty
  uint32_t segment_count = 0;
  uint32_t parent = 0;         // union-find
  uint32_t next_member = 0;    // circular list of coalesced registers
  uint32_t length = 0;         // points
  float weight = 0;            // sum of the frequencies of its occurrences
  uint32_t slot = ~0u;         // home, when it has one
  uint32_t remat = ~0u;        // an instruction that defines it and may be issued again
  float hint_weight[2] = {0, 0};
  uint8_t hint[2] = {255, 255};
  uint8_t reg = no_reg;
  RegClass cls = RegClass::gp;
  uint8_t bytes = 0;
  bool around_calls =
      false;  // its register does not survive the calls it lives across: put aside before, loaded again behind

  static constexpr uint8_t no_reg = 255;
};
static_assert(sizeof(Interval) == 48);

// Occurrences of registers as operands, chained by register in the order of instructions.
struct Occurrence {
  uint32_t inst, next;
};

struct PendingEdit {
  uint64_t key;  // before_inst << 35 | phase << 32 | number
  Edit edit;
};
// In Allocation::operands while the allocator runs: the value is made by issuing instruction (value & ~remat_location)
// again.
inline constexpr uint32_t remat_location = 0x80000000u;
enum Phase : uint8_t { phase_store, phase_restore, phase_save, phase_reload, phase_copy, phase_call };

struct RegisterAllocator::State {
  static constexpr uint32_t none = ~0u;
  const VCode* code = nullptr;
  const RegisterInfo* info = nullptr;
  Allocation* out = nullptr;

  uint64_t class_mask[2] = {0, 0};
  Occupancy occupancy;
  std::vector<Interval> intervals;         // by virtual register
  std::vector<Segment> segments;
  std::vector<Occurrence> occurrences;     // parallel to VCode::operands; filled when something spills
  std::vector<uint32_t> first_occurrence;  // by vreg
  std::vector<uint32_t> block_of;          // by instruction; filled when something spills
  std::vector<PendingEdit> edits;

  // liveness
  struct BlockAndReg {
    uint32_t block, vreg;
  };
  std::vector<uint32_t> last_def,
      last_use;                            // by vreg: a block; last_use then becomes the bit of those that cross blocks
  std::vector<BlockAndReg> exposed;        // read before they are defined in the block
  std::vector<BlockAndReg> other_defs;     // definitions, but for each register's last
  std::vector<uint32_t> crossing;          // the registers that are live across blocks, by bit
  std::vector<uint32_t> pending;
  uint32_t words = 0;                      // of a set: those from first_word on, if they are not all kept at once
  uint32_t first_word = 0;
  struct Border {
    uint32_t block;
    uint32_t change;  // register << 1, + 1: live at the block's end and not behind it, else the other way round
  };
  std::vector<Border> borders;  // in place of the sets, when these were too large; block count: the function's start
  std::vector<uint32_t> border_first, border_regs;  // sorted by block
  bool undefined = false;                  // some register is not defined on every path
  std::vector<uint64_t> live_in, defined, reached, live, live_out, due;
  std::vector<uint32_t> touched;
  std::vector<uint32_t> undefined_words;   // of sets: those with such registers
  std::vector<uint32_t> changed_at, computed_at, work;
  std::vector<Point> live_end;             // by vreg

  // coalescing and assignment
  struct Copy {
    uint32_t dst, src;
    float frequency;
  };
  std::vector<Copy> copies;
  std::vector<uint32_t> order, count;
  std::vector<uint8_t> bucket_of;
  std::vector<uint32_t> copy_insts;        // descending
  std::vector<uint8_t> location_of;        // by Reg
  std::vector<uint32_t> spill_queue;
  std::vector<uint32_t> members;           // occurrences of one interval, in order

  struct Emergency {
    uint32_t inst, vreg;
    bool remat;
    uint32_t operand;
  };
  std::vector<Emergency> emergencies;
  std::vector<uint8_t> served;             // by operand: a terminator's, which has its register
  struct Call {
    uint32_t inst;
    float frequency;
    uint64_t mask;
  };
  std::vector<Call> calls;                 // instructions that clobber, in descending order
  std::vector<uint32_t> around;            // intervals with around_calls, when they were made so
  std::vector<uint32_t> crossed;           // calls across which one interval lives
  // The occurrences of one interval, an instruction each.
  struct Mention {
    uint32_t inst;
    Point from, to;
    uint32_t first, last;  // in `members`
    bool reads, writes, copy, slot;  // slot: may stay in the slot
  };
  std::vector<Mention> mentions;

  struct SharedSlot {
    uint32_t slot, last_user;
    uint8_t bytes;
    uint8_t users;
  };
  std::vector<SharedSlot> shared;          // homes
  std::vector<uint32_t> next_user;         // by interval: another with the same home
  static constexpr unsigned max_depth = 6;
  struct Entry {
    uint32_t inst;
    Point to;
  };
  std::vector<Entry> entries;              // into a loop
  std::vector<uint32_t> pred_first, preds;
  uint64_t region_budget = 0;

  // Ranges of physical registers, sorted downwards by `from`. `reaches`: the largest `to` of this one and all that
  // start before it.
  struct Fixed {
    Point from, to, reaches;
    uint64_t mask;
  };
  std::vector<Fixed> fixed;
  std::vector<uint64_t> fixed_groups;      // masks of 64 of them together; made when asked for
  struct Holder {
    Point from, to;
    uint32_t vreg;
  };
  std::vector<Holder> holders[64];         // by register: see find_holders()
  bool have_holders = false;
  std::vector<uint32_t> assigned[64];      // by register: intervals that got it (some may have lost it again)
  std::vector<Segment> flat;
  uint64_t displace_budget = 0;

  // parallel copies
  struct Move {
    Location dst, src;
    RegClass cls;
    uint8_t bytes;  // of the larger register
  };
  std::vector<Move> moves;
  std::vector<uint32_t> readers, writer;   // by location

  void run();
  void find_liveness();
  void find_live_out(uint32_t b);
  void find_borders(uint32_t all);
  void trim_undefined(uint32_t w, std::span<const BlockAndReg> exposed_here);
  void build_ranges();
  void coalesce();
  void assign();
  void spill_all();
  void place_operands();
  void resolve_copies();
  void sequence_moves(uint32_t before);
  void finish_edits();

  uint32_t root(uint32_t v) {
    while (intervals[v].parent != v) v = intervals[v].parent = intervals[intervals[v].parent].parent;
    return v;
  }
  void add_segment(uint32_t v, Point from, Point to);
  bool overlap(uint32_t a, uint32_t b) const;
  void merge(uint32_t a, uint32_t b);
  Occupancy::Masks taken(const Interval& it) const;
  void take(const Interval& it, unsigned reg);
  void release(const Interval& it, unsigned reg);
  void add_hint(Interval& it, unsigned reg, float weight);
  bool try_assign(uint32_t v);
  void spill(uint32_t v);
  bool collect_mentions(uint32_t v);
  bool other_slot(const Mention& m) const;
  float frequency(uint32_t inst) const { return code->blocks[block_of[inst]].frequency; }
  void serve_terminators(uint32_t v);
  void find_occurrences();
  void find_predecessors();
  unsigned depth_of(uint32_t block) const;
  size_t spill_into_loop(uint32_t v, size_t k, bool remat, Point* failed);
  float cost_around_calls(const Interval& it, uint64_t reg_mask, uint64_t& best) const;
  void place_around_calls(uint32_t v);
  uint64_t cheap(uint64_t mask) const;
  uint8_t choose(const Interval& it, uint64_t mask) const;
  uint8_t tiny(RegClass cls, Point from, Point to);
  void give(uint32_t v, uint8_t reg);
  bool displace(uint32_t v);
  Occupancy::Masks taken_entirely(const Interval& it) const;
  uint64_t fixed_in(const Interval& it);
  void find_holders();
  void take_fixed(Point from, Point to, uint64_t mask);
  uint8_t evict(RegClass cls, Point from, Point to);
  void put_aside(const Emergency& e);
  uint32_t home(uint32_t v);
  void edit(uint32_t before, Phase phase, EditKind kind, RegClass cls, unsigned bytes, Location dst, Location src);
  uint32_t group_start(uint32_t inst) const;
  unsigned slot_bytes(Location l) const { return out->slots[l.slot_index()].bytes; }
};

}  // namespace lode::codegen
