/* SHA-256 and CRC-32: rotations, tables, loops over words. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static uint32_t k[64]; static uint32_t ror(uint32_t v, int n) { return v >> n | v << (32 - n); }
static void block(uint32_t *h, const uint8_t *p) { uint32_t w[64]; for (int i = 0; i < 16; i++) w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
  for (int i = 16; i < 64; i++) w[i] = w[i - 16] + w[i - 7] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
  uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], x = h[7];
  for (int i = 0; i < 64; i++) { uint32_t t = x + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i], u = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)); x = g; g = f; f = e; e = d + t; d = c; c = b; b = a; a = t + u; }
  h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += x; }
static uint32_t root(int p, int cube) { long double lo = 1, hi = 8; if (!cube) hi = 20; for (int i = 0; i < 200; i++) { long double m = (lo + hi) / 2; if ((cube ? m * m * m : m * m) <= p) lo = m; else hi = m; } return (uint32_t)((lo - (int)lo) * 4294967296.0L); }
int main(void) {
  uint32_t h[8]; int n = 0; for (int p = 2; n < 64; p++) { int prime = 1; for (int i = 2; i * i <= p; i++) prime &= p % i != 0; if (prime) { if (n < 8) h[n] = root(p, 0); k[n++] = root(p, 1); } }
  uint8_t m[64] = "abc"; m[3] = 0x80; m[63] = 24; block(h, m); char out[65]; for (int i = 0; i < 8; i++) sprintf(out + 8 * i, "%08x", h[i]); puts(out);
  uint32_t table[256], crc = ~0u; for (uint32_t i = 0; i < 256; i++) { uint32_t c = i; for (int j = 0; j < 8; j++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1; table[i] = c; } for (const char *s = "123456789"; *s; s++) crc = table[(crc ^ *s) & 255] ^ crc >> 8;
  return ~crc == 0xcbf43926 && !strcmp(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") ? 0 : 1;
}
