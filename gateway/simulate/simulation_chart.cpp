#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "gateway/simulate/simulation_report.h"

namespace kvasir {
namespace {

constexpr double kPanelWidth = 520, kPanelHeight = 340, kLeft = 56, kTop = 40, kPlotWidth = 320, kPlotHeight = 240;
constexpr std::array kColours{"#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee"};
constexpr const char* kOptimumColour = "#222222";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < ' ')
      out += '?';
    else if (c == '<' || c == '>' || c == '&' || c == '"')
      out += fmt::format("&#{};", byte);
    else
      out += c;
  }
  return out;
}

struct Point {
  double share, ratio;
};
struct Curve {
  std::string name, colour;
  std::vector<Point> points;
};

// One trace's axes: the share of its blocks, as a logarithm, and the ratio from 0 to the infinite cache's.
class Panel {
 public:
  Panel(std::vector<const SimulationRow*> rows, double x, double y) : rows_(std::move(rows)), x_(x), y_(y) {
    for (const SimulationRow* row : rows_) {
      const double share = share_of(*row);
      least_ = std::min(least_, share);
      most_ = std::max(most_, share);
    }
    most_ = std::max(most_, least_ * 1.001);
    top_ = std::max(0.05, std::ceil(rows_.front()->infinite_token_hit_ratio * 20) / 20);
  }

  std::string draw() {
    const Trace& trace = *rows_.front()->trace;
    out_ +=
        fmt::format("<text x='{:.1f}' y='{:.1f}' class='title'>{}</text>\n", x_ + kLeft, y_ + 24, escaped(trace.name));
    draw_axes();
    const double infinite = rows_.front()->infinite_token_hit_ratio;
    draw_line({{least_, infinite}, {most_, infinite}}, "#999999", "4 3");
    std::vector<Curve> all = curves();
    std::stable_sort(all.begin(), all.end(),
                     [](const Curve& a, const Curve& b) { return a.points.back().ratio > b.points.back().ratio; });
    double label_y = y_ + kTop + 4;
    label("infinite", "#999999", infinite, label_y);
    for (const Curve& curve : all) {
      draw_line(curve.points, curve.colour, "");
      for (const Point& p : curve.points)
        out_ += fmt::format(
            "<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}'><title>{}: {:.2f} % at {:.4g} % of the blocks</title>"
            "</circle>\n",
            x_of(p.share), y_of(p.ratio), curve.colour, curve.name, 100 * p.ratio, 100 * p.share);
      label(curve.name, curve.colour, curve.points.back().ratio, label_y);
    }
    return std::move(out_);
  }

 private:
  static double share_of(const SimulationRow& row) {
    return static_cast<double>(row.capacity_blocks) / std::max(1u, row.trace->unique_blocks);
  }
  double x_of(double share) const {
    return x_ + kLeft + kPlotWidth * std::log(share / least_) / std::log(most_ / least_);
  }
  double y_of(double ratio) const { return y_ + kTop + kPlotHeight * (1 - ratio / top_); }

  std::vector<Curve> curves() const {
    std::map<PolicyKind, Curve> policies;
    Curve optimum{"optimum", kOptimumColour, {}};
    for (const SimulationRow* row : rows_) {
      Curve& curve = policies[row->policy];
      curve.name = to_string(row->policy);
      curve.colour = kColours[static_cast<std::size_t>(row->policy) % kColours.size()];
      curve.points.push_back({share_of(*row), row->totals.token_hit_ratio()});
      if (row->policy == rows_.front()->policy)  // it is the same beside every policy
        optimum.points.push_back({share_of(*row), row->opt_token_hit_ratio});
    }
    std::vector<Curve> all{optimum};
    for (auto& [policy, curve] : policies) all.push_back(std::move(curve));
    for (Curve& curve : all)
      std::sort(curve.points.begin(), curve.points.end(),
                [](const Point& a, const Point& b) { return a.share < b.share; });
    return all;
  }

  void draw_axes() {
    for (int i = 0; i <= 5; ++i) {
      const double ratio = top_ * i / 5;
      out_ += fmt::format("<line x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}' class='grid'/>\n", x_ + kLeft,
                          x_ + kLeft + kPlotWidth, y_of(ratio), y_of(ratio));
      out_ += fmt::format("<text x='{:.1f}' y='{:.1f}' class='left'>{:.3g} %</text>\n", x_ + kLeft - 6, y_of(ratio) + 4,
                          100 * ratio);
    }
    std::vector<double> shares;
    for (const SimulationRow* row : rows_) shares.push_back(share_of(*row));
    std::sort(shares.begin(), shares.end());
    double last = -1e9;
    for (const double share : shares) {
      if (x_of(share) < last + 34) continue;
      last = x_of(share);
      out_ += fmt::format("<text x='{:.1f}' y='{:.1f}' class='below'>{:.3g} %</text>\n", last,
                          y_ + kTop + kPlotHeight + 18, 100 * share);
    }
    out_ += fmt::format("<text x='{:.1f}' y='{:.1f}' class='below'>capacity, share of the unique blocks</text>\n",
                        x_ + kLeft + kPlotWidth / 2, y_ + kTop + kPlotHeight + 38);
  }

  void draw_line(const std::vector<Point>& points, std::string_view colour, std::string_view dashes) {
    out_ += fmt::format("<polyline class='curve' stroke='{}' stroke-dasharray='{}' points='", colour, dashes);
    for (const Point& p : points) out_ += fmt::format("{:.1f},{:.1f} ", x_of(p.share), y_of(p.ratio));
    out_ += "'/>\n";
  }

  // Beside the end of the curve, but below the label before it.
  void label(std::string_view name, std::string_view colour, double ratio, double& next_y) {
    const double y = std::max(next_y, y_of(ratio) + 4);
    out_ += fmt::format("<text x='{:.1f}' y='{:.1f}' fill='{}'>{} {:.1f} %</text>\n", x_ + kLeft + kPlotWidth + 10, y,
                        colour, name, 100 * ratio);
    next_y = y + 15;
  }

  std::vector<const SimulationRow*> rows_;
  double x_, y_, least_ = 1, most_ = 0, top_ = 1;
  std::string out_;
};

}  // namespace

std::string to_svg(const std::vector<SimulationRow>& rows) {
  std::vector<std::vector<const SimulationRow*>> traces;
  for (const SimulationRow& row : rows) {
    if (traces.empty() || traces.back().front()->trace != row.trace) traces.emplace_back();
    traces.back().push_back(&row);
  }
  const std::size_t columns = traces.size() > 1 ? 2 : 1, lines = (traces.size() + columns - 1) / columns;
  const double width = kPanelWidth * static_cast<double>(columns), height = kPanelHeight * static_cast<double>(lines);
  std::string out = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {0} {1}' width='{0}' height='{1}' "
      "font-family='sans-serif' font-size='12'>\n<title>Token hit ratio by capacity</title>\n"
      "<style>.title{{font-size:15px;font-weight:bold}} .left{{text-anchor:end;fill:#555}} "
      ".below{{text-anchor:middle;fill:#555}} .grid{{stroke:#ddd}} .curve{{fill:none;stroke-width:2}}</style>\n"
      "<rect width='100%' height='100%' fill='white'/>\n",
      width, height);
  for (std::size_t i = 0; i < traces.size(); ++i)
    out += Panel(traces[i], kPanelWidth * static_cast<double>(i % columns),
                 kPanelHeight * static_cast<double>(i / columns))
               .draw();
  return out + "</svg>\n";
}

}  // namespace kvasir
