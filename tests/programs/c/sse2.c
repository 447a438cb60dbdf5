/* Every intrinsic of <emmintrin.h> and <xmmintrin.h>, more or less. The hash is that of clang's own build. */
#ifdef __x86_64__
#include <emmintrin.h>
#include <stdio.h>
#include <string.h>
#include <stdarg.h>
#define NI __attribute__((noinline))
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
#define TI(f,i) P(#f,f(a,i));
__m128i ga,gb; __m128 gf,gg; __m128d gd,ge;
int main(){
 for(int k=0;k<16;k++){ ((unsigned char*)&ga)[k]=k*37+11; ((unsigned char*)&gb)[k]=k*91+200; }
 gf=_mm_set_ps(1.5f,-2.25f,1e10f,-0.0f); gg=_mm_set_ps(3.5f,-2.25f,-1e-3f,7); gd=_mm_set_pd(1.75,-3e9); ge=_mm_set_pd(-2.5,8);
 __m128i a=ga,b=gb;
 T(_mm_add_epi8)T(_mm_add_epi16)T(_mm_add_epi32)T(_mm_add_epi64)T(_mm_adds_epi8)T(_mm_adds_epi16)T(_mm_adds_epu8)T(_mm_adds_epu16)T(_mm_avg_epu8)T(_mm_avg_epu16)T(_mm_madd_epi16)T(_mm_max_epi16)T(_mm_max_epu8)T(_mm_min_epi16)T(_mm_min_epu8)T(_mm_mulhi_epi16)T(_mm_mulhi_epu16)T(_mm_mullo_epi16)T(_mm_mul_epu32)T(_mm_sad_epu8)T(_mm_sub_epi8)T(_mm_sub_epi16)T(_mm_sub_epi32)T(_mm_sub_epi64)T(_mm_subs_epi8)T(_mm_subs_epi16)T(_mm_subs_epu8)T(_mm_subs_epu16)T(_mm_and_si128)T(_mm_andnot_si128)T(_mm_or_si128)T(_mm_xor_si128)
 T(_mm_cmpeq_epi8)T(_mm_cmpeq_epi16)T(_mm_cmpeq_epi32)T(_mm_cmpgt_epi8)T(_mm_cmpgt_epi16)T(_mm_cmpgt_epi32)T(_mm_cmplt_epi8)T(_mm_cmplt_epi32)
 T(_mm_packs_epi16)T(_mm_packs_epi32)T(_mm_packus_epi16)T(_mm_unpackhi_epi8)T(_mm_unpackhi_epi16)T(_mm_unpackhi_epi32)T(_mm_unpackhi_epi64)T(_mm_unpacklo_epi8)T(_mm_unpacklo_epi16)T(_mm_unpacklo_epi32)T(_mm_unpacklo_epi64)
 TI(_mm_slli_epi16,3)TI(_mm_slli_epi32,7)TI(_mm_slli_epi64,33)TI(_mm_srli_epi16,3)TI(_mm_srli_epi32,9)TI(_mm_srli_epi64,40)TI(_mm_srai_epi16,5)TI(_mm_srai_epi32,11)TI(_mm_slli_si128,5)TI(_mm_srli_si128,3)TI(_mm_slli_epi32,40)TI(_mm_srai_epi32,77)
 __m128i n=_mm_cvtsi32_si128(5); P("sll",_mm_sll_epi16(a,n));P("sll",_mm_sll_epi32(a,n));P("sll",_mm_sll_epi64(a,n));P("srl",_mm_srl_epi16(a,n));P("srl",_mm_srl_epi32(a,n));P("srl",_mm_srl_epi64(a,n));P("sra",_mm_sra_epi16(a,n));P("sra",_mm_sra_epi32(a,n));
 P("shuf",_mm_shuffle_epi32(a,0x1b));P("shufl",_mm_shufflelo_epi16(a,0x1b));P("shufh",_mm_shufflehi_epi16(a,0x4e)); P("ins",_mm_insert_epi16(a,77,3)); note("%d %d\n",_mm_extract_epi16(a,5),_mm_movemask_epi8(a));
 P("set1",_mm_set1_epi8(7));P("set",_mm_set_epi16(1,2,3,4,5,6,7,8)); P("mov",_mm_move_epi64(a)); P("ld",_mm_loadl_epi64((__m128i*)&ga)); note("%lld %d\n",_mm_cvtsi128_si64(a),_mm_cvtsi128_si32(b));
 { char buf[32]; memset(buf,0,32); _mm_maskmoveu_si128(a,b,buf); P("maskmov",_mm_loadu_si128((void*)buf)); _mm_stream_si128((void*)&ga,a); _mm_storel_epi64((void*)buf,b); P("st",_mm_loadu_si128((void*)buf)); }
 __m128 f=gf,g=gg; 
#define TF(x) F(#x,x(f,g)); 
 TF(_mm_add_ps)TF(_mm_sub_ps)TF(_mm_mul_ps)TF(_mm_div_ps)TF(_mm_min_ps)TF(_mm_max_ps)TF(_mm_and_ps)TF(_mm_andnot_ps)TF(_mm_or_ps)TF(_mm_xor_ps)TF(_mm_cmpeq_ps)TF(_mm_cmplt_ps)TF(_mm_cmple_ps)TF(_mm_cmpgt_ps)TF(_mm_cmpge_ps)TF(_mm_cmpneq_ps)TF(_mm_cmpnlt_ps)TF(_mm_cmpord_ps)TF(_mm_cmpunord_ps)TF(_mm_unpackhi_ps)TF(_mm_unpacklo_ps)TF(_mm_movehl_ps)TF(_mm_movelh_ps)TF(_mm_move_ss)
 TF(_mm_add_ss)TF(_mm_sub_ss)TF(_mm_mul_ss)TF(_mm_div_ss)TF(_mm_min_ss)TF(_mm_max_ss)TF(_mm_cmplt_ss)TF(_mm_cmpeq_ss)TF(_mm_cmpnle_ss)
 F("sqrt",_mm_sqrt_ps(_mm_max_ps(f,g)));F("sqrtss",_mm_sqrt_ss(g));F("shuf",_mm_shuffle_ps(f,g,0x4b)); note("%d\n",_mm_movemask_ps(f)); note("%d %d %d %d %lld\n",_mm_comilt_ss(f,g),_mm_ucomieq_ss(f,g),_mm_cvtss_si32(g),_mm_cvttss_si32(g),_mm_cvtss_si64(g)); F("cvt",_mm_cvtsi32_ss(f,77));F("cvt",_mm_cvtsi64_ss(f,77777777777));
 F("rcp",_mm_cmplt_ps(_mm_sub_ps(_mm_mul_ps(_mm_rcp_ps(g),g),_mm_set1_ps(1)),_mm_set1_ps(0.01f)));F("rsqrt",_mm_cmplt_ps(_mm_rsqrt_ps(_mm_set1_ps(4)),_mm_set1_ps(0.6f)));
 P("cvt",_mm_cvtps_epi32(g));P("cvtt",_mm_cvttps_epi32(g));F("dq2ps",_mm_cvtepi32_ps(a)); D("dq2pd",_mm_cvtepi32_pd(a)); D("ps2pd",_mm_cvtps_pd(f)); F("pd2ps",_mm_cvtpd_ps(gd)); P("pd2dq",_mm_cvtpd_epi32(ge)); P("tpd2dq",_mm_cvttpd_epi32(ge));
 __m128d d=gd,e=ge;
#define TD(x) D(#x,x(d,e)); D(#x,x(e,d));
 TD(_mm_add_pd)TD(_mm_sub_pd)TD(_mm_mul_pd)TD(_mm_div_pd)TD(_mm_min_pd)TD(_mm_max_pd)TD(_mm_and_pd)TD(_mm_andnot_pd)TD(_mm_cmplt_pd)TD(_mm_cmpneq_pd)TD(_mm_cmpeq_sd)TD(_mm_cmplt_sd)TD(_mm_add_sd)TD(_mm_sub_sd)TD(_mm_mul_sd)TD(_mm_div_sd)TD(_mm_min_sd)TD(_mm_max_sd)TD(_mm_unpackhi_pd)TD(_mm_unpacklo_pd)TD(_mm_move_sd)TD(_mm_sqrt_sd)
 D("sqrt",_mm_sqrt_pd(_mm_max_pd(d,e))); note("%d %d %d %lld %lld %d\n",_mm_movemask_pd(d),_mm_comige_sd(d,e),_mm_cvtsd_si32(e),_mm_cvtsd_si64(d),_mm_cvttsd_si64(d),_mm_ucomilt_sd(d,e)); D("shuf",_mm_shuffle_pd(d,e,1)); F("sd2ss",_mm_cvtsd_ss(f,d)); D("ss2sd",_mm_cvtss_sd(d,f)); D("si2sd",_mm_cvtsi32_sd(d,-5));
 _mm_sfence();_mm_mfence();_mm_lfence();_mm_pause(); unsigned cs=_mm_getcsr(); _mm_setcsr(cs); _mm_prefetch((char*)&ga,_MM_HINT_T0); _mm_clflush(&ga); note("%x\n",cs&0xffc0);
 _mm_stream_si32((int*)&ga,5); _mm_stream_pd((double*)&gd,e); _mm_stream_ps((float*)&gf,g); P("ga",ga); D("gd",gd);
  if (hash != 0x2817c3009043466dul) printf("hash %#lx\n", hash);
  return hash != 0x2817c3009043466dul;
}
#else
int main(void) { return 0; }
#endif
