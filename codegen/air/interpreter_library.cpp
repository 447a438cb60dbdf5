// What interpreted programs may call: a little libc, libm, and the runtime functions of legal code.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "codegen/air/interpreter_impl.h"

namespace lode::air {

using T = TypeTable;

bool Interpreter::Impl::print_format(const CallArgs& a, size_t index, std::string& out) {
  std::string format;
  if (!c_string(a.u(index), format)) return false;
  size_t next = index + 1;
  for (size_t k = 0; k < format.size(); k++) {
    if (format[k] != '%') {
      out += format[k];
      continue;
    }
    std::string spec = "%";
    unsigned longs = 0;
    bool long_double = false;
    for (k++; k < format.size() && std::strchr("-+ #0123456789.*hlLzjtq", format[k]); k++) {
      char c = format[k];
      if (c == 'l' || c == 'z' || c == 'j' || c == 't' || c == 'q') longs += 1;
      else if (c == 'L') long_double = true;
      else if (c == '*') spec += std::to_string(int32_t(a.u(next++)));
      else if (c != 'h') spec += c;
    }
    if (spec.size() > 40) return fail("a malformed format");
    if (k >= format.size()) break;
    char c = format[k], buffer[512];
    buffer[0] = 0;
    switch (c) {
      case '%': out += '%'; continue;
      case 'd': case 'i': {
        int64_t v = longs ? int64_t(a.u(next)) : int64_t(int32_t(a.u(next)));
        next++;
        std::snprintf(buffer, sizeof buffer, (spec + "lld").c_str(), static_cast<long long>(v));
        break;
      }
      case 'u': case 'x': case 'X': case 'o': {
        uint64_t v = longs ? a.u(next) : uint32_t(a.u(next));
        next++;
        std::snprintf(buffer, sizeof buffer, (spec + "ll" + c).c_str(), static_cast<unsigned long long>(v));
        break;
      }
      case 'c': std::snprintf(buffer, sizeof buffer, (spec + "c").c_str(), int(a.u(next++))); break;
      case 'p': std::snprintf(buffer, sizeof buffer, "0x%llx", static_cast<unsigned long long>(a.u(next++))); break;
      case 's': {
        std::string s;
        if (!c_string(a.u(next++), s)) return false;
        if (spec == "%") {
          out += s;
          continue;
        }
        std::snprintf(buffer, sizeof buffer, (spec + "s").c_str(), s.c_str());
        break;
      }
      case 'f': case 'F': case 'g': case 'G': case 'e': case 'E': case 'a': {
        TypeKind t = next < a.types.size() ? module.types[a.types[next]].kind : TypeKind::F64;
        Scalar v = next < a.args.size() ? a.args[next] : 0;
        next++;
        (void)long_double;
        std::snprintf(buffer, sizeof buffer, (spec + c).c_str(), float_value(t, v));
        break;
      }
      default: return fail(std::string("the conversion %") + c + " is not interpreted");
    }
    out += buffer;
  }
  return true;
}

// ---- the library, by name -------------------------------------------------------------------------------------------
//
// Functions of a kind share a member, which the name tells apart.

bool Interpreter::Impl::lib_allocate(std::string_view name, const CallArgs& a, Scalar& result) {
  uint64_t size = name == "malloc" ? a.u(0) : name == "calloc" ? a.u(0) * a.u(1) : a.u(1);
  auto p = allocate(size, name == "aligned_alloc" ? a.u(0) : 16, true);
  if (!p.ok()) return result = 0, true;
  if (name == "realloc" && a.u(0)) {
    auto old = memory.find(a.u(0));
    if (old == memory.end() || !old->second.heap) return fail("realloc of something that malloc did not give");
    std::memcpy(at(*p, std::min(size, old->second.size), true), old->second.bytes.data(),
                size_t(std::min(size, old->second.size)));
    release(a.u(0));
  }
  result = *p;
  return true;
}

bool Interpreter::Impl::lib_free(std::string_view, const CallArgs& a, Scalar&) {
  if (!a.u(0)) return true;
  auto old = memory.find(a.u(0));
  if (old == memory.end() || !old->second.heap) return fail("free of something that malloc did not give");
  release(a.u(0));
  return true;
}

uint8_t* Interpreter::Impl::argument_bytes(const CallArgs& a, size_t k, uint64_t n, bool write) {
  uint8_t* p = at(a.u(k), n, write);
  if (!p) fail("an argument outside of every allocation");
  return p;
}

bool Interpreter::Impl::lib_bytes(std::string_view name, const CallArgs& a, Scalar& result) {
  uint64_t n = a.u(2);
  uint8_t* to = argument_bytes(a, 0, n, name != "memcmp" && name != "bcmp");
  if (!to) return false;
  result = a.u(0);
  if (name == "memset") {
    std::memset(to, int(a.u(1)), size_t(n));
    return true;
  }
  const uint8_t* from = argument_bytes(a, 1, n, false);
  if (!from) return false;
  if (name == "memcmp" || name == "bcmp") {
    int c = std::memcmp(to, from, size_t(n));
    result = Scalar(uint32_t(c < 0 ? -1 : c > 0));
  } else {
    std::memmove(to, from, size_t(n));
  }
  return true;
}

bool Interpreter::Impl::lib_memchr(std::string_view, const CallArgs& a, Scalar& result) {
  uint64_t n = a.u(2);
  for (uint64_t k = 0; k < n; k++) {
    const uint8_t* p = at(a.u(0) + k, 1, false);
    if (!p) return fail("an argument outside of every allocation");
    if (*p == uint8_t(a.u(1))) return result = a.u(0) + k, true;
  }
  return result = 0, true;
}

bool Interpreter::Impl::lib_strlen(std::string_view, const CallArgs& a, Scalar& result) {
  std::string s;
  if (!c_string(a.u(0), s)) return false;
  result = s.size();
  return true;
}

bool Interpreter::Impl::lib_compare(std::string_view name, const CallArgs& a, Scalar& result) {
  std::string s, s2;
  if (!c_string(a.u(0), s) || !c_string(a.u(1), s2)) return false;
  if (name == "strncmp") s.resize(std::min<size_t>(s.size(), a.u(2))), s2.resize(std::min<size_t>(s2.size(), a.u(2)));
  int c = s.compare(s2);
  result = Scalar(uint32_t(c < 0 ? -1 : c > 0));
  return true;
}

bool Interpreter::Impl::lib_copy(std::string_view name, const CallArgs& a, Scalar& result) {
  std::string s, s2;
  if (!c_string(a.u(1), s)) return false;
  uint64_t to = a.u(0);
  if (name == "strcat") {
    if (!c_string(a.u(0), s2)) return false;
    to += s2.size();
  }
  uint8_t* p = at(to, s.size() + 1, true);
  if (!p) return fail("write outside of every allocation");
  std::memcpy(p, s.c_str(), s.size() + 1);
  result = a.u(0);
  return true;
}

bool Interpreter::Impl::lib_strchr(std::string_view, const CallArgs& a, Scalar& result) {
  std::string s;
  if (!c_string(a.u(0), s)) return false;
  size_t at_char = uint8_t(a.u(1)) == 0 ? s.size() : s.find(char(a.u(1)));
  result = at_char == std::string::npos ? 0 : a.u(0) + at_char;
  return true;
}

bool Interpreter::Impl::lib_puts(std::string_view, const CallArgs& a, Scalar&) {
  std::string s;
  if (!c_string(a.u(0), s)) return false;
  output += s + "\n";
  return true;
}

bool Interpreter::Impl::lib_putchar(std::string_view, const CallArgs& a, Scalar& result) {
  output += char(a.u(0));
  result = uint8_t(a.u(0));
  return true;
}

bool Interpreter::Impl::lib_getchar(std::string_view, const CallArgs&, Scalar& result) {
  result = input_at < input.size() ? uint8_t(input[input_at++]) : 0xffffffffu;
  return true;
}

bool Interpreter::Impl::lib_printf(std::string_view, const CallArgs& a, Scalar& result) {
  size_t before = output.size();
  if (!print_format(a, 0, output)) return false;
  result = output.size() - before;
  return true;
}

bool Interpreter::Impl::lib_sprintf(std::string_view name, const CallArgs& a, Scalar& result) {
  std::string s;
  bool limited = name == "snprintf";
  if (!print_format(a, limited ? 2 : 1, s)) return false;
  result = s.size();
  size_t n = limited ? size_t(std::min<uint64_t>(s.size() + 1, a.u(1))) : s.size() + 1;
  if (n) {
    uint8_t* p = argument_bytes(a, 0, n, true);
    if (!p) return false;
    std::memcpy(p, s.c_str(), n);
    p[n - 1] = 0;
  }
  return true;
}

bool Interpreter::Impl::lib_abs(std::string_view name, const CallArgs& a, Scalar& result) {
  int64_t v = name == "abs" ? int32_t(a.u(0)) : int64_t(a.u(0));
  result = Scalar(uint64_t(v < 0 ? 0 - uint64_t(v) : uint64_t(v)));
  return true;
}

// Insertion sort: few elements, and the callback may do anything.
bool Interpreter::Impl::lib_qsort(std::string_view, const CallArgs& a, Scalar&) {
  uint64_t base = a.u(0), n = a.u(1), size = a.u(2), compare = a.u(3);
  if (!size || !n) return true;
  auto temp = allocate(size, 16);
  if (!temp.ok()) return fail(temp.error().text());
  for (uint64_t k = 1; k < n; k++) {
    uint8_t* item = at(base + k * size, size, true);
    if (!item) return fail("qsort outside of every allocation");
    std::memcpy(at(*temp, size, true), item, size_t(size));
    uint64_t j = k;
    for (; j > 0; j--) {
      std::vector<Scalar> r;
      if (!call_address(compare, {base + (j - 1) * size, *temp}, {T::ptr, T::ptr}, 2, T::i32, r)) return false;
      if (r.empty() || int32_t(r[0]) <= 0) break;
      uint8_t* to = at(base + j * size, size, true);
      const uint8_t* from = at(base + (j - 1) * size, size, false);
      if (!to || !from) return fail("qsort outside of every allocation");
      std::memcpy(to, from, size_t(size));
    }
    std::memcpy(at(base + j * size, size, true), at(*temp, size, false), size_t(size));
  }
  release(*temp);
  return true;
}

bool Interpreter::Impl::lib_atexit(std::string_view, const CallArgs& a, Scalar&) {
  at_exit.push_back(a.u(0));
  return true;
}

bool Interpreter::Impl::lib_exit(std::string_view, const CallArgs& a, Scalar&) {
  exit_status = int(uint32_t(a.u(0))) & 255;
  return fail("exit");
}

bool Interpreter::Impl::lib_abort(std::string_view name, const CallArgs&, Scalar&) { return fail(std::string(name)); }

bool Interpreter::Impl::lib_assert_fail(std::string_view, const CallArgs& a, Scalar&) {
  std::string s;
  c_string(a.u(0), s);
  return fail("assertion failed: " + s);
}

// libm by name: f64, with an f or l for the others.
bool Interpreter::Impl::lib_math(std::string_view name, const CallArgs& a, Scalar& result) {
  struct One { std::string_view name; double (*f)(double); };
  static const One ones[] = {{"sqrt", std::sqrt},   {"sin", std::sin},     {"cos", std::cos},   {"tan", std::tan},
                             {"exp", std::exp},     {"log", std::log},     {"log2", std::log2}, {"log10", std::log10},
                             {"fabs", std::fabs},   {"floor", std::floor}, {"ceil", std::ceil}, {"trunc", std::trunc},
                             {"round", std::round}, {"rint", std::rint},   {"atan", std::atan}};
  struct Two { std::string_view name; double (*f)(double, double); };
  static const Two twos[] = {{"pow", std::pow},   {"fmod", std::fmod}, {"atan2", std::atan2},
                             {"fmin", std::fmin}, {"fmax", std::fmax}, {"hypot", std::hypot}};
  auto f64 = [&](size_t k) { return k < a.args.size() ? float_value(module.types[a.types[k]].kind, a.args[k]) : 0.0; };
  auto math_name = [&](std::string_view base) {
    return name == base || (name.size() == base.size() + 1 && name.substr(0, base.size()) == base &&
                            (name.back() == 'f' || name.back() == 'l'));
  };
  if (a.types.empty()) return false;
  TypeKind t = module.types[a.types[0]].kind;
  for (const One& o : ones)
    if (math_name(o.name)) return result = float_scalar_of(t, o.f(f64(0))), true;
  for (const Two& o : twos)
    if (math_name(o.name)) return result = float_scalar_of(t, o.f(f64(0), f64(1))), true;
  return false;
}

bool Interpreter::Impl::library(std::string_view name, const CallArgs& a, Scalar& result, bool& known) {
  struct Row {
    std::string_view name;
    bool (Impl::*call)(std::string_view name, const CallArgs& a, Scalar& result);
  };
  static constexpr Row rows[] = {
      {"malloc", &Impl::lib_allocate},  {"calloc", &Impl::lib_allocate},
      {"realloc", &Impl::lib_allocate}, {"aligned_alloc", &Impl::lib_allocate},
      {"free", &Impl::lib_free},        {"memcpy", &Impl::lib_bytes},
      {"memmove", &Impl::lib_bytes},    {"memset", &Impl::lib_bytes},
      {"memcmp", &Impl::lib_bytes},     {"bcmp", &Impl::lib_bytes},
      {"memchr", &Impl::lib_memchr},    {"strlen", &Impl::lib_strlen},
      {"strcmp", &Impl::lib_compare},   {"strncmp", &Impl::lib_compare},
      {"strcpy", &Impl::lib_copy},      {"strcat", &Impl::lib_copy},
      {"strchr", &Impl::lib_strchr},    {"puts", &Impl::lib_puts},
      {"putchar", &Impl::lib_putchar},  {"putc", &Impl::lib_putchar},
      {"fputc", &Impl::lib_putchar},    {"getchar", &Impl::lib_getchar},
      {"printf", &Impl::lib_printf},    {"sprintf", &Impl::lib_sprintf},
      {"snprintf", &Impl::lib_sprintf}, {"abs", &Impl::lib_abs},
      {"labs", &Impl::lib_abs},         {"llabs", &Impl::lib_abs},
      {"qsort", &Impl::lib_qsort},      {"atexit", &Impl::lib_atexit},
      {"exit", &Impl::lib_exit},        {"_exit", &Impl::lib_exit},
      {"_Exit", &Impl::lib_exit},       {"abort", &Impl::lib_abort},
      {"__stack_chk_fail", &Impl::lib_abort},
      {"__assert_fail", &Impl::lib_assert_fail},
  };
  known = true;
  for (const Row& row : rows)
    if (row.name == name) return (this->*row.call)(name, a, result);
  known = lib_math(name, a, result);
  return true;
}

// ---- the runtime functions of legal code ----------------------------------------------------------------------------

// The __atomic_*_16 functions of libatomic; the last argument, a memory order, does not matter here.
bool Interpreter::Impl::runtime_atomic(RuntimeFunction f, const std::vector<Scalar>& args, Scalar& r) {
  using R = RuntimeFunction;
  auto a = [&](size_t k) { return k < args.size() ? args[k] : Scalar(0); };
  if (f == R::atomic_store_16) return store(T::i128, uint64_t(a(0)), &args[1]);
  if (f == R::atomic_compare_exchange_16) {
    Scalar have, expected;
    if (!load(T::i128, uint64_t(a(0)), &have) || !load(T::i128, uint64_t(a(1)), &expected)) return false;
    r = have == expected;
    return r ? store(T::i128, uint64_t(a(0)), &args[2]) : store(T::i128, uint64_t(a(1)), &have);
  }
  if (!load(T::i128, uint64_t(a(0)), &r)) return false;
  Scalar next_value = r;
  switch (f) {
    case R::atomic_exchange_16: next_value = a(1); break;
    case R::atomic_fetch_add_16: next_value = r + a(1); break;
    case R::atomic_fetch_sub_16: next_value = r - a(1); break;
    case R::atomic_fetch_and_16: next_value = r & a(1); break;
    case R::atomic_fetch_or_16: next_value = r | a(1); break;
    case R::atomic_fetch_xor_16: next_value = r ^ a(1); break;
    case R::atomic_fetch_nand_16: next_value = ~(r & a(1)); break;
    default: break;
  }
  return f == R::atomic_load_16 || store(T::i128, uint64_t(a(0)), &next_value);
}

// The operation that a function of libm is, by its name with the suffix of its type.
static std::optional<Op> math_operation(std::string_view name, TypeKind result) {
  static constexpr struct { std::string_view prefix; Op op;
  } math[] = {{"fmod", Op::frem},    {"fma", Op::fma},
              {"sqrt", Op::fsqrt},   {"fmin", Op::fminnum},
              {"fmax", Op::fmaxnum}, {"ceil", Op::fceil},
              {"floor", Op::ffloor}, {"trunc", Op::ftrunc},
              {"rint", Op::frint},   {"roundeven", Op::froundeven},
              {"round", Op::fround}};
  if (result < TypeKind::F32 || result > TypeKind::F128) return {};
  for (auto& m : math) {
    if (name.substr(0, m.prefix.size()) != m.prefix) continue;
    std::string_view rest = name.substr(m.prefix.size());
    if (rest.empty() || rest == "f" || rest == "l" || rest == "f128") return m.op;
  }
  return {};
}

bool Interpreter::Impl::runtime(RuntimeFunction f, const std::vector<Scalar>& leaves, std::vector<Scalar>& result) {
  const RuntimeFunctionInfo& row = info(f);
  const TypeTable& types = module.types;
  TypeId result_type = runtime_type(types, row.signature[0]);
  // From leaves to one scalar a parameter.
  LegalSignature signature;
  auto made = legal_signature(types, f, options.target, signature);
  if (!made.ok()) return fail(made.error().text());
  size_t next = 0;
  uint64_t memory_result = 0;
  auto leaf = [&] { return next < leaves.size() ? leaves[next++] : Scalar(0); };
  // A v128 or wider ABI leaf has several scalars here; runtime functions have none.
  if (signature.result_in_memory) memory_result = uint64_t(leaf());
  std::vector<Scalar> args;
  std::vector<TypeId> arg_types;
  for (const char* p = row.signature + 1; *p; p++) {
    Scalar v = leaf();
    bool pair = *p == 't' || (*p == 'q' && options.target.f128_as_pair);
    if (pair) v = (v & mask_of(64)) | leaf() << 64;
    if (*p == 'h' || *p == 'g') v &= 0xffff;
    args.push_back(v);
    arg_types.push_back(runtime_type(types, *p));
  }
  auto a = [&](size_t k) { return k < args.size() ? args[k] : Scalar(0); };
  auto kind = [&](size_t k) { return types[arg_types[k]].kind; };
  Scalar r = 0;
  const char* why = nullptr;
  using R = RuntimeFunction;
  auto fop = [&](Op op) { why = float_scalar(op, types[result_type].kind, a(0), a(1), a(2), r); };
  auto three_way = [&](bool greater_if_unordered) {
    TypeKind t = kind(0);
    if (float_compare(FloatPredicate::uno, t, a(0), a(1))) r = greater_if_unordered ? 1 : mask_of(32);
    else
      r = float_compare(FloatPredicate::oeq, t, a(0), a(1))   ? 0
          : float_compare(FloatPredicate::ogt, t, a(0), a(1)) ? 1
                                                              : mask_of(32);
  };
  switch (f) {
    case R::multi3: why = int_scalar(Op::mul, 128, a(0), a(1), 0, r); break;
    case R::divti3: why = int_scalar(Op::sdiv, 128, a(0), a(1), 0, r); break;
    case R::udivti3: why = int_scalar(Op::udiv, 128, a(0), a(1), 0, r); break;
    case R::modti3: why = int_scalar(Op::srem, 128, a(0), a(1), 0, r); break;
    case R::umodti3: why = int_scalar(Op::urem, 128, a(0), a(1), 0, r); break;
    case R::floattisf: case R::floattidf: case R::floattixf: case R::floattitf:
      r = int_to_float(128, true, types[result_type].kind, a(0)); break;
    case R::floatuntisf: case R::floatuntidf: case R::floatuntixf: case R::floatuntitf:
      r = int_to_float(128, false, types[result_type].kind, a(0)); break;
    case R::floatsitf: r = int_to_float(32, true, TypeKind::F128, a(0)); break;
    case R::floatditf: r = int_to_float(64, true, TypeKind::F128, a(0)); break;
    case R::floatunsitf: r = int_to_float(32, false, TypeKind::F128, a(0)); break;
    case R::floatunditf: r = int_to_float(64, false, TypeKind::F128, a(0)); break;
    case R::fixsfti: case R::fixdfti: case R::fixxfti:
    case R::fixtfti: r = float_to_int(kind(0), 128, true, false, a(0)); break;
    case R::fixunssfti: case R::fixunsdfti: case R::fixunsxfti:
    case R::fixunstfti: r = float_to_int(kind(0), 128, false, false, a(0)); break;
    case R::fixtfsi: r = float_to_int(TypeKind::F128, 32, true, false, a(0)); break;
    case R::fixtfdi: r = float_to_int(TypeKind::F128, 64, true, false, a(0)); break;
    case R::fixunstfsi: r = float_to_int(TypeKind::F128, 32, false, false, a(0)); break;
    case R::fixunstfdi: r = float_to_int(TypeKind::F128, 64, false, false, a(0)); break;
    case R::extendhfsf2: case R::truncsfhf2: case R::truncdfhf2: case R::truncxfhf2: case R::trunctfhf2:
    case R::truncsfbf2: case R::truncdfbf2: case R::truncxfbf2: case R::trunctfbf2: case R::extendsftf2:
    case R::extenddftf2: case R::extendxftf2: case R::trunctfsf2: case R::trunctfdf2: case R::trunctfxf2:
      r = float_convert(kind(0), types[result_type].kind, a(0)); break;
    case R::addtf3: fop(Op::fadd); break;
    case R::subtf3: fop(Op::fsub); break;
    case R::multf3: fop(Op::fmul); break;
    case R::divtf3: fop(Op::fdiv); break;
    case R::eqtf2: case R::netf2: case R::lttf2: case R::letf2: three_way(true); break;
    case R::gttf2: case R::getf2: three_way(false); break;
    case R::unordtf2: r = float_compare(FloatPredicate::uno, TypeKind::F128, a(0), a(1)); break;
    case R::atomic_load_16: case R::atomic_exchange_16: case R::atomic_fetch_add_16: case R::atomic_fetch_sub_16:
    case R::atomic_fetch_and_16: case R::atomic_fetch_or_16: case R::atomic_fetch_xor_16: case R::atomic_fetch_nand_16:
    case R::atomic_store_16: case R::atomic_compare_exchange_16:
      if (!runtime_atomic(f, args, r)) return false;
      break;
    default:
      // libm by its rows; the rest by name.
      if (auto op = math_operation(row.name, types[result_type].kind)) {
        fop(*op);
        break;
      }
      bool known;
      if (!library(row.name, {args, arg_types}, r, known)) return false;
      if (!known) return fail("call of " + std::string(row.name) + ", which the interpreter does not have");
  }
  if (why) return fail(why);
  result.clear();
  if (result_type == T::void_type) return true;
  if (signature.result_in_memory) return store(result_type, memory_result, &r);
  if (signature.results.size() == 2) {
    result.push_back(r & mask_of(64));
    result.push_back(r >> 64);
  } else {
    result.push_back(r);
  }
  return true;
}

}  // namespace lode::air
