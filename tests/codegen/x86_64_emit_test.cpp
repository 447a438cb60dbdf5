// Emitted functions: branches at their smallest, jump tables, references in all forms, relocations of object mode,
// damaged words.
#include <algorithm>
#include <random>

#include "codegen/x86_64/fixups.h"
#include "tests/codegen/x86_64_code.h"

using namespace lode;
using namespace lode::x86_64;
using codegen::ReferenceForm;
using codegen::ResolvedReference;
using mir::ReferenceKind;
using test::Code;

namespace {

struct Made {
  std::vector<uint8_t> text, constants, cfi;
  std::vector<codegen::Fixup> fixups;
};

Made make(const mir::FunctionDraft& draft, const std::vector<ResolvedReference>& refs,
          codegen::TargetOptions options = {}, uint64_t text_address = 0x401000,
          uint64_t constants_address = 0x500000) {
  Made m;
  mir::FunctionView view = view_of(draft);
  auto sizes = measure(view, refs, options);
  if (!sizes.ok()) FAIL(sizes.error().text());
  m.text.resize(sizes->text);
  m.constants.resize(sizes->constants);
  codegen::EmitPlace place{m.text.data(),
                           m.constants.data(),
                           nullptr,
                           text_address,
                           constants_address,
                           0,
                           options.object ? &m.fixups : nullptr,
                           &m.cfi};
  auto done = emit(view, refs, options, place);
  if (!done.ok()) FAIL(done.error().text());
  return m;
}

std::string emit_error(const mir::FunctionDraft& draft, const std::vector<ResolvedReference>& refs,
                       codegen::TargetOptions options = {}) {
  mir::FunctionView view = view_of(draft);
  auto sizes = measure(view, refs, options);
  if (!sizes.ok()) return sizes.error().message;
  std::vector<uint8_t> text(sizes->text), constants(sizes->constants);
  codegen::EmitPlace place{text.data(), constants.data(), nullptr, 0x401000, 0x500000, 0, nullptr, nullptr};
  auto done = emit(view, refs, options, place);
  return done.ok() ? "" : done.error().message;
}

using Bytes = std::vector<uint8_t>;

}  // namespace

TEST_CASE("x86_64 emit: branches are as short as they can be and land where they should", "[x86_64]") {
  std::mt19937 random(7);
  for (int round = 0; round < 60; round++) {
    // Blocks open with `mov $number, %eax`, then nops, then perhaps a branch.
    unsigned blocks = 1 + random() % (round % 3 == 0 ? 400 : 30);
    mir::FunctionDraft draft;
    MirWriter w(draft);
    std::vector<Label> labels;
    for (unsigned b = 0; b < blocks; b++) labels.push_back(w.new_label());
    std::vector<unsigned> targets;
    for (unsigned b = 0; b < blocks; b++) {
      w.bind(labels[b]);
      w.ri(Op::mov32ri, reg::rax, b);
      for (unsigned n = random() % 4 ? random() % 20 : 0; n; n--) w.op(Op::nop);
      if (random() % 4 == 0) continue;
      unsigned to = random() % 3 ? unsigned(random() % blocks) : std::min(blocks - 1, b + unsigned(random() % 12));
      if (to == b + 1) to = b;
      targets.push_back(to);
      if (random() % 2) w.jmp(labels[to]);
      else w.jcc(Cond(random() % 16), labels[to]);
    }
    w.op(Op::int3);
    REQUIRE(w.finish().ok());
    Made m = make(draft, {});
    std::vector<size_t> starts;
    struct Found {
      size_t end;
      int64_t to;
      bool is_short, is_jmp;
    };
    std::vector<Found> found;
    size_t i = 0;
    while (m.text[i] != 0xcc) {
      uint8_t b = m.text[i];
      if (b == 0xb8) starts.push_back(i), i += 5;
      else if (b == 0x90) i++;
      else if (b == 0xeb || (b & 0xf0) == 0x70)
        i += 2, found.push_back({i, int64_t(i) + int8_t(m.text[i - 1]), true, b == 0xeb});
      else if (b == 0xe9) i += 5, found.push_back({i, int64_t(i) + load_le<int32_t>(&m.text[i - 4]), false, true});
      else if (b == 0x0f) i += 6, found.push_back({i, int64_t(i) + load_le<int32_t>(&m.text[i - 4]), false, false});
      else FAIL("byte " << int(b));
    }
    CHECK(i + 1 == m.text.size());
    REQUIRE(starts.size() == blocks);
    REQUIRE(found.size() == targets.size());
    unsigned wrong = 0, long_needlessly = 0;
    for (size_t k = 0; k < found.size(); k++) {
      wrong += found[k].to != int64_t(starts[targets[k]]);
      int64_t distance = found[k].to - int64_t(found[k].end);
      int64_t saved = found[k].is_jmp ? 3 : 4;
      if (!found[k].is_short && (distance >= 0 ? distance <= 127 : distance + saved >= -128)) long_needlessly++;
    }
    CHECK(wrong == 0);
    CHECK(long_needlessly == 0);
  }
}

