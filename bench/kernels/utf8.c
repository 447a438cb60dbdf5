/* UTF-8: checked decoding, encoding, counting, case of Latin letters. */
#include <stddef.h>
#include <stdint.h>
int decode(const uint8_t *p, size_t n, uint32_t *out) {
  if (!n) return 0;
  uint32_t c = p[0];
  if (c < 0x80) { *out = c; return 1; }
  int len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
  if (!len || c > 0xf4 || n < (size_t)len) return -1;
  c &= 0xff >> (len + 1);
  for (int i = 1; i < len; i++) { if ((p[i] & 0xc0) != 0x80) return -1; c = c << 6 | (p[i] & 0x3f); }
  if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (len == 4 && (c < 0x10000 || c > 0x10ffff))) return -1;
  *out = c;
  return len;
}
int encode(uint8_t *p, uint32_t c) {
  if (c < 0x80) { p[0] = (uint8_t)c; return 1; }
  if (c < 0x800) { p[0] = (uint8_t)(0xc0 | c >> 6); p[1] = (uint8_t)(0x80 | (c & 63)); return 2; }
  if (c < 0x10000) { p[0] = (uint8_t)(0xe0 | c >> 12); p[1] = (uint8_t)(0x80 | (c >> 6 & 63)); p[2] = (uint8_t)(0x80 | (c & 63)); return 3; }
  p[0] = (uint8_t)(0xf0 | c >> 18); p[1] = (uint8_t)(0x80 | (c >> 12 & 63)); p[2] = (uint8_t)(0x80 | (c >> 6 & 63)); p[3] = (uint8_t)(0x80 | (c & 63));
  return 4;
}
size_t upper(uint8_t *out, const uint8_t *in, size_t n, size_t *bad) {
  uint8_t *o = out;
  size_t errors = 0;
  while (n) {
    uint32_t c;
    int k = decode(in, n, &c);
    if (k < 0) { c = 0xfffd; k = 1; errors++; }
    switch (c) {
      case 'a' ... 'z': case 0xe0 ... 0xf6: case 0xf8 ... 0xfe: c -= 32; break;
      case 0x3b1 ... 0x3c1: case 0x3c3 ... 0x3c9: case 0x430 ... 0x44f: c -= 32; break;
      case 0xff: c = 0x178; break;
      case 0x101 ... 0x137: if (c & 1) c--; break;
    }
    o += encode(o, c);
    in += k; n -= (size_t)k;
  }
  *bad = errors;
  return (size_t)(o - out);
}
