// MIR functions in the output: their code, their constants, and their records in .eh_frame.
//
// Asked for: measure.cpp has chosen forms and sizes, and for write_functions that layout is done, every symbol, GOT
// slot and PLT entry having its address. Emission may not come to another size; it fills exactly its atoms. In object
// mode (-r) nothing has an address, and emit leaves fixups, which emit_objects hands on together with the bytes.
//
// Unwind records are laid out before there are addresses: the FDEs of MIR functions stand behind what is kept of the
// objects' .eh_frame, after CIEs of their own, one for the functions without exceptions and one for each personality
// routine. True after write_functions: text, constants, exception tables, trap lists and FDEs are written, and the
// offsets of blocks that data refers to are known; finish_functions puts them into the data.
#include <xxhash.h>

#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/stage_times.h"
#include "link/cache/cached_functions.h"
#include "link/elf/code/lower_state.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/actions.h"
#include "link/common/parallel.h"

namespace lode::link::elf {

using codegen::ReferenceForm;
using codegen::ResolvedReference;
using mir::ReferenceKind;

// All that emit is told about where things are.
static mir::Hash128 hash_of_places(const ModuleFunction& fn, const codegen::EmitPlace& place) {
  std::vector<uint64_t> words{place.text_address, place.constants_address, place.exceptions_address,
                              uint64_t(place.cfi != nullptr), uint64_t(place.constants != nullptr)};
  for (const ResolvedReference& r : fn.references) words.push_back(r.address), words.push_back(uint64_t(r.form));
  const XXH128_hash_t h = XXH3_128bits(words.data(), words.size() * sizeof words[0]);
  return {h.low64, h.high64};
}

// Emits the function, or copies what an earlier flush emitted at the same place.
static Result<void> emit_or_copy(LowerState& s, const ObjectFile& f, ModuleFunction& fn,
                                 const codegen::EmitPlace& place) {
  ModuleState& m = *f.module;
  LODE_ASSIGN(const mir::FunctionView view, whole_function(s, f, fn));
  const bool keeps = m.cache && m.cache->functions().keeps_code() && !(fn.key == mir::Hash128{}) && !place.traps &&
                     !place.fixups && !place.fields;
  if (!keeps) return s.target->emit(view, fn.references, s.options, place);
  const mir::Hash128 places = hash_of_places(fn, place);
  const uint64_t forms = hash_of_forms(fn);
  CachedModule& functions = m.cache->functions();
  auto copy = [](uint8_t* to, const std::vector<uint8_t>& from) {
    if (to && !from.empty()) std::memcpy(to, from.data(), from.size());
  };
  if (auto kept = functions.kept_code(fn.key); kept && kept->forms == forms && kept->places == places) {
    copy(place.text, kept->text);
    copy(place.constants, kept->constants);
    copy(place.exceptions, kept->exceptions);
    if (place.cfi) *place.cfi = kept->cfi;
    functions.keep_code(fn.index.value, kept);
    return {};
  }
  LODE_TRY(s.target->emit(view, fn.references, s.options, place));
  auto made = std::make_shared<KeptCode>();
  made->key = fn.key;
  made->forms = forms;
  made->sizes = fn.sizes;
  made->places = places;
  made->text.assign(place.text, place.text + fn.sizes.text);
  if (place.constants) made->constants.assign(place.constants, place.constants + fn.sizes.constants);
  if (place.exceptions) made->exceptions.assign(place.exceptions, place.exceptions + fn.sizes.exceptions);
  if (place.cfi) made->cfi = *place.cfi;
  functions.keep_code(fn.index.value, std::move(made));
  return {};
}

// The same for a relink, with the key, and with who defines what is referred to: fields that hold addresses of other
// files are sites, and what was none before has to be found by emit.
static mir::Hash128 hash_for_relinks(const Link& link, const ObjectFile& f, const ModuleFunction& fn,
                                     const codegen::EmitPlace& place, std::span<const mir::Reference> references) {
  const mir::Hash128 places = hash_of_places(fn, place);
  std::vector<uint8_t> bytes;
  bytes.reserve(32 + references.size());
  append_le(bytes, places);
  append_le(bytes, fn.key);
  for (const mir::Reference& r : references)
    bytes.push_back(!r.symbol.valid() ? 2 : link.symbols[r.symbol.value].file == f.id);
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.low64, h.high64};
}

