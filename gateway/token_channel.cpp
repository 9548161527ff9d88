#include "gateway/token_channel.h"

#include <utility>

namespace kvasir {

std::vector<TokenEvent> TokenChannel::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

void TokenChannel::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  wakeup_ = nullptr;
  events_.clear();
}

bool TokenChannel::push(TokenEvent event, bool may_refuse) {
  const std::lock_guard lock(mutex_);
  if (closed_ || (may_refuse && events_.size() >= pending_max_)) return false;
  events_.push_back(std::move(event));
  if (events_.size() == 1 && wakeup_) wakeup_();
  return true;
}

void ChoiceListener::on_admit(const PromptUsage& usage) { channel_->push({choice_, Clock::now(), usage}, false); }

bool ChoiceListener::on_token(const SampledToken& token) {
  return channel_->push({choice_, Clock::now(), token}, true);
}

void ChoiceListener::on_finish(const FinishInfo& info) { channel_->push({choice_, Clock::now(), info}, false); }

}  // namespace kvasir
