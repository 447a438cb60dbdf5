/* Intrinsics of SSE3 to SSE4.2, AES, CLMUL and BMI. The hash is that of clang's own build. */
#ifdef __x86_64__
#include <immintrin.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
static unsigned long hash = 5381;
static void note(const char *format, ...) {
  char text[400];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  for (const char *p = text; *p; p++) hash = hash * 33 + (unsigned char)*p;
}
static void P(const char*n,__m128i v){ unsigned char c[16]; memcpy(c,&v,16); note("%s ",n); for(int i=16;i--;)note("%02x",c[i]); note("\n"); }
static void F(const char*n,__m128 v){ __m128i x; memcpy(&x,&v,16); P(n,x);} static void D(const char*n,__m128d v){ __m128i x; memcpy(&x,&v,16); P(n,x);}
#define T(f) P(#f,f(a,b)); P(#f,f(b,a));
#define T1(f) P(#f,f(a)); P(#f,f(b));
__m128i ga,gb; __m128 gf,gg; __m128d gd,ge;
__attribute__((target("sse4.2,pclmul,aes,bmi,bmi2,lzcnt,popcnt,sha"))) static void all(void) {
 for(int k=0;k<16;k++){ ((unsigned char*)&ga)[k]=k*37+11; ((unsigned char*)&gb)[k]=k*91+200; }
 gf=_mm_set_ps(1.5f,-2.25f,1e10f,-0.0f); gg=_mm_set_ps(3.5f,-2.25f,-1e-3f,7); gd=_mm_set_pd(1.75,-3e9); ge=_mm_set_pd(-2.5,8);
 __m128i a=ga,b=gb; __m128 f=gf,g=gg; __m128d d=gd,e=ge;
 T(_mm_shuffle_epi8)T(_mm_hadd_epi16)T(_mm_hadd_epi32)T(_mm_hsub_epi16)T(_mm_hadds_epi16)T(_mm_hsubs_epi16)T(_mm_maddubs_epi16)T(_mm_mulhrs_epi16)T(_mm_sign_epi8)T(_mm_sign_epi16)T(_mm_sign_epi32) T1(_mm_abs_epi8)T1(_mm_abs_epi16)T1(_mm_abs_epi32) P("alignr",_mm_alignr_epi8(a,b,5));
 T(_mm_min_epi8)T(_mm_max_epi8)T(_mm_min_epu16)T(_mm_max_epu16)T(_mm_min_epi32)T(_mm_max_epi32)T(_mm_min_epu32)T(_mm_max_epu32)T(_mm_mullo_epi32)T(_mm_mul_epi32)T(_mm_packus_epi32)T(_mm_cmpeq_epi64)T(_mm_cmpgt_epi64)
 T1(_mm_cvtepi8_epi16)T1(_mm_cvtepi8_epi32)T1(_mm_cvtepi8_epi64)T1(_mm_cvtepi16_epi32)T1(_mm_cvtepu8_epi16)T1(_mm_cvtepu16_epi32)T1(_mm_cvtepu32_epi64)T1(_mm_minpos_epu16)
 P("blendv",_mm_blendv_epi8(a,b,_mm_slli_epi16(a,3)));P("blend16",_mm_blend_epi16(a,b,0x5a));F("blendps",_mm_blend_ps(f,g,5));F("blendvps",_mm_blendv_ps(f,g,g));D("blendvpd",_mm_blendv_pd(d,e,d));
 F("round",_mm_round_ps(f,_MM_FROUND_TO_NEAREST_INT));F("floor",_mm_floor_ps(f));D("ceil",_mm_ceil_pd(d));F("roundss",_mm_round_ss(f,g,3|8)); D("trunc",_mm_round_pd(d,3)); F("dp",_mm_dp_ps(f,g,0xf1)); D("dppd",_mm_dp_pd(d,e,0x31)); P("mpsad",_mm_mpsadbw_epu8(a,b,5)); F("ins",_mm_insert_ps(f,g,0x9c));
 note("%d %d %d\n",_mm_testz_si128(a,b),_mm_testc_si128(a,b),_mm_testnzc_si128(a,b)); note("%d %d %lld\n",_mm_extract_epi8(a,3),_mm_extract_epi32(a,2),_mm_extract_epi64(a,1)); P("insb",_mm_insert_epi8(a,5,9));P("insq",_mm_insert_epi64(a,5,1));
 F("hadd",_mm_hadd_ps(f,g));D("hadd",_mm_hadd_pd(d,e));F("hsub",_mm_hsub_ps(f,g));F("addsub",_mm_addsub_ps(f,g));D("addsub",_mm_addsub_pd(d,e));F("mvdup",_mm_movehdup_ps(f));P("lddqu",_mm_lddqu_si128(&ga)); P("ntl",_mm_stream_load_si128(&ga));
 note("%u %u %u %llu\n",_mm_crc32_u8(1,2),_mm_crc32_u16(1,2),_mm_crc32_u32(1,2),_mm_crc32_u64(1,2)); 
 note("%d %d %d\n",_mm_cmpistri(a,b,0),_mm_cmpestri(a,5,b,6,4),_mm_cmpistrz(a,b,0)); P("cmpistrm",_mm_cmpistrm(a,b,0));
 P("clmul",_mm_clmulepi64_si128(a,b,0x10)); T(_mm_aesenc_si128)T(_mm_aesenclast_si128)T(_mm_aesdec_si128)T(_mm_aesdeclast_si128) T1(_mm_aesimc_si128) P("kg",_mm_aeskeygenassist_si128(a,7));
 note("%u %u %u %d %llu %u %u\n",_bextr_u32(0x12345678,4,8),_blsi_u32(12),_pext_u32(0x12345678,0xff00fff0),__builtin_popcount(77),_pdep_u64(0x1234,0xf0f0f0f0f0f0),_lzcnt_u32(5),_tzcnt_u32(8));
}
int main(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("bmi2")) return 0;
  all();
  if (hash != 0xabc34a8a58e06f30ul) printf("hash %#lx\n", hash);
  return hash != 0xabc34a8a58e06f30ul;
}
#else
int main(void) { return 0; }
#endif
