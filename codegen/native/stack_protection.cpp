#include "codegen/native/stack_protection.h"

#include <algorithm>
#include <optional>

namespace lode::codegen {

namespace {

namespace flag = air::function_flags;

// `slot` at `offset` bytes, when the value is that and nothing else.
struct Place {
  uint32_t slot;
  int64_t offset;
};
std::optional<Place> place_of(const air::Function& fn, air::ValueId v) {
  int64_t offset = 0;
  for (unsigned steps = 0; steps < 64; steps++) {
    const air::Value& x = fn.values[v.value];
    if (x.kind() != air::ValueKind::Inst) return {};
    const air::Inst& i = fn.insts[x.index()];
    if (i.op == air::Op::slot_addr) return Place{i.a, offset};
    if (i.op != air::Op::ptr_add || i.b != ~0u) return {};
    if (__builtin_add_overflow(offset, air::ptr_add_parts(fn, i).offset, &offset)) return {};
    v = i.va();
  }
  return {};
}

}  // namespace

void StackProtection::run(const air::Function& fn, const air::TypeTable& types) {
  types_ = &types;
  needed = false;
  zones.clear();
  const uint32_t mode = fn.flags & (flag::stack_protect | flag::stack_protect_strong | flag::stack_protect_req);
  if (!mode || (fn.flags & flag::naked)) return;
  const bool strong = mode & (flag::stack_protect_strong | flag::stack_protect_req);
  needed = mode & flag::stack_protect_req;
  zones.assign(fn.slots.size(), SlotZone::rest);
  for (size_t s = 0; s < fn.slots.size(); s++) {
    const air::SlotArray a = fn.slots[s].array;
    SlotZone zone = SlotZone::rest;
    if (a == air::SlotArray::chars || (strong && a == air::SlotArray::large)) zone = SlotZone::large_array;
    if (strong && a == air::SlotArray::small) zone = SlotZone::small_array;
    zones[s] = zone;
  }
  for (const air::Inst& i : fn.insts) {
    if (i.op == air::Op::alloca) needed |= dynamic_alloca(fn, i, strong);
    if (strong) look_at(fn, i);
  }
  needed |= std::any_of(zones.begin(), zones.end(), [](SlotZone z) { return z != SlotZone::rest; });
  if (!needed) zones.clear();
}

bool StackProtection::dynamic_alloca(const air::Function& fn, const air::Inst& i, bool strong) const {
  const air::Constant* c = fn.constant(i.va());
  return strong || !c || c->kind != air::ConstantKind::Int || c->bits >= fn.requests.protect_buffer_size;
}

// Whether the instruction lets a slot's address out of sight: anything but a load or a store at a fixed place inside
// the slot, an address computed from it inside the slot, and a return.
void StackProtection::look_at(const air::Function& fn, const air::Inst& i) {
  auto escapes = [&](air::ValueId v) {
    if (auto p = place_of(fn, v)) taken(p->slot);
  };
  auto access = [&](air::ValueId address, air::TypeId type) {
    auto p = place_of(fn, address);
    if (!p) return;
    const uint64_t size = types_->store_size_of(type);
    if (p->offset < 0 || uint64_t(p->offset) + size > fn.slots[p->slot].size) taken(p->slot);
  };
  switch (i.op) {
    case air::Op::ret: return;
    case air::Op::load: return access(i.va(), i.type);
    case air::Op::store:
      escapes(i.vb());
      return access(i.va(), fn.values[i.b].type);
    case air::Op::atomic_rmw:
      escapes(i.vb());
      return access(i.va(), fn.values[i.b].type);
    case air::Op::cmpxchg:
      escapes(i.vb());
      escapes(i.vc());
      return access(i.va(), fn.values[i.b].type);
    case air::Op::ptr_add:
      if (i.b != ~0u) return escapes(i.va());
      if (auto p = place_of(fn, i.result))
        if (p->offset < 0 || uint64_t(p->offset) > fn.slots[p->slot].size) taken(p->slot);
      return;
    default: air::for_each_operand(fn, i, [&](air::ValueId v) { escapes(v); }); return;
  }
}

}  // namespace lode::codegen
