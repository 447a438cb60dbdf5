// Function bodies of the text form: names, blocks, slots, and lines. What stands in an instruction is read in
// parser_inst.cpp.
//
// A label stands first on its line, as does an instruction; that is how a first look at the body finds all names, so
// that values and blocks may be used before they are defined.
#include "codegen/air/parser_impl.h"
#include "codegen/air/text_hints.h"
#include "codegen/air/text_words.h"

namespace lode::air {

using T = TypeTable;

static bool find_op(std::string_view name, Op& op) {
  static const NameTable table = [] {
    NameTable t;
    for (unsigned k = 0; k < op_count; k++) t.insert(op_table[k].name, k);
    return t;
  }();
  const uint32_t found = table.find(name);
  op = Op(found);
  return found != NameTable::none;
}

BodyParser::BodyParser(Declarations& declarations, bool alone) : Parser(declarations, alone) {
  if (alone) return;
  shared_types_ = uint32_t(m_.types.size());
  own_types_ = m_.types;
  types_ = &own_types_;
}

// What may have been meant by a word that is no instruction: LLVM's, or one that differs in a letter or two.
static std::string instruction_hint(std::string_view word) {
  std::string hint = hints::after(hints::instruction, word);
  if (!hint.empty() || word.size() < 4) return hint;
  for (unsigned k = 0; k < op_count; k++)
    if (hints::similar(word, op_table[k].name)) return "; is it '" + std::string(op_table[k].name) + "'?";
  return {};
}

// ---- one function ---------------------------------------------------------------------------------------------------

class BodyParser::TextNames : public Names {
 public:
  explicit TextNames(const BodyParser& parser) : parser_(parser) {}
  std::string block(uint32_t index) const override {
    const auto& blocks = parser_.places_.blocks;
    return index < blocks.size() ? named(blocks[index]) : Names::block(index);
  }
  std::string value(ValueId v) const override {
    const auto& values = parser_.places_.values;
    return v.value < values.size() && values[v.value] != ~0u ? named(values[v.value]) : Names::value(v);
  }
  std::string operand(ValueId v) const override {
    const auto& values = parser_.places_.values;
    return v.value < values.size() && values[v.value] != ~0u ? " " + named(values[v.value]) : std::string();
  }

