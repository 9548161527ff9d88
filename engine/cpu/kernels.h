#pragma once

#include <stddef.h>
#include <stdint.h>

// The kernels of the cpu backend, as a table of functions per instruction set ("kernel class"). Plain C types only: the
// kernel files are compiled with flags of their own and must not instantiate inline functions of the standard library.
//
// Numerical contract. Every class computes the same bits (of products with bf16 weights, every class without
// round_row), because each output element has one order of operations, and vector lanes only ever hold independent
// elements:
//   GEMM       lanes are 16 output columns; one float accumulator per element, one pass over K; integer dots are exact
//   attention  lanes are keys for scores and head dimensions for outputs; exp is our own polynomial
//   sums       16 running sums (element i goes to sum i % 16), then a fixed tree
// Multiply-adds are fused exactly where a kernel says fma. Nothing depends on the number of rows or on threads.
namespace kvasir::cpu {

constexpr uint32_t kPanelColumns = 16;    // output columns of a weight panel
constexpr uint32_t kTileRows = 8;         // activation rows of a tile
constexpr uint32_t kGemmPanelsMax = 4;    // panels that a kernel works on side by side
constexpr uint32_t kGroup = 32;           // elements along K that share an activation scale
constexpr uint32_t kSegmentTokens = 128;  // absolute positions of one softmax partial
constexpr uint32_t kQueryTile = 12;       // query vectors that share each K/V load
constexpr uint32_t kQuerySlots = 16;      // distance of two dimensions in a packed query tile, in floats
constexpr uint32_t kHeadDimMax = 256;

// How the weights of a matrix are stored; see packed_matrix.h for the bytes.
enum class PanelType : uint32_t { q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k, f16, bf16, f32 };
constexpr uint32_t kPanelTypes = 11;
constexpr bool wants_int8(PanelType type) { return type < PanelType::f16; }

// What sets the quantized types apart. A weight is scale * (stored - zero), plus a minimum where there is one.
struct PanelFormat {
  uint32_t bits;  // of a stored weight, unsigned: 4 (nibbles), 5 or 6 (and planes of the bits above), 8
  uint32_t zero;
  bool minimum;  // each group of 32 has one
  bool super;    // super-blocks of 8 groups: their f16 factors, then groups with 8-bit scales; else f16 in each group
  bool halves;   // a scale for every 16 elements of a group

  constexpr uint32_t plane_offset() const { return kPanelColumns * kGroup / 2; }  // of the high bits, 5 and 6 bits
  constexpr uint32_t scale_offset() const { return kPanelColumns * kGroup / 8 * bits; }
  constexpr uint32_t scale_rows() const { return minimum || halves ? 2 : 1; }  // of 16 scales, then minima
  constexpr uint32_t group_bytes() const { return scale_offset() + kPanelColumns * scale_rows() * (super ? 1 : 2); }
  constexpr uint32_t header_bytes() const { return super ? kPanelColumns * 2 * (minimum ? 2 : 1) : 0; }
  constexpr uint32_t groups() const { return super ? 8 : 1; }  // that share a header
};

// REQUIRES: wants_int8(type).
constexpr PanelFormat panel_format(PanelType type) {
  switch (type) {
    case PanelType::q4_0:
      return {4, 8, false, false, false};
    case PanelType::q4_1:
      return {4, 0, true, false, false};
    case PanelType::q5_0:
      return {5, 16, false, false, false};
    case PanelType::q5_1:
      return {5, 0, true, false, false};
    case PanelType::q4_k:
      return {4, 0, true, true, false};
    case PanelType::q5_k:
      return {5, 0, true, true, false};
    case PanelType::q6_k:
      return {6, 32, false, true, true};
    default:
      return {8, 128, false, false, false};  // q8_0
  }
}

// Bytes of a panel of k rows. REQUIRES: k is a multiple of 32, of 256 for types with super-blocks.
constexpr size_t panel_bytes(PanelType type, size_t k) {
  if (!wants_int8(type)) return k * kPanelColumns * (type == PanelType::f32 ? 4 : 2);
  const PanelFormat format = panel_format(type);
  return k / kGroup * format.group_bytes() + k / kGroup / format.groups() * format.header_bytes();
}

// One group of an int8 activation tile: int8 [8 rows][32], scale f32 [8], scale * sum f32 [8], -128 * sum i32 [8], -128
// * sum of the first 16 i32 [8].
constexpr uint32_t kTileScaleOffset = kTileRows * kGroup;
constexpr uint32_t kTileSumOffset = kTileScaleOffset + kTileRows * 4;
constexpr uint32_t kTileBiasOffset = kTileSumOffset + kTileRows * 4;
constexpr uint32_t kTileHalfOffset = kTileBiasOffset + kTileRows * 4;
constexpr uint32_t kTileGroupBytes = kTileHalfOffset + kTileRows * 4;

// out(rows, panels * 16) = activations(rows, k) . panels(k, panels * 16), or added to what is in out.
struct PanelGemm {
  const uint8_t* panel;  // the first; the others follow, panel_bytes apart
  size_t panel_bytes;
  uint32_t panels;
  const uint8_t* tiles;  // ceil(rows / 8) tiles of int8 groups, or for float panels of f32 [k][8 rows] (see round_row)
  size_t tile_bytes;
  uint32_t k;
  uint32_t rows;
  float* out;
  size_t out_stride;  // floats
  bool add;
};

// How K and V are stored.
//   f16   finite always
//   int8  each K and each V of a token and head has a scale (f32): the largest magnitude / 127, or 0
enum class KvType : uint32_t { f16, int8 };
constexpr uint32_t kKvTypes = 2;
constexpr uint32_t kv_value_bytes(KvType type) { return type == KvType::f16 ? 2 : 1; }
constexpr uint32_t kv_scale_bytes(KvType type) { return type == KvType::f16 ? 0 : 4; }  // of a token's K or V

// Up to kQueryTile query vectors that read the same K/V head.
struct AttentionTile {
  const float* q;          // [head_dim][kQuerySlots], scaled
  const uint32_t* limits;  // (queries) keys before which each stops: it sees limits[i] - 1 and earlier; ascending
  uint32_t queries;
  uint32_t window;               // with one, a query sees only its last `window` keys; 0: all
  const uint8_t* const* blocks;  // block table of the sequence
  size_t k_offset, v_offset;     // of this layer and head in a block; K [head_dim][block_tokens], V
                                 // [block_tokens][head_dim], after each its scales [block_tokens] if it has some
  uint32_t block_tokens;         // a multiple of 16 that divides kSegmentTokens
  uint32_t head_dim;             // a multiple of 16, at most kHeadDimMax
};

// Softmax over some keys, unfinished: maximum, sum of exp(score - maximum), and the V rows weighted by the same.
struct AttentionPartial {
  float maximum[kQueryTile];
  float sum[kQueryTile];
  float* out;  // [queries][head_dim]
};

struct KernelTable {
  const char* name;
  uint32_t gemm_panels;  // that gemm works on side by side, at most kGemmPanelsMax: hand over a multiple where you can
  void (*gemm[kPanelTypes])(const PanelGemm& g);