// ---- unwind records

// Of a function with exceptions the FDE holds the distance to its table.
static constexpr uint32_t fde_table_field = 17;
static uint32_t fde_size(const ModuleFunction& fn) {
  return uint32_t(align_up(17 + (fn.sizes.exceptions ? 4 : 0) + fn.sizes.cfi, 8));
}

// The symbol of its personality routine, or none.
static uint32_t personality_of(const LowerState& s, const ModuleFunction& fn) {
  if (!fn.sizes.exceptions) return none;
  auto refs = s.store->references(fn.mir);
  return fn.sizes.personality < refs.size() ? refs[fn.sizes.personality].symbol.value : none;
}

static const LowerState::CommonCie* cie_of(const LowerState& s, uint32_t personality) {
  for (const LowerState::CommonCie& c : s.cies)
    if (c.symbol == personality) return &c;
  return nullptr;
}

// An FDE but for the addresses of its function and of the exception table.
static void put_fde(const LowerState& s, const ModuleFunction& fn, uint8_t* p, uint32_t text_size,
                    std::span<const uint8_t> cfi) {
  uint32_t size = fde_size(fn);
  std::memset(p, 0, size);
  store_le(p, size - 4);
  store_le(p + 4, fn.frame_offset + 4 - cie_of(s, personality_of(s, fn))->offset);
  store_le(p + 12, text_size);
  p[16] = fn.sizes.exceptions ? 4 : 0;
  if (!cfi.empty()) std::memcpy(p + fde_table_field + p[16], cfi.data(), cfi.size());
}

// The CIEs that live functions need, without places.
static void make_common_cies(LowerState& s, std::span<const LiveFunction> fns) {
  s.cies.clear();
  auto add_cie = [&](uint32_t personality) {
    LowerState::CommonCie cie;
    cie.symbol = personality;
    auto& c = cie.bytes;
    c.assign(8, 0);  // length, CIE id 0
    c.push_back(1);
    for (char ch : personality == none ? std::string_view("zR") : std::string_view("zPLR")) c.push_back(uint8_t(ch));
    c.push_back(0);
    append_uleb(c, s.target->cie_code_align);
    append_sleb(c, s.target->cie_data_align);
    c.push_back(uint8_t(s.target->cie_return_register));
    append_uleb(c, personality == none ? 1 : 7);
    if (personality != none) {
      c.push_back(0x9b);  // the personality: through a pointer at a pc-relative distance of 4 bytes
      cie.field = uint32_t(c.size());
      c.insert(c.end(), 4, 0);
      c.push_back(0x1b);  // exception tables: pc-relative, 4 bytes signed
    }
    c.push_back(0x1b);  // FDE pointers: the same
    c.insert(c.end(), s.target->cie_instructions.begin(), s.target->cie_instructions.end());
    c.resize(align_up(c.size(), 8));
    store_le(c.data(), uint32_t(c.size() - 4));
    s.cies.push_back(std::move(cie));
  };
  add_cie(none);
  for (auto [f, fn] : fns)
    if (uint32_t p = personality_of(s, *fn); !cie_of(s, p)) add_cie(p);
}

void layout_function_frames(Link& link, uint64_t& offset, uint64_t& count) {
  if (!link.has_modules) return;
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  if (fns.empty()) return;
  make_common_cies(s, fns);
  offset = align_up(offset, 4);
  for (LowerState::CommonCie& c : s.cies) {
    c.offset = uint32_t(offset);
    offset += c.bytes.size();
  }
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) f->frame_begin = f->frame_end = 0;
  for (auto [f, fn] : fns) {
    if (f->frame_end != offset) f->frame_begin = uint32_t(offset);
    fn->frame_offset = uint32_t(offset);
    offset += fde_size(*fn);
    f->frame_end = uint32_t(offset);
    count++;
  }
}

