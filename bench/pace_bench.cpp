// A long prompt arrives among running streams: what becomes of their inter-token latency, and how fast the prompt is
// prefilled meanwhile, for each value of limits.itl_target.
//
//   pace_bench --model FILE [--targets 1.5 2 ...] [--streams N] [--prompt TOKENS] [--rounds N] [--json]
//
// Rounds alternate between the targets, so that a machine that changes its speed does so for all of them. A round:
// the prompt alone; streams alone; another such prompt among the streams; streams alone. Every prompt is new to the
// cache.
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/engine_rig.h"

namespace kvasir::bench {
namespace {

struct Options {
  std::string model;
  std::vector<double> targets{1.5, 2, 3, 5, 8};
  std::uint32_t streams = 4, prompt = 4000, rounds = 5, threads = 0;
  bool json = false;
};

constexpr std::uint32_t kStreamPrompt = 64;
constexpr std::size_t kUndisturbedTokens = 100;  // of each stream, before the prompt arrives and after it
constexpr std::uint32_t kOutputMax = 3000;

struct Round {
  double prefill_alone = 0, prefill = 0;                               // tokens/s
  double p50_alone = 0, p99_alone = 0, p50 = 0, p99 = 0, longest = 0;  // seconds between tokens
};

class Pace {
 public:
  Pace(const Options& options, double itl_target)
      : target(itl_target), options_(options), rig_(options.model, options.threads, config_of(itl_target)) {}

  void round(std::uint64_t seed) {
    Round round;
    round.prefill_alone = prefill(seed * 10);
    std::vector<Asked> streams;
    for (std::uint64_t i = 0; i < options_.streams; ++i)
      streams.push_back(rig_.ask(rig_.ids(kStreamPrompt, seed * 10 + 2 + i * 1000), kOutputMax));
    for (const Asked& stream : streams) stream.listener->wait_tokens(kUndisturbedTokens + 10);
    const TimePoint disturbed = Clock::now();
    round.prefill = prefill(seed * 10 + 1);
    const TimePoint over = Clock::now();
    for (const Asked& stream : streams)
      stream.listener->wait_tokens(stream.listener->times().size() + kUndisturbedTokens);
    const TimePoint end = Clock::now();
    for (const Asked& stream : streams) rig_.engine().cancel(stream.id);
    for (const Asked& stream : streams) stream.listener->wait_finished();
    // Undisturbed before and after, since a step takes longer with longer streams.
    std::vector<double> alone = gaps(streams, {}, disturbed);
    const std::vector<double> among = gaps(streams, disturbed, over), after = gaps(streams, over, end);
    alone.insert(alone.end(), after.begin(), after.end());
    round.p50_alone = quantile(alone, 0.5);
    round.p99_alone = quantile(alone, 0.99);
    round.p50 = quantile(among, 0.5);
    round.p99 = quantile(among, 0.99);
    round.longest = quantile(among, 1);
    rounds.push_back(round);
  }

  double median_of(double (*value)(const Round&)) const {
    std::vector<double> values;
    for (const Round& round : rounds) values.push_back(value(round));
    return median(std::move(values));
  }

  const double target;
  std::vector<Round> rounds;

 private:
  static EngineConfig config_of(double target) {
    EngineConfig config;
    config.itl_target.factor = target;
    return config;
  }

  // Tokens/s of a prompt up to its first token.
  double prefill(std::uint64_t seed) {
    const Asked asked = rig_.ask(rig_.ids(options_.prompt, seed), 1);
    asked.listener->wait_finished();
    return options_.prompt / seconds_between(asked.at, asked.listener->times().front());
  }

  // Between tokens that came in [from, to), without the first ten of each stream.
  static std::vector<double> gaps(const std::vector<Asked>& streams, TimePoint from, TimePoint to) {
    std::vector<double> gaps;
    for (const Asked& stream : streams) {
      const std::vector<TimePoint> times = stream.listener->times();
      for (std::size_t i = 10; i < times.size(); ++i)
        if (times[i] >= from && times[i] < to) gaps.push_back(seconds_between(times[i - 1], times[i]));
    }
    return gaps;
  }

