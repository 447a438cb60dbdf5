// The verifier of functions: structure first (indices, blocks, edges), then types instruction by instruction, then
// dominance. What must hold of a module besides is in verifier_module.cpp.
//
// Each stage looks only at what the one before found well-formed, so that one problem is reported once and hides no
// other: an instruction whose operands do not exist has no types to check, but all others have; where a function ends
// in its blocks' shape, dominance means nothing and is not judged.
#include "codegen/air/verifier.h"

#include <algorithm>

#include "codegen/air/flow_tree.h"
#include "codegen/air/legalize.h"
#include "codegen/air/simd.h"
#include "codegen/air/text.h"

namespace lode::air {

struct VerifierScratch::Arrays {
  std::vector<uint8_t> inst_ok;   // nothing is wrong with the instruction so far
  // dominance: by instruction, an invoke whose result is known behind its normal edge (1) or on it alone (2)
  std::vector<uint8_t> owns_edge;
  std::vector<uint32_t> first, targets, block_of;
  FlowTree flow;
};
VerifierScratch::VerifierScratch() : arrays_(std::make_unique<Arrays>()) {}
VerifierScratch::~VerifierScratch() = default;

namespace {
using T = TypeTable;

class FunctionVerifier {
 public:
  FunctionVerifier(const Module& m, const TypeTable& types, const Function& fn, std::vector<Problem>& problems,
                   const Names& names, VerifierScratch::Arrays& arrays)
      : m_(m),
        types_(types),
        fn_(fn),
        problems_(problems),
        names_(names),
        arrays_(arrays),
        inst_ok_(arrays.inst_ok),
        legal_(fn.flags & function_flags::legal) {}

  void run() {
    if (!fn_.type.valid() || fn_.type.value >= types_.size() || types_[fn_.type].kind != TypeKind::Function)
      return report("the function's type is not a function type");
    if (!fn_.inst_locations.empty() && fn_.inst_locations.size() != fn_.insts.size())
      report("locations do not match the instructions");
    for (uint32_t l : fn_.inst_locations)
      if (l && l >= fn_.locations.size()) {
        report("a location that does not exist");
        break;
      }
    inst_ok_.assign(fn_.insts.size(), 0);
    flow_ok_ = true;
    if (!structure()) return;
    entry();
    for (block_ = 0; block_ < fn_.blocks.size(); block_++) {
      const Block& b = fn_.blocks[block_];
      for (uint32_t k = 0; k < b.inst_count; k++) {
        inst_ = b.first_inst + k;
        if (!inst_ok_[inst_]) continue;
        size_t before = problems_.size();
        instruction(fn_.insts[inst_]);
        inst_ok_[inst_] = problems_.size() == before;
      }
    }
    if (flow_ok_) dominance();
  }

 private:
  void report(std::string message, ValueId operand = {}, uint32_t edge = ~0u) {
    if (problems_.size() < 10000) problems_.push_back({fn_.symbol, block_, inst_, std::move(message), operand, edge});
  }
  void bad(const std::string& message, ValueId operand = {}, uint32_t edge = ~0u) {
    report(std::string(info(fn_.insts[inst_].op).name) + ": " + message, operand, edge);
  }
  std::string name(TypeId t) const { return type_name(types_, t); }
  TypeId type_of(ValueId v) const { return fn_.values[v.value].type; }
  const Type& type(TypeId t) const { return types_[t]; }
  bool extra(uint64_t at, uint64_t n) const { return at <= fn_.extra.size() && n <= fn_.extra.size() - at; }

  // ---- indices

