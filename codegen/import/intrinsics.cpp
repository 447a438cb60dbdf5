// The table of intrinsics, sorted by name so that it can be searched; sources: the "LLVM Language Reference" page.
#include "codegen/import/intrinsics.h"

#include <algorithm>
#include <iterator>

namespace lode::codegen {

namespace {

using K = IntrinsicKind;
using O = air::Op;

constexpr Intrinsic table[] = {
    {"abs", K::Plain, O::iabs},
    {"acos", K::Library, O::call, "acos"},
    {"adjust.trampoline", K::Unknown},
    {"allow.runtime.check", K::True},
    {"allow.ubsan.check", K::True},
    {"annotation", K::First},
    {"arithmetic.fence", K::First},
    {"asin", K::Library, O::call, "asin"},
    {"assume", K::Drop},
    {"atan", K::Library, O::call, "atan"},
    {"atan2", K::Library, O::call, "atan2"},
    {"bitreverse", K::Plain, O::bitreverse},
    {"bswap", K::Plain, O::bswap},
    {"canonicalize", K::First},
    {"ceil", K::Plain, O::fceil},
    {"clear_cache", K::ClearCache, O::call, "__clear_cache"},
    {"codeview.annotation", K::Drop},
    {"convert.from.fp16", K::FromHalf},
    {"convert.to.fp16", K::ToHalf},
    {"copysign", K::Plain, O::fcopysign},
    {"cos", K::Library, O::call, "cos"},
    {"cosh", K::Library, O::call, "cosh"},
    {"ctlz", K::Plain, O::ctlz},
    {"ctpop", K::Plain, O::ctpop},
    {"cttz", K::Plain, O::cttz},
    {"dbg.assign", K::Drop},
    {"dbg.declare", K::Drop},
    {"dbg.label", K::Drop},
    {"dbg.value", K::Drop},
    {"debugtrap", K::Plain, O::debug_trap},
    {"donothing", K::Drop},
    {"eh.sjlj.longjmp", K::Plain, O::eh_sjlj_longjmp},
    {"eh.sjlj.setjmp", K::Plain, O::eh_sjlj_setjmp},
    {"eh.typeid.for", K::Plain, O::eh_typeid},
    {"exp", K::Library, O::call, "exp"},
    {"exp10", K::Library, O::call, "exp10"},
    {"exp2", K::Library, O::call, "exp2"},
    {"expect", K::First},
    {"expect.with.probability", K::First},
    {"experimental.constrained.ceil", K::Plain, O::fceil},
    {"experimental.constrained.fadd", K::Plain, O::fadd},
    {"experimental.constrained.fdiv", K::Plain, O::fdiv},
    {"experimental.constrained.floor", K::Plain, O::ffloor},
    {"experimental.constrained.fma", K::Plain, O::fma},
    {"experimental.constrained.fmul", K::Plain, O::fmul},
    {"experimental.constrained.fmuladd", K::MulAdd},
    {"experimental.constrained.fpext", K::Plain, O::fpext},
    {"experimental.constrained.fptosi", K::Plain, O::fptosi},
    {"experimental.constrained.fptoui", K::Plain, O::fptoui},
    {"experimental.constrained.fptrunc", K::Plain, O::fptrunc},
    {"experimental.constrained.frem", K::Plain, O::frem},
    {"experimental.constrained.fsub", K::Plain, O::fsub},
    {"experimental.constrained.nearbyint", K::Plain, O::frint},
    {"experimental.constrained.rint", K::Plain, O::frint},
    {"experimental.constrained.sitofp", K::Plain, O::sitofp},
    {"experimental.constrained.sqrt", K::Plain, O::fsqrt},
    {"experimental.constrained.trunc", K::Plain, O::ftrunc},
    {"experimental.constrained.uitofp", K::Plain, O::uitofp},
    {"experimental.noalias.scope.decl", K::Drop},
    {"fabs", K::Plain, O::fabs},
    {"fake.use", K::Drop},
    {"floor", K::Plain, O::ffloor},
    {"flt.rounds", K::GetRounding},
    {"fma", K::Plain, O::fma},
    {"fmuladd", K::MulAdd},
    {"fptosi.sat", K::Plain, O::fptosi_sat},
    {"fptoui.sat", K::Plain, O::fptoui_sat},
    {"frameaddress", K::Fixed, O::frame_address},
    {"frexp", K::Unknown},
    {"fshl", K::Plain, O::fshl},
    {"fshr", K::Plain, O::fshr},
    {"get.rounding", K::GetRounding},
    {"invariant.end", K::Drop},
    {"invariant.start", K::Drop},
    {"is.constant", K::False},
    {"is.fpclass", K::IsFpClass},
    {"launder.invariant.group", K::First},
    {"ldexp", K::Library, O::call, "ldexp"},
    {"lifetime.end", K::Lifetime, O::lifetime_end},
    {"lifetime.start", K::Lifetime, O::lifetime_start},
    {"llrint", K::Library, O::call, "llrint"},
    {"llround", K::Library, O::call, "llround"},
    {"load.relative", K::LoadRelative},
    {"log", K::Library, O::call, "log"},
    {"log10", K::Library, O::call, "log10"},
    {"log2", K::Library, O::call, "log2"},
    {"lrint", K::Library, O::call, "lrint"},
    {"lround", K::Library, O::call, "lround"},
    {"masked.gather", K::Gather},
    {"masked.load", K::MaskedLoad},
    {"masked.scatter", K::Scatter},
    {"masked.store", K::MaskedStore},
    {"maximum", K::Plain, O::fmaximum},
    {"maxnum", K::Plain, O::fmaxnum},
    {"memcpy", K::Memory, O::memcpy},
    {"memcpy.inline", K::Memory, O::memcpy},
    {"memmove", K::Memory, O::memmove},
    {"memset", K::Memory, O::memset},
    {"memset.inline", K::Memory, O::memset},
    {"minimum", K::Plain, O::fminimum},
    {"minnum", K::Plain, O::fminnum},
    {"nearbyint", K::Plain, O::frint},
    {"objectsize", K::ObjectSize},
    {"pow", K::Library, O::call, "pow"},
    {"powi", K::PowI, O::call, "__powi"},
    {"prefetch", K::Prefetch, O::prefetch},
    {"pseudoprobe", K::Drop},
    {"ptr.annotation", K::First},
    {"ptrmask", K::PointerMask},
    {"readcyclecounter", K::Plain, O::read_cycle_counter},
    {"returnaddress", K::Fixed, O::return_address},
    {"rint", K::Plain, O::frint},
    {"round", K::Plain, O::fround},
    {"roundeven", K::Plain, O::froundeven},
    {"sadd.sat", K::Plain, O::sadd_sat},
    {"sadd.with.overflow", K::Plain, O::sadd_overflow},
    {"scmp", K::ThreeWay, O::sext},
    {"sideeffect", K::Drop},
    {"sin", K::Library, O::call, "sin"},
    {"sinh", K::Library, O::call, "sinh"},
    {"smax", K::Plain, O::smax},
    {"smin", K::Plain, O::smin},
    {"smul.with.overflow", K::Plain, O::smul_overflow},
    {"sqrt", K::Plain, O::fsqrt},
    {"ssa.copy", K::First},
    {"sshl.sat", K::Plain, O::sshl_sat},
    {"ssub.sat", K::Plain, O::ssub_sat},
    {"ssub.with.overflow", K::Plain, O::ssub_overflow},
    {"stackrestore", K::Plain, O::stack_restore},
    {"stacksave", K::Plain, O::stack_save},
    {"strip.invariant.group", K::First},
    {"tan", K::Library, O::call, "tan"},
    {"tanh", K::Library, O::call, "tanh"},
    {"thread.pointer", K::Plain, O::thread_pointer},
    {"threadlocal.address", K::First},
    {"trap", K::Trap},
    {"trunc", K::Plain, O::ftrunc},
    {"uadd.sat", K::Plain, O::uadd_sat},
    {"uadd.with.overflow", K::Plain, O::uadd_overflow},
    {"ubsantrap", K::Trap},
    {"ucmp", K::ThreeWay, O::zext},
    {"umax", K::Plain, O::umax},
    {"umin", K::Plain, O::umin},
    {"umul.with.overflow", K::Plain, O::umul_overflow},
    {"ushl.sat", K::Plain, O::ushl_sat},
    {"usub.sat", K::Plain, O::usub_sat},
    {"usub.with.overflow", K::Plain, O::usub_overflow},
    {"va_copy", K::Plain, O::va_copy},
    {"va_end", K::Plain, O::va_end},
    {"va_start", K::Plain, O::va_start},
    {"var.annotation", K::Drop},
    {"vector.reduce.add", K::Plain, O::reduce_add},
    {"vector.reduce.and", K::Plain, O::reduce_and},
    {"vector.reduce.fadd", K::Plain, O::reduce_fadd},
    {"vector.reduce.fmax", K::Plain, O::reduce_fmax},
    {"vector.reduce.fmin", K::Plain, O::reduce_fmin},
    {"vector.reduce.fmul", K::Plain, O::reduce_fmul},
    {"vector.reduce.mul", K::Plain, O::reduce_mul},
    {"vector.reduce.or", K::Plain, O::reduce_or},
    {"vector.reduce.smax", K::Plain, O::reduce_smax},
    {"vector.reduce.smin", K::Plain, O::reduce_smin},
    {"vector.reduce.umax", K::Plain, O::reduce_umax},
    {"vector.reduce.umin", K::Plain, O::reduce_umin},
    {"vector.reduce.xor", K::Plain, O::reduce_xor},
};

constexpr bool sorted() {
  for (size_t i = 1; i < std::size(table); i++)
    if (std::string_view(table[i - 1].name) >= std::string_view(table[i].name)) return false;
  return true;
}
static_assert(sorted());

// i32, f64, p0, p0i8, v4f32, isVoid, s_struct..., sl_i32i32s: what overloads append.
bool type_suffix(std::string_view s) {
  if (s == "isVoid" || s == "f" || s.starts_with("s_") || s.starts_with("sl_")) return true;
  return std::any_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

const Intrinsic* find_intrinsic(std::string_view name) {
  // Type suffixes follow the name after dots: try the whole, then without the last component, and so on.
  name.remove_prefix(std::string_view("llvm.").size());
  while (!name.empty()) {
    auto* it = std::lower_bound(std::begin(table), std::end(table), name,
                                [](const Intrinsic& a, std::string_view b) { return std::string_view(a.name) < b; });
    if (it != std::end(table) && it->name == name) return it->kind == IntrinsicKind::Unknown ? nullptr : it;
    size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || !type_suffix(name.substr(dot + 1))) break;
    name = name.substr(0, dot);
  }
  return nullptr;
}

}  // namespace lode::codegen
