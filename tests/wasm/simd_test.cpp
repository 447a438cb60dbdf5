// The operations of clang's wasm_simd128.h as bitcode: what they give is what clang's own code gives in the same
// engine.
#include <catch2/catch.hpp>

#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

const char* unary[] = {
    "i8x16_abs", "i16x8_abs", "i32x4_abs", "i64x2_abs", "i8x16_neg", "i8x16_popcnt", "i16x8_extadd_pairwise_i8x16",
    "u16x8_extadd_pairwise_u8x16", "i32x4_extadd_pairwise_i16x8", "u32x4_extadd_pairwise_u16x8",
    "i16x8_extend_low_i8x16", "u16x8_extend_high_u8x16", "i32x4_extend_high_i16x8",
    "u64x2_extend_low_u32x4", "v128_not", "f32x4_convert_i32x4", "f32x4_convert_u32x4", "f64x2_convert_low_i32x4"};
const char* binary[] = {
    "i8x16_swizzle", "u8x16_avgr", "u16x8_avgr", "i8x16_narrow_i16x8", "u8x16_narrow_i16x8", "i16x8_narrow_i32x4",
    "u16x8_narrow_i32x4", "i32x4_dot_i16x8", "i16x8_q15mulr_sat", "i8x16_add_sat", "u8x16_add_sat", "i16x8_add_sat",
    "u16x8_add_sat", "i8x16_sub_sat", "u8x16_sub_sat", "i16x8_sub_sat", "u16x8_sub_sat", "i8x16_min", "u8x16_max",
    "i16x8_max", "u16x8_min", "i32x4_min", "u32x4_max", "i16x8_extmul_low_i8x16", "u16x8_extmul_high_u8x16",
    "i32x4_extmul_low_i16x8", "u64x2_extmul_high_u32x4", "i8x16_eq", "u16x8_lt", "i64x2_ge", "v128_andnot"};
const char* scalar[] = {"v128_any_true", "i8x16_all_true", "i16x8_all_true", "i32x4_all_true", "i64x2_all_true",
                        "i8x16_bitmask", "i16x8_bitmask", "i32x4_bitmask", "i64x2_bitmask"};
const char* float_unary[] = {
    "f32x4_ceil", "f32x4_floor", "f32x4_trunc", "f32x4_nearest", "f64x2_ceil", "f64x2_floor", "f64x2_trunc",
    "f64x2_nearest", "f32x4_abs", "f64x2_neg", "i32x4_trunc_sat_f32x4", "u32x4_trunc_sat_f32x4",
    "i32x4_trunc_sat_f64x2_zero", "u32x4_trunc_sat_f64x2_zero", "f64x2_promote_low_f32x4", "f32x4_demote_f64x2_zero"};
const char* float_binary[] = {"f32x4_pmin", "f32x4_pmax", "f64x2_pmin", "f64x2_pmax", "f32x4_min",
                              "f32x4_max",  "f64x2_min",  "f64x2_max",  "f32x4_mul",  "f64x2_lt"};
const char* relaxed[] = {
    "wasm_i8x16_relaxed_swizzle(a,b)", "wasm_i32x4_relaxed_trunc_f32x4(a)", "wasm_u32x4_relaxed_trunc_f32x4(a)",
    "wasm_i32x4_relaxed_trunc_f64x2_zero(a)", "wasm_u32x4_relaxed_trunc_f64x2_zero(a)",
    "wasm_i8x16_relaxed_laneselect(a,b,c)", "wasm_i64x2_relaxed_laneselect(a,b,c)", "wasm_f32x4_relaxed_min(a,b)",
    "wasm_f64x2_relaxed_max(a,b)", "wasm_f32x4_relaxed_madd(a,b,c)", "wasm_f64x2_relaxed_nmadd(a,b,c)",
    "wasm_i16x8_relaxed_q15mulr(a,b)",
    "wasm_i16x8_relaxed_dot_i8x16_i7x16(a,b)", "wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a,b,c)"};