  // False: nothing else of the function can be looked at. inst_ok_: the instruction's operands exist. flow_ok_: so do
  // all edges.
  bool structure() {
    for (const Value& v : fn_.values) {
      if (!v.type.valid() || v.type.value >= types_.size()) return report("a value of an unknown type"), false;
      size_t limit = v.kind() == ValueKind::Inst    ? fn_.insts.size()
                     : v.kind() == ValueKind::Param ? fn_.blocks.size()
                                                    : fn_.constants.size();
      if (unsigned(v.kind()) > 2 || v.index() >= limit) return report("a value whose definition does not exist"), false;
    }
    for (uint32_t c = 0; c < fn_.constants.size(); c++)
      if (!constant_ok(fn_.constants[c]))
        return report("a malformed constant of type " + name(fn_.constants[c].type)), false;
    if (fn_.blocks.empty()) return report("the function has no block"), false;
    // Blocks own the instructions one after the other, and the values of their parameters.
    uint64_t at = 0;
    for (block_ = 0; block_ < fn_.blocks.size(); block_++) {
      const Block& b = fn_.blocks[block_];
      if (b.first_inst != at || b.inst_count > fn_.insts.size() - at)
        return report("instructions do not follow each other"), false;
      at += b.inst_count;
      if (!b.inst_count) {
        report("the block is empty");
        flow_ok_ = false;
        continue;
      }
      bool ended = false;
      for (uint32_t k = 0; k < b.inst_count; k++) {
        inst_ = b.first_inst + k;
        const Inst& i = fn_.insts[inst_];
        if (unsigned(i.op) >= op_count) return report("an unknown instruction"), false;
        if (ended || !is_terminator(i.op)) continue;
        ended = true;
        if (k + 1 == b.inst_count) continue;
        flow_ok_ = false;
        inst_++;
        report(std::string(info(i.op).name) + " ends the block; what follows it begins another");
      }
      if (!ended) {
        flow_ok_ = false;
        report("the block does not end in a terminator");
      }
      inst_ = ~0u;
      if (b.param_count && (uint64_t(b.first_param) + b.param_count > fn_.values.size()))
        return report("parameters that do not exist"), false;
      for (uint32_t p = 0; p < b.param_count; p++) {
        const Value& v = fn_.values[b.first_param + p];
        if (v.kind() != ValueKind::Param || v.index() != block_)
          return report("a parameter that belongs elsewhere"), false;
      }
    }
    block_ = ~0u;
    if (at != fn_.insts.size()) return report("instructions outside of all blocks"), false;
    for (block_ = 0; block_ < fn_.blocks.size(); block_++) {
      const Block& b = fn_.blocks[block_];
      for (uint32_t k = 0; k < b.inst_count; k++) {
        inst_ = b.first_inst + k;
        inst_ok_[inst_] = operands_exist(fn_.insts[inst_]);
        if (!inst_ok_[inst_] && is_terminator(fn_.insts[inst_].op)) flow_ok_ = false;
      }
    }
    inst_ = block_ = ~0u;
    return true;
  }

  bool operands_exist(const Inst& i) {
    auto value_ok = [&](uint32_t v) { return v < fn_.values.size(); };
    if (!i.type.valid() || i.type.value >= types_.size()) return bad("an unknown type"), false;
    if (!lists_ok(i)) return bad("an operand list that does not exist"), false;
    bool ok = true;
    for_each_operand(fn_, i, [&](const ValueId v) { ok &= value_ok(v.value); });
    if (!ok) return bad("an operand that does not exist"), false;
    for_each_edge(fn_, i, [&](EdgeIndex e) { ok &= fn_.edges[e].target.value < fn_.blocks.size(); });
    if (!ok) return bad("a block that does not exist"), false;
    if (i.result.valid()) {
      if (!value_ok(i.result.value) || fn_.values[i.result.value].kind() != ValueKind::Inst ||
          fn_.values[i.result.value].index() != inst_)
        return bad("a result that belongs elsewhere"), false;
      // A definition and its value agree, or every use would be judged by the wrong type.
      if (type_of(i.result) != i.type) return bad("the result's type is not the instruction's"), false;
    } else if (i.type != T::void_type) {
      return bad("a type without a result"), false;
    }
    return true;
  }

  bool constant_ok(const Constant& c) const {
    if (!c.type.valid() || c.type.value >= types_.size()) return false;
    const Type& t = type(c.type);
    switch (c.kind) {
      case ConstantKind::Int: return t.kind == TypeKind::Int && t.bits <= 64 && (t.bits == 64 || c.bits >> t.bits == 0);
      case ConstantKind::WideInt: return t.kind == TypeKind::Int && t.bits > 64 && extra(c.bits, (t.bits + 31) / 32);
      case ConstantKind::Float: return t.kind >= TypeKind::F16 && t.kind <= TypeKind::F64;
      case ConstantKind::WideFloat:
        return (t.kind == TypeKind::F80 && extra(c.bits, 3)) || (t.kind == TypeKind::F128 && extra(c.bits, 4)) ||
               (is_simd(c.type) && (fn_.flags & function_flags::legal) && extra(c.bits, c.type == T::v256 ? 8 : 4));
      case ConstantKind::Zero:
      case ConstantKind::Undef: return t.kind != TypeKind::Void && t.kind != TypeKind::Function;
      case ConstantKind::Symbol: return t.kind == TypeKind::Ptr && c.symbol < m_.symbols.size();
      case ConstantKind::BlockAddress: return t.kind == TypeKind::Ptr && c.symbol < fn_.blocks.size();
      case ConstantKind::Runtime: return t.kind == TypeKind::Ptr && c.symbol < runtime_function_count;
      case ConstantKind::Aggregate: {
        uint64_t n = t.kind == TypeKind::Struct ? t.field_count : t.count;
        if ((t.kind != TypeKind::Struct && t.kind != TypeKind::Array && t.kind != TypeKind::Vector) ||
            !extra(c.bits, n))
          return false;
        for (uint64_t k = 0; k < n; k++) {
          uint32_t v = fn_.extra[c.bits + k];
          if (v >= fn_.values.size() || fn_.values[v].kind() != ValueKind::Const) return false;
          TypeId want = t.kind == TypeKind::Struct ? types_.member(t, uint32_t(k)) : t.element;
          // Members have smaller types, so that constants cannot contain themselves.
          if (fn_.values[v].type != want) return false;
        }
        return true;
      }
    }
    return false;
  }

