/* A stack machine's interpreter: a large switch in a loop, values in memory. */
#include <stdint.h>
enum { PUSH, ADD, SUB, MUL, DIV, MOD, AND, OR, XOR, SHL, SHR, LESS, EQUAL, NOT, JUMP, BRANCH, LOAD, STORE, DUP, SWAP, DROP, CALL, RETURN, HALT };
int64_t interpret(const int32_t *code, int64_t *memory, int64_t *stack, long budget) {
  int64_t *sp = stack;
  const int32_t *frames[64];
  int depth = 0;
  const int32_t *pc = code;
  while (budget-- > 0) {
    switch (*pc++) {
      case PUSH: *sp++ = *pc++; break;
      case ADD: sp--; sp[-1] += sp[0]; break;
      case SUB: sp--; sp[-1] -= sp[0]; break;
      case MUL: sp--; sp[-1] *= sp[0]; break;
      case DIV: sp--; if (!sp[0]) return -1; sp[-1] /= sp[0]; break;
      case MOD: sp--; if (!sp[0]) return -1; sp[-1] %= sp[0]; break;
      case AND: sp--; sp[-1] &= sp[0]; break;
      case OR: sp--; sp[-1] |= sp[0]; break;
      case XOR: sp--; sp[-1] ^= sp[0]; break;
      case SHL: sp--; sp[-1] = (int64_t)((uint64_t)sp[-1] << (sp[0] & 63)); break;
      case SHR: sp--; sp[-1] >>= sp[0] & 63; break;
      case LESS: sp--; sp[-1] = sp[-1] < sp[0]; break;
      case EQUAL: sp--; sp[-1] = sp[-1] == sp[0]; break;
      case NOT: sp[-1] = !sp[-1]; break;
      case JUMP: pc = code + *pc; break;
      case BRANCH: pc = *--sp ? code + *pc : pc + 1; break;
      case LOAD: sp[-1] = memory[sp[-1] & 1023]; break;
      case STORE: sp -= 2; memory[sp[1] & 1023] = sp[0]; break;
      case DUP: *sp = sp[-1]; sp++; break;
      case SWAP: { int64_t t = sp[-1]; sp[-1] = sp[-2]; sp[-2] = t; break; }
      case DROP: sp--; break;
      case CALL: if (depth == 64) return -2; frames[depth++] = pc + 1; pc = code + *pc; break;
      case RETURN: if (!depth) return sp[-1]; pc = frames[--depth]; break;
      case HALT: return sp[-1];
      default: return -3;
    }
  }
  return -4;
}