 private:
  std::string named(uint32_t place) const {
    return "'" + std::string(parser_.whole(parser_.token_at(place))) + "'";
  }
  const BodyParser& parser_;
};

// Where a problem is: at the operand, else the instruction, else the block's label, else the function's name.
uint32_t BodyParser::place_of(const Problem& p, uint32_t head) const {
  if (p.operand.valid() && p.inst != ~0u) {
    auto use = std::lower_bound(places_.uses.begin(), places_.uses.end(), p.inst,
                                [](const Use& u, uint32_t inst) { return u.inst < inst; });
    for (; use != places_.uses.end() && use->inst == p.inst; ++use)
      if (use->value == p.operand.value) return use->place;
  }
  if (p.edge < places_.edges.size()) return places_.edges[p.edge];
  if (p.inst != ~0u && p.inst < places_.insts.size()) return places_.insts[p.inst];
  if (p.block != ~0u && p.block < places_.blocks.size()) return places_.blocks[p.block];
  return head;
}

// What is well-formed as text is verified; positions are those of the instructions.
void BodyParser::verify(uint32_t function) {
  problems_.clear();
  verify_function(m_, *types_, fn_, problems_, TextNames(*this), verifier_);
  const uint32_t name = d_.items[d_.heads[function].item].name;
  for (Problem& p : problems_) fail(place_of(p, name), std::move(p.message));
}

// Moves errors to where they wait for their turn. Of all functions' together only the first are shown, so that those of
// a function that has enough in front of it need no place.
void BodyParser::keep(uint32_t function, std::vector<TextError>& from, std::vector<Kept>& kept, uint32_t& at,
                      uint32_t& count) {
  at = uint32_t(texts_.size());
  count = 0;
  size_t before = 0;
  for (const Kept& k : kept)
    if (k.function < function) before += k.count;
  if (before < max_errors && !from.empty()) {
    count = uint32_t(from.size());
    kept.push_back({function, count});
    std::move(from.begin(), from.end(), std::back_inserter(texts_));
  }
  from.clear();
}

BodyParser::Outcome BodyParser::read(uint32_t function) {
  const Head& head = d_.heads[function];
  Outcome o;
  o.reader = this;
  o.types = uint32_t(new_types_.size());
  function_ = function + 1;
  charged_ = 0;
  again_ = false;
  fn_.clear();
  fn_.symbol = m_.functions[function].symbol;
  fn_.type = head.type;
  fn_.conv = head.conv;
  fn_.flags = head.flags;
  fn_.result_attrs = head.result_attrs;
  fn_.align_log2 = head.align_log2;
  const bool whole = head.open != ~0u && body(head);
  const bool clean = whole && errors_.empty() && !head.broken;
  if (!again_) keep(function, errors_, kept_errors_, o.errors, o.error_count);
  if (clean && !again_) verify(function);
  if (!again_) keep(function, errors_, kept_problems_, o.problems, o.problem_count);
  errors_.clear();
  o.again = again_;
  o.charged = charged_;
  o.type_count = uint32_t(new_types_.size()) - o.types;
  if (!again_) m_.in_memory[function] = fn_;  // a copy takes what it needs
  return o;
}

void BodyParser::define(const Token& name, TypeId t, ValueKind kind, uint32_t index) {
  if (!value_ids_.insert(text(name), uint32_t(fn_.values.size())))
    fail(name, "'" + std::string(whole(name)) + "' is defined twice");
  places_.values.resize(fn_.values.size(), ~0u);
  places_.values.push_back(name.offset);
  fn_.values.push_back(Value::make(t, kind, index));
  broken_values_.push_back(0);
}

// The tokens of a body, and some behind it that complaints may speak of.
void BodyParser::lex(const Head& head) {
  go_to(head.open + 1);
  line_starts_.clear();
  for (;;) {
    Token& t = tokens_.emplace_back();
    lexer_.next(t);
    if (t.first_on_line) line_starts_.push_back(uint32_t(tokens_.size() - 1));
    if (t.kind == Tok::End || t.offset >= head.end) break;
  }
  if (!line_starts_.empty() && line_starts_.back() + 1 == tokens_.size()) line_starts_.pop_back();
  body_end_ = uint32_t(tokens_.size() - 1);
  // Where one brace too many was opened, the one that should have closed the body is still in it.
  const bool closed = head.end < d_.source.size() && d_.source[head.end] == '}';
  if (!closed && body_end_ && tokens_[body_end_ - 1].punct == '}') body_end_--;
  tokens_.push_back(lexer_.next());
}

// Of another block than the first; false: not all could be read.
bool BodyParser::block_params(uint32_t b, Block& block) {
  bool whole_list = true;
  while (!is(')')) {
    if (fn_.values.size() > block.first_param && !expect(',', "the block's parameters")) break;
    if (peek().kind != Tok::Value || !is(':', 1)) {
      fail_here("a parameter, as %name: type");
      break;
    }
    const Token p = take();
    take();
    TypeId t;
    if (!type(t)) {
      // The parameter keeps its place; nobody's use of it is judged.
      whole_list = false;
      define(p, T::void_type, ValueKind::Param, b);
      broken_values_.back() = 1;
      while (peek().kind != Tok::End && !peek().first_on_line && !is(',') && !is(')')) take();
      if (is(',') || is(')')) continue;
      break;
    }
    if (t == T::void_type || (*types_)[t].kind == TypeKind::Function) fail(p, "a parameter of type " + type_text(t));
    define(p, t, ValueKind::Param, b);
  }
  return whole_list;
}

// Blocks, their parameters and all results get their numbers.
bool BodyParser::prescan(const Head& head) {
  bool whole_scan = true;
  std::vector<uint32_t>& labels = places_.blocks;
  for (uint32_t k : line_starts_)
    if (at_label(k)) labels.push_back(k);
  for (uint32_t b = 0; b < labels.size(); b++) {
    at_ = labels[b];
    const Token name = take();
    labels[b] = name.offset;
    if (!block_ids_.insert(text(name), b)) fail(name, "the block '" + std::string(text(name)) + "' is defined twice");
    Block block;
    block.first_param = uint32_t(fn_.values.size());
    if (b == 0) {
      for (uint32_t p = 0; p < head.param_count; p++) {
        const Declarations::Param& param = d_.params[head.params + p];
        if (param.name.kind == Tok::Value) define(param.name, param.type, ValueKind::Param, 0);
      }
      if (is('(')) fail(peek(), "the first block's parameters are the function's; it has none of its own");
    } else if (accept('(')) {
      whole_scan &= block_params(b, block);
    }
    block.param_count = uint32_t(fn_.values.size()) - block.first_param;
    fn_.blocks.push_back(block);
  }
  for (uint32_t k : line_starts_)
    if (tokens_[k].kind == Tok::Value && tokens_[k + 1].punct == '=')
      define(tokens_[k], T::void_type, ValueKind::Inst, 0);
  return whole_scan;
}

// To the first token of another line.
void BodyParser::skip_line() {
  while (peek().kind != Tok::End && !peek().first_on_line) take();
}

void BodyParser::label() {
  take();
  if (is('(')) {
    while (at_ < body_end_ && !is(')')) take();
    take();
  }
  if (!expect(':', "the label")) {
    take();
    skip_line();
  }
}

bool BodyParser::slot() {
  take();
  const Token name = take();
  StackSlot s;
  bool ok = number(s.size, "a size in bytes");
  if (ok && accept_word("align")) ok = align(s.align_log2);
  if (ok)
    if (const words::Word* w = word_of(words::slot_array)) s.array = SlotArray(w->value);
  if (!slot_ids_.insert(text(name), uint32_t(fn_.slots.size())))
    fail(name, "the slot '" + std::string(text(name)) + "' is declared twice");
  if (ok && s.size > uint64_t{1} << 47) fail(name, "the slot is too large");
  fn_.slots.push_back(s);
  return ok;
}

bool BodyParser::body(const Head& head) {
  value_ids_.clear();
  block_ids_.clear();
  reported_.clear();
  slot_ids_.clear();
  claims_.clear();
  broken_values_.clear();
  if (!location_ids_.empty()) location_ids_.clear();
  places_.insts.clear();
  places_.blocks.clear();
  places_.values.clear();
  places_.uses.clear();
  places_.edges.clear();
  if (head.personality != ~0u) fn_.personality = symbol_ref(token_at(head.personality));
  lex(head);
  bool whole_body = prescan(head);
  bool have_attrs = false;
  // The function's own attributes stand first; calls that have some need the place even if these are empty.
  for (uint32_t k = 0; k < head.param_count; k++) {
    const ParamAttr& a = d_.params[head.params + k].attr;
    have_attrs |= a.bits || a.align_log2 || a.size;
    fn_.param_attrs.push_back(a);
  }

  at_ = 0;
  uint32_t block = ~0u;
  bool label_missing = false;
  auto close = [&] {
    if (block == ~0u) return;
    fn_.blocks[block].inst_count = uint32_t(fn_.insts.size()) - fn_.blocks[block].first_inst;
  };
  while (at_ < body_end_ && !again_) {
    const Token t = peek();
    if (!t.first_on_line && at_ != 0) {
      fail_here("the end of the line");
      take();
      skip_line();
      continue;
    }
    if (at_label(at_)) {
      close();
      block = block == ~0u ? 0 : block + 1;
      fn_.blocks[block].first_inst = uint32_t(fn_.insts.size());
      label();
      continue;
    }
    if (is_word("slot") && peek(1).kind == Tok::Ident && peek(2).kind == Tok::Int) {
      if (block != ~0u) fail(t, "a slot is declared before the first block");
      if (!slot()) skip_line();
      continue;
    }
    if (block == ~0u) {
      if (!label_missing) fail_here("the first block's label, as name:");
      label_missing = true;
      take();
      skip_line();
      continue;
    }
    places_.insts.push_back(t.offset);
    fn_.insts.push_back({Op::unreachable});
    if (!fn_.inst_locations.empty()) fn_.inst_locations.resize(fn_.insts.size());
    const uint32_t line_start = at_;
    if (!instruction()) {
      whole_body = false;
      if (at_ == line_start) take();
      skip_line();
    }
  }
  close();
  if (fn_.blocks.empty() && !label_missing) fail(head.open, "the function has no block");
  // What a mention of a value said about its type.
  for (const TypeClaim& c : claims_) {
    const TypeId t = fn_.values[c.value.value].type;
    if (t == c.type || t == T::void_type) continue;
    if (c.value.value < broken_values_.size() && broken_values_[c.value.value]) continue;
    fail(c.place, describe(token_at(c.place)) + " has type " + type_text(t) + ", not " + type_text(c.type));
  }
  bool calls_have_attrs = false;
  for (const CallSite& c : fn_.calls) calls_have_attrs |= c.attrs != ~0u;
  if (!have_attrs && !calls_have_attrs) fn_.param_attrs.clear();
  return whole_body;
}

bool BodyParser::instruction() {
  const uint32_t index = uint32_t(fn_.insts.size() - 1);
  uint32_t result = ~0u;
  Token result_token;
  if (peek().kind == Tok::Value && is('=', 1)) {
    result_token = peek();
    result = value_ids_.find(text(peek()));
    // Until the type is known, uses of it are not judged.
    broken_values_[result] = 1;
    fn_.values[result] = Value::make(T::void_type, ValueKind::Inst, index);
    take();
    take();
  }
  const Token name = peek();
  Op op{};
  if (name.kind != Tok::Ident) return fail_here("an instruction");
  if (!find_op(text(name), op))
    return fail(name, "'" + std::string(text(name)) + "' is not an instruction" +
                          instruction_hint(text(name)));
  take();
  Inst i{op};
  i.type = T::void_type;
  while (const words::Word* w = word_of(words::inst_flag)) i.flags |= uint8_t(w->value);
  if (!inst_rest(i, name)) return false;
  if (is('!')) {
    uint32_t location_index;
    if (!location(location_index)) return false;
    fn_.inst_locations.resize(fn_.insts.size());
    fn_.inst_locations[index] = location_index;
  }
  if (i.type != T::void_type) {
    if (result == ~0u) {
      // A result that nobody names.
      if (op != Op::call && op != Op::invoke && !(info(op).traits & (traits::Effect)))
        return fail(name,
                    "the result of '" + std::string(info(op).name) + "' is not used; write %name = " + info(op).name);
      result = uint32_t(fn_.values.size());
      fn_.values.push_back({});
      broken_values_.resize(fn_.values.size(), 0);
    }
    i.result = ValueId(result);
    fn_.values[result] = Value::make(i.type, ValueKind::Inst, index);
    broken_values_[result] = 0;
  } else if (result != ~0u) {
    return fail(result_token, "'" + std::string(info(op).name) + "' has no result here");
  }
  fn_.insts[index] = i;
  if (peek().kind != Tok::End && !peek().first_on_line) return fail_here("the end of the line");
  return true;
}

bool BodyParser::location(uint32_t& index) {
  take();
  uint64_t file, line, column;
  const Token at = peek();
  if (!number(file, "the number of a file") || !expect(':', "the location") || !number(line, "a line") ||
      !expect(':', "the location") || !number(column, "a column"))
    return false;
  if (file >= m_.files.size()) return fail(at, "there are " + std::to_string(m_.files.size() - 1) + " files");
  if (line > 0xffffffff || column > 0xffff) return fail(at, "not a possible location");
  uint64_t key = (file * 0x9e3779b97f4a7c15ull) ^ line << 16 ^ column;
  if (fn_.locations.empty()) fn_.locations.push_back({});
  SourceLocation l{uint32_t(file), uint32_t(line), uint32_t(column)};
  auto [it, fresh] = location_ids_.try_emplace(key, uint32_t(fn_.locations.size()));
  const SourceLocation* known = fresh ? nullptr : &fn_.locations[it->second];
  if (!fresh && (known->file != l.file || known->line != l.line || known->column != l.column)) {
    index = uint32_t(fn_.locations.size());
    fn_.locations.push_back(l);
    return true;
  }
  index = it->second;
  if (fresh) fn_.locations.push_back(l);
  return true;
}

}  // namespace lode::air