  bool counted(uint64_t at, uint64_t per_item = 1) const {
    return extra(at, 1) && extra(at + 1, fn_.extra[at] * per_item);
  }
  bool edge_ok(uint32_t e) const {
    return e < fn_.edges.size() && extra(fn_.edges[e].args, fn_.edges[e].arg_count);
  }
  bool call_ok(uint32_t c) const {
    if (c >= fn_.calls.size()) return false;
    const CallSite& s = fn_.calls[c];
    if (!extra(s.args, s.arg_count)) return false;
    if (s.attrs != ~0u && (uint64_t(s.attrs) + s.arg_count > fn_.param_attrs.size())) return false;
    if (s.function_type.valid() && s.function_type.value >= types_.size()) return false;
    if (s.inline_asm != ~0u) {
      if (s.inline_asm >= fn_.inline_asms.size()) return false;
      const InlineAsm& a = fn_.inline_asms[s.inline_asm];
      return uint64_t(a.text) + a.text_len <= fn_.strings.size() &&
             uint64_t(a.constraints) + a.constraints_len <= fn_.strings.size();
    }
    return s.callee.valid();
  }
  bool lists_ok(const Inst& i) const {
    switch (info(i.op).shape) {
      case Shape::PtrAdd: return extra(i.c, 4);
      case Shape::Call: return call_ok(i.a);
      case Shape::Path: return counted(i.b);
      case Shape::InsertPath: case Shape::Shuffle: return counted(i.c);
      case Shape::List: return counted(i.a);
      case Shape::Slot: return i.a < fn_.slots.size();
      case Shape::Br: return edge_ok(i.a);
      case Shape::CondBr: return edge_ok(i.b) && edge_ok(i.c);
      case Shape::Switch:
        if (!edge_ok(i.b) || !counted(i.c, 3)) return false;
        for (uint32_t k = 0, n = fn_.extra[i.c]; k < n; k++)
          if (!edge_ok(fn_.extra[i.c + 3 + 3 * k])) return false;
        return true;
      case Shape::IndirectBr:
        if (!counted(i.b)) return false;
        for (uint32_t k = 0, n = fn_.extra[i.b]; k < n; k++)
          if (!edge_ok(fn_.extra[i.b + 1 + k])) return false;
        return true;
      case Shape::Invoke: return call_ok(i.a) && edge_ok(i.b) && edge_ok(i.c);
      case Shape::Fixed: {
        if (i.op != Op::landing_pad) return true;
        if (i.a >= fn_.landing_pads.size()) return false;
        const LandingPad& p = fn_.landing_pads[i.a];
        uint64_t at = p.clauses;
        for (uint32_t c = 0; c < p.clause_count; c++) {
          if (!extra(at, 2) || !extra(at + 2, fn_.extra[at + 1])) return false;
          for (uint32_t k = 0; k < fn_.extra[at + 1]; k++)
            if (fn_.extra[at + 2 + k] >= fn_.values.size() || type_of(ValueId(fn_.extra[at + 2 + k])) != T::ptr)
              return false;
          at += 2 + fn_.extra[at + 1];
        }
        return true;
      }
      default: return true;
    }
  }

  // ---- types

  void entry() {
    const Block& b = fn_.blocks[0];
    block_ = 0;
    if (!legal_) {
      const Type& f = type(fn_.type);
      if (f.field_count != b.param_count)
        report("the entry block has " + std::to_string(b.param_count) + " parameters, the function's type " +
               std::to_string(f.field_count));
      else
        for (uint32_t p = 0; p < b.param_count; p++)
          if (type_of(ValueId(b.first_param + p)) != types_.member(f, p))
            report("parameter " + std::to_string(p) + " has type " + name(type_of(ValueId(b.first_param + p))) +
                   ", in the function's type it is " + name(types_.member(f, p)));
    }
    if (!fn_.param_attrs.empty() && fn_.param_attrs.size() < b.param_count)
      report("attributes are missing for some parameters");
    block_ = ~0u;
  }

  TypeId scalar(TypeId t) const { return type(t).kind == TypeKind::Vector ? type(t).element : t; }
  uint64_t lanes(TypeId t) const { return type(t).kind == TypeKind::Vector ? type(t).count : 0; }
  bool is_int(TypeId t) const { return type(scalar(t)).kind == TypeKind::Int; }
  bool is_float(TypeId t) const {
    TypeKind k = type(scalar(t)).kind;
    return k >= TypeKind::F16 && k <= TypeKind::F128;
  }
  bool is_ptr(TypeId t) const { return type(scalar(t)).kind == TypeKind::Ptr; }
  bool first_class(TypeId t) const { return type(t).kind != TypeKind::Void && type(t).kind != TypeKind::Function; }
  bool aggregate(TypeId t) const { return type(t).kind == TypeKind::Struct || type(t).kind == TypeKind::Array; }