// Every operation on several inputs; each call of run() gives the hash of one operation's results.
std::string program() {
  std::string calls,
      s = "#include <wasm_simd128.h>\n"
          "static unsigned seed; static unsigned next(void){ return seed = seed*1664525u+1013904223u; }\n"
          "static unsigned hash; static void out(v128_t v){ unsigned w[4]; wasm_v128_store(w,v); for(int i=0;i<4;i++) "
          "hash=hash*31+(w[i]^w[i]>>16); }\n"
          "static v128_t bits(void){ unsigned w[4]; for(int i=0;i<4;i++){ unsigned r=next(); "
          "w[i]=r%5==0?0:r%5==1?0xffffffffu:r%5==2?0x80007fffu^(r>>20):next()^r>>16; } return wasm_v128_load(w); }\n"
          "static v128_t singles(void){ float w[4]; for(int i=0;i<4;i++) "
          "w[i]=((int)next()>>8)/(float)(1<<(next()>>28)); return wasm_v128_load(w); }\n"
          "static v128_t doubles(void){ double w[2]; for(int i=0;i<2;i++) w[i]=(double)(int)next()*(next()>>16)/3; "
          "return wasm_v128_load(w); }\n";
  int n = 0;
  auto add = [&](const std::string& input, const std::string& body) {
    s += "static void op" + std::to_string(n) + "(void){ v128_t a=" + input + ",b=" + input + ",c=" + input +
         "; (void)b; (void)c; " + body + " }\n";
    calls += "case " + std::to_string(n) + ": op" + std::to_string(n) + "(); break; ";
    n++;
  };
  auto value = [](const std::string& call) { return "out(" + call + ");"; };
  for (const char* f : unary) add("bits()", value(std::string("wasm_") + f + "(a)"));
  for (const char* f : binary) add("bits()", value(std::string("wasm_") + f + "(a,b)"));
  for (const char* f : scalar)
    add("bits()", "hash=hash*31+(unsigned)wasm_" + std::string(f) + "(a); hash=hash*31+(unsigned)wasm_" + f +
                      "(wasm_v128_or(a,wasm_i8x16_splat(1)));");
  for (const char* f : float_unary)
    add(std::string(f).find("f64x2") != std::string::npos && std::string(f).find("promote") == std::string::npos
            ? "doubles()"
            : "singles()",
        value(std::string("wasm_") + f + "(a)"));
  for (const char* f : float_binary)
    add(std::string(f).find("f64x2") != std::string::npos ? "doubles()" : "singles()",
        value(std::string("wasm_") + f + "(a,b)"));
  add("bits()", value("wasm_v128_bitselect(a,b,c)"));
  add("bits()", value("wasm_i8x16_shuffle(a,b,0,17,2,31,4,4,30,15,8,9,10,27,12,13,16,1)"));
  add("bits()", value("wasm_i16x8_shuffle(a,b,7,8,0,15,3,12,1,9)"));
  add("bits()", value("wasm_i32x4_shuffle(a,b,3,2,5,0)"));
  add("bits()", value("wasm_i64x2_shuffle(a,b,1,2)"));
  s += "unsigned run(int n){ hash=1; seed=n; for(int i=0;i<40;i++) switch(n){ " + calls +
       "} return hash; }\nint count(void){ return " + std::to_string(n) + "; }\n";
  return s;
}

}  // namespace

TEST_CASE("wasm vectors: the operations of wasm_simd128.h, as bitcode") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  for (const char* level : {"-O0", "-O2"}) {
    std::string native = p.compile("v.c", program(), {level, "-msimd128"});
    REQUIRE(p.wasm_ld({"--no-entry", "--export=run", "--export=count", native}, "theirs.wasm").ok());
    std::string bitcode = p.compile("v.c", program(), {level, "-msimd128", "-emit-llvm"});
    RunResult r = p.lode({"--no-entry", "--export=run", "--export=count", bitcode}, "ours.wasm");
    INFO(r.describe());
    REQUIRE(r.ok());
    const char* all = "(()=>{let s='';for(let i=0;i<e.count();i++)s+=i+':'+(e.run(i)>>>0)+' ';return s})()";
    CHECK(node(p.bytes("ours.wasm"), all) == node(p.bytes("theirs.wasm"), all));
  }
}

TEST_CASE("wasm vectors: relaxed operations give one of the results that they may") {
  LODE_SKIP_IF(project_lacks());
  Project p;
  std::string s = "#include <wasm_simd128.h>\n";
  int n = 0;
  for (const char* call : relaxed)
    s += "void f" + std::to_string(n++) + "(v128_t*r,v128_t a,v128_t b,v128_t c){ *r=" + call + "; }\n";
  s += "int shown(void){ v128_t r; "
       "f0(&r,wasm_i8x16_const_splat(7),wasm_i8x16_const_splat(3),wasm_i8x16_const_splat(0)); int "
       "h=wasm_i8x16_extract_lane(r,5);"
       " f9(&r,wasm_f32x4_const_splat(3),wasm_f32x4_const_splat(5),wasm_f32x4_const_splat(1)); "
       "h=h*100+(int)wasm_f32x4_extract_lane(r,1);"
       " f10(&r,wasm_f64x2_const_splat(3),wasm_f64x2_const_splat(5),wasm_f64x2_const_splat(20)); "
       "h=h*100+(int)wasm_f64x2_extract_lane(r,1);"
       " f13(&r,wasm_i8x16_const_splat(-2),wasm_i8x16_const_splat(3),wasm_i32x4_const_splat(50)); return "
       "h*100+wasm_i32x4_extract_lane(r,2); }\n";
  std::string bitcode = p.compile("v.c", s, {"-O1", "-msimd128", "-mrelaxed-simd", "-emit-llvm"});
  RunResult r = p.lode({"--no-entry", "--export=shown", "--no-gc-sections", bitcode}, "ours.wasm");
  INFO(r.describe());
  REQUIRE(r.ok());
  CHECK(node(p.bytes("ours.wasm"), "e.shown()") == "7160526\n");
}
