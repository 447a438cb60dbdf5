// See bitstream.h. Limits that keep hostile streams harmless: a field is at most 32 bits wide, an array or an operand
// list may not have more elements than the rest of its block has bits for, array elements have at least one bit, blocks
// nest at most 16 deep, and END_BLOCK must stand where the block's length word says.
#include "formats/bitcode/bitstream.h"

namespace lode::formats::bitcode {

namespace {

constexpr unsigned max_width = 32;
constexpr size_t max_depth = 16;
constexpr uint64_t max_narrow = 1 << 24;  // elements of an array of fewer than 6 bits each
constexpr uint32_t wrapper_magic = 0x0B17C0DE;
constexpr uint32_t bitcode_magic = 0xDEC04342;  // 'B' 'C' 0xC0 0xDE
constexpr char char6_table[65] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._";

}  // namespace

Cursor::Cursor(std::span<const uint8_t> stream, const BlockInfo* info)
    : stream_(stream.data()), bytes_(stream.size()), limit_(uint64_t{stream.size()} * 8) {
  ops_.resize(256);
  if (info) {
    fields_ = info->fields;
    info_fields_ = fields_.size();
    info_ = info->entries;
  }
}

void Cursor::seek(uint64_t bit) {
  scopes_.clear();
  abbrevs_.clear();
  fields_.resize(info_fields_);
  abbrev_base_ = 0;
  limit_ = uint64_t{bytes_} * 8;
  width_ = 2;
  pos_ = bit;
  message_ = nullptr;
  failed_block_ = nullptr;
  if (bit > limit_) fail("offset outside of the file");
}

void Cursor::seek_block(uint64_t bit, uint32_t block_id) {
  seek(bit);
  entry_start_ = bit;
  id_ = block_id;
}

bool Cursor::fail(const char* message) {
  if (!message_) message_ = message;
  return false;
}

bool Cursor::fail_record(const char* block, const char* what) {
  if (!message_) {
    message_ = what;
    failed_block_ = block;
  }
  return false;
}

Error Cursor::failure() const {
  std::string text = "bad bitcode: ";
  text += message_ ? message_ : "no error";
  if (failed_block_) text += std::string(" (code ") + std::to_string(code_) + ") in block " + failed_block_;
  return error(text + ", bit offset " + std::to_string(entry_start_));
}

uint64_t Cursor::peek_tail(size_t byte) const {
  uint64_t v = 0;
  if (byte < bytes_) std::memcpy(&v, stream_ + byte, bytes_ - byte);
  return v >> (pos_ & 7);
}

uint64_t Cursor::vbr_long(unsigned width) {
  const uint64_t more = uint64_t{1} << (width - 1);
  uint64_t value = 0;
  unsigned shift = 0;
  uint64_t w = peek();
  unsigned left = 57;
  for (;;) {
    if (left < width) {
      w = peek();
      left = 57;
    }
    uint64_t chunk = w & (more - 1);
    bool last = !(w & more);
    w >>= width;
    left -= width;
    pos_ += width;
    if (shift >= 64 ? chunk != 0 : (chunk << shift) >> shift != chunk) {
      fail("number wider than 64 bits");
      return 0;
    }
    if (shift < 64) value |= chunk << shift;
    if (last) return value;
    shift += width - 1;
    if (pos_ > limit_) {
      fail("number runs past the end");
      return 0;
    }
  }
}

Cursor::Entry Cursor::next() {
  for (;;) {
    if (message_) return Entry::Failed;
    entry_start_ = pos_;
    uint32_t id = uint32_t(fixed(width_));
    if (pos_ > limit_) {
      fail("block runs past its end");
      return Entry::Failed;
    }
    switch (id) {
      case 0: {
        align32();
        if (scopes_.empty() || pos_ != limit_) {
          fail("end of block where its length does not say so");
          return Entry::Failed;
        }
        const Scope& s = scopes_.back();
        abbrevs_.resize(abbrev_base_);
        fields_.resize(s.field_base);
        limit_ = s.limit;
        abbrev_base_ = s.abbrev_base;
        width_ = s.width;
        scopes_.pop_back();
        return Entry::EndBlock;
      }
      case 1: {
        uint64_t block = vbr(8);
        if (block > 0xffff || pos_ > limit_) {
          fail("bad block header");
          return Entry::Failed;
        }
        id_ = uint32_t(block);
        return Entry::SubBlock;
      }
      case 2: {
        Abbrev a;
        if (!define_abbrev(fields_, a)) return Entry::Failed;
        abbrevs_.push_back(a);
        break;
      }
      default: id_ = id; return Entry::Record;
    }
  }
}

bool Cursor::enter_block() {
  uint64_t width = vbr(4);
  align32();
  uint64_t words = fixed(32);
  if (message_) return false;
  if (pos_ > limit_ || words > (limit_ - pos_) / 32) return fail("block longer than what encloses it");
  if (width < 2 || width > max_width) return fail("bad width of abbreviation ids");
  if (scopes_.size() >= max_depth) return fail("blocks nested too deeply");
  scopes_.push_back({limit_, abbrev_base_, uint32_t(fields_.size()), width_});
  abbrev_base_ = uint32_t(abbrevs_.size());
  limit_ = pos_ + words * 32;
  width_ = unsigned(width);
  for (const auto& e : info_)
    if (e.block == id_) abbrevs_.push_back(e.abbrev);
  return true;
}

bool Cursor::skip_block() {
  vbr(4);
  align32();
  uint64_t words = fixed(32);
  if (message_) return false;
  if (pos_ > limit_ || words > (limit_ - pos_) / 32) return fail("block longer than what encloses it");
  pos_ += words * 32;
  return true;
}

bool Cursor::define_abbrev(std::vector<AbbrevField>& fields, Abbrev& out) {
  uint64_t n = vbr(5);
  if (message_ || n == 0 || n > (limit_ - std::min(pos_, limit_))) return fail("bad abbreviation");
  out.first = uint32_t(fields.size());
  for (uint64_t i = 0; i < n; i++) {
    AbbrevField f;
    if (fixed(1)) {
      f.kind = AbbrevField::Literal;
      f.value = vbr(8);
    } else {
      switch (fixed(3)) {
        case 1: f.kind = AbbrevField::Fixed; f.value = vbr(5); break;
        case 2: f.kind = AbbrevField::Vbr; f.value = vbr(5); break;
        case 3: f.kind = AbbrevField::Array; break;
        case 4: f.kind = AbbrevField::Char6; break;
        case 5: f.kind = AbbrevField::Blob; break;
        default: return fail("unknown encoding in an abbreviation");
      }
      if ((f.kind == AbbrevField::Fixed || f.kind == AbbrevField::Vbr) && f.value > max_width)
        return fail("abbreviation field wider than 32 bits");
      // A field of no bits is always zero.
      if ((f.kind == AbbrevField::Fixed || f.kind == AbbrevField::Vbr) && f.value == 0) f.kind = AbbrevField::Literal;
      if (f.kind == AbbrevField::Vbr && f.value == 1) return fail("abbreviation field without room for a value");
    }
    if (message_ || pos_ > limit_) return fail("abbreviation runs past the end");
    // An array is the last but one field (its element follows), a blob the last.
    if (i > 0) {
      auto before = fields.back().kind;
      if (before == AbbrevField::Array) {
        if (i + 1 != n || f.kind == AbbrevField::Array || f.kind == AbbrevField::Blob || f.kind == AbbrevField::Literal)
          return fail("bad array in an abbreviation");
      } else if (before == AbbrevField::Blob) {
        return fail("fields after a blob in an abbreviation");
      }
    }
    if (i + 1 == n && f.kind == AbbrevField::Array) return fail("array without an element in an abbreviation");
    if (i == 0 && (f.kind == AbbrevField::Array || f.kind == AbbrevField::Blob))
      return fail("abbreviation without a record code");
    fields.push_back(f);
  }
  out.count = uint32_t(n);
  return true;
}

bool Cursor::next_record() {
  for (;;) switch (next()) {
      case Entry::SubBlock:
        if (!skip_block()) return false;
        break;
      case Entry::Record: return read_record();
      case Entry::EndBlock:
      case Entry::Failed: return false;
    }
}

bool Cursor::read_record() {
  blob_ = {};
  if (id_ == 3) return read_unabbreviated();
  uint32_t index = id_ - 4;
  if (index >= abbrevs_.size() - abbrev_base_) return fail("abbreviation that was not defined");
  return read_abbreviated(abbrevs_[abbrev_base_ + index]);
}

bool Cursor::read_unabbreviated() {
  uint64_t code = vbr(6);
  uint64_t n = vbr(6);
  if (message_) return false;
  if (pos_ > limit_ || n > (limit_ - pos_) / 6 || code > 0xffffffff) return fail("record runs past the end");
  code_ = uint32_t(code);
  count_ = uint32_t(n);
  reserve(n);
  uint64_t* out = ops_.data();
  for (uint64_t i = 0; i < n;) {
    // Nine 6-bit chunks fit one window; most operands have one or two.
    uint64_t w = peek();
    unsigned used = 0;
    while (i < n && used <= 48) {
      uint64_t chunk = w & 63;
      if (chunk < 32) {
        out[i++] = chunk;
        w >>= 6;
        used += 6;
        continue;
      }
      if (used > 42) break;
      uint64_t second = (w >> 6) & 63;
      if (second < 32) {
        out[i++] = (chunk & 31) | second << 5;
        w >>= 12;
        used += 12;
        continue;
      }
      if (used <= 36) {
        uint64_t third = (w >> 12) & 63;
        if (third < 32) {
          out[i++] = (chunk & 31) | (second & 31) << 5 | third << 10;
          w >>= 18;
          used += 18;
          continue;
        }
      }
      pos_ += used;
      used = 0;
      out[i++] = vbr_long(6);
      w = peek();
    }
    pos_ += used;
  }
  if (pos_ > limit_) return fail("record runs past the end");
  return !message_;
}

bool Cursor::read_abbreviated(const Abbrev& abbrev) {
  const AbbrevField* f = fields_.data() + abbrev.first;
  const AbbrevField* end = f + abbrev.count;
  reserve(abbrev.count);
  uint64_t* out = ops_.data();
  uint32_t count = 0;
  uint64_t code = 0;
  bool have_code = false;
  for (; f != end; f++) {
    uint64_t v;
    switch (f->kind) {
      case AbbrevField::Literal: v = f->value; break;
      case AbbrevField::Fixed: v = fixed(unsigned(f->value)); break;
      case AbbrevField::Vbr: v = vbr(unsigned(f->value)); break;
      case AbbrevField::Char6: v = uint8_t(char6_table[fixed(6)]); break;
      case AbbrevField::Array: {
        uint64_t n = vbr(6);
        ++f;
        unsigned width = f->kind == AbbrevField::Char6 ? 6 : unsigned(f->value);
        if (message_ || pos_ > limit_ || n > (limit_ - pos_) / width || (width < 6 && n > max_narrow))
          return fail("array runs past the end");
        reserve(count + n);
        out = ops_.data();
        uint64_t* p = out + count;
        if (f->kind == AbbrevField::Vbr) {
          for (uint64_t i = 0; i < n; i++) p[i] = vbr(width);
        } else if (f->kind == AbbrevField::Char6) {
          for (uint64_t i = 0; i < n; i++) p[i] = uint8_t(char6_table[fixed(6)]);
        } else {
          for (uint64_t i = 0; i < n; i++) p[i] = fixed(width);
        }
        count += uint32_t(n);
        continue;
      }
      case AbbrevField::Blob: {
        uint64_t n = vbr(6);
        align32();
        if (message_ || pos_ > limit_ || n > (limit_ - pos_) / 8) return fail("blob runs past the end");
        blob_ = {stream_ + (pos_ >> 3), size_t(n)};
        pos_ += n * 8;
        align32();
        continue;
      }
      default: return fail("bad abbreviation");
    }
    if (have_code) {
      out[count++] = v;
    } else {
      code = v;
      have_code = true;
    }
  }
  if (message_) return false;
  if (pos_ > limit_) return fail("record runs past the end");
  if (code > 0xffffffff) return fail("bad record code");
  code_ = uint32_t(code);
  count_ = count;
  return true;
}

bool Cursor::read_block_info(BlockInfo& info) {
  // The fields of BLOCKINFO are a prefix of the cursor's, so no enclosing block may have defined any of its own yet.
  if (fields_.size() != info.fields.size()) return fail("BLOCKINFO after abbreviations were defined");
  if (!enter_block()) return false;
  bool have_block = false;
  uint32_t block = 0;
  for (;;) {
    if (message_) return false;
    entry_start_ = pos_;
    uint32_t id = uint32_t(fixed(width_));
    if (pos_ > limit_) return fail("block runs past its end");
    if (id == 2) {
      // Definitions here belong to the block that SETBID named.
      if (!have_block) return fail("abbreviation in BLOCKINFO before SETBID");
      Abbrev a;
      if (!define_abbrev(info.fields, a)) return false;
      info.entries.push_back({block, a});
      continue;
    }
    pos_ = entry_start_;
    switch (next()) {
      case Entry::Failed: return false;
      case Entry::SubBlock:
        if (!skip_block()) return false;
        break;
      case Entry::EndBlock:
        // Later blocks of this stream see the new abbreviations.
        fields_ = info.fields;
        info_fields_ = fields_.size();
        info_ = info.entries;
        for (auto& s : scopes_) s.field_base = std::max(s.field_base, uint32_t(fields_.size()));
        return true;
      case Entry::Record:
        if (!read_record()) return false;
        if (code_ == 1) {
          if (count_ < 1 || ops_[0] > 0xffff) return fail("bad SETBID");
          block = uint32_t(ops_[0]);
          have_block = true;
        }
        break;
    }
  }
}

bool is_bitcode(std::span<const uint8_t> file) {
  if (file.size() < 4) return false;
  uint32_t magic = load_le<uint32_t>(file.data());
  return magic == bitcode_magic || magic == wrapper_magic;
}

Result<std::span<const uint8_t>> bitstream_of(std::span<const uint8_t> file) {
  if (file.size() >= 20 && load_le<uint32_t>(file.data()) == wrapper_magic) {
    uint32_t offset = load_le<uint32_t>(file.data() + 8);
    uint32_t size = load_le<uint32_t>(file.data() + 12);
    if (offset > file.size() || size > file.size() - offset)
      return error("bitcode wrapper header points outside of the file");
    file = file.subspan(offset, size);
  }
  if (file.size() < 4 || load_le<uint32_t>(file.data()) != bitcode_magic) return error("not LLVM bitcode");
  return file;
}

}  // namespace lode::formats::bitcode
