// SHF_COMPRESSED section bodies: an Elf64_Chdr, then a zlib or zstd stream.
// A hostile header may claim any size, so the claim is bounded before memory is taken.
#include <zlib.h>
#include <zstd.h>

#include "formats/elf/reader.h"

namespace lode::formats::elf {

Result<Chdr> compression_header(Bytes data) {
  if (data.size() < sizeof(Chdr)) return error("truncated compression header");
  Chdr h;
  __builtin_memcpy(&h, data.data(), sizeof h);
  if (h.type != ELFCOMPRESS_ZLIB && h.type != ELFCOMPRESS_ZSTD)
    return error("unsupported compression type " + std::to_string(uint32_t(h.type)));
  if (h.size > (uint64_t{4} << 30) || h.size / 2000 > data.size() + 1000) return error("implausible uncompressed size");
  if (h.addralign & (h.addralign - 1)) return error("alignment of a compressed section is not a power of two");
  return h;
}

Result<std::vector<uint8_t>> decompress(Bytes data, uint64_t& alignment) {
  LODE_ASSIGN(Chdr h, compression_header(data));
  alignment = h.addralign ? h.addralign : 1;
  std::vector<uint8_t> out(h.size);
  Bytes body = data.subspan(sizeof(Chdr));
  bool good;
  if (h.type == ELFCOMPRESS_ZLIB) {
    uLongf size = out.size();
    good = uncompress(out.data(), &size, body.data(), body.size()) == Z_OK && size == out.size();
  } else {
    size_t size = ZSTD_decompress(out.data(), out.size(), body.data(), body.size());
    good = !ZSTD_isError(size) && size == out.size();
  }
  if (!good) return error("damaged compressed data");
  return out;
}

std::vector<uint8_t> compress(Bytes data, uint32_t type, uint64_t alignment, int level) {
  Chdr h{type, 0, data.size(), alignment};
  std::vector<uint8_t> out(sizeof h);
  __builtin_memcpy(out.data(), &h, sizeof h);
  if (type == ELFCOMPRESS_ZLIB) {
    uLongf size = compressBound(data.size());
    out.resize(sizeof h + size);
    compress2(out.data() + sizeof h, &size, data.data(), data.size(), level);
    out.resize(sizeof h + size);
  } else {
    size_t size = ZSTD_compressBound(data.size());
    out.resize(sizeof h + size);
    size = ZSTD_compress(out.data() + sizeof h, size, data.data(), data.size(), level);
    out.resize(sizeof h + size);
  }
  return out;
}

}  // namespace lode::formats::elf