  // A piece of a message: what is well-formed costs no text.
  struct Part {
    Part(const char* s) : text(s) {}
    Part(TypeId t) : type(t) {}
    Part(ValueId v) : operand(v) {}
    Part(uint32_t n) : number(n) {}
    const char* text = nullptr;
    TypeId type;
    ValueId operand;
    uint32_t number = 0;
  };
  bool want(bool ok, std::initializer_list<Part> message, ValueId operand = {}) {
    if (ok) return true;
    std::string s;
    for (const Part& p : message)
      s += p.text              ? p.text
           : p.type.valid()    ? name(p.type)
           : p.operand.valid() ? names_.operand(p.operand)
                               : std::to_string(p.number);
    bad(s, operand);
    return false;
  }
  bool same(ValueId v, TypeId t, const char* what) {
    return want(type_of(v) == t, {what, v, " has type ", type_of(v), ", expected ", t}, v);
  }
  bool result_is(const Inst& i, TypeId t) {
    return want(i.type == t, {"the result has type ", i.type, ", expected ", t});
  }
  bool pointer(ValueId v, const char* what) { return same(v, T::ptr, what); }

  void edge(uint32_t e) {
    const Edge& x = fn_.edges[e];
    const Block& target = fn_.blocks[x.target.value];
    auto where = [&] { return names_.block(x.target.value); };
    if (x.target.value == 0) return bad("an edge to the entry block", {}, e);
    if (x.arg_count != target.param_count)
      return bad(where() + " takes " + std::to_string(target.param_count) + " arguments, here are " +
                 std::to_string(x.arg_count), {}, e);
    for (uint32_t k = 0; k < x.arg_count; k++) {
      TypeId have = type_of(ValueId(fn_.extra[x.args + k])), expected = type_of(ValueId(target.first_param + k));
      if (have != expected)
        bad("argument " + std::to_string(k) + " of " + where() + " has type " + name(have) + ", expected " +
                name(expected),
            ValueId(fn_.extra[x.args + k]));
    }
  }

  void call(const Inst& i) {
    const CallSite& s = fn_.calls[i.a];
    if (s.callee.valid() && s.inline_asm == ~0u) pointer(s.callee, "the callee");
    if (!s.function_type.valid()) {
      want(legal_, {"the call has no function type"});
      return;
    }
    const Type& f = type(s.function_type);
    if (!want(f.kind == TypeKind::Function, {"the called type ", s.function_type, " is no function type"}))
      return;
    if (legal_) return;  // leaves
    result_is(i, f.element);
    if (s.arg_count < f.field_count || (s.arg_count > f.field_count && !f.vararg))
      return bad("the function takes " + std::to_string(f.field_count) + " arguments, here are " +
                     std::to_string(s.arg_count),
                 s.callee);
    for (uint32_t k = 0; k < s.arg_count; k++) {
      const ValueId argument(fn_.extra[s.args + k]);
      TypeId have = type_of(argument);
      if (k < f.field_count && have != types_.member(f, k))
        bad("argument " + std::to_string(k) + names_.operand(argument) + " has type " + name(have) + ", expected " +
                name(types_.member(f, k)),
            argument);
      else if (!first_class(have))
        bad("argument " + std::to_string(k) + " has type " + name(have), argument);
    }
  }

  // A call that takes its function's place is the last that the function does.
  void must_tail(const Inst& i) {
    const Block& b = fn_.blocks[block_];
    uint32_t next = inst_ + 1;
    while (next < b.first_inst + b.inst_count && fn_.insts[next].op == Op::lifetime_end) next++;
    const Inst& last = fn_.insts[next];
    if (last.op != Op::ret || fn_.extra[last.a] != (i.result.valid() ? 1u : 0u) ||
        (i.result.valid() && fn_.extra[last.a + 1] != i.result.value))
      bad("a musttail call is followed by the ret of its result");
  }

  bool walk_path(TypeId& t, uint32_t x) {
    uint32_t n = fn_.extra[x];
    if (!want(n != 0, {"an empty path"})) return false;
    for (uint32_t k = 0; k < n; k++) {
      const Type& a = type(t);
      uint32_t index = fn_.extra[x + 1 + k];
      if (a.kind == TypeKind::Struct) {
        if (!want(index < a.field_count, {"index ", index, " is outside of ", t})) return false;
        t = types_.member(a, index);
      } else if (a.kind == TypeKind::Array) {
        if (!want(index < a.count, {"index ", index, " is outside of ", t})) return false;
        t = a.element;
      } else {
        return want(false, {"the path goes into ", t}), false;
      }
    }
    return true;
  }