uint64_t size_file_frames(Link& link, ObjectFile& file, uint64_t& count,
                          const std::function<uint32_t(uint32_t personality)>& cie_offset) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  make_common_cies(s, fns);
  for (LowerState::CommonCie& c : s.cies) c.offset = cie_offset(c.symbol);
  uint64_t size = 0;
  for (auto [f, fn] : fns) {
    if (f != &file) continue;
    fn->frame_offset = uint32_t(size);
    size += fde_size(*fn);
    count++;
  }
  return size;
}

void place_file_frames(Link& link, ObjectFile& file, uint32_t offset,
                       std::vector<std::pair<uint64_t, uint64_t>>& entries) {
  for (auto [f, fn] : live_functions(link)) {
    if (f != &file || fn->frame_offset == none) continue;
    fn->frame_offset += offset;
    entries.emplace_back(link.atom_address[f->atom_base + fn->section], link.eh_frame->addr + fn->frame_offset);
  }
}

std::vector<std::pair<uint32_t, uint32_t>> common_cies(const Link& link) {
  std::vector<std::pair<uint32_t, uint32_t>> out;
  if (link.lower)
    for (const LowerState::CommonCie& c : link.lower->cies) out.emplace_back(c.symbol, c.offset);
  return out;
}

uint32_t common_cie(const Link& link, uint32_t personality, std::vector<uint8_t>& bytes) {
  const LowerState::CommonCie* c = link.lower ? cie_of(*link.lower, personality) : nullptr;
  if (!c) return 0;
  bytes = c->bytes;
  return c->field;
}

void write_common_cies(Link& link, uint8_t* eh_frame, const std::function<void(uint32_t, uint32_t)>& personality) {
  for (const LowerState::CommonCie& c : link.lower->cies) {
    std::memcpy(eh_frame + c.offset, c.bytes.data(), c.bytes.size());
    if (c.field) personality(c.offset + c.field, c.symbol);
  }
}

void write_function_frames(Link& link, OutputSection& section, uint8_t* out) {
  if (!link.has_modules) return;
  write_common_cies(link, out, [&](uint32_t at, uint32_t symbol) {
    const Symbol& x = link.symbols[symbol];
    const uint64_t slot = x.aux == none ? section.addr + at : got_address(link, link.aux[x.aux].got);
    store_le(out + at, uint32_t(slot - (section.addr + at)));
  });
  for (auto [f, fn] : live_functions(link))
    if (fn->frame_offset != none)
      link.eh_frame_table.emplace_back(link.atom_address[f->atom_base + fn->section], section.addr + fn->frame_offset);
}

// ---- object mode

