#include "gateway/simulate/compressed_file.h"

#include <fstream>
#include <iterator>
#include <memory>
#include <string_view>

#include <zstd.h>

namespace kvasir {
namespace {

constexpr std::size_t kBytesMax = std::size_t{4} << 30;
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

Result<std::string> decompress(std::string_view bytes, const std::string& path) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  std::string out, piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::size_t rest = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer to{piece.data(), piece.size(), 0};
    rest = ZSTD_decompressStream(context.get(), &to, &in);
    if (ZSTD_isError(rest)) return error(ErrorCode::corrupt, path + ": " + ZSTD_getErrorName(rest));
    if (out.size() + to.pos > kBytesMax) return error(ErrorCode::too_large, path + " has over 4 GiB of text");
    out.append(piece.data(), to.pos);
    while (in.pos == in.size && to.pos == to.size) {  // all is read, but not all is written
      to.pos = 0;
      rest = ZSTD_decompressStream(context.get(), &to, &in);
      if (ZSTD_isError(rest)) return error(ErrorCode::corrupt, path + ": " + ZSTD_getErrorName(rest));
      out.append(piece.data(), to.pos);
    }
  }
  if (rest != 0) return error(ErrorCode::corrupt, path + " ends within a Zstandard frame");
  return out;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return error(ErrorCode::io, "cannot open " + path);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) return error(ErrorCode::io, "cannot read " + path);
  if (bytes.starts_with(kZstdMagic)) return decompress(bytes, path);
  if (bytes.size() > kBytesMax) return error(ErrorCode::too_large, path + " has over 4 GiB of text");
  return bytes;
}

}  // namespace kvasir
