#include "codegen/riscv64/abi.h"

#include "base/bytes.h"

namespace lode::riscv64 {

using air::TypeTable;

namespace {
bool is_float(air::TypeId t) { return t == TypeTable::f32 || t == TypeTable::f64; }
}  // namespace

bool assign_arguments(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs, uint32_t fixed,
                      ArgumentLayout& out) {
  out.places.clear();
  unsigned gp = 0, fp = 0;
  uint64_t stack = 0;
  auto integer = [&](bool indirect, uint64_t align) {
    if (gp < argument_registers) {
      out.places.push_back({ArgumentPlace::gp, uint8_t(reg::a0 + gp++), indirect});
      return;
    }
    stack = align_up(stack, align);
    out.places.push_back({ArgumentPlace::memory, 0, indirect, uint32_t(stack)});
    stack += 8;
  };
  for (size_t k = 0; k < types.size(); k++) {
    const uint16_t bits = k < attrs.size() ? attrs[k].bits : 0;
    const bool variadic = k >= fixed;
    if (bits & air::attr::nest) {
      out.places.push_back({ArgumentPlace::gp, reg::static_chain});
    } else if (is_float(types[k]) && !variadic && fp < argument_registers) {
      out.places.push_back({ArgumentPlace::fp, uint8_t(fp_base + reg::a0 + fp++)});
    } else if ((bits & air::attr::split_first) && k + 1 < types.size()) {
      if (variadic && gp % 2) gp++;
      integer(false, 16);
      integer(false, 8);
      k++;
    } else {
      integer(bits & air::attr::byval, 8);
    }
    if (stack > 0x7fff0000) return false;
  }
  out.stack_end = uint32_t(stack);
  out.stack_bytes = uint32_t(align_up(stack, 16));
  out.gp_used = uint8_t(gp);
  return true;
}

bool assign_results(std::span<const air::TypeId> types, std::vector<uint8_t>& out) {
  out.clear();
  uint8_t gp = 0, fp = 0;
  for (air::TypeId t : types) {
    if (is_float(t) && fp < 2) out.push_back(uint8_t(fp_base + reg::a0 + fp++));
    else if (gp < 2) out.push_back(uint8_t(reg::a0 + gp++));
    else return false;
  }
  return true;
}

}  // namespace lode::riscv64
