/* A small LZ77 packer and unpacker in the manner of byte-oriented formats. */
#include <stdint.h>
#include <stddef.h>
static uint32_t table[4096];
size_t pack(uint8_t *out, const uint8_t *in, size_t n) {
  uint8_t *o = out;
  size_t i = 0, literal = 0;
  while (i + 4 < n) {
    uint32_t v = in[i] | in[i + 1] << 8 | in[i + 2] << 16 | (uint32_t)in[i + 3] << 24;
    uint32_t h = v * 2654435761u >> 20;
    size_t m = table[h];
    table[h] = (uint32_t)i;
    if (m < i && i - m < 65535 && in[m] == in[i] && in[m + 1] == in[i + 1] && in[m + 2] == in[i + 2] && in[m + 3] == in[i + 3]) {
      size_t len = 4;
      while (i + len < n && len < 255 && in[m + len] == in[i + len]) len++;
      *o++ = (uint8_t)(i - literal);
      for (size_t k = literal; k < i; k++) *o++ = in[k];
      *o++ = (uint8_t)len; *o++ = (uint8_t)(i - m); *o++ = (uint8_t)((i - m) >> 8);
      i += len; literal = i;
    } else if (++i - literal == 255) {
      *o++ = 255;
      for (size_t k = literal; k < i; k++) *o++ = in[k];
      *o++ = 0; *o++ = 0; *o++ = 0;
      literal = i;
    }
  }
  *o++ = (uint8_t)(n - literal);
  for (size_t k = literal; k < n; k++) *o++ = in[k];
  return (size_t)(o - out);
}
size_t unpack(uint8_t *out, const uint8_t *in, size_t n) {
  const uint8_t *end = in + n;
  uint8_t *o = out;
  for (;;) {
    for (int k = *in++; k; k--) *o++ = *in++;
    if (in >= end) return (size_t)(o - out);
    int len = *in++, back = in[0] | in[1] << 8;
    in += 2;
    while (len--) { *o = o[-back]; o++; }
  }
}
