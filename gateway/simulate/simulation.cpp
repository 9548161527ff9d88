#include "gateway/simulate/simulation.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <thread>

#include "storage/simulator/find.h"
#include "storage/simulator/optimum.h"

namespace kvasir {
namespace {

constexpr double kGapWorthTelling = 0.003;

// What policies are measured against at one capacity of one trace.
struct Yardstick {
  double opt = 0, lru = 0;
};

// Counts replayed requests over all threads.
class Counter {
 public:
  Counter(std::uint64_t all, const std::function<void(std::uint64_t, std::uint64_t)>& tell) : all_(all), tell_(tell) {}

  Progress of_replay() {
    return [this, last = std::size_t{0}](std::size_t requests) mutable {
      if (requests < last) last = 0;  // another replay of the same row
      add(requests - last);
      last = requests;
    };
  }

 private:
  void add(std::uint64_t requests) {
    const std::uint64_t done = done_.fetch_add(requests) + requests;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock && tell_) tell_(std::min(done, all_), all_);
  }

  const std::uint64_t all_;
  const std::function<void(std::uint64_t, std::uint64_t)>& tell_;
  std::atomic<std::uint64_t> done_{0};
  std::mutex mutex_;
};

void run_all(const std::vector<std::function<void()>>& jobs, std::uint32_t threads) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++) jobs[i]();
  };
  std::vector<std::thread> others;
  for (std::uint32_t i = 1; i < std::min<std::size_t>(threads, jobs.size()); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

ReplayTotals run_policy(const SimulationRow& row, std::uint32_t capacity, const Progress& progress) {
  return replay(*row.trace, row.policy, capacity, row.regime, progress);
}

void run_tiers(SimulationRow& row, const Progress& progress) {
  row.tiers = replay_tiers(*row.trace, row.policy, {row.capacity_blocks, row.disk_blocks}, progress);
  row.totals = row.tiers->all;
}

void run_find(SimulationRow& row, const Progress& progress) {
  const auto ratio = [&](std::uint32_t capacity) { return run_policy(row, capacity, progress).token_hit_ratio(); };
  const auto found = find_capacity(*row.wanted, row.trace->unique_blocks, ratio);
  row.found = found.has_value();
  row.capacity_blocks = found.value_or(row.trace->unique_blocks);
  row.totals = run_policy(row, row.capacity_blocks, progress);
}

void run_row(SimulationRow& row, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  if (row.tiers) {
    run_tiers(row, progress);
  } else if (row.wanted) {
    run_find(row, progress);
  } else {
    row.totals = run_policy(row, row.capacity_blocks, progress);
  }
  row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<SimulationRow> rows_of(const Trace& trace, const SimulationRequest& request) {
  std::vector<SimulationRow> rows;
  SimulationRow row;
  row.trace = &trace;
  row.regime = request.regime;
  const auto add_policies = [&] {
    for (const PolicyKind policy : request.policies) {
      row.policy = policy;
      rows.push_back(row);
    }
  };
  if (request.tiers) {
    row.regime = Regime::pinned;
    row.tiers.emplace();
    row.capacity_blocks = std::min(request.tiers->host, trace.unique_blocks);
    row.disk_blocks = std::min(request.tiers->disk, trace.unique_blocks);
    add_policies();
  } else if (request.find) {
    row.wanted = request.find;
    add_policies();
  } else {
    for (const CapacityRequest& capacity : request.capacities) {
      row.capacity_blocks = capacity.of(trace);
      add_policies();
    }
  }
  return rows;
}

using YardstickKey = std::pair<const Trace*, std::uint32_t>;

// The pool's own: what a disk adds is not in it.
void measure(std::map<YardstickKey, Yardstick>& yardsticks, Regime regime, std::uint32_t threads, Counter& counter) {
  std::vector<std::function<void()>> jobs;
  for (auto& entry : yardsticks) {
    const Trace& trace = *entry.first.first;
    const std::uint32_t capacity = entry.first.second;
    Yardstick& yardstick = entry.second;
    jobs.push_back([&trace, capacity, regime, &yardstick, &counter] {
      yardstick.opt = replay_optimum(trace, capacity, regime, counter.of_replay()).token_hit_ratio();
    });
    jobs.push_back([&trace, capacity, regime, &yardstick, &counter] {
      yardstick.lru = replay(trace, PolicyKind::lru, capacity, regime, counter.of_replay()).token_hit_ratio();
    });
  }
  run_all(jobs, threads);
}

}  // namespace

std::uint32_t CapacityRequest::of(const Trace& trace) const {
  const double wanted = share ? *share * trace.unique_blocks : static_cast<double>(blocks);
  return static_cast<std::uint32_t>(std::clamp(wanted, 1.0, std::max(1.0, static_cast<double>(trace.unique_blocks))));
}

std::optional<double> SimulationRow::lru_gap_closed() const {
  const double gap = opt_token_hit_ratio - lru_token_hit_ratio;
  if (gap < kGapWorthTelling) return std::nullopt;
  return (totals.token_hit_ratio() - lru_token_hit_ratio) / gap;
}

std::vector<SimulationRow> simulate(const std::vector<Trace>& traces, const SimulationRequest& request,
                                    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  std::vector<SimulationRow> rows;
  std::uint64_t all = 0;
  std::map<const Trace*, double> infinite;
  for (const Trace& trace : traces) {
    const std::vector<SimulationRow> more = rows_of(trace, request);
    rows.insert(rows.end(), more.begin(), more.end());
    const std::uint64_t replays =
        request.find ? static_cast<std::uint64_t>(std::log2(trace.unique_blocks + 1.0)) + 2 : 1;
    all += trace.requests.size() *
           (more.size() * replays + 2 * more.size() / std::max<std::size_t>(1, request.policies.size()));
    infinite[&trace] = replay_infinite(trace).token_hit_ratio();
  }
  Counter counter(all, progress);
  std::vector<std::function<void()>> jobs;
  for (SimulationRow& row : rows) jobs.push_back([&row, &counter] { run_row(row, counter.of_replay()); });
  run_all(jobs, request.threads);
  std::map<YardstickKey, Yardstick> yardsticks;
  for (const SimulationRow& row : rows) yardsticks[{row.trace, row.capacity_blocks}];
  const Regime regime = request.tiers ? Regime::pinned : request.regime;
  measure(yardsticks, regime, request.threads, counter);
  for (SimulationRow& row : rows) {
    const Yardstick& yardstick = yardsticks.at({row.trace, row.capacity_blocks});
    row.opt_token_hit_ratio = yardstick.opt;
    row.lru_token_hit_ratio = yardstick.lru;
    row.infinite_token_hit_ratio = infinite.at(row.trace);
  }
  return rows;
}

}  // namespace kvasir