TEST_CASE("x86_64 emit: a branch to what follows is nothing", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  Label a = w.new_label(), b = w.new_label(), c = w.new_label();
  w.jmp(a);
  w.bind(a);
  w.jcc(Cond::e, b);
  w.jmp(b);
  w.bind(b);
  w.op(Op::nop);
  w.jmp(c);
  w.op(Op::nop);
  w.bind(c);  // behind the last instruction
  REQUIRE(w.finish().ok());
  CHECK(make(draft, {}).text == Bytes{0x90, 0xeb, 0x01, 0x90});

  mir::FunctionDraft loop;
  MirWriter l(loop);
  Label self = l.new_label();
  l.bind(self);
  l.jmp(self);
  REQUIRE(l.finish().ok());
  CHECK(make(loop, {}).text == Bytes{0xeb, 0xfe});
}

TEST_CASE("x86_64 emit: immediates take the shortest form with the same result and flags", "[x86_64]") {
  auto text = [](Op op, uint8_t r, int64_t imm) {
    mir::FunctionDraft draft;
    MirWriter w(draft);
    w.ri(op, r, imm);
    REQUIRE(w.finish().ok());
    return make(draft, {}).text;
  };
  CHECK(text(Op::test32ri, reg::rcx, 1) == Bytes{0xf6, 0xc1, 1});
  CHECK(text(Op::test64ri, reg::rax, 127) == Bytes{0xa8, 127});
  CHECK(text(Op::test32ri, reg::rcx, 128) == Bytes{0xf7, 0xc1, 128, 0, 0, 0});  // bit 7 would become the sign
  CHECK(text(Op::test64ri, reg::rcx, -1) == Bytes{0x48, 0xf7, 0xc1, 0xff, 0xff, 0xff, 0xff});
  CHECK(text(Op::and64ri, reg::rdx, 15) == Bytes{0x83, 0xe2, 15});
  CHECK(text(Op::and64ri, reg::rdx, -16) == Bytes{0x48, 0x83, 0xe2, 0xf0});
  CHECK(text(Op::mov64ri, reg::rdx, 5) == Bytes{0xba, 5, 0, 0, 0});
  CHECK(text(Op::mov64ri, reg::rdx, -5) == Bytes{0x48, 0xc7, 0xc2, 0xfb, 0xff, 0xff, 0xff});
}

TEST_CASE("x86_64 emit: what is used most gets the short displacements", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  for (int i = 0; i < 40; i++) w.add_slot(8, 8);
  w.rm(Op::mov64rm, reg::rax, Mem::slot(39));
  for (uint32_t i = 0; i < 40; i++) w.rm(Op::mov64rm, reg::rax, Mem::slot(i));
  w.set_frame_flags(frame::has_calls);
  REQUIRE(w.finish().ok());
  Bytes text = make(draft, {}).text;
  REQUIRE(text.size() > 11);
  CHECK(Bytes(text.begin(), text.begin() + 3) == Bytes{0x48, 0x81, 0xec});            // sub $328, %rsp
  CHECK(Bytes(text.begin() + 7, text.begin() + 11) == Bytes{0x48, 0x8b, 0x04, 0x24});  // mov (%rsp), %rax
}

