#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kvasir {

// A run of rows of one sequence within a step.
struct RowRun {
  std::uint32_t first_row = 0;  // in the step's row buffers
  std::uint32_t rows = 0;
  std::uint32_t first_position = 0;             // of first_row
  std::span<const std::uint8_t* const> blocks;  // the sequence's block table
};

// How a step's attention is cut into tasks. A value, made anew for each step by one thread; no memory of keys is read.
//
// Runs whose block tables begin with the same blocks (the same addresses) form a tree: a part of it is a range of whole
// segments, all keys of which are before every row of the runs that have it in common. The rows of a part are taken
// together, so its keys are read once for all of them; each goes on with the part below from where the one above left
// it, at last with the segments that are its own. A level of tasks needs the states that the level before left.
class AttentionPlan {
 public:
  struct Shape {
    std::uint32_t kv_heads = 0;
    std::uint32_t group = 0;         // query heads of a KV head
    std::uint32_t block_tokens = 0;  // divides kSegmentTokens
    std::uint32_t window = 0;        // tokens that a query sees, itself the last; 0: all
    std::uint32_t threads = 1;
  };
  // A row as a task sees it.
  struct Row {
    std::uint32_t row;    // of the step
    std::uint32_t limit;  // keys that it sees end here
    std::uint32_t state;  // its place among those with states
  };
  // Some queries of one KV head and a range of segments. Query i is that of rows()[first_row + i / group], head
  // kv_head * group + i % group. Their limits ascend.
  struct Task {
    const std::uint8_t* const* blocks;
    std::uint32_t first_row, kv_head;
    std::uint32_t first_query, queries;
    std::uint32_t first_segment, segments;
    bool resumes, suspends;  // begins from states; leaves states
    std::uint32_t split;    // of which split it is a part; kWhole: all segments from the beginning or state on are here
    std::uint32_t partial;  // of a split: where its first segment's goes
  };
  struct Split {  // one query tile cut by segments: its partials lie one after the other
    Task whole;
    std::uint32_t tasks;
  };
  static constexpr std::uint32_t kWhole = ~0u;
  static constexpr std::uint32_t kTilesPerTask = 8;

  explicit AttentionPlan(const Shape& shape) : shape_(shape) {}

  void make(std::span<const RowRun> runs);

  std::span<const Row> rows() const { return rows_; }
  std::span<const Split> splits() const { return splits_; }
  std::uint32_t levels() const { return static_cast<std::uint32_t>(level_ends_.size()); }
  std::span<const Task> level(std::uint32_t level) const;  // costly ones first, so that the threads end together
  std::uint32_t states() const { return states_; }         // rows that have one
  std::uint32_t partials() const { return partials_; }

  // The first segment that a query with this limit sees something of.
  std::uint32_t first_segment(std::uint32_t limit) const;

 private:
  // Segments that some rows see in the same blocks: those of several runs, or those that are a run's own.
  struct Part {
    std::uint32_t first_row, rows;  // of rows_, limits ascending
    const std::uint8_t* const* blocks;
    std::uint32_t first_segment, end_segment;
    bool resumes, suspends;
    std::uint32_t level;
  };
  // How far a run is in parts that it shares.
  struct Shared {
    std::uint32_t segments = 0, level = 0;  // the next of its own
    bool resumes = false;
  };
  // Runs order_[begin, end), all of which have their segments before `from` in parts of the levels before.
  struct Family {
    std::size_t begin, end;
    Shared at;
  };
  static constexpr std::uint32_t kLevelsMax = 4;  // each costs a meeting of all threads in each layer

  void add_rows(std::span<const RowRun> runs);
  void find_families(std::span<const RowRun> runs);
  void share(std::span<const RowRun> runs, const Family& family);
  // False: no row sees anything of it.
  bool add_shared_part(std::span<const RowRun> runs, const Family& family, std::uint32_t end);
  void add_own_part(std::span<const RowRun> runs, std::uint32_t run);
  std::span<const std::uint8_t* const> whole_blocks(const RowRun& run) const;
  std::uint32_t segment_blocks() const;

  void cut(std::uint32_t level);
  void cut_part(const Part& part, std::uint64_t wanted);
  void add_task(const Task& task, std::uint64_t cost, std::uint64_t wanted);
  Task tile_of(const Part& part, std::uint32_t query) const;
  static std::uint64_t cost(const Task& tile);

  const Shape shape_;
  std::vector<Row> rows_;
  std::vector<Part> parts_;
  std::vector<Task> tasks_;
  std::vector<std::uint32_t> level_ends_;  // in tasks_
  std::vector<Split> splits_;
  std::uint32_t states_ = 0, partials_ = 0;
  // While parts are found.
  std::vector<std::uint32_t> first_rows_;  // (runs) of rows_
  std::vector<Shared> shared_;             // (runs)
  std::vector<std::uint32_t> order_;       // runs that may share, those that begin with the same blocks side by side
  std::vector<std::uint32_t> common_;      // segments that order_[i] and order_[i + 1] have in common
};

}  // namespace kvasir
