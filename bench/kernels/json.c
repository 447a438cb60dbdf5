/* A JSON checker that counts values by kind: a hand-written state machine with recursion. */
#include <stddef.h>
struct State { const char *p, *end; int depth; unsigned count[7]; };
static int value(struct State *s);
static void space(struct State *s) { while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) s->p++; }
static int word(struct State *s, const char *w) { for (; *w; w++, s->p++) if (s->p == s->end || *s->p != *w) return 0; return 1; }
static int digits(struct State *s) { const char *b = s->p; while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++; return s->p > b; }
static int string(struct State *s) {
  for (s->p++; s->p < s->end; s->p++) {
    unsigned char c = (unsigned char)*s->p;
    if (c == '"') { s->p++; return 1; }
    if (c < 0x20) return 0;
    if (c != '\\') continue;
    if (++s->p == s->end) return 0;
    switch (*s->p) {
      case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't': break;
      case 'u':
        for (int i = 0; i < 4; i++) {
          if (++s->p == s->end) return 0;
          char h = *s->p;
          if (!((h >= '0' && h <= '9') || ((h | 32) >= 'a' && (h | 32) <= 'f'))) return 0;
        }
        break;
      default: return 0;
    }
  }
  return 0;
}
static int list(struct State *s, char close, int named) {
  if (++s->depth > 200) return 0;
  s->p++; space(s);
  if (s->p < s->end && *s->p == close) { s->p++; s->depth--; return 1; }
  for (;;) {
    if (named) {
      space(s);
      if (s->p == s->end || *s->p != '"' || !string(s)) return 0;
      space(s);
      if (s->p == s->end || *s->p++ != ':') return 0;
    }
    if (!value(s)) return 0;
    if (s->p == s->end) return 0;
    char c = *s->p++;
    if (c == close) { s->depth--; return 1; }
    if (c != ',') return 0;
  }
}
static int value(struct State *s) {
  space(s);
  if (s->p == s->end) return 0;
  int ok;
  switch (*s->p) {
    case '{': s->count[0]++; ok = list(s, '}', 1); break;
    case '[': s->count[1]++; ok = list(s, ']', 0); break;
    case '"': s->count[2]++; ok = string(s); break;
    case 't': s->count[3]++; ok = word(s, "true"); break;
    case 'f': s->count[4]++; ok = word(s, "false"); break;
    case 'n': s->count[5]++; ok = word(s, "null"); break;
    case '-': case '0' ... '9':
      s->count[6]++;
      if (*s->p == '-') s->p++;
      ok = digits(s);
      if (ok && s->p < s->end && *s->p == '.') { s->p++; ok = digits(s); }
      if (ok && s->p < s->end && (*s->p | 32) == 'e') { s->p++; if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++; ok = digits(s); }
      break;
    default: ok = 0;
  }
  space(s);
  return ok;
}
int check(const char *text, size_t n, unsigned *count) {
  struct State s = {text, text + n, 0, {0}};
  int ok = value(&s) && s.p == s.end;
  for (int i = 0; i < 7; i++) count[i] = s.count[i];
  return ok;
}
