/* Conway's game on a torus, byte per cell and by bits; and flood fill with a queue. */
#include <stdint.h>
void step(uint8_t *next, const uint8_t *now, int w, int h) {
  for (int y = 0; y < h; y++) {
    const uint8_t *up = now + (y ? y - 1 : h - 1) * w, *row = now + y * w, *down = now + (y + 1 < h ? y + 1 : 0) * w;
    for (int x = 0; x < w; x++) {
      int l = x ? x - 1 : w - 1, r = x + 1 < w ? x + 1 : 0;
      int n = up[l] + up[x] + up[r] + row[l] + row[r] + down[l] + down[x] + down[r];
      next[y * w + x] = n == 3 || (n == 2 && row[x]);
    }
  }
}
uint64_t step_row(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t v[8] = {a << 1 | a >> 63, a, a >> 1 | a << 63, b << 1 | b >> 63, b >> 1 | b << 63, c << 1 | c >> 63, c, c >> 1 | c << 63};
  uint64_t ones = 0, twos = 0, fours = 0;
  for (int i = 0; i < 8; i++) { uint64_t t = ones & v[i]; ones ^= v[i]; uint64_t u = twos & t; twos ^= t; fours |= u; }
  return twos & ~fours & (ones | b);
}
int flood(uint8_t *g, int w, int h, int x, int y, uint8_t to, int *queue) {
  uint8_t from = g[y * w + x];
  if (from == to) return 0;
  int head = 0, tail = 0;
  queue[tail++] = y * w + x;
  g[y * w + x] = to;
  while (head < tail) {
    int at = queue[head++], cx = at % w, cy = at / w;
    static const int8_t dx[] = {1, -1, 0, 0}, dy[] = {0, 0, 1, -1};
    for (int d = 0; d < 4; d++) {
      int nx = cx + dx[d], ny = cy + dy[d];
      if (nx < 0 || ny < 0 || nx >= w || ny >= h || g[ny * w + nx] != from) continue;
      g[ny * w + nx] = to;
      queue[tail++] = ny * w + nx;
    }
  }
  return tail;
}