TEST_CASE("x86_64 emit: jump tables run", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  uint8_t eight[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(w.add_constant({eight, 3}, 1) == 0);
  std::vector<Label> labels;
  for (int i = 0; i < 5; i++) labels.push_back(w.new_label());
  w.rr(Op::mov32rr, reg::rax, reg::rdi);
  w.jump_table(reg::rax, reg::rcx, labels);
  for (int i = 4; i >= 0; i--) {
    w.bind(labels[i]);
    w.ri(Op::mov32ri, reg::rax, 100 + i);
    w.ret();
  }
  uint32_t eight_at = w.add_constant(eight, 8);
  CHECK(w.add_constant(eight, 8) == eight_at);
  REQUIRE(w.finish().ok());
  CHECK(draft.constants_align_log2 == 3);
  Code code(draft);
  for (uint64_t i = 0; i < 5; i++) CHECK(code.as<int(uint64_t)>()(i) == 100 + int(i));

  codegen::TargetOptions object;
  object.object = object.pic = true;
  Made m = make(draft, std::vector<ResolvedReference>(draft.references.size(), {0, ReferenceForm::relocation}), object);
  REQUIRE(m.fixups.size() == 6);
  CHECK(m.fixups[0].kind == uint16_t(FixupKind::pc32));
  CHECK(draft.references[m.fixups[0].index].kind == ReferenceKind::constants);
  CHECK(m.fixups[0].addend == 4 - 4);  // the table stands at 4
  for (unsigned i = 0; i < 5; i++) {
    const codegen::Fixup& f = m.fixups[1 + i];
    CHECK(f.place == codegen::Fixup::Place::constants);
    CHECK(f.target == codegen::Fixup::Target::text);
    CHECK(f.kind == uint16_t(FixupKind::pc32));
    CHECK(f.offset == 4 + 4 * i);
    size_t label = size_t(f.addend - 4 * i);
    REQUIRE(label < m.text.size());
    CHECK(m.text[label] == 0xb8);
    CHECK(m.text[label + 1] == 100 + i);
  }
}

TEST_CASE("x86_64 emit: references in the forms of an executable", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  uint32_t direct = w.add_reference(SymbolId(1), 8, ReferenceKind::direct);
  uint32_t got = w.add_reference(SymbolId(2), 0, ReferenceKind::got);
  uint32_t call = w.add_reference(SymbolId(3), 0, ReferenceKind::call);
  CHECK(w.add_reference(SymbolId(1), 8, ReferenceKind::direct) == direct);
  w.lea_ref(reg::r12, direct);
  w.lea_ref(reg::rax, got);
  w.rm(Op::mov32rm, reg::rcx, Mem::symbol(direct, 4));
  w.mi(Op::cmp8mi, Mem::symbol(direct), 99);
  w.jmp_ref(call);
  REQUIRE(w.finish().ok());
  auto field = [](const Bytes& text, size_t at) { return load_le<int32_t>(&text[at]); };

  Made m = make(draft,
                {{0x402000, ReferenceForm::direct}, {0x403000, ReferenceForm::got}, {0x404000, ReferenceForm::direct}});
  const Bytes& t = m.text;
  REQUIRE(t.size() == 7 + 7 + 6 + 7 + 5);
  CHECK(Bytes(t.begin(), t.begin() + 3) == Bytes{0x4c, 0x8d, 0x25});
  CHECK(field(t, 3) == 0x402000 - 0x401007);
  CHECK(Bytes(t.begin() + 7, t.begin() + 10) == Bytes{0x48, 0x8b, 0x05});
  CHECK(field(t, 10) == 0x403000 - 0x40100e);
  CHECK(field(t, 16) == 0x402004 - 0x401014);
  CHECK(field(t, 22) == 0x402000 - 0x40101b);
  CHECK(t[26] == 99);
  CHECK(t[27] == 0xe9);
  CHECK(field(t, 28) == 0x404000 - 0x401020);

  // Absolute: the address is an immediate of 5 or 6 bytes; the GOT load becomes one too.
  m = make(
      draft,
      {{0x402000, ReferenceForm::absolute}, {0x403000, ReferenceForm::absolute}, {0x404000, ReferenceForm::direct}});
  CHECK(m.text.size() == 6 + 5 + 6 + 7 + 5);
  CHECK(Bytes(m.text.begin(), m.text.begin() + 6) == Bytes{0x41, 0xbc, 0x00, 0x20, 0x40, 0x00});
  // In position-independent code an absolute memory operand is not relative to rip.
  codegen::TargetOptions pic;
  pic.pic = true;
  m = make(draft, {{0, ReferenceForm::absolute}, {0x403000, ReferenceForm::direct}, {0x404000, ReferenceForm::direct}},
           pic);
  CHECK(m.text.size() == 6 + 7 + 7 + 8 + 5);
  CHECK(emit_error(draft, {{1ull << 40, ReferenceForm::direct}, {0, ReferenceForm::got}, {0, ReferenceForm::direct}})
            .find("out of the reach") != std::string::npos);
  CHECK(emit_error(draft, {{0, ReferenceForm::got}, {0, ReferenceForm::got}, {0, ReferenceForm::direct}}).find("GOT") !=
        std::string::npos);
  CHECK(emit_error(draft, {}).find("damaged") != std::string::npos);
}

TEST_CASE("x86_64 emit: symbol addresses with registers", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  uint32_t ref = w.add_reference(SymbolId(1), 0, ReferenceKind::direct);
  w.rm(Op::mov32rm, reg::rax, Mem::symbol(ref, 16).with_index(reg::rdi, 3));
  REQUIRE(w.finish().ok());
  CHECK(make(draft, {{0x402000, ReferenceForm::absolute}}).text == Bytes{0x8b, 0x04, 0xfd, 0x10, 0x20, 0x40, 0x00});
  codegen::TargetOptions options;
  options.pic = true;
  CHECK(emit_error(draft, {{0x402000, ReferenceForm::direct}}, options).find("position-independent") !=
        std::string::npos);
  options.pic = false;
  options.object = true;
  Made m = make(draft, {{0, ReferenceForm::relocation}}, options);
  REQUIRE(m.fixups.size() == 1);
  CHECK(m.fixups[0].kind == uint16_t(FixupKind::abs32s));
  CHECK(m.fixups[0].addend == 16);
  CHECK(m.fixups[0].offset == 3);
}

TEST_CASE("x86_64 emit: relocations of object mode", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  uint32_t direct = w.add_reference(SymbolId(1), 8, ReferenceKind::direct),
           got = w.add_reference(SymbolId(2), 0, ReferenceKind::got);
  uint32_t call = w.add_reference(SymbolId(3), 0, ReferenceKind::call);
  uint32_t le = w.add_reference(SymbolId(4), 12, ReferenceKind::tls_local_exec);
  uint32_t ie = w.add_reference(SymbolId(5), 0, ReferenceKind::tls_initial_exec);
  uint32_t gd = w.add_reference(SymbolId(6), 0, ReferenceKind::tls_general_dynamic);
  uint8_t k[4] = {1, 2, 3, 4};
  w.lea_ref(reg::rcx, direct);
  w.mi(Op::mov32mi, Mem::symbol(direct, 4), 1000);
  w.lea_ref(reg::r9, got);
  w.call_ref(call);
  w.tls_addr(reg::r12, le);
  Mem fs = Mem::symbol(le, 4);
  fs.segment = Segment::fs;
  w.rm(Op::mov32rm, reg::rax, fs);
  w.tls_addr(reg::rbx, ie);
  w.tls_gd(gd, call);
  w.rm(Op::movss_rm, 1, Mem::constants(w.add_constant(k, 4)));
  w.save_registers(1 << reg::rbx | 1 << reg::r12);
  REQUIRE(w.finish().ok());
  codegen::TargetOptions options;
  options.object = options.pic = true;
  Made m =
      make(draft, std::vector<ResolvedReference>(draft.references.size(), {0, ReferenceForm::relocation}), options);
  struct Want {
    FixupKind kind;
    uint32_t reference;
    int64_t addend;
    Bytes before;  // bytes in front of the field
  };
  std::vector<Want> wanted = {
      {FixupKind::pc32, direct, 8 - 4, {0x48, 0x8d, 0x0d}},
      {FixupKind::pc32, direct, 8 + 4 - 8, {0xc7, 0x05}},
      {FixupKind::rex_gotpcrelx, got, -4, {0x4c, 0x8b, 0x0d}},
      {FixupKind::plt32, call, -4, {0xe8}},
      {FixupKind::tpoff32, le, 12, {0x64, 0x4c, 0x8b, 0x24, 0x25, 0, 0, 0, 0, 0x4d, 0x8d, 0xa4, 0x24}},
      {FixupKind::tpoff32, le, 16, {0x64, 0x8b, 0x04, 0x25}},
      {FixupKind::gottpoff, ie, -4, {0x64, 0x48, 0x8b, 0x1c, 0x25, 0, 0, 0, 0, 0x48, 0x03, 0x1d}},
      {FixupKind::tlsgd, gd, -4, {0x66, 0x48, 0x8d, 0x3d}},
      {FixupKind::plt32, call, -4, {0x66, 0x66, 0x48, 0xe8}},
      {FixupKind::pc32, uint32_t(draft.references.size() - 1), -4, {0xf3, 0x0f, 0x10, 0x0d}},
  };
  REQUIRE(m.fixups.size() == wanted.size());
  for (size_t i = 0; i < wanted.size(); i++) {
    INFO(i);
    const codegen::Fixup& f = m.fixups[i];
    CHECK(f.kind == uint16_t(wanted[i].kind));
    CHECK(f.target == codegen::Fixup::Target::reference);
    CHECK(f.index == wanted[i].reference);
    CHECK(f.addend == wanted[i].addend);
    REQUIRE(f.offset >= wanted[i].before.size());
    CHECK(Bytes(m.text.begin() + f.offset - wanted[i].before.size(), m.text.begin() + f.offset) == wanted[i].before);
    CHECK(load_le<uint32_t>(&m.text[f.offset]) == 0);
  }
}

TEST_CASE("x86_64 emit: thread-local forms of an executable", "[x86_64]") {
  mir::FunctionDraft draft;
  MirWriter w(draft);
  uint32_t var = w.add_reference(SymbolId(6), 0, ReferenceKind::tls_general_dynamic),
           get = w.add_reference(SymbolId(7), 0, ReferenceKind::call);
  w.tls_gd(var, get);
  REQUIRE(w.finish().ok());
  draft.frame[frame::word_flags] = 0;
  Made m = make(draft, {{uint64_t(-64), ReferenceForm::tls_local_exec}, {0x404000, ReferenceForm::direct}});
  CHECK(m.text == Bytes{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80, 0xc0, 0xff, 0xff, 0xff});
  m = make(draft, {{0x402000, ReferenceForm::tls_initial_exec}, {0x404000, ReferenceForm::direct}});
  CHECK(m.text == Bytes{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x03, 0x05, 0xf0, 0x0f, 0, 0});
  m = make(draft, {{0x402000, ReferenceForm::tls_general_dynamic}, {0x404000, ReferenceForm::direct}});
  CHECK(m.text == Bytes{0x48, 0x8d, 0x3d, 0xf9, 0x0f, 0, 0, 0xe8, 0xf4, 0x2f, 0, 0});
}

TEST_CASE("x86_64 emit: damaged words are an error, never a crash", "[x86_64]") {
  std::mt19937 random(3);
  for (int round = 0; round < 20000; round++) {
    mir::FunctionDraft draft;
    draft.symbol = SymbolId(0);
    unsigned n = 1 + random() % 6;
    for (unsigned i = 0; i < n; i++) {
      draft.tags.push_back(uint16_t(random() % (op_count + 2) | (random() % 16) << 12));
      draft.operands.push_back(random() % 2 ? uint32_t(random()) : uint32_t(random()) & 0x3ff);
    }
    for (unsigned i = random() % 8; i; i--)
      draft.extra.push_back(random() % 2 ? uint32_t(random()) : uint32_t(random()) % 8);
    for (unsigned i = random() % 3; i; i--) {
      append_le(draft.locals, uint32_t(random() % 4 ? random() % 100 : random()));
      append_le(draft.locals, uint32_t(random() % 6));
    }
    draft.constants.resize(random() % 40);
    for (unsigned i = random() % 3; i; i--) draft.references.push_back({SymbolId(i), 0, ReferenceKind(random() % 8)});
    draft.frame[0] = uint32_t(random());
    draft.frame[1] = random() % 4 ? 0 : uint32_t(random());
    draft.frame[2] = random() % 32;
    std::vector<ResolvedReference> refs;
    for (size_t i = 0; i < draft.references.size(); i++)
      refs.push_back({random() % 0x800000, ReferenceForm(random() % 8)});
    codegen::TargetOptions options;
    options.pic = random() % 2;
    options.object = random() % 2;
    mir::FunctionView view = view_of(draft);
    auto sizes = measure(view, refs, options);
    if (!sizes.ok()) continue;
    REQUIRE(sizes->text < 100000);
    std::vector<uint8_t> text(sizes->text), constants(sizes->constants), cfi;
    std::vector<codegen::Fixup> fixups;
    codegen::EmitPlace place{text.data(), constants.data(), nullptr, 0x401000, 0x500000, 0, &fixups, &cfi};
    if (emit(view, refs, options, place).ok()) CHECK(cfi.size() == sizes->cfi);
    (void)print_function(view);
  }
}

TEST_CASE("x86_64 emit: alignments between branches of both widths", "[x86_64]") {
  std::mt19937 random(11);
  for (int round = 0; round < 60; round++) {
    // Each block: perhaps an alignment, `mov $mark, %eax`, nops, perhaps a branch to another block.
    unsigned blocks = 2 + random() % (round % 3 == 0 ? 200 : 20);
    mir::FunctionDraft draft;
    MirWriter w(draft);
    std::vector<Label> labels;
    std::vector<unsigned> log2(blocks), most(blocks), place(blocks);
    for (unsigned b = 0; b < blocks; b++) labels.push_back(w.new_label());
    for (unsigned b = 0; b < blocks; b++) {
      if (random() % 3 == 0) {
        log2[b] = 1 + random() % 7;
        most[b] = random() % 3 ? 4096 : random() % 20;
        w.align(log2[b], most[b]);
      }
      w.bind(labels[b]);
      w.ri(Op::mov32ri, reg::rax, 0x11220000 + b);
      for (unsigned n = random() % 30; n; n--) w.op(Op::nop);
      if (random() % 2) w.jcc(Cond::e, labels[random() % blocks]);
    }
    w.op(Op::int3);
    REQUIRE(w.finish().ok());
    Made m = make(draft, {});
    Bytes text = m.text;
    // Where the blocks are: by their marks.
    for (size_t i = 0; i + 5 <= text.size(); i++)
      if (text[i] == 0xb8 && load_le<uint16_t>(&text[i + 3]) == 0x1122)
        place.at(load_le<uint16_t>(&text[i + 1])) = unsigned(i);
    for (unsigned b = 0; b < blocks; b++) {
      if (!log2[b]) continue;
      INFO("block " << b << " at " << place[b]);
      unsigned size = 1u << log2[b];
      if (most[b] >= size - 1) CHECK(place[b] % size == 0);
    }
    // The branches land on marks: every byte of the text is an instruction of the kinds above.
    for (size_t i = 0; i < text.size();) {
      int64_t to = -1;
      if (text[i] == 0xb8) i += 5;
      else if (text[i] == 0x90 || text[i] == 0xcc) i++;
      else if (text[i] == 0x74) i += 2, to = int64_t(i) + int8_t(text[i - 1]);
      else if (text[i] == 0x0f && text[i + 1] == 0x84)
        i += 6, to = int64_t(i) + int32_t(load_le<uint32_t>(&text[i - 4]));
      else if (text[i] == 0x66 && text[i + 1] == 0x90) i += 2;
      else {
        if (text[i] == 0x66) i++;
        REQUIRE(text[i] == 0x0f);
        REQUIRE(text[i + 1] == 0x1f);
        uint8_t modrm = text[i + 2];
        i += 3 + ((modrm & 7) == 4) + (modrm >> 6 == 1 ? 1 : modrm >> 6 == 2 ? 4 : 0);
      }
      if (to >= 0) {
        INFO("branch to " << to);
        CHECK(std::count(place.begin(), place.end(), unsigned(to)) == 1);
      }
    }
    CHECK(view_of(draft).text_align_log2 == std::max(*std::max_element(log2.begin(), log2.end()), 0u));
  }
  // More than the function's own alignment promises: not from the writer, so damaged.
  mir::FunctionDraft draft;
  MirWriter w(draft);
  w.align(5, 31);
  w.ret();
  REQUIRE(w.finish().ok());
  draft.text_align_log2 = 4;
  CHECK(emit_error(draft, {}).find("damaged") != std::string::npos);
}
