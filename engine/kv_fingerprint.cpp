#include "engine/engine.h"
#include "storage/base/hash.h"

namespace kvasir {
namespace {
constexpr std::string_view kDomain = "kvasir kv fingerprint 1";
constexpr std::string_view kAdapter = "";  // the seat of a LoRA adapter's digest; there are none yet
}  // namespace

// RoPE settings are read from the model file, so the digest of its bytes covers them.
Fingerprint kv_fingerprint(const WeightsDigest& weights, const BackendInfo& backend) {
  Sha256 hash;
  hash.update_sized(kDomain).update(weights).update_sized(kAdapter);
  hash.update_sized(backend.numerics_id).update_sized(backend.kv_layout);
  return Fingerprint{hash.finish()};
}

}  // namespace kvasir
