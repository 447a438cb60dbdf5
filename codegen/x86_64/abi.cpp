#include "codegen/x86_64/abi.h"

#include "base/bytes.h"

namespace lode::x86_64 {

using air::TypeTable;

bool is_sse(air::TypeId t) {
  return t == TypeTable::f32 || t == TypeTable::f64 || t == TypeTable::f128 || t == TypeTable::v128;
}

bool assign_arguments(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs, ArgumentLayout& out) {
  out.places.clear();
  unsigned gp = 0, sse = 0;
  uint64_t stack = 0;
  auto memory = [&](ArgumentPlace::Kind kind, uint64_t size, uint64_t align) {
    stack = align_up(stack, align);
    out.places.push_back({kind, 0, uint32_t(stack)});
    stack += align_up(size, 8);
  };
  for (size_t k = 0; k < types.size(); k++) {
    air::ParamAttr a = k < attrs.size() ? attrs[k] : air::ParamAttr{};
    if (a.bits & air::attr::byval) {
      memory(ArgumentPlace::byval, a.size, a.align_log2 > 3 ? uint64_t{1} << a.align_log2 : 8);
    } else if (types[k] == TypeTable::f80) {
      memory(ArgumentPlace::memory, 16, 16);
    } else if (is_sse(types[k])) {
      bool wide = types[k] == TypeTable::f128 || types[k] == TypeTable::v128;
      if (sse < sse_arguments) out.places.push_back({ArgumentPlace::sse, uint8_t(sse++), 0});
      else memory(ArgumentPlace::memory, wide ? 16 : 8, wide ? 16 : 8);
    } else if (a.bits & air::attr::nest) {
      out.places.push_back({ArgumentPlace::gp, 10, 0});
    } else if ((a.bits & air::attr::split_first) && gp + 2 > 6 && k + 1 < types.size()) {
      memory(ArgumentPlace::memory, 8, 16);
      memory(ArgumentPlace::memory, 8, 8);
      k++;
    } else if (gp < 6) {
      out.places.push_back({ArgumentPlace::gp, gp_arguments[gp++], 0});
    } else {
      memory(ArgumentPlace::memory, 8, 8);
    }
    if (stack > 0x7fff0000) return false;
  }
  out.stack_end = uint32_t(stack);
  out.stack_bytes = uint32_t(align_up(stack, 16));
  out.gp_used = uint8_t(gp);
  out.sse_used = uint8_t(sse);
  return true;
}

bool assign_results(std::span<const air::TypeId> types, std::vector<ResultPlace>& out) {
  out.clear();
  unsigned gp = 0, sse = 0, x87 = 0;
  for (air::TypeId t : types) {
    if (t == TypeTable::f80) {
      if (x87 == 2) return false;
      out.push_back({ResultPlace::x87, uint8_t(x87++)});
    } else if (is_sse(t)) {
      if (sse == sse_results) return false;
      out.push_back({ResultPlace::sse, uint8_t(sse++)});
    } else {
      if (gp == 3) return false;
      out.push_back({ResultPlace::gp, gp_results[gp++]});
    }
  }
  return true;
}

}  // namespace lode::x86_64
