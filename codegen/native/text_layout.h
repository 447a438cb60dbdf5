// A function's text while the sizes of its branches are open, and how they are found.
//
// Assembling writes every instruction but the branches to a buffer. A branch is a mark between two bytes, and so is an
// alignment; everything else that stands in the text is a place: an offset in the buffer, and how many marks lie before
// it. relax() gives each mark its size: a branch starts with the smallest form that it may have and grows until all
// displacements fit. It never shrinks, so this ends, and without alignments at the least solution. An alignment's size
// follows from where it stands, from the function's start, which layout aligns at least as much.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lode::codegen {

struct TextPlace {
  uint32_t offset;    // bytes that are no marks
  uint32_t branches;  // marks before it
};

// One way to write a branch. The displacement is the target's distance from the branch's start plus `origin` (that is
// its size where the machine counts from the next instruction).
struct BranchForm {
  uint8_t bytes, origin;
  int32_t lowest, highest;
};

struct Branch {
  static constexpr uint8_t alignment = 0xff;
  uint32_t offset;  // where it stands, as TextPlace::offset
  uint32_t target;  // MIR index; alignment: log2 in 4 bits, above it the most bytes that it may skip
  uint32_t data;    // the machine's
  uint16_t size;    // bytes
  uint8_t kind;     // which list of forms, or `alignment`
  uint8_t form;
};

// By kind of branch its forms, growing. A form without bytes stands for going on with the next instruction. The last
// one reaches everything that a function may be large.
using BranchForms = std::span<const std::span<const BranchForm>>;

class TextLayout {
 public:
  std::vector<TextPlace> places;  // by MIR index, and one for the end
  std::vector<Branch> branches;   // in the order of their offsets

  void clear();
  // `form`: the least one that is allowed, and not one without bytes for a branch that goes back.
  void add_branch(uint32_t offset, uint32_t target, uint8_t kind, uint8_t form, uint32_t data) {
    branches.push_back({offset, target, data, 0, kind, form});
  }
  void add_alignment(uint32_t offset, unsigned log2, uint32_t most) {
    branches.push_back({offset, log2 | most << 4, 0, 0, Branch::alignment, 0});
    padding_ += uint64_t{1} << log2;
  }
  // What the marks take at most.
  uint64_t most_bytes(BranchForms forms) const;

  void relax(BranchForms forms);

  // After relax():
  uint32_t offset(TextPlace p) const { return p.offset + bytes_before_[p.branches]; }
  uint32_t offset_of(uint32_t mir_index) const { return offset(places[mir_index]); }
  uint32_t start(size_t branch) const { return branches[branch].offset + bytes_before_[branch]; }
  uint32_t bytes() const { return bytes_before_.back(); }  // of all marks
  // Of the form that was chosen.
  int32_t displacement(size_t branch, BranchForms forms) const {
    const Branch& b = branches[branch];
    return int32_t(offset_of(b.target) - (start(branch) + forms[b.kind][b.form].origin));
  }

 private:
  void add_up();

  std::vector<uint32_t> bytes_before_;  // sizes of the first k marks together
  uint64_t padding_ = 0;                // of all alignments together, at most
};

}  // namespace lode::codegen