  void conversion(const Inst& i) {
    TypeId from = type_of(i.va()), to = i.type;
    if (i.op == Op::bitcast) {
      want(!aggregate(from) && !aggregate(to) && first_class(to) && bits(from) == bits(to) && bits(from),
           {"from ", from, " to ", to}, i.va());
      return;
    }
    if (!want(lanes(from) == lanes(to), {"from ", from, " to ", to, ": different numbers of lanes"}, i.va())) return;
    TypeId a = scalar(from), b = scalar(to);
    uint32_t fa = type(a).bits, fb = type(b).bits;
    auto rank = [&](TypeId t) {
      return t == T::f16 || t == T::bf16 ? 1 : t == T::f32 ? 2 : t == T::f64 ? 3 : t == T::f80 ? 4 : 5;
    };
    bool ok = false;
    switch (i.op) {
      case Op::trunc: ok = is_int(a) && is_int(b) && fa > fb; break;
      case Op::zext: case Op::sext: ok = is_int(a) && is_int(b) && fa < fb; break;
      case Op::fptoui: case Op::fptosi: case Op::fptoui_sat: case Op::fptosi_sat: ok = is_float(a) && is_int(b); break;
      case Op::uitofp: case Op::sitofp: ok = is_int(a) && is_float(b); break;
      case Op::fptrunc: ok = is_float(a) && is_float(b) && rank(a) > rank(b); break;
      case Op::fpext: ok = is_float(a) && is_float(b) && rank(a) < rank(b); break;
      case Op::ptrtoint: ok = is_ptr(a) && is_int(b); break;
      case Op::inttoptr: ok = is_int(a) && is_ptr(b); break;
      default: break;
    }
    want(ok, {"from ", from, " to ", to}, i.va());
  }
  uint64_t bits(TypeId id) const {
    const Type& t = type(id);
    switch (t.kind) {
      case TypeKind::Int: return t.bits;
      case TypeKind::F80: return 80;
      case TypeKind::Vector: return bits(t.element) * t.count;
      case TypeKind::Struct: case TypeKind::Array: case TypeKind::Void: case TypeKind::Function: return 0;
      default: return types_.store_size_of(id) * 8;
    }
  }

  void arithmetic(const Inst& i) {
    TypeId t = type_of(i.va());
    const OpInfo& o = info(i.op);
    bool integer = i.op <= Op::smul_overflow;
    if (i.op == Op::freeze) {
      want(first_class(t), {"a value of type ", t});
    } else if (integer) {
      if (!want(is_int(t), {"takes integers, not ", t}, i.va())) return;
      if (i.op == Op::bswap)
        want(type(scalar(t)).bits % 16 == 0, {"the width of ", t, " is no multiple of 16"}, i.va());
    } else {
      if (!want(is_float(t), {"takes floating point, not ", t}, i.va())) return;
    }
    if (o.shape == Shape::Binary || o.shape == Shape::Ternary) same(i.vb(), t, "the second operand");
    if (o.shape == Shape::Ternary) same(i.vc(), t, "the third operand");
    if (o.result == ResultRule::Same) result_is(i, t);
    if (o.result == ResultRule::Pair) pair(i, t, true);
  }
  void pair(const Inst& i, TypeId t, bool vector_flags) {
    const Type& s = type(i.type);
    bool ok = s.kind == TypeKind::Struct && s.field_count == 2 && !s.packed && types_.member(s, 0) == t;
    if (ok) {
      TypeId flag = types_.member(s, 1);
      ok = vector_flags && lanes(t) ? lanes(flag) == lanes(t) && scalar(flag) == T::i1 : flag == T::i1;
    }
    want(ok, {"the result has type ", i.type, ", expected {", t, ", i1}"});
  }

