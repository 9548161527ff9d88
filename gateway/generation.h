#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/api/answer_format.h"
#include "gateway/api/errors.h"
#include "gateway/call_memory.h"
#include "gateway/canonical/report.h"
#include "gateway/choice_text.h"
#include "gateway/http.h"
#include "gateway/metrics.h"
#include "gateway/model_registry.h"
#include "gateway/token_channel.h"

namespace kvasir {

struct PromptInput {
  std::vector<TokenId> ids;
  std::string echo;  // text to stand before the answer; empty: none
};

// Everything a call that generates asks for, checked: a value that runs against one model.
struct GenerationPlan {
  const Model* model = nullptr;
  AnswerHead head;
  std::unique_ptr<AnswerFormat> format;
  std::vector<PromptInput> prompts;  // each one gives n choices
  std::uint32_t n = 1;
  std::uint32_t max_tokens = 16;
  SamplingParams sampling;  // of the first choice; the others' seeds follow from it
  std::vector<std::string> stops;
  bool ignore_eos = false;
  bool stream = false;
  ReplyRules reply;             // of chat answers; `streamed` follows from `stream`
  CanonicalReport canonical;    // what was done to the conversation
  CallMemory* calls = nullptr;  // where the answer's tool calls are kept; null: nowhere
  Salt salt;
  std::string tenant;
  std::string route;  // for metrics and the log
  TimePoint arrived;
  std::optional<TimePoint> deadline;
};

// One answer in the making: sequences in the engine on one side, HTTP bytes on the other, no sockets. Driven by its
// connection: start(), then step() at each wakeup until done. Single-threaded, except that `wakeup` is called on the
// engine's thread. Destroyed early, it cancels what runs.
class Generation {
 public:
  struct Output {
    std::optional<HttpResponse> response = {};  // the complete answer (also: a refusal); nothing else is set then
    std::optional<HttpResponse> head = {};      // a stream begins: status and headers, no body
    std::string events = {};                    // SSE bytes
    bool done = false;                          // nothing more will come
    bool close = false;                         // the stream broke; end the connection
  };

  Generation(GenerationPlan plan, Metrics& metrics);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // Submits all sequences. A refusal comes out of the first step(). Before the first event no wakeup is promised.
  void start(std::function<void()> wakeup);
  Output step(TimePoint now);
  void cancel(TimePoint now);  // the client is gone

 private:
  struct Choice {
    ChoiceText text;
    std::shared_ptr<ChoiceListener> listener;
    std::optional<SequenceId> sequence;  // while the engine has it
    std::optional<PromptUsage> usage;
    std::optional<TimePoint> last_token;
    RequestTimes times;
  };

  bool submit(std::uint32_t index);
  void apply(TokenEvent& event, TimePoint now);
  void apply_token(Choice& choice, const SampledToken& token, TimePoint at, TimePoint now);
  void keep_calls(const ChoiceText& text);
  void apply_finish(Choice& choice, const FinishInfo& info, TimePoint now);
  void tell_end(SequenceId sequence, const ChoiceText& text);
  void cancel_sequences();
  bool all_finished() const;
  Usage usage() const;
  PromptUsage prompt_usage() const;
  std::vector<HttpHeader> headers() const;
  void collect_events();
  Output fail(TimePoint now);
  Output finish_stream(Output out, TimePoint now);
  Output finish_whole(TimePoint now);
  void record(std::uint32_t status, TimePoint now);

  GenerationPlan plan_;
  Metrics& metrics_;
  std::shared_ptr<TokenChannel> channel_;
  std::vector<Choice> choices_;
  std::optional<ApiError> failure_;
  std::optional<TimePoint> first_token_;
  std::string events_;  // not handed out yet
  bool head_sent_ = false;
  bool recorded_ = false;
};

// RFC 9211: what the prefix cache did for this prompt.
std::string cache_status(const PromptUsage& usage);

}  // namespace kvasir
