// Eight clients ask about one long text at the same time: once while nobody has computed it yet, once when it is in the
// cache. What they get a second, how long they wait for their first token, and how much of the text was computed twice.
//
//   sharing_bench --model FILE [--clients N] [--prefix TOKENS] [--question TOKENS] [--output TOKENS] [--rounds N]
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/engine_rig.h"

namespace kvasir::bench {
namespace {

struct Options {
  std::string model;
  std::uint32_t clients = 8, prefix = 1000, question = 30, output = 64, rounds = 5, threads = 0;
  bool json = false;
};

struct Case {
  std::vector<double> tokens_per_second, first_token, computed;  // of each round
};

// All clients at once; `computed` is in prompt tokens.
void ask_all(const Options& options, EngineRig& rig, std::uint64_t text, std::uint64_t first_question, Case& measured) {
  const std::uint64_t before = rig.engine().stats().prompt_tokens_computed;
  std::vector<Asked> asked;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    std::vector<TokenId> prompt = rig.ids(options.prefix, text);
    const std::vector<TokenId> question = rig.ids(options.question, first_question + i);
    prompt.insert(prompt.end(), question.begin(), question.end());
    asked.push_back(rig.ask(std::move(prompt), options.output));
  }
  std::vector<double> first_token;
  TimePoint end = asked.front().at;
  for (const Asked& one : asked) {
    one.listener->wait_finished();
    const std::vector<TimePoint> times = one.listener->times();
    first_token.push_back(seconds_between(one.at, times.front()));
    end = std::max(end, times.back());
  }
  measured.tokens_per_second.push_back(options.clients * options.output / seconds_between(asked.front().at, end));
  measured.first_token.push_back(median(first_token));
  measured.computed.push_back(static_cast<double>(rig.engine().stats().prompt_tokens_computed - before));
}

void report(const Options& options, const char* name, const Case& measured, double needed) {
  const double rate = median(measured.tokens_per_second), first = median(measured.first_token);
  const double computed = median(measured.computed), again = computed / needed;
  if (!options.json) {
    std::printf("%-5s %8.1f output tokens/s   TTFT p50 %8.1f ms   %6.0f prompt tokens computed, %.3f x what is new\n",
                name, rate, 1000 * first, computed, again);
    return;
  }
  std::printf(
      "{\"figure\": \"prompt tokens computed, %s\", \"value\": %.0f, \"unit\": \"tokens\", \"peer\": \"new tokens\", "
      "\"peer_value\": %.0f, \"ratio\": %.4g, \"goal\": \"<= 1.02\", \"met\": %s}\n",
      name, computed, needed, again, again <= 1.02 ? "true" : "false");
}

void run(const Options& options) {
  EngineRig rig(options.model, options.threads, EngineConfig{});
  Case cold, warm;
  for (std::uint64_t round = 0; round < options.rounds; ++round) {
    ask_all(options, rig, round, 1000 * (round + 1), cold);
    ask_all(options, rig, round, 1000 * (round + 1) + 500, warm);
  }
  const double questions = options.clients * options.question;
  if (!options.json)
    std::printf("%u clients, a text of %u tokens, questions of %u, answers of %u; medians of %u rounds\n",
                options.clients, options.prefix, options.question, options.output, options.rounds);
  report(options, "cold", cold, questions + options.prefix);
  report(options, "warm", warm, questions);
}

}  // namespace
}  // namespace kvasir::bench

int main(int argc, char** argv) {
  using namespace kvasir::bench;
  CLI::App app{"several clients that ask about one text", "sharing_bench"};
  Options options;
  app.add_option("--model", options.model, "GGUF file")->required();
  app.add_option("--clients", options.clients, "clients at a time")->check(CLI::PositiveNumber);
  app.add_option("--prefix", options.prefix, "tokens that they share")->check(CLI::PositiveNumber);
  app.add_option("--question", options.question, "tokens of each one's own")->check(CLI::PositiveNumber);
  app.add_option("--output", options.output, "tokens of each answer")->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "rounds")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "compute threads; 0: one per core");
  app.add_flag("--json", options.json, "one JSON line a figure");
  CLI11_PARSE(app, argc, argv);
  run(options);
  return 0;
}
