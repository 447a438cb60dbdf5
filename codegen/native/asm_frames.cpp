// .cfi_*: rules of unwinding as .eh_frame (LSB core 10.6; DWARF 5 section 6.4; GNU as manual, "CFI directives").
//
// One CIE for each combination of personality, encodings and kind of frame; one FDE for each .cfi_startproc. Code is
// named by the distance to it in four bytes, as compilers write it. .debug_frame is not made.
#include <algorithm>
#include <map>
#include <tuple>

#include "codegen/native/asm_module.h"
#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

enum : uint8_t {
  advance_loc = 0x40, offset = 0x80, restore = 0xc0, advance_loc1 = 2, advance_loc2 = 3, advance_loc4 = 4,
  offset_extended = 5, restore_extended = 6, undefined = 7, same_value = 8, register_ = 9, remember_state = 10,
  restore_state = 11, def_cfa = 12, def_cfa_register = 13, def_cfa_offset = 14, offset_extended_sf = 17,
  def_cfa_sf = 18, def_cfa_offset_sf = 19,
};
constexpr uint8_t pe_omit = 0xff, pe_pcrel_sdata4 = 0x1b;

void uleb(std::string& out, uint64_t v) {
  do {
    const uint8_t byte = v & 0x7f;
    v >>= 7;
    out += char(byte | (v ? 0x80 : 0));
  } while (v);
}

void sleb(std::string& out, int64_t v) {
  for (;;) {
    const uint8_t byte = v & 0x7f;
    v >>= 7;
    const bool last = (v == 0 && !(byte & 0x40)) || (v == -1 && byte & 0x40);
    out += char(byte | (last ? 0 : 0x80));
    if (last) return;
  }
}

void word(std::string& out, uint32_t v) {
  for (unsigned k = 0; k < 4; k++) out += char(v >> 8 * k);
}

unsigned encoded_bytes(uint8_t encoding) {
  switch (encoding & 15) {
    case 0: case 4: case 12: return 8;
    case 2: case 10: return 2;
    case 3: case 11: return 4;
    default: return 0;
  }
}

// A record of .eh_frame under construction, with what has to be relocated in it.
struct Record {
  std::string bytes;
  struct Pointer {
    size_t at;
    uint32_t symbol;
    uint8_t encoding;
  };
  std::vector<Pointer> pointers;

  void pointer(uint32_t symbol, uint8_t encoding) {
    pointers.push_back({bytes.size(), symbol, encoding});
    bytes.append(encoded_bytes(encoding), '\0');
  }
};

}  // namespace

Result<void> AsmModule::frame_directive(std::string_view name, std::string_view rest, std::string_view s) {
  if (name == ".cfi_sections") {
    if (rest.find(".eh_frame") == std::string_view::npos) frames_off_ = true;
    return {};
  }
  if (name == ".cfi_startproc") {
    if (in_frame_) return error(s, "a .cfi_startproc within another");
    if (!rest.empty() && rest != "simple") return error(rest, "nothing more is expected here");
    Frame f;
    f.section = section_;
    f.begin = temporary();
    f.simple = !rest.empty();
    f.return_register = machine_.return_register;
    f.cfa_offset = -machine_.data_align;
    frames_.push_back(std::move(f));
    in_frame_ = true;
    return {};
  }
  if (!in_frame_) return error(s, "there is no .cfi_startproc");
  if (name == ".cfi_endproc") {
    if (frames_.back().section != section_) return error(s, "the function began in another section");
    frames_.back().end = temporary();
    in_frame_ = false;
  } else if (name == ".cfi_signal_frame") {
    frames_.back().signal = true;
  } else {
    LODE_ASSIGN(frames_.back().return_register, frame_register(rest, s));
  }
  return {};
}

Result<void> AsmModule::frame_tables(std::string_view name, std::string_view rest, std::string_view s) {
  if (!in_frame_) return error(s, "there is no .cfi_startproc");
  LODE_ASSIGN(int64_t encoding, number(asm_field(rest), s));
  const bool is_lsda = name == ".cfi_lsda";
  Frame& f = frames_.back();
  if (encoding == pe_omit) return {};
  if (encoding < 0 || encoding > 255 || !encoded_bytes(uint8_t(encoding)) ||
      ((encoding & 0x70) != 0 && (encoding & 0x70) != 0x10))
    return error(s, "an encoding of this kind is not supported");
  const uint32_t n = symbol(asm_unquoted(asm_trim(rest)));
  (is_lsda ? f.lsda : f.personality) = n;
  (is_lsda ? f.lsda_encoding : f.personality_encoding) = uint8_t(encoding);
  return {};
}