  Options options_;
  EngineRig rig_;
};

double p50_ratio(const Round& r) { return r.p50 / r.p50_alone; }
double p99_ratio(const Round& r) { return r.p99 / r.p99_alone; }
double prefill_share(const Round& r) { return r.prefill / r.prefill_alone; }

void print_table(const Options& options, const std::vector<std::unique_ptr<Pace>>& paces) {
  std::printf("a prompt of %u tokens among %u streams, %u rounds, medians; ITL in ms\n", options.prompt,
              options.streams, options.rounds);
  std::printf("%10s | %15s | %23s | %15s | %20s\n", "itl_target", "alone p50   p99", "among p50   p99 longest",
              "p50 x     p99 x", "prefill, of alone");
  for (const auto& pace : paces) {
    const auto ms = [&](double (*value)(const Round&)) { return 1000 * pace->median_of(value); };
    std::printf("%9.1fx | %9.2f %5.2f | %9.2f %5.2f %7.2f | %5.2f %9.2f | %6.0f/s of %6.0f/s %4.0f %%\n", pace->target,
                ms([](const Round& r) { return r.p50_alone; }), ms([](const Round& r) { return r.p99_alone; }),
                ms([](const Round& r) { return r.p50; }), ms([](const Round& r) { return r.p99; }),
                ms([](const Round& r) { return r.longest; }), pace->median_of(p50_ratio), pace->median_of(p99_ratio),
                pace->median_of([](const Round& r) { return r.prefill; }),
                pace->median_of([](const Round& r) { return r.prefill_alone; }), 100 * pace->median_of(prefill_share));
  }
}

void print_figure(const std::string& name, double value, const char* peer, double peer_value, double ratio,
                  const char* goal, bool met) {
  std::printf(
      "{\"figure\": \"%s\", \"value\": %.6g, \"unit\": \"\", \"peer\": \"%s\", \"peer_value\": %.6g, \"ratio\": %.4g, "
      "\"goal\": \"%s\", \"met\": %s}\n",
      name.c_str(), value, peer, peer_value, ratio, goal, met ? "true" : "false");
}

// Each of the two points is met when some target meets both of its halves.
void print_figures(const std::vector<std::unique_ptr<Pace>>& paces) {
  for (const auto& pace : paces) {
    const double itl = pace->median_of(p99_ratio), share = pace->median_of(prefill_share);
    const std::string of = " at itl_target " + std::to_string(pace->target).substr(0, 4) + "x";
    print_figure("ITL p99" + of, pace->median_of([](const Round& r) { return r.p99; }), "undisturbed",
                 pace->median_of([](const Round& r) { return r.p99_alone; }), itl, "<= 2.5 or <= 5",
                 (itl <= 2.5 && share >= 0.4) || (itl <= 5 && share >= 0.7));
    print_figure("prefill tokens/s" + of, pace->median_of([](const Round& r) { return r.prefill; }), "undisturbed",
                 pace->median_of([](const Round& r) { return r.prefill_alone; }), share, ">= 0.4 or >= 0.7",
                 (itl <= 2.5 && share >= 0.4) || (itl <= 5 && share >= 0.7));
  }
}

}  // namespace
}  // namespace kvasir::bench

int main(int argc, char** argv) {
  using namespace kvasir::bench;
  CLI::App app{"inter-token latency of running streams while a long prompt prefills", "pace_bench"};
  Options options;
  app.add_option("--model", options.model, "GGUF file")->required();
  app.add_option("--targets", options.targets, "values of itl_target, as multiples")->check(CLI::Range(1.0, 1000.0));
  app.add_option("--streams", options.streams, "running streams")->check(CLI::PositiveNumber);
  app.add_option("--prompt", options.prompt, "tokens of the prompt that arrives")->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "rounds of each target")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "compute threads; 0: one per core");
  app.add_flag("--json", options.json, "one JSON line a figure");
  CLI11_PARSE(app, argc, argv);
  std::vector<std::unique_ptr<Pace>> paces;
  for (const double target : options.targets) paces.push_back(std::make_unique<Pace>(options, target));
  for (std::uint32_t round = 0; round < options.rounds; ++round)
    for (const auto& pace : paces) pace->round(round);
  options.json ? print_figures(paces) : print_table(options, paces);
  return 0;
}
