// lower(): one AIR function to one MIR draft. The stages are described in select.h.
#include <algorithm>

#include "codegen/wasm/select.h"

namespace lode::wasm {

std::unique_ptr<codegen::LowerScratch> make_scratch() { return std::make_unique<Selector>(); }

Result<void> Selector::run(air::Function& fn, const LowerContext& context, mir::FunctionDraft& out) {
  fn_ = &fn;
  context_ = &context;
  types_ = &context.module->types;
  problem_.clear();
  features_ = context.options.features;
  wasm64_ = types_->layout().pointer_bytes == 8;
  address_ = wasm64_ ? ValueType::i64 : ValueType::i32;
  LODE_TRY(air::legalize(fn, *context.module, legalize_options(features_)));
  // Whoever asks for a canary gets one where the frame has anything.
  namespace flag = air::function_flags;
  protected_ = (fn.flags & (flag::stack_protect | flag::stack_protect_strong | flag::stack_protect_req)) &&
               (!fn.slots.empty() || std::any_of(fn.insts.begin(), fn.insts.end(),
                                                 [](const air::Inst& i) { return i.op == air::Op::alloca; }));
  const Signature* own = signature(fn.type);
  if (!own) return error(problem_);
  own_signature_ = *own;
  if (fn.blocks.empty() || fn.blocks[0].param_count != own_signature_.fixed)
    return error("the function's parameters do not match its type");
  mir_.start(out, context.symbols[fn.symbol.value], own_signature_.params, own_signature_.results, wasm64_);
  LODE_TRY(make_nodes());
  write_code();
  // From here on the draft's columns hold the final code.
  code_tags_.assign(out.tags.begin(), out.tags.end());
  code_operands_.assign(out.operands.begin(), out.operands.end());
  out.tags.clear();
  out.operands.clear();
  allocate_locals();
  simplify_flow();
  structurer_.make_reducible(flow_);
  hoisted_.resize(flow_.nodes.size());
  Frame frame;
  frame.present = weight_[frame_virtual_] > 0 || moves_stack_;
  frame.keeps_stack_pointer = calls_ || moves_stack_;
  frame.align_log2 = uint8_t(frame_layout_.align_log2);
  frame.size = frame_layout_.size;
  bool saved = frame.present && (frame.align_log2 > 4 || moves_stack_);
  number_locals(frame.present, saved);
  frame.base_local = frame_local_;
  frame.saved_local = saved ? saved_local_ : Frame::no_local;
  if (frame.present) frame.stack_pointer = mir_.reference(mir::ReferenceKind::wasm_global, context.stack_pointer);
  finish();
  mir_.frame(frame);
  return {};
}

Result<void> lower(air::Function& fn, const LowerContext& context, codegen::LowerScratch& scratch,
                   mir::FunctionDraft& out) {
  auto& selector = static_cast<Selector&>(scratch);
  Result<void> r = selector.run(fn, context, out);
  if (r.ok()) return r;
  out.clear();
  return r.take_error().at("function '" + std::string(context.module->name_of(fn.symbol)) + "'");
}

}  // namespace lode::wasm