Result<unsigned> AsmModule::frame_register(std::string_view text, std::string_view s) {
  text = asm_trim(text);
  unsigned n;
  if (machine_.dwarf_register && machine_.dwarf_register(text, n)) return n;
  LODE_ASSIGN(int64_t v, number(text, s));
  if (v < 0 || v > 1000) return error(text, "a register is expected here");
  return unsigned(v);
}

Result<void> AsmModule::frame_rule(std::string_view name, std::string_view rest, std::string_view s) {
  if (!in_frame_) return error(s, "there is no .cfi_startproc");
  Frame& f = frames_.back();
  FrameOp op;
  op.at = temporary();
  std::string& out = op.bytes;
  unsigned r = 0;
  int64_t n = 0;
  auto take_register = [&]() -> Result<void> {
    LODE_ASSIGN(r, frame_register(asm_field(rest), s));
    return {};
  };
  auto take_number = [&]() -> Result<void> {
    LODE_ASSIGN(n, number(asm_field(rest), s));
    return {};
  };
  auto put_offset = [&](int64_t at) -> Result<void> {
    if (at % machine_.data_align)
      return error(s, "the offset is no multiple of " + std::to_string(-machine_.data_align));
    const int64_t factored = at / machine_.data_align;
    if (factored < 0) {
      out += char(offset_extended_sf);
      uleb(out, r);
      sleb(out, factored);
    } else if (r < 64) {
      out += char(offset | r);
      uleb(out, uint64_t(factored));
    } else {
      out += char(offset_extended);
      uleb(out, r);
      uleb(out, uint64_t(factored));
    }
    return {};
  };
  auto put_cfa_offset = [&](int64_t at) {
    f.cfa_offset = at;
    if (at >= 0) {
      out += char(def_cfa_offset);
      uleb(out, uint64_t(at));
    } else {
      out += char(def_cfa_offset_sf);
      sleb(out, at / machine_.data_align);
    }
  };
  if (name == ".cfi_def_cfa") {
    LODE_TRY(take_register());
    LODE_TRY(take_number());
    f.cfa_offset = n;
    out += char(n >= 0 ? def_cfa : def_cfa_sf);
    uleb(out, r);
    if (n >= 0) uleb(out, uint64_t(n));
    else sleb(out, n / machine_.data_align);
  } else if (name == ".cfi_def_cfa_register") {
    LODE_TRY(take_register());
    out += char(def_cfa_register);
    uleb(out, r);
  } else if (name == ".cfi_def_cfa_offset") {
    LODE_TRY(take_number());
    put_cfa_offset(n);
  } else if (name == ".cfi_adjust_cfa_offset") {
    LODE_TRY(take_number());
    put_cfa_offset(int64_t(uint64_t(f.cfa_offset) + uint64_t(n)));
  } else if (name == ".cfi_offset") {
    LODE_TRY(take_register());
    LODE_TRY(take_number());
    LODE_TRY(put_offset(n));
  } else if (name == ".cfi_rel_offset") {
    LODE_TRY(take_register());
    LODE_TRY(take_number());
    LODE_TRY(put_offset(int64_t(uint64_t(n) - uint64_t(f.cfa_offset))));
  } else if (name == ".cfi_restore" || name == ".cfi_undefined" || name == ".cfi_same_value") {
    do {
      LODE_TRY(take_register());
      if (name == ".cfi_restore" && r < 64) {
        out += char(restore | r);
        continue;
      }
      out += char(name == ".cfi_restore" ? restore_extended : name == ".cfi_undefined" ? undefined : same_value);
      uleb(out, r);
    } while (!rest.empty());
  } else if (name == ".cfi_register") {
    LODE_TRY(take_register());
    out += char(register_);
    uleb(out, r);
    LODE_TRY(take_register());
    uleb(out, r);
  } else if (name == ".cfi_remember_state") {
    out += char(remember_state);
    f.remembered.push_back(f.cfa_offset);
  } else if (name == ".cfi_restore_state") {
    if (f.remembered.empty()) return error(s, "there is no .cfi_remember_state");
    out += char(restore_state);
    f.cfa_offset = f.remembered.back();
    f.remembered.pop_back();
  } else {  // .cfi_escape
    do {
      LODE_TRY(take_number());
      out += char(n);
    } while (!rest.empty());
  }
  if (!asm_trim(rest).empty()) return error(rest, "nothing more is expected here");
  f.ops.push_back(std::move(op));
  return {};
}

