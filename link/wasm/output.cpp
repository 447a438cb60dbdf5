// The parts that executables and objects have in common. Code is written by all threads, in chunks of functions: each
// function knows its indices and addresses by now, and no function's bytes depend on where another's lie.
#include "base/version.h"
#include "link/wasm/output.h"
#include "link/common/lazy_threads.h"
#include "link/common/parallel.h"


#include <algorithm>
#include <cstring>
#include <set>

#include "base/bytes.h"

namespace lode::link::wasm {

void put_name(Buffer& out, std::string_view name) {
  append_uleb(out, name.size());
  out.insert(out.end(), name.begin(), name.end());
}

void put_limits(Buffer& out, uint8_t flags, uint64_t min, uint64_t max) {
  out.push_back(flags);
  append_uleb(out, min);
  if (flags & fw::limits_flags::has_max) append_uleb(out, max);
}

void put_section(Buffer& out, fw::SectionId id, const Buffer& payload) {
  out.push_back(uint8_t(id));
  append_uleb(out, payload.size());
  out.insert(out.end(), payload.begin(), payload.end());
}

void put_custom(Buffer& out, std::string_view name, const Buffer& payload) {
  out.push_back(0);
  append_uleb(out, payload.size() + name.size() + uleb_size(name.size()));
  put_name(out, name);
  out.insert(out.end(), payload.begin(), payload.end());
}

void put_subsection(Buffer& out, uint8_t kind, const Buffer& payload) {
  if (payload.empty()) return;
  out.push_back(kind);
  append_uleb(out, payload.size());
  out.insert(out.end(), payload.begin(), payload.end());
}

uint64_t reloc_value(const Link& l, const InputFile& f, const fw::Reloc& r, uint64_t place) {
  const fw::RelocInfo& info = fw::info(r.type);
  if (info.target == fw::RelocTarget::type) return l.type_index[f.types[r.index]];
  SymbolId id = f.symbols[r.index];
  const Symbol& s = l.at(id);
  switch (info.target) {
    case fw::RelocTarget::function: {
      uint32_t index = l.function_index(id, l.variants.empty() ? none : assumed_type(f, r.index));
      return index == none ? 0 : index;
    }
    case fw::RelocTarget::table_slot: {
      uint64_t slot = l.table_slot(id);
      if (info.relative) slot -= l.options.table_base ? l.options.table_base : 1;
      return slot == none ? 0 : slot;
    }
    case fw::RelocTarget::memory: {
      if (s.state != State::defined) return 0;
      uint64_t a = l.address_of(id) + uint64_t(r.addend);
      if (r.type == fw::RelocType::memory_addr_tls_sleb || r.type == fw::RelocType::memory_addr_tls_sleb64)
        a -= l.tls_start;
      if (r.type == fw::RelocType::memory_addr_locrel_i32) a -= place;
      return a;
    }
    case fw::RelocTarget::global: {
      uint32_t index = l.global_index(id);
      return index != none ? index : s.kind == SymbolKind::global ? 0 : l.address_of(id);
    }
    case fw::RelocTarget::tag: return s.state == State::defined ? l.tags[s.item].index : s.index;
    case fw::RelocTarget::table_number: return s.state == State::defined ? l.tables[s.item].index : s.index;
    case fw::RelocTarget::function_offset:
      if (s.state != State::defined || !l.functions[s.item].live) return none;
      return l.functions[s.item].code_offset + uint64_t(r.addend);
    default: return 0;
  }
}

namespace {

// The trapping function that a call gets whose type is not the callee's; none when it fits.
uint32_t trap_of(const Link& l, SymbolId id, uint32_t type) {
  if (type == none || l.variants.empty()) return none;
  auto it = l.variants.find(uint64_t(id.value) << 32 | type);
  return it == l.variants.end() ? none : it->second;
}

// A function of an object: its bytes, with new values in the fields of its relocations; shortest encodings when
// `compress`.
void put_object_body(const Link& l, const Function& fn, bool compress, Buffer& out, std::vector<OutReloc>* relocs) {
  const InputFile& f = l.files[fn.file];
  const fw::Module& m = *f.object;
  const fw::Section& section = m.sections[m.code_section];
  const uint8_t* code = f.bytes.data() + section.offset;
  fw::Body body = m.bodies[fn.local];
  uint32_t at = body.begin;
  size_t start = out.size();
  for (uint32_t i = f.body_relocs[fn.local]; i < f.body_relocs[fn.local + 1]; i++) {
    const fw::Reloc& r = section.relocs[i];
    const fw::RelocInfo& info = fw::info(r.type);
    if (r.offset < at) continue;  // two relocations of one field: the first counts
    out.insert(out.end(), code + at, code + r.offset);
    at = r.offset + fw::field_size(info.field);
    uint64_t value = reloc_value(l, f, r);
    fw::RelocField field = info.field;
    if (relocs) {
      OutReloc o;
      o.type = r.type;
      o.offset = uint32_t(out.size() - start);
      o.addend = r.addend;
      if (info.target == fw::RelocTarget::type) o.type_index = uint32_t(value);
      else o.symbol = f.symbols[r.index];
      if (info.target == fw::RelocTarget::function) o.trap = trap_of(l, o.symbol, assumed_type(f, r.index));
      relocs->push_back(o);
    } else if (info.target == fw::RelocTarget::global && l.global_index(f.symbols[r.index]) == none &&
               r.offset > body.begin) {
      // The address of a symbol through a global: the address itself.
      out.back() = l.options.memory64 ? 0x42 : 0x41;
      field = fw::RelocField::sleb5;
    }
    if (compress && field == fw::RelocField::leb5) append_uleb(out, uint32_t(value));
    else if (compress && field == fw::RelocField::sleb5) append_sleb(out, int32_t(uint32_t(value)));
    else if (compress && field == fw::RelocField::leb10) append_uleb(out, value);
    else if (compress && field == fw::RelocField::sleb10) append_sleb(out, int64_t(value));
    else {
      uint8_t bytes[10];
      fw::write_field(bytes, field, value);
      out.insert(out.end(), bytes, bytes + fw::field_size(field));
    }
  }
  out.insert(out.end(), code + at, code + body.end);
}

void put_mir_body(const Link& l, const mir::FunctionView& view, uint32_t file, Buffer& out,
                  std::vector<OutReloc>* relocs) {
  thread_local std::vector<cg::ReferenceValue> values;
  thread_local std::vector<cg::Fixup> fixups;
  values.clear();
  fixups.clear();
  for (const mir::Reference& r : view.references) values.push_back(l.reference_value(view, r));
  cg::EmitOptions o;
  o.object = relocs;
  o.table64 = l.table64;
  const Symbol& table = l.at(l.indirect_table);
  o.table_fixups = relocs && file != none && (l.files[file].features & cg::bit(cg::Feature::reference_types));
  uint32_t index = table.state == State::defined ? l.tables[table.item].index : table.index;
  o.indirect_table = index == none ? 0 : index;
  size_t start = out.size();
  out.resize(start + cg::body_bound(view));
  uint8_t* end = cg::emit_body(view, values, o, out.data() + start, &fixups);
  out.resize(size_t(end - out.data()));
  if (!relocs) return;
  for (const cg::Fixup& x : fixups) {
    OutReloc r;
    r.type = x.type;
    r.offset = x.offset;
    r.symbol = l.indirect_table;
    if (x.reference != cg::Fixup::indirect_table) {
      const mir::Reference& reference = view.references[x.reference];
      r.symbol = reference.symbol;
      if (reference.kind == mir::ReferenceKind::wasm_type) r.type_index = uint32_t(values[x.reference]);
      else if (fw::info(x.type).has_addend) r.addend = reference.addend;
      if (reference.kind == mir::ReferenceKind::call && reference.addend > 0 && !l.variants.empty())
        r.trap =
            trap_of(l, reference.symbol, l.types.find(cg::signature_at(view.constants, size_t(reference.addend) - 1)));
    }
    relocs->push_back(r);
  }
}

constexpr size_t chunk_functions = 128;

}  // namespace

std::vector<CodeChunk> write_code(Link& l, uint32_t first_offset) {
  size_t n = l.output_functions.size();
  std::vector<CodeChunk> chunks((n + chunk_functions - 1) / chunk_functions);
  bool compress = l.options.compress && !l.options.relocatable && !l.debug_kept;
  auto work = [&](size_t c) {
    CodeChunk& chunk = chunks[c];
    Buffer body;
    std::vector<OutReloc> relocs;
    std::vector<uint8_t> tags;
    for (size_t i = c * chunk_functions; i < std::min(n, (c + 1) * chunk_functions); i++) {
      Function& f = l.functions[l.output_functions[i]];
      body.clear();
      relocs.clear();
      std::vector<OutReloc>* to = l.options.relocatable ? &relocs : nullptr;
      switch (f.source) {
        case Function::object: put_object_body(l, f, compress, body, to); break;
        case Function::module: put_mir_body(l, l.store.view(f.mir), f.file, body, to); break;
        case Function::draft: put_mir_body(l, cg::view_of(l.drafts[f.local], tags), none, body, to); break;
        case Function::trap: body = {0x00, 0x00, 0x0b}; break;
      }
      append_uleb(chunk.bytes, body.size());
      f.code_offset = uint32_t(chunk.bytes.size());
      for (OutReloc& r : relocs) {
        r.offset += f.code_offset;
        chunk.relocs.push_back(r);
      }
      chunk.bytes.insert(chunk.bytes.end(), body.begin(), body.end());
    }
  };
  constexpr uint64_t work_of_body = 512;  // as long as so many bytes of an object take
  if (l.threads) l.threads->add_work(n * work_of_body);
  parallel_for(size_t(0), chunks.size(), work);
  uint32_t at = first_offset;
  for (size_t c = 0; c < chunks.size(); c++) {
    for (size_t i = c * chunk_functions; i < std::min(n, (c + 1) * chunk_functions); i++)
      l.functions[l.output_functions[i]].code_offset += at;
    for (OutReloc& r : chunks[c].relocs) r.offset += at;
    at += uint32_t(chunks[c].bytes.size());
  }
  return chunks;
}

void put_types(const Link& l, Buffer& out) {
  Buffer p;
  append_uleb(p, l.output_types.size());
  for (uint32_t t : l.output_types) {
    p.push_back(0x60);
    std::span<const uint8_t> s = l.types[t];
    p.insert(p.end(), s.begin(), s.end());
  }
  put_section(out, fw::SectionId::type, p);
}

void put_segment(const Link& l, const OutputSegment& o, Buffer& out, std::vector<OutReloc>* relocs) {
  size_t start = out.size();
  out.resize(start + o.file_size);
  std::vector<DataReference> references;
  for (uint32_t i : o.members) {
    const Segment& s = l.segments[i];
    if (s.bytes.empty()) continue;
    uint64_t offset = s.address - o.address;
    uint8_t* to = out.data() + start + offset;
    std::memcpy(to, s.bytes.data(), s.bytes.size());
    const InputFile& f = l.files[s.file];
    if (f.object) {
      const fw::Section& section = f.object->sections[f.object->data_section];
      uint32_t begin = s.reloc_count ? f.object->segments[s.local].begin : 0;
      for (uint32_t k = 0; k < s.reloc_count; k++) {
        const fw::Reloc& r = section.relocs[s.first_reloc + k];
        uint32_t in = r.offset - begin;
        fw::write_field(to + in, fw::info(r.type).field, reloc_value(l, f, r, s.address + in));
        if (relocs) relocs->push_back({r.type, uint32_t(offset + in), f.symbols[r.index], none, 0, r.addend, none});
      }
    } else {
      references.clear();
      data_references(l, i, references);
      for (const DataReference& r : references) {
        if (!r.symbol) {
          if (r.size == 8) store_le<uint64_t>(to + r.offset, uint64_t(r.addend));
          else store_le<uint32_t>(to + r.offset, uint32_t(r.addend));
          continue;
        }
        const Symbol& target = l.at(r.symbol);
        uint64_t value = r.is_function                    ? l.table_slot(r.symbol)
                         : target.state == State::defined ? l.address_of(r.symbol) + uint64_t(r.addend)
                                                          : 0;
        if (r.is_function && value == none) value = 0;
        fw::RelocType type;
        if (r.relative) {
          value -= s.address + r.offset;
          type = fw::RelocType::memory_addr_locrel_i32;
        } else if (r.is_function) {
          type = r.size == 8 ? fw::RelocType::table_index_i64 : fw::RelocType::table_index_i32;
        } else {
          type = r.size == 8 ? fw::RelocType::memory_addr_i64 : fw::RelocType::memory_addr_i32;
        }
        if (r.size == 8) store_le<uint64_t>(to + r.offset, value);
        else store_le<uint32_t>(to + r.offset, uint32_t(value));
        if (relocs)
          relocs->push_back({type, uint32_t(offset + r.offset), r.symbol, none, 0, r.is_function ? 0 : r.addend, none});
      }
    }
  }
}

Buffer producers_payload(const Link& l) {
  // Field by field, in the order of the inputs. A name stands once in a field (ProducersSection.md): the first version
  // that is met stays.
  struct Value {
    std::string_view name, version;
  };
  std::vector<std::pair<std::string_view, std::vector<Value>>> fields = {
      {"language", {}}, {"processed-by", {}}, {"sdk", {}}};
  for (const InputFile& f : l.files) {
    if (!f.object) continue;
    for (const fw::ProducerField& p : f.object->producers)
      for (auto& [field, values] : fields)
        if (field == p.field &&
            std::none_of(values.begin(), values.end(), [&](const Value& v) { return v.name == p.name; }))
          values.push_back({p.name, p.version});
  }
  std::vector<Value>& tools = fields[1].second;
  if (std::none_of(tools.begin(), tools.end(), [](const Value& v) { return v.name == "lode"; }))
    tools.push_back({"lode", LODE_VERSION});
  Buffer out;
  append_uleb(out, size_t(std::count_if(fields.begin(), fields.end(), [](auto& f) { return !f.second.empty(); })));
  for (auto& [field, values] : fields) {
    if (values.empty()) continue;
    put_name(out, field);
    append_uleb(out, values.size());
    for (const Value& v : values) {
      put_name(out, v.name);
      put_name(out, v.version);
    }
  }
  return out;
}

Buffer features_payload(const Link& l) {
  Buffer out;
  append_uleb(out, l.output_features.size());
  for (const std::string& f : l.output_features) {
    out.push_back(uint8_t(f[0]));
    put_name(out, std::string_view(f).substr(1));
  }
  return out;
}

}  // namespace lode::link::wasm
