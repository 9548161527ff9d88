#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "engine/engine.h"

namespace kvasir {

// What the engine said about one choice of a request.
struct TokenEvent {
  std::uint32_t choice = 0;
  TimePoint at;  // when the engine said it
  std::variant<PromptUsage, SampledToken, FinishInfo> what;
};

// From the engine's owner thread to the connection that serves the request: a bounded queue of events for all choices.
// Thread-safe. The engine never waits: a full queue refuses a token, and the engine cancels that sequence.
class TokenChannel {
 public:
  static constexpr std::size_t kPendingTokensMax = 4096;  // a client this far behind is cancelled

  explicit TokenChannel(std::function<void()> wakeup, std::size_t pending_max = kPendingTokensMax)
      : wakeup_(std::move(wakeup)), pending_max_(pending_max) {}

  std::vector<TokenEvent> take();  // everything there is
  void close();                    // takes no more and never calls the wakeup again

 private:
  friend class ChoiceListener;
  bool push(TokenEvent event, bool may_refuse);

  std::mutex mutex_;
  std::function<void()> wakeup_;  // called when the queue becomes non-empty, with the mutex held
  std::size_t pending_max_;
  std::vector<TokenEvent> events_;
  bool closed_ = false;
};

// The engine's view of one choice.
class ChoiceListener final : public TokenListener {
 public:
  ChoiceListener(std::shared_ptr<TokenChannel> channel, std::uint32_t choice)
      : channel_(std::move(channel)), choice_(choice) {}
  void on_admit(const PromptUsage& usage) override;
  bool on_token(const SampledToken& token) override;
  void on_finish(const FinishInfo& info) override;

 private:
  std::shared_ptr<TokenChannel> channel_;
  std::uint32_t choice_;
};

}  // namespace kvasir
