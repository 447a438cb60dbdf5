// The instruction table as an array, and the MIR builder.
//
// The builder keeps the two invariants that matter for the store: a reference stands once a function (so that an
// instruction that names a symbol costs five bytes, not seventeen), and unused bits are zero.
#include "codegen/wasm/mir.h"

#include <array>
#include <cstring>

#include "base/bytes.h"

namespace lode::wasm {

namespace {

constexpr std::array<OpInfo, op_limit> make_table() {
  std::array<OpInfo, op_limit> t{};
  size_t at = 0;
#define WASM_OP(id, name, prefix, opcode, immediate, signature, feature)                                     \
  t[unsigned(Op::id)] = OpInfo{uint16_t(at), uint16_t(at + sizeof name), opcode, prefix, Immediate::immediate, \
                               Feature::feature};                                                            \
  at += sizeof name + sizeof signature;
#include "codegen/wasm/instructions.def"
#undef WASM_OP
  return t;
}

}  // namespace

const char op_text[] =
#define WASM_OP(id, name, prefix, opcode, immediate, signature, feature) name "\0" signature "\0"
#include "codegen/wasm/instructions.def"
#undef WASM_OP
    ;
static_assert(sizeof op_text <= 0x10000);

constinit const std::array<OpInfo, op_limit> op_table = make_table();

const char* feature_name(Feature f) {
  static constexpr const char* names[feature_count] = {
      "mvp", "sign-ext", "nontrapping-fptoint", "bulk-memory", "reference-types", "multivalue", "tail-call", "simd128",
      "atomics", "exception-handling", "mutable-globals", "extended-const", "memory64", "multimemory", "relaxed-simd",
      "bulk-memory-opt"};
  return names[unsigned(f)];
}

void Frame::write(uint32_t words[6]) const {
  std::memset(words, 0, 6 * sizeof(uint32_t));
  if (!present) return;
  bool saved = saved_local != no_local;
  words[0] = 1u | uint32_t(keeps_stack_pointer) << 1 | uint32_t(saved) << 2 | uint32_t(align_log2) << 8;
  words[1] = size;
  words[2] = base_local;
  words[3] = saved ? saved_local : 0;
  words[4] = stack_pointer;
}

Frame Frame::read(const uint32_t words[6]) {
  Frame f;
  f.present = words[0] & 1;
  if (!f.present) return f;
  f.keeps_stack_pointer = words[0] & 2;
  f.align_log2 = uint8_t(words[0] >> 8);
  f.size = words[1];
  f.base_local = words[2];
  if (words[0] & 4) f.saved_local = words[3];
  f.stack_pointer = words[4];
  return f;
}

SignatureBytes signature_bytes(std::span<const ValueType> params, std::span<const ValueType> results) {
  SignatureBytes out;
  append_uleb(out, params.size());
  for (ValueType t : params) out.push_back(uint8_t(t));
  append_uleb(out, results.size());
  for (ValueType t : results) out.push_back(uint8_t(t));
  return out;
}

namespace {
// One counted list of value types; false when the bytes end first.
bool read_list(std::span<const uint8_t> bytes, size_t& at, std::span<const uint8_t>& out) {
  uint64_t n = 0;
  for (unsigned shift = 0;; shift += 7) {
    if (at >= bytes.size() || shift > 28) return false;
    uint8_t b = bytes[at++];
    n |= uint64_t(b & 0x7f) << shift;
    if (!(b & 0x80)) break;
  }
  if (n > bytes.size() - at) return false;
  out = bytes.subspan(at, n);
  at += n;
  return true;
}
}  // namespace

std::span<const uint8_t> signature_at(std::span<const uint8_t> bytes, size_t at) {
  size_t end = at;
  std::span<const uint8_t> ignored;
  if (at > bytes.size() || !read_list(bytes, end, ignored) || !read_list(bytes, end, ignored)) return {};
  return bytes.subspan(at, end - at);
}

SignatureShape signature_shape(std::span<const uint8_t> signature) {
  SignatureShape s;
  size_t at = 0;
  if (!read_list(signature, at, s.params) || !read_list(signature, at, s.results)) return {};
  return s;
}

void Builder::start(mir::FunctionDraft& draft, SymbolId symbol, std::span<const ValueType> params,
                    std::span<const ValueType> results, bool memory64) {
  draft_ = &draft;
  draft.clear();
  draft.symbol = symbol;
  draft.flags = memory64 ? function_flags::memory64 : 0;
  memory64_ = memory64;
  param_count_ = uint32_t(params.size());
  buckets_.assign(64, 0);
  types_.clear();
  draft.constants = signature_bytes(params, results);
  types_.push_back(0);
}

uint32_t Builder::reference(mir::ReferenceKind kind, SymbolId symbol, int32_t addend) {
  mir::Reference wanted{symbol, addend, kind};
  std::vector<mir::Reference>& all = draft_->references;
  auto slot = [&](const mir::Reference& r) {
    uint64_t h = (uint64_t(r.symbol.value) << 32 | uint32_t(r.addend)) * 0x9e3779b97f4a7c15ull +
                 unsigned(r.kind) * 0xc2b2ae3d27d4eb4full;
    return uint32_t(h >> 32) & uint32_t(buckets_.size() - 1);
  };
  uint32_t b = slot(wanted);
  for (; buckets_[b]; b = (b + 1) & uint32_t(buckets_.size() - 1))
    if (all[buckets_[b] - 1] == wanted) return buckets_[b] - 1;
  all.push_back(wanted);
  buckets_[b] = uint32_t(all.size());
  if (all.size() * 2 > buckets_.size()) {
    buckets_.assign(buckets_.size() * 4, 0);
    for (uint32_t i = 0; i < all.size(); i++) {
      uint32_t at = slot(all[i]);
      while (buckets_[at]) at = (at + 1) & uint32_t(buckets_.size() - 1);
      buckets_[at] = i + 1;
    }
  }
  return uint32_t(all.size() - 1);
}

uint32_t Builder::type(std::span<const uint8_t> signature) {
  std::vector<uint8_t>& bytes = draft_->constants;
  for (uint32_t at : types_) {
    std::span<const uint8_t> have = signature_at(bytes, at);
    if (have.size() == signature.size() && std::memcmp(have.data(), signature.data(), have.size()) == 0)
      return reference(mir::ReferenceKind::wasm_type, SymbolId{}, int32_t(at));
  }
  uint32_t at = uint32_t(bytes.size());
  types_.push_back(at);
  bytes.insert(bytes.end(), signature.begin(), signature.end());
  return reference(mir::ReferenceKind::wasm_type, SymbolId{}, int32_t(at));
}

uint32_t Builder::type(std::span<const ValueType> params, std::span<const ValueType> results) {
  return type(signature_bytes(params, results));
}

uint32_t Builder::local(ValueType t) {
  draft_->locals.push_back(uint8_t(t));
  return param_count_ + uint32_t(draft_->locals.size()) - 1;
}

void Builder::raw(uint8_t tag, uint32_t operand) {
  draft_->tags.push_back(tag);
  draft_->operands.push_back(operand);
}

void Builder::op(Op op, uint32_t payload) {
  const OpInfo& i = info(op);
  if (i.prefix)
    raw(i.prefix, i.opcode | payload << prefixed_opcode_bits);
  else
    raw(uint8_t(i.opcode), payload);
}

void Builder::i64_const(int64_t v) {
  if (v == int32_t(v)) return op(Op::i64_const, uint32_t(v));
  uint32_t at = uint32_t(draft_->extra.size());
  draft_->extra.push_back(uint32_t(v));
  draft_->extra.push_back(uint32_t(uint64_t(v) >> 32));
  own(OwnTag::i64_const_wide, at);
}

void Builder::f64_const(uint64_t bits) {
  double d;
  std::memcpy(&d, &bits, 8);
  if (d == d) {  // not for NaN: the conversion need not keep its payload
    float f = d <= 3.4028234663852886e38 && d >= -3.4028234663852886e38 ? float(d) : 0.0f;
    double back = f;
    uint64_t back_bits;
    std::memcpy(&back_bits, &back, 8);
    if (back_bits == bits) {
      uint32_t short_bits;
      std::memcpy(&short_bits, &f, 4);
      return own(OwnTag::f64_const_short, short_bits);
    }
  }
  uint32_t at = uint32_t(draft_->extra.size());
  draft_->extra.push_back(uint32_t(bits));
  draft_->extra.push_back(uint32_t(bits >> 32));
  op(Op::f64_const, at);
}

void Builder::memory(Op op, unsigned align_log2, uint64_t offset, unsigned lane) {
  const OpInfo& i = info(op);
  std::vector<uint32_t>& extra = draft_->extra;
  auto word = [&]() -> uint32_t {
    if (offset <= MemoryOperand::payload_mask)
      return MemoryOperand::pack(MemoryOperand::inline_offset, align_log2, uint32_t(offset));
    uint32_t at = uint32_t(extra.size());
    extra.push_back(uint32_t(offset));
    extra.push_back(uint32_t(offset >> 32));
    return MemoryOperand::pack(MemoryOperand::wide, align_log2, at);
  };
  if (!i.prefix) return raw(uint8_t(i.opcode), word());
  if (i.immediate == Immediate::Memarg && offset < PrefixedMemory::offset_limit)
    return this->op(op, align_log2 << 18 | uint32_t(offset));
  uint32_t operand = word();
  uint32_t at = uint32_t(extra.size());
  extra.push_back(operand);
  extra.push_back(lane);
  this->op(op, PrefixedMemory::in_extra | at);
}

void Builder::memory_symbol(Op op, unsigned align_log2, SymbolId symbol, int32_t addend, unsigned lane) {
  const OpInfo& i = info(op);
  uint32_t word =
      MemoryOperand::pack(MemoryOperand::symbol, align_log2, reference(mir::ReferenceKind::direct, symbol, addend));
  if (!i.prefix) return raw(uint8_t(i.opcode), word);
  uint32_t at = uint32_t(draft_->extra.size());
  draft_->extra.push_back(word);
  draft_->extra.push_back(lane);
  this->op(op, PrefixedMemory::in_extra | at);
}

void Builder::br_table(std::span<const uint32_t> depths, uint32_t default_depth) {
  uint32_t at = uint32_t(draft_->extra.size());
  draft_->extra.push_back(uint32_t(depths.size()));
  draft_->extra.insert(draft_->extra.end(), depths.begin(), depths.end());
  draft_->extra.push_back(default_depth);
  op(Op::br_table, at);
}

void Builder::vector(Op op, const uint8_t bytes[16]) {
  uint32_t at = uint32_t(draft_->extra.size());
  for (int i = 0; i < 4; i++) draft_->extra.push_back(load_le<uint32_t>(bytes + 4 * i));
  this->op(op, at);
}

}  // namespace lode::wasm
