#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace kvasir::testing {

// Keeps everything an engine tells one request's listener, and checks the order of it. For one thread.
class RecordingListener : public TokenListener {
 public:
  void on_admit(const PromptUsage& admitted) override {
    KVASIR_ASSERT(!usage && ids.empty() && !finish);
    KVASIR_ASSERT(admitted.cached_total() + admitted.computed == admitted.prompt_tokens);
    usage = admitted;
  }

  bool on_token(const SampledToken& token) override {
    KVASIR_ASSERT(usage && !finish);
    ids.push_back(token.id);
    return ids.size() < tokens_taken_max;
  }

  void on_finish(const FinishInfo& info) override {
    KVASIR_ASSERT(!finish);
    KVASIR_ASSERT(info.usage.prompt_tokens == (usage ? usage->prompt_tokens : 0));
    KVASIR_ASSERT(info.generated_tokens >= ids.size());
    finish = info;
  }

  std::optional<PromptUsage> usage;
  std::vector<TokenId> ids;
  std::optional<FinishInfo> finish;
  std::size_t tokens_taken_max = std::numeric_limits<std::size_t>::max();  // says it is gone with this token
};

}  // namespace kvasir::testing