  // out = x / sqrt(mean(x^2) + epsilon) * weight. REQUIRES here and below: n is a multiple of 16.
  void (*rms_norm)(const float* x, const float* weight, uint32_t n, float epsilon, float* out);
  // Writes row `row` (0-7) of an int8 tile. REQUIRES: n is a multiple of 32.
  void (*quantize)(const float* x, uint32_t n, uint8_t* tile, uint32_t row);
  // out = gate / (1 + exp(-gate)) * up, rows of 16.
  void (*silu_mul)(const float* gate, const float* up, uint32_t rows, float* out, size_t out_stride);
  // out = gelu(gate) * up, its tanh approximation: gate / (1 + exp(-2 u)), u = sqrt(2 / pi) (gate + 0.044715 gate^3).
  void (*gelu_mul)(const float* gate, const float* up, uint32_t rows, float* out, size_t out_stride);
  // x = (x * cos + swap_pairs(x) * sin) * scale in place; sin has the signs (-, +) of a pair.
  void (*rope)(float* x, const float* cosines, const float* sines, uint32_t n, float scale);
  // The pairs (x[i], x[i + pairs]) turned by (cosines[i], sines[i]), times scale, in place. Any number of pairs.
  void (*rope_halves)(float* x, const float* cosines, const float* sines, uint32_t pairs, float scale);
  // f16 of x, finite always: out of range becomes +-65504.
  void (*to_f16)(const float* x, uint32_t n, uint16_t* out);
  // int8 of x, clamped as to_f16 does; returns the scale.
  float (*to_int8)(const float* x, uint32_t n, uint8_t* out);
  // The partial of one segment. REQUIRES: a query sees a key of it. Queries that see none get sum 0.
  void (*attend[kKvTypes])(const AttentionTile& tile, uint32_t segment, AttentionPartial& out);
  // state += partial of the next segment; a state that has seen nothing has sum 0.
  void (*fold)(AttentionPartial& state, const AttentionPartial& next, uint32_t queries, uint32_t head_dim);
  // out = state.out / state.sum for query `query`.
  void (*finish)(const AttentionPartial& state, uint32_t query, uint32_t head_dim, float* out);

  // Where there is one, bf16 panels take activations in bf16, which gives other bits (bf16_dots.h). Writes row `row`
  // (0-7) of a tile [n / 2][8 rows][2].
  void (*round_row)(const float* x, uint32_t n, uint8_t* tile, uint32_t row) = nullptr;
};

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;

}  // namespace kvasir::cpu
