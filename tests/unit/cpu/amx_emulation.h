#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kvasir::testing {

// A register, and all of a thread.
struct EmulatedTile {
  static constexpr std::uint32_t kRowsMax = 16, kRowBytesMax = 64;
  std::uint32_t rows = 0, row_bytes = 0;
  std::uint8_t bytes[kRowsMax][kRowBytesMax] = {};
};
struct EmulatedTiles {
  bool configured = false;
  EmulatedTile tiles[8];
};

// The tile registers of AMX in plain C, a set for each thread, by the processor's manual: what it would answer with a
// fault ends the process here too.
class TileEmulation {
 public:
  static constexpr int kTiles = 8;

  // `config`: the 64 bytes of palette, start row, 14 reserved, u16 bytes of a row [16], u8 rows [16].
  static void configure(const void* config) {
    const auto* bytes = static_cast<const std::uint8_t*>(config);
    EmulatedTiles fresh;
    if (bytes[0] != 1) refuse("palette");
    for (int i = 1; i < 16; ++i)
      if (bytes[i] != 0) refuse("start row or reserved bytes");
    for (int tile = 0; tile < 16; ++tile) {
      std::uint16_t row_bytes;
      std::memcpy(&row_bytes, bytes + 16 + 2 * tile, sizeof row_bytes);
      const std::uint8_t rows = bytes[48 + tile];
      if (rows > EmulatedTile::kRowsMax || row_bytes > EmulatedTile::kRowBytesMax) refuse("shape of a tile");
      if ((rows == 0) != (row_bytes == 0)) refuse("half a shape");
      if (tile < kTiles) fresh.tiles[tile].rows = rows, fresh.tiles[tile].row_bytes = row_bytes;
      if (tile >= kTiles && rows != 0) refuse("a tile that is not there");
    }
    fresh.configured = true;
    state_ = fresh;
  }
  static void release() { state_ = EmulatedTiles{}; }
  static bool configured() { return state_.configured; }

  static void load(int tile, const void* from, std::size_t stride) {
    EmulatedTile& t = usable(tile);
    std::memset(t.bytes, 0, sizeof t.bytes);
    for (std::uint32_t r = 0; r < t.rows; ++r)
      std::memcpy(t.bytes[r], static_cast<const std::uint8_t*>(from) + r * stride, t.row_bytes);
  }
  static void zero(int tile) { std::memset(usable(tile).bytes, 0, sizeof(EmulatedTile::bytes)); }
  static void store(int tile, void* to, std::size_t stride) {
    const EmulatedTile& t = usable(tile);
    for (std::uint32_t r = 0; r < t.rows; ++r)
      std::memcpy(static_cast<std::uint8_t*>(to) + r * stride, t.bytes[r], t.row_bytes);
  }

  // TDPBSUD: sums (rows, n) += signed bytes (rows, 4 k) . unsigned bytes (k, n, 4).
  static void add_dots(int sums, int signed_bytes, int unsigned_bytes) {
    EmulatedTile &c = usable(sums), &a = usable(signed_bytes), &b = usable(unsigned_bytes);
    if (sums == signed_bytes || sums == unsigned_bytes || signed_bytes == unsigned_bytes) refuse("one tile twice");
    if (c.row_bytes % 4 != 0 || a.row_bytes % 4 != 0 || b.row_bytes % 4 != 0) refuse("bytes of a row");
    if (c.rows != a.rows) refuse("rows of sums and of signed bytes");
    if (a.row_bytes / 4 != b.rows) refuse("elements of a product");
    if (c.row_bytes != b.row_bytes) refuse("columns of sums and of unsigned bytes");
    for (std::uint32_t m = 0; m < c.rows; ++m)
      for (std::uint32_t n = 0; n < c.row_bytes / 4; ++n) {
        std::uint32_t sum;
        std::memcpy(&sum, &c.bytes[m][4 * n], sizeof sum);
        for (std::uint32_t k = 0; k < a.row_bytes; ++k)
          sum += static_cast<std::uint32_t>(static_cast<std::int8_t>(a.bytes[m][k]) * b.bytes[k / 4][4 * n + k % 4]);
        std::memcpy(&c.bytes[m][4 * n], &sum, sizeof sum);
      }
  }

 private:
  static EmulatedTile& usable(int tile) {
    if (!state_.configured) refuse("a tile before its configuration");
    if (tile < 0 || tile >= kTiles || state_.tiles[tile].rows == 0) refuse("a tile without a shape");
    return state_.tiles[tile];
  }
  [[noreturn]] static void refuse(const char* what) {
    std::fprintf(stderr, "tile emulation: %s\n", what);
    std::abort();
  }

  static inline thread_local EmulatedTiles state_;
};

}  // namespace kvasir::testing