  void instruction(const Inst& i) {
    for_each_edge(fn_, i, [&](EdgeIndex e) { edge(e); });
    switch (i.op) {
      case Op::icmp: case Op::fcmp: {
        TypeId t = type_of(i.va());
        bool ok = i.op == Op::icmp ? is_int(t) || is_ptr(t) : is_float(t);
        if (!want(ok, {"cannot compare ", t}, i.va())) return;
        want(i.aux < (i.op == Op::icmp ? 10 : 16), {"an unknown predicate"});
        same(i.vb(), t, "the second operand");
        want(scalar(i.type) == T::i1 && lanes(i.type) == lanes(t),
             {"the result has type ", i.type, " for operands of type ", t});
        return;
      }
      case Op::select: {
        TypeId c = type_of(i.va());
        want(scalar(c) == T::i1 && (!lanes(c) || lanes(c) == lanes(i.type)), {"the condition", i.va(), " has type ", c},
             i.va());
        same(i.vb(), i.type, "the second operand");
        same(i.vc(), i.type, "the third operand");
        want(first_class(i.type), {"a value of type ", i.type});
        return;
      }
      case Op::trunc: case Op::zext: case Op::sext: case Op::fptoui: case Op::fptosi: case Op::fptoui_sat:
      case Op::fptosi_sat: case Op::uitofp: case Op::sitofp: case Op::fptrunc: case Op::fpext: case Op::ptrtoint:
      case Op::inttoptr: case Op::bitcast: return conversion(i);
      case Op::simd1: case Op::simd2: case Op::simd3: {
        if (!want(fn_.flags & function_flags::legal, {"is for legal code, which is not written"})) return;
        if (!want(unsigned(simd_op(i.aux)) < simd_op_count, {"an unknown operation"})) return;
        const SimdOp op = simd_op(i.aux);
        const auto shape = info(op).operands;
        const bool two = shape == SimdOpInfo::b || shape == SimdOpInfo::bc || op == SimdOp::insert_16;
        const bool three = shape == SimdOpInfo::t;
        want(i.op == (three ? Op::simd3 : two ? Op::simd2 : Op::simd1), {"the wrong number of operands"});
        auto vector = [&](ValueId v, TypeId type, const char* what) {
          if (!is_simd(type) || !is_simd(type_of(v))) same(v, type, what);
        };
        vector(i.va(), simd_operand(op), "the operand");
        if (two) vector(i.vb(), op == SimdOp::insert_16 ? T::i32 : T::v128, "the second operand");
        if (three) vector(i.vb(), T::v128, "the second operand"), vector(i.vc(), T::v128, "the third operand");
        if (!is_simd(simd_result(op)) || !is_simd(i.type)) result_is(i, simd_result(op));
        return;
      }
      case Op::slot_addr: result_is(i, T::ptr); return;
      case Op::alloca:
        want(type(type_of(i.va())).kind == TypeKind::Int, {"the size", i.va(), " has type ", type_of(i.va())}, i.va());
        result_is(i, T::ptr);
        return;
      case Op::stack_save: case Op::thread_pointer: case Op::return_address:
      case Op::frame_address: result_is(i, T::ptr); return;
      case Op::read_cycle_counter: result_is(i, T::i64); return;
      case Op::stack_restore: case Op::prefetch: case Op::va_start: case Op::va_end:
      case Op::eh_sjlj_longjmp: pointer(i.va(), "the operand"); return;
      case Op::eh_sjlj_setjmp: case Op::eh_typeid: pointer(i.va(), "the operand"); result_is(i, T::i32); return;
      case Op::va_copy: pointer(i.va(), "the destination"); pointer(i.vb(), "the source"); return;
      case Op::va_arg:
        pointer(i.va(), "the list");
        want(first_class(i.type), {"a value of type ", i.type});
        return;
      case Op::load: case Op::store: {
        pointer(i.va(), "the address");
        TypeId t = i.op == Op::load ? i.type : type_of(i.vb());
        want(first_class(t), {"a value of type ", t});
        if (MemoryFlags::ordering(i.aux) != AtomicOrdering::not_atomic)
          want(!aggregate(t), {"an atomic access to ", t});
        return;
      }
      case Op::ptr_add: {
        TypeId t = type_of(i.va());
        want(is_ptr(t), {"the base", i.va(), " has type ", t}, i.va());
        result_is(i, t);
        if (i.b != ~0u) {
          TypeId x = type_of(i.vb());
          want(is_int(x) && (!lanes(x) || lanes(x) == lanes(t)), {"the index", i.vb(), " has type ", x}, i.vb());
        }
        return;
      }
      case Op::memcpy: case Op::memmove: case Op::memset:
        pointer(i.va(), "the destination");
        if (i.op == Op::memset) same(i.vb(), T::i8, "the byte");
        else pointer(i.vb(), "the source");
        want(type(type_of(i.vc())).kind == TypeKind::Int, {"the length", i.vc(), " has type ", type_of(i.vc())},
             i.vc());
        return;
      case Op::atomic_rmw: {
        pointer(i.va(), "the address");
        TypeId t = type_of(i.vb());
        RmwOp op = MemoryFlags::rmw(i.aux);
        bool floating = op >= RmwOp::fadd && op <= RmwOp::fmin;
        TypeKind k = type(t).kind;
        bool ok = floating
                      ? is_float(t) && !lanes(t)
                      : k == TypeKind::Int || (op == RmwOp::xchg && (k == TypeKind::Ptr || (is_float(t) && !lanes(t))));
        want(ok && op <= RmwOp::udec_wrap, {"this operation on ", t}, i.vb());
        want(MemoryFlags::ordering(i.aux) != AtomicOrdering::not_atomic, {"an ordering is missing"});
        result_is(i, t);
        return;
      }
      case Op::cmpxchg: {
        pointer(i.va(), "the address");
        TypeId t = type_of(i.vb());
        want(type(t).kind == TypeKind::Int || type(t).kind == TypeKind::Ptr, {"cannot exchange ", t}, i.vb());
        want(MemoryFlags::ordering(i.aux) != AtomicOrdering::not_atomic, {"an ordering is missing"});
        same(i.vc(), t, "the new value");
        pair(i, t, false);
        return;
      }
      case Op::fence: want(i.a >= 1 && i.a <= 6, {"an unknown ordering"}); return;
      case Op::extract: {
        TypeId t = type_of(i.va());
        if (legal_) {
          want(fn_.extra[i.b] == 1, {"a legal function extracts by one index"});
          return;
        }
        if (walk_path(t, i.b)) result_is(i, t);
        return;
      }
      case Op::insert: {
        TypeId t = type_of(i.va());
        result_is(i, t);
        if (walk_path(t, i.c)) same(i.vb(), t, "the member");
        return;
      }
      case Op::extract_element: {
        TypeId t = type_of(i.va());
        if (!want(lanes(t) != 0, {"takes a vector, not ", t}, i.va())) return;
        want(type(type_of(i.vb())).kind == TypeKind::Int, {"the lane", i.vb(), " has type ", type_of(i.vb())}, i.vb());
        result_is(i, type(t).element);
        return;
      }
      case Op::insert_element: {
        TypeId t = type_of(i.va());
        if (!want(lanes(t) != 0, {"takes a vector, not ", t}, i.va())) return;
        same(i.vb(), type(t).element, "the element");
        want(type(type_of(i.vc())).kind == TypeKind::Int, {"the lane", i.vc(), " has type ", type_of(i.vc())}, i.vc());
        result_is(i, t);
        return;
      }
      case Op::shuffle: {
        TypeId t = type_of(i.va());
        if (!want(lanes(t) != 0, {"takes vectors, not ", t}, i.va())) return;
        same(i.vb(), t, "the second vector");
        uint32_t n = fn_.extra[i.c];
        want(lanes(i.type) == n && scalar(i.type) == type(t).element, {"the result has type ", i.type});
        for (uint32_t k = 0; k < n; k++) {
          uint32_t lane = fn_.extra[i.c + 1 + k];
          if (lane != ~0u && lane >= 2 * lanes(t)) return bad("lane " + std::to_string(lane) + " does not exist");
        }
        return;
      }
      case Op::reduce_add: case Op::reduce_mul: case Op::reduce_and: case Op::reduce_or: case Op::reduce_xor:
      case Op::reduce_smin: case Op::reduce_smax: case Op::reduce_umin: case Op::reduce_umax: {
        TypeId t = type_of(i.va());
        if (want(lanes(t) && is_int(t), {"takes a vector of integers, not ", t}, i.va())) result_is(i, type(t).element);
        return;
      }
      case Op::reduce_fmin: case Op::reduce_fmax: {
        TypeId t = type_of(i.va());
        if (want(lanes(t) && is_float(t), {"takes a vector of floating point, not ", t}, i.va()))
          result_is(i, type(t).element);
        return;
      }
      case Op::reduce_fadd: case Op::reduce_fmul: {
        TypeId t = type_of(i.vb());
        if (!want(lanes(t) && is_float(t), {"takes a vector of floating point, not ", t}, i.vb())) return;
        same(i.va(), type(t).element, "the start value");
        result_is(i, type(t).element);
        return;
      }
      case Op::call:
        call(i);
        if (!legal_ && fn_.calls[i.a].flags & callflags::musttail) must_tail(i);
        return;
      case Op::invoke: {
        call(i);
        const Block& pad = fn_.blocks[fn_.edges[i.c].target.value];
        if (pad.inst_count && fn_.insts[pad.first_inst].op != Op::landing_pad)
          bad("the unwind block does not begin with a landing pad");
        return;
      }
      case Op::landing_pad: {
        if (inst_ != fn_.blocks[block_].first_inst) bad("is not the first instruction of its block");
        const Type& s = type(i.type);
        want(s.kind == TypeKind::Struct && s.field_count == 2 && types_.member(s, 0) == T::ptr &&
                 types_.member(s, 1) == T::i32,
             {"the result has type ", i.type, ", expected {ptr, i32}"});
        return;
      }
      case Op::cond_br: same(i.va(), T::i1, "the condition"); return;
      case Op::switch_: {
        const Type& t = type(type_of(i.va()));
        if (!want(t.kind == TypeKind::Int, {"takes an integer, not ", type_of(i.va())})) return;
        std::vector<uint64_t> cases;
        for (uint32_t k = 0, n = fn_.extra[i.c]; k < n; k++)
          cases.push_back(fn_.extra[i.c + 1 + 3 * k] | uint64_t(fn_.extra[i.c + 2 + 3 * k]) << 32);
        if (t.bits < 64)
          for (uint64_t v : cases)
            if (v >> t.bits) return bad("case " + std::to_string(v) + " does not fit in " + name(type_of(i.va())));
        std::sort(cases.begin(), cases.end());
        auto twice = std::adjacent_find(cases.begin(), cases.end());
        if (twice != cases.end()) bad("case " + std::to_string(*twice) + " occurs twice");
        return;
      }
      case Op::indirect_br: pointer(i.va(), "the address"); return;
      case Op::ret: {
        if (legal_) return;
        TypeId r = type(fn_.type).element;
        uint32_t n = fn_.extra[i.a];
        if (r == T::void_type) {
          want(n == 0, {"the function returns nothing"});
        } else if (want(n == 1, {"the function returns ", r})) {
          same(ValueId(fn_.extra[i.a + 1]), r, "the result");
        }
        return;
      }
      case Op::resume:
        want(type(type_of(i.va())).kind == TypeKind::Struct,
             {"takes a landing pad's value, not ", type_of(i.va())}, i.va());
        return;
      case Op::br: case Op::trap: case Op::unreachable: case Op::debug_trap: case Op::lifetime_start:
      case Op::lifetime_end: return;
      default: arithmetic(i);
    }
  }

