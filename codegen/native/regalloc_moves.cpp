// From locations to edits: copies and parallel copies become sequences of moves, and all edits are put in order.
//
// A parallel copy is a graph with one edge into each destination. Moves whose destination nobody still has to read go
// first; what remains are plain cycles, which exchanges, a scratch register or, where slots take part, a slot of their
// own resolve. The values of one cycle may differ in width: a value that passes a register on its way round is carried
// whole, so each exchange, and the register or slot that keeps the first value, has the width of the widest.
#include <algorithm>

#include "codegen/native/regalloc_state.h"

namespace lode::codegen {

void RegisterAllocator::State::edit(uint32_t before, Phase phase, EditKind kind, RegClass cls, unsigned bytes,
                                    Location dst, Location src) {
  // A move from slot to slot goes through a scratch register.
  if (kind == EditKind::move && dst.is_slot() && src.is_slot()) {
    if (dst == src) return;
    const bool gp = cls == RegClass::gp && info->gp_scratch != 255 && bytes <= 8;
    const Location scratch{gp ? info->gp_scratch : info->fp_scratch};
    edit(before, phase, kind, cls, std::min(bytes, slot_bytes(src)), scratch, src);
    edit(before, phase, kind, cls, slot_bytes(dst), dst, scratch);
    return;
  }
  if (kind == EditKind::move && dst == src) return;
  Edit e{before, kind, cls, uint8_t(bytes), 0, dst, src};
  edits.push_back({uint64_t{before} << 35 | uint64_t{phase} << 32 | edits.size(), e});
  if (!dst.is_slot()) out->used |= uint64_t{1} << dst.value;
}

void RegisterAllocator::State::resolve_copies() {
  for (size_t at_copy = copy_insts.size(); at_copy-- > 0;) {
    const uint32_t i = copy_insts[at_copy];
    const VInst& inst = code->insts[i];
    uint32_t count;
    const Operand* ops = code->operands_of(inst, count);
    const uint32_t at = uint32_t(ops - code->operands.data());
    moves.clear();
    for (uint32_t k = 0; k + 1 < count; k += 2) {
      const Location dst = out->operands[at + k], src = out->operands[at + k + 1];
      if (dst == src) continue;
      auto bytes_of = [&](Reg r) { return r.is_virtual() ? code->vregs[r.index()].bytes : uint8_t(0); };
      auto class_of = [&](Reg r) {
        return r.is_virtual() ? code->vregs[r.index()].cls : r.value < 32 ? RegClass::gp : RegClass::fp;
      };
      uint8_t bytes = std::max(bytes_of(ops[k].reg()), bytes_of(ops[k + 1].reg()));
      const RegClass cls = class_of(ops[k].reg());
      if (bytes == 0) bytes = cls == RegClass::gp ? 8 : 16;
      moves.push_back({dst, src, cls, bytes});
    }
    if (!moves.empty()) sequence_moves(i);
  }
}

void RegisterAllocator::State::sequence_moves(uint32_t before) {
  auto emit = [&](const Move& m) {
    unsigned bytes = m.bytes;
    if (m.dst.is_slot()) bytes = slot_bytes(m.dst);
    else if (m.src.is_slot()) bytes = std::min(bytes, slot_bytes(m.src));
    edit(before, phase_copy, EditKind::move, m.cls, bytes, m.dst, m.src);
  };
  // Values that are made again write registers and read nothing: they come last, in registers that no move reads any
  // more.
  size_t rematted = 0;
  for (size_t k = 0; k < moves.size(); k++) {
    if (moves[k].src.value & remat_location) std::swap(moves[k], moves[rematted++]);
  }
  if (moves.size() - rematted == 1) {
    emit(moves[rematted]);
  } else {
    const size_t locations = out->slots.size() + 64;
    if (readers.size() < locations) {
      readers.resize(locations, 0);
      writer.resize(locations, none);
    }
    for (size_t k = rematted; k < moves.size(); k++) {
      readers[moves[k].src.value]++;
      writer[moves[k].dst.value] = uint32_t(k);
    }
    work.clear();
    for (size_t k = rematted; k < moves.size(); k++)
      if (readers[moves[k].dst.value] == 0) work.push_back(uint32_t(k));
    while (!work.empty()) {
      const Move m = moves[work.back()];
      work.pop_back();
      emit(m);
      writer[m.dst.value] = none;
      if (--readers[m.src.value] == 0 && writer[m.src.value] != none) work.push_back(writer[m.src.value]);
    }
    for (size_t k = rematted; k < moves.size(); k++) {
      if (writer[moves[k].dst.value] != k) continue;
      // A cycle: dst <- src, src <- its source, ... back to dst.
      bool slots = false;
      uint32_t bytes = 0;
      for (uint32_t m = uint32_t(k);;) {
        slots |= moves[m].dst.is_slot();
        bytes = std::max<uint32_t>(bytes, moves[m].bytes);
        m = writer[moves[m].src.value];
        if (m == k) break;
      }
      const Location start = moves[k].dst;
      const RegClass cls = moves[k].cls;
      const bool exchange = !slots && cls == RegClass::gp && info->gp_exchange;
      Location temporary{cls == RegClass::gp && info->gp_scratch != 255 ? info->gp_scratch : info->fp_scratch};
      if (slots) {
        uint8_t size = 1;
        while (size < bytes) size *= 2;
        for (uint32_t m = uint32_t(k);;) {
          if (moves[m].dst.is_slot()) size = uint8_t(std::max<unsigned>(size, slot_bytes(moves[m].dst)));
          m = writer[moves[m].src.value];
          if (m == k) break;
        }
        out->slots.push_back({size});
        temporary = Location::slot(uint32_t(out->slots.size() - 1));
      }
      if (!exchange) edit(before, phase_copy, EditKind::move, cls, bytes, temporary, start);
      for (uint32_t m = uint32_t(k);;) {
        const Move move = moves[m];
        const uint32_t next = writer[move.src.value];
        writer[move.dst.value] = none;
        readers[move.src.value] = 0;
        if (move.src == start) {
          if (!exchange) emit({move.dst, temporary, move.cls, move.bytes});
          break;
        }
        if (exchange) edit(before, phase_copy, EditKind::exchange, cls, bytes, move.dst, move.src);
        else emit(move);
        m = next;
      }
      readers[start.value] = 0;
    }
  }
  for (size_t k = 0; k < rematted; k++) {
    const uint32_t inst = moves[k].src.value & ~remat_location;
    const Location dst = moves[k].dst;
    if (!dst.is_slot()) {
      edit(before, phase_copy, EditKind::remat, moves[k].cls, moves[k].bytes, dst, Location{inst});
      continue;
    }
    // Into a slot by way of a register, whose contents are put aside.
    const uint8_t reg = moves[k].cls == RegClass::gp ? info->gp_order[0] : info->fp_order[0];
    out->slots.push_back({uint8_t(moves[k].cls == RegClass::gp ? 8 : 16)});
    const Location aside = Location::slot(uint32_t(out->slots.size() - 1));
    edit(before, phase_copy, EditKind::move, moves[k].cls, slot_bytes(aside), aside, Location{reg});
    edit(before, phase_copy, EditKind::remat, moves[k].cls, moves[k].bytes, Location{reg}, Location{inst});
    edit(before, phase_copy, EditKind::move, moves[k].cls, slot_bytes(dst), dst, Location{reg});
    edit(before, phase_copy, EditKind::move, moves[k].cls, slot_bytes(aside), Location{reg}, aside);
  }
}

void RegisterAllocator::State::finish_edits() {
  auto by_key = [](const PendingEdit& a, const PendingEdit& b) { return a.key < b.key; };
  if (!std::is_sorted(edits.begin(), edits.end(), by_key)) std::sort(edits.begin(), edits.end(), by_key);
  out->edits.reserve(edits.size());
  for (const PendingEdit& e : edits) out->edits.push_back(e.edit);
}

}  // namespace lode::codegen