void emit_objects(Link& link, const std::function<void(const EmittedFunction&)>& sink) {
  LowerState& s = *link.lower;
  std::vector<uint8_t> text, constants, exceptions, cfi, frame;
  std::vector<codegen::Fixup> fixups;
  std::vector<uint32_t> traps;
  for (auto [f, fn] : live_functions(link)) {
    mir::FunctionView view = s.store->view(fn->mir);
    text.assign(fn->sizes.text, 0);
    constants.assign(fn->sizes.constants, 0);
    exceptions.assign(fn->sizes.exceptions, 0);
    cfi.clear();
    fixups.clear();
    codegen::EmitPlace place;
    place.sizes = &fn->sizes;
    place.text = text.data();
    place.constants = constants.data();
    place.exceptions = exceptions.data();
    place.fixups = &fixups;
    place.cfi = &cfi;
    traps.clear();
    place.traps = &traps;
    if (auto r = s.target->emit(view, fn->references, s.options, place); !r) {
      link.diag.error(std::move(r.error()).at(f->name + ": function " + function_name(*f, *fn)),
                      uint64_t(f->priority) << 32 | fn->section);
      continue;
    }
    if (size_t n = fn->blocks.size(); n && fn->sizes.constants >= 4 * n) {
      uint64_t table = fn->sizes.constants - 4 * n;
      fn->block_offsets.assign(n, 0);
      for (const codegen::Fixup& x :
           fixups)  // label - place = (text + addend) - place, addend = label + distance of the place
        if (x.place == codegen::Fixup::Place::constants && x.target == codegen::Fixup::Target::text &&
            x.offset >= table && (x.offset - table) / 4 < n)
          fn->block_offsets[(x.offset - table) / 4] = x.addend - int64_t(x.offset - table);
    }
    EmittedFunction e;
    e.text_atom = f->atom_base + fn->section;
    e.text = text;
    e.constants = constants;
    e.exceptions = exceptions;
    if (!exceptions.empty()) e.exceptions_atom = f->atom_base + fn->exceptions;
    e.fixups = fixups;
    if (fn->has_traps && fn->traps) {
      e.traps_atom = f->atom_base + fn->traps;
      e.traps = traps;
    }
    e.references = view.references;
    if (fn->frame_offset != none && cfi.size() <= fn->sizes.cfi) {
      frame.resize(fde_size(*fn));
      put_fde(s, *fn, frame.data(), fn->sizes.text, cfi);
      e.frame = frame;
      e.frame_offset = fn->frame_offset;
      if (!exceptions.empty()) e.table_field = fn->frame_offset + fde_table_field;
    }
    sink(e);
  }
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) patch_block_references(*f->module);
}

// ---- the output

// The addresses behind the references of a function, each in the way that its form wants.
static void resolve_references(Link& link, ModuleFunction& fn, std::span<const mir::Reference> references,
                               uint64_t text_address, uint64_t constants_address) {
  for (size_t k = 0; k < references.size(); k++) {
    const mir::Reference& r = references[k];
    ResolvedReference& out = fn.references[k];
    if (!r.symbol.valid()) {
      out.address = constants_address + uint64_t(int64_t(r.addend));
      continue;
    }
    const Symbol& x = link.symbols[r.symbol.value];
    const SymbolAux* aux = x.aux == none ? nullptr : &link.aux[x.aux];
    switch (out.form) {
      case ReferenceForm::got: out.address = aux ? got_address(link, aux->got) : 0; break;
      case ReferenceForm::tls_initial_exec: out.address = aux ? got_address(link, aux->gottp) : 0; break;
      case ReferenceForm::tls_general_dynamic: out.address = aux ? got_address(link, aux->tlsgd) : 0; break;
      case ReferenceForm::tls_local_dynamic: out.address = got_address(link, link.tlsld_slot); break;
      case ReferenceForm::tls_local_exec: case ReferenceForm::tls_near:
        out.address = x.address + uint64_t(int64_t(r.addend)) - link.tp;
        break;
      default: {
        bool through_plt =
            x.imported && (x.flags & needs_plt) && (r.kind == ReferenceKind::call || !(x.flags & needs_copy));
        uint64_t base = through_plt ? plt_address(link, x) : x.address;
        out.address = base + uint64_t(int64_t(r.addend));
        if (r.kind == ReferenceKind::call && !x.defined() && !x.imported && link.pic) out.address = text_address;
        if (out.form == ReferenceForm::gp_relative) out.address -= link.gp;
      }
    }
  }
}