  // ---- dominance: of every use by its definition, and reachability

  void dominance() {
    const uint32_t n = uint32_t(fn_.blocks.size());
    std::vector<uint32_t>&first = arrays_.first, &targets = arrays_.targets, &block_of = arrays_.block_of;
    std::vector<uint8_t>& owns_edge = arrays_.owns_edge;
    FlowTree& flow = arrays_.flow;
    first.assign(1, 0);
    targets.clear();
    owns_edge.clear();
    for (uint32_t b = 0; b < n; b++) {
      const Block& block = fn_.blocks[b];
      for_each_edge(fn_, fn_.insts[block.first_inst + block.inst_count - 1],
                    [&](EdgeIndex e) { targets.push_back(fn_.edges[e].target.value); });
      first.push_back(uint32_t(targets.size()));
    }
    flow.build(first, targets);
    inst_ = ~0u;
    for (block_ = 0; block_ < n; block_++)
      if (!flow.reachable(block_)) {
        report(names_.block(block_) + " cannot be reached from the entry");
      }
    auto known = [&](uint32_t home, uint32_t b) { return flow.reachable(home) && flow.dominates(home, b); };
    block_of.resize(fn_.insts.size());
    for (uint32_t b = 0; b < n; b++)
      for (uint32_t k = 0; k < fn_.blocks[b].inst_count; k++) block_of[fn_.blocks[b].first_inst + k] = b;
    for (uint32_t b : flow.rpo) {
      block_ = b;
      for (uint32_t k = 0; k < fn_.blocks[b].inst_count; k++) {
        inst_ = fn_.blocks[b].first_inst + k;
        if (!inst_ok_[inst_]) continue;
        const Inst& i = fn_.insts[inst_];
        bool ok = true;
        auto is_known = [&](const ValueId v, bool on_normal_edge) {
          const Value& x = fn_.values[v.value];
          if (x.kind() == ValueKind::Const) return true;
          if (x.kind() == ValueKind::Param) return known(x.index(), b);
          uint32_t def = x.index(), home = block_of[def];
          if (fn_.insts[def].op == Op::invoke) {
            // Known on the normal edge only.
            if (home == b) return def == inst_ && on_normal_edge;
            uint32_t normal = fn_.edges[fn_.insts[def].b].target.value;
            if (owns_edge.empty()) owns_edge.resize(fn_.insts.size());
            if (!owns_edge[def]) owns_edge[def] = flow.reachable(home) && flow.edge_dominates(home, normal) ? 1 : 2;
            return owns_edge[def] == 1 && known(normal, b);
          }
          return home == b ? def < inst_ : known(home, b);
        };
        auto check = [&](const ValueId v, bool on_normal_edge) {
          if (!ok || is_known(v, on_normal_edge)) return;
          ok = false;
          bad(names_.value(v) + " is used where its definition is not known", v);
        };
        if (i.op == Op::invoke) {
          const CallSite& s = fn_.calls[i.a];
          if (s.callee.valid()) check(s.callee, false);
          for (uint32_t a = 0; a < s.arg_count; a++) check(ValueId(fn_.extra[s.args + a]), false);
          for (uint32_t e : {i.b, i.c})
            for (uint32_t a = 0; a < fn_.edges[e].arg_count; a++)
              check(ValueId(fn_.extra[fn_.edges[e].args + a]), e == i.b);
        } else {
          for_each_operand(fn_, i, [&](const ValueId v) { check(v, false); });
        }
      }
    }
  }

  const Module& m_;
  const TypeTable& types_;
  const Function& fn_;
  std::vector<Problem>& problems_;
  const Names& names_;
  VerifierScratch::Arrays& arrays_;
  std::vector<uint8_t>& inst_ok_;
  bool legal_;
  uint32_t block_ = ~0u, inst_ = ~0u;
  bool flow_ok_ = true;           // blocks and edges make a control-flow graph
};

}  // namespace

void verify_function(const Module& module, const Function& fn, std::vector<Problem>& problems, const Names& names) {
  VerifierScratch scratch;
  verify_function(module, module.types, fn, problems, names, scratch);
}

void verify_function(const Module& module, const TypeTable& types, const Function& fn, std::vector<Problem>& problems,
                     const Names& names, VerifierScratch& scratch) {
  if (!fn.symbol.valid() || fn.symbol.value >= module.symbols.size()) {
    problems.push_back({SymbolIndex{}, ~0u, ~0u, "a function without a symbol"});
    return;
  }
  FunctionVerifier(module, types, fn, problems, names, scratch.arrays()).run();
}

}  // namespace lode::air
