#include "codegen/x86_64/abi.h"

#include <algorithm>

#include "base/bytes.h"

namespace lode::x86_64 {

using air::TypeTable;

bool is_sse(air::TypeId t) {
  return t == TypeTable::f32 || t == TypeTable::f64 || t == TypeTable::f128 || t == TypeTable::v128 ||
         t == TypeTable::v256;
}

const Convention& convention_of(air::CallConv conv, bool no_caller_saved_registers) {
  static constexpr Convention sysv{saved_by_sysv, clobber_call}, win64{saved_by_win64, clobber_win64, true},
      preserve_most{saved_by_preserve_most, clobber_preserve_most},
      preserve_all{saved_by_preserve_all, clobber_preserve_all}, keeps_all{all_registers, clobber_none},
      win64_keeps_all{all_registers, clobber_none, true};
  switch (conv) {
    case air::CallConv::win64: return no_caller_saved_registers ? win64_keeps_all : win64;
    case air::CallConv::preserve_most: return no_caller_saved_registers ? keeps_all : preserve_most;
    case air::CallConv::preserve_all: return no_caller_saved_registers ? keeps_all : preserve_all;
    case air::CallConv::c: case air::CallConv::fast: case air::CallConv::cold: case air::CallConv::tail:
    case air::CallConv::x86_64_sysv: break;
  }
  return no_caller_saved_registers ? keeps_all : sysv;
}

namespace {

bool is_wide(air::TypeId t) {
  return t == TypeTable::f80 || t == TypeTable::f128 || t == TypeTable::v128 || t == TypeTable::v256;
}

bool assign_by_position(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs,
                        ArgumentLayout& out) {
  out.places.clear();
  uint64_t position = 0;
  for (size_t k = 0; k < types.size(); k++) {
    const uint16_t bits = k < attrs.size() ? attrs[k].bits : 0;
    ArgumentPlace place;
    place.indirect = is_wide(types[k]) || bits & air::attr::byval;
    if (bits & air::attr::nest) {
      place.reg = 10;
    } else if (position < 4) {
      const bool sse = is_sse(types[k]) && !place.indirect;
      place.kind = sse ? ArgumentPlace::sse : ArgumentPlace::gp;
      place.reg = sse ? uint8_t(position) : win64_arguments[position];
      position++;
    } else {
      place.kind = ArgumentPlace::memory;
      place.offset = uint32_t(8 * position++);
    }
    out.places.push_back(place);
    if (position > 0x7fff0000 / 8) return false;
  }
  out.gp_used = out.sse_used = uint8_t(std::min<uint64_t>(position, 4));
  out.stack_end = uint32_t(std::max<uint64_t>(win64_home_bytes, 8 * position));
  out.stack_bytes = uint32_t(align_up(out.stack_end, 16));
  return true;
}

}  // namespace

bool assign_arguments(std::span<const air::TypeId> types, std::span<const air::ParamAttr> attrs,
                      const Convention& convention, ArgumentLayout& out) {
  if (convention.by_position) return assign_by_position(types, attrs, out);
  out.places.clear();
  unsigned gp = 0, sse = 0;
  uint64_t stack = 0;
  auto memory = [&](ArgumentPlace::Kind kind, uint64_t size, uint64_t align) {
    stack = align_up(stack, align);
    out.places.push_back({kind, 0, false, uint32_t(stack)});
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
      if (types[k] == TypeTable::v256 && sse >= sse_arguments) return false;  // no stack here is aligned to 32
      if (sse < sse_arguments) out.places.push_back({ArgumentPlace::sse, uint8_t(sse++)});
      else memory(ArgumentPlace::memory, wide ? 16 : 8, wide ? 16 : 8);
    } else if (a.bits & air::attr::nest) {
      out.places.push_back({ArgumentPlace::gp, 10});
    } else if ((a.bits & air::attr::split_first) && gp + 2 > 6 && k + 1 < types.size()) {
      memory(ArgumentPlace::memory, 8, 16);
      memory(ArgumentPlace::memory, 8, 8);
      k++;
    } else if (gp < 6) {
      out.places.push_back({ArgumentPlace::gp, gp_arguments[gp++]});
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