void write_functions(Link& link) {
  LowerState& s = *link.lower;
  std::vector<LiveFunction> fns = live_functions(link);
  OutputSection& frame = *link.eh_frame;
  PerThread<std::vector<uint8_t>> buffers;
  parallel_for(size_t(0), fns.size(), [&](size_t i) {
    auto [f, fn] = fns[i];
    const Atom& text = link.atoms[f->atom_base + fn->section];
    const Atom& constants = link.atoms[f->atom_base + fn->section + 1];
    mir::FunctionView view = s.store->view(fn->mir);
    uint64_t text_address = link.atom_address[f->atom_base + fn->section];
    uint64_t constants_address = link.atom_address[f->atom_base + fn->section + 1];
    resolve_references(link, *fn, view.references, text_address, constants_address);
    LowerState::Use use(s, link);
    StageClock clock(Stage::emit);
    auto& cfi = buffers.local();
    cfi.clear();
    codegen::EmitPlace place;
    place.sizes = &fn->sizes;
    place.text = link.image + link.sections[text.out]->offset + text.offset;
    place.constants =
        constants.out == none ? nullptr : link.image + link.sections[constants.out]->offset + constants.offset;
    place.text_address = text_address;
    place.constants_address = constants_address;
    if (fn->sizes.exceptions) {
      const Atom& table = link.atoms[f->atom_base + fn->exceptions];
      place.exceptions = link.image + link.sections[table.out]->offset + table.offset;
      place.exceptions_address = link.atom_address[f->atom_base + fn->exceptions];
    }
    std::vector<uint32_t> traps;
    if (fn->has_traps && fn->traps) place.traps = &traps;
    place.cfi = fn->frame_offset == none ? nullptr : &cfi;
    LowerState::Kept& kept = s.kept_of(*f, *fn);
    kept.still = false;
    std::span<const uint8_t> old_frame;
    if (link.patchable) {
      fn->fields.clear();
      place.fields = &fn->fields;
      if (!(fn->key == mir::Hash128{}) && !place.traps)
        kept.places = hash_for_relinks(link, *f, *fn, place, view.references);
      kept.still = s.is_still && s.is_still(*f, *fn, old_frame);
    }
    if (kept.still) {
      // It stands where it stood, and all that it refers to.
    } else if (auto r = emit_or_copy(s, *f, *fn, place); !r) {
      link.diag.error(std::move(r.error()).at(f->name + ": function " + function_name(*f, *fn)),
                      uint64_t(f->priority) << 32 | text.section);
      return;
    }
    // .kcfi_traps: the distance from each entry to its trap.
    for (size_t k = 0; k < traps.size() && k < fn->sizes.traps; k++) {
      const Atom& list = link.atoms[f->atom_base + fn->traps];
      const uint64_t address = link.atom_address[f->atom_base + fn->traps] + 4 * k;
      store_le(link.image + link.sections[list.out]->offset + list.offset + 4 * k,
               uint32_t(text_address + traps[k] - address));
    }
    if (size_t n = fn->blocks.size(); n && fn->sizes.constants >= 4 * n) {
      uint64_t table = fn->sizes.constants - 4 * n;
      fn->block_offsets.resize(n);
      for (size_t k = 0; k < n; k++)
        fn->block_offsets[k] =
            load_le<int32_t>(place.constants + table + 4 * k) + int64_t(constants_address + table - text_address);
    }
    if (fn->frame_offset != none && cfi.size() <= fn->sizes.cfi) {
      uint8_t* p = link.image + frame.offset + fn->frame_offset;
      if (kept.still) {
        const size_t head = fde_table_field + (fn->sizes.exceptions ? 4 : 0);
        cfi.assign(old_frame.begin() + ptrdiff_t(head), old_frame.begin() + ptrdiff_t(head + fn->sizes.cfi));
      }
      put_fde(s, *fn, p, uint32_t(text.size), cfi);
      store_le(p + 8, uint32_t(text_address - (frame.addr + fn->frame_offset + 8)));
      if (fn->sizes.exceptions)
        store_le(p + fde_table_field,
                 uint32_t(place.exceptions_address - (frame.addr + fn->frame_offset + fde_table_field)));
    }
  });
}

void finish_functions(Link& link) {
  for (ObjectFile* f : link.objects)
    if (f->kind == FileKind::module) patch_block_references(*f->module);
}

}  // namespace lode::link::elf