Result<void> AsmModule::write_frames(AsmObject& object) {
  if (frames_.empty() || frames_off_) return {};
  uint32_t section = none;
  for (uint32_t i = 0; i < object.sections.size(); i++)
    if (object.sections[i].name == ".eh_frame" && sections_[i].main == none) section = i;
  if (section == none) {
    section = uint32_t(object.sections.size());
    object.sections.emplace_back();
    object.sections.back().name = ".eh_frame";
    object.sections.back().type = SHT_PROGBITS;
    object.sections.back().flags = SHF_ALLOC;
    sections_.emplace_back();
  }
  AsmObjectSection& out = object.sections[section];
  out.align = std::max<uint64_t>(out.align, 8);
  auto append = [&](Record& r, unsigned align) -> Result<size_t> {
    while ((r.bytes.size() + 4 + out.bytes.size()) % align) r.bytes += '\0';
    const size_t at = out.bytes.size();
    std::string length;
    word(length, uint32_t(r.bytes.size()));
    out.bytes.insert(out.bytes.end(), length.begin(), length.end());
    out.bytes.insert(out.bytes.end(), r.bytes.begin(), r.bytes.end());
    for (const Record::Pointer& p : r.pointers) {
      const bool pc_relative = (p.encoding & 0x70) == 0x10;
      const unsigned bytes = encoded_bytes(p.encoding);
      const uint32_t type = machine_.relocation
                                ? machine_.relocation(AsmFieldKind::word, AsmVariant::none, bytes, pc_relative)
                                : none;
      if (type == none) return error_on(none, "there is no relocation for a pointer in .eh_frame");
      AsmRelocation x = refer_to(p.symbol, 0, AsmVariant::none);
      x.offset = at + 4 + p.at;
      x.type = type;
      out.relocations.push_back(x);
    }
    return at;
  };
  // Those of a CIE stand together, the ones without a personality first, as LLVM orders them.
  std::stable_sort(frames_.begin(), frames_.end(), [](const Frame& a, const Frame& b) {
    auto key = [](const Frame& f) {
      return std::tuple(f.personality + 1, f.personality_encoding, f.lsda == none ? 256 : f.lsda_encoding, f.signal,
                        f.simple, f.return_register);
    };
    return key(a) < key(b);
  });
  std::map<std::string, size_t> cies;
  for (const Frame& f : frames_) {
    std::string key = std::to_string(f.personality) + "," + std::to_string(f.personality_encoding) + "," +
                      std::to_string(f.lsda == none ? 256 : f.lsda_encoding) + "," + std::to_string(f.signal) + "," +
                      std::to_string(f.simple) + "," + std::to_string(f.return_register);
    auto [cie, fresh] = cies.try_emplace(key, 0);
    if (fresh) {
      Record r;
      word(r.bytes, 0);
      r.bytes += '\1';
      r.bytes += 'z';
      if (f.personality != none) r.bytes += 'P';
      if (f.lsda != none) r.bytes += 'L';
      r.bytes += 'R';
      if (f.signal) r.bytes += 'S';
      r.bytes += '\0';
      uleb(r.bytes, machine_.code_align);
      sleb(r.bytes, machine_.data_align);
      uleb(r.bytes, f.return_register);
      uleb(r.bytes, (f.personality != none ? 1 + encoded_bytes(f.personality_encoding) : 0) + (f.lsda != none ? 2 : 1));
      if (f.personality != none) {
        r.bytes += char(f.personality_encoding);
        r.pointer(f.personality, f.personality_encoding);
      }
      if (f.lsda != none) r.bytes += char(f.lsda_encoding);
      r.bytes += char(pe_pcrel_sdata4);
      if (!f.simple) r.bytes += machine_.cie_instructions;
      LODE_ASSIGN(cie->second, append(r, 8));
    }
    const uint64_t begin = offset_of(symbols_[f.begin]), end = offset_of(symbols_[f.end]);
    Record r;
    word(r.bytes, uint32_t(out.bytes.size() + 4 - cie->second));
    r.pointer(f.begin, pe_pcrel_sdata4);
    word(r.bytes, uint32_t(end - begin));
    uleb(r.bytes, f.lsda != none ? encoded_bytes(f.lsda_encoding) : 0);
    if (f.lsda != none) r.pointer(f.lsda, f.lsda_encoding);
    uint64_t at = begin;
    for (const FrameOp& op : f.ops) {
      const Symbol& place = symbols_[op.at];
      if (place.section != symbols_[f.begin].section) return error_on(none, "a rule of unwinding in another section");
      const uint64_t step = (offset_of(place) - at) / machine_.code_align;
      if (step && step < 64) r.bytes += char(advance_loc | step);
      else if (step && step < 256) r.bytes += {char(advance_loc1), char(step)};
      else if (step && step < 65536) r.bytes += {char(advance_loc2), char(step), char(step >> 8)};
      else if (step) {
        r.bytes += char(advance_loc4);
        word(r.bytes, uint32_t(step));
      }
      at = offset_of(place);
      r.bytes += op.bytes;
    }
    LODE_ASSIGN(size_t where, append(r, &f == &frames_.back() ? 8 : 4));
    (void)where;
  }
  out.size = out.bytes.size();
  return {};
}

}  // namespace lode::codegen
