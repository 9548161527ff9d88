#include <cmath>

#include <fmt/format.h>

#include "gateway/inspect/lines.h"
#include "gateway/inspect/model_report.h"
#include "gateway/inspect/shown.h"
#include "gateway/json_writer.h"

namespace kvasir {
namespace {

using Report = ModelReport;

std::string number_text(const std::optional<std::uint64_t>& number) { return number ? grouped(*number) : ""; }

std::string counted(std::uint64_t n, std::string_view what) {
  return fmt::format("{} {}{}", grouped(n), what, n == 1 ? "" : "s");
}

// RoPE bases are mostly whole: 1,000,000 rather than 1e+06.
std::string real_text(double x) {
  const bool whole = x >= 1 && x < 1e15 && x == std::floor(x);
  return whole ? grouped(static_cast<std::uint64_t>(x)) : fmt::format("{:g}", x);
}

std::string joined(const std::vector<std::string>& texts) { return fmt::format("{}", fmt::join(texts, ", ")); }

std::string token_text(const Report::Token& token) { return fmt::format("{} {}", token.id, shown(token.text, 60)); }
std::string token_text(const std::optional<Report::Token>& token) { return token ? token_text(*token) : "none"; }

void print_file(const Report::File& file, Lines& lines) {
  lines.heading("File");
  lines.row("name", shown(file.name));
  lines.row("license", shown(file.license));
  lines.row("size", fmt::format("{}, GGUF version {}{}", shown_bytes(file.bytes), file.version,
                                file.parts.size() == 1 ? "" : fmt::format(", in {} files", file.parts.size())));
  lines.row("parameters", fmt::format("{} in {}", grouped(file.parameters), counted(file.tensors, "tensor")));
  for (const Report::TypeShare& share : file.types) {
    lines.row(share.type, fmt::format("{:>10} in {}{}", share.bytes == 0 ? "?" : shown_bytes(share.bytes),
                                      counted(share.tensors, "tensor"), share.loads ? "" : ", does not load"));
  }
  lines.row("digest", file.weights_digest);
}

std::string heads_text(const Report::Architecture& a) {
  if (!a.heads) return "";
  return fmt::format("{} query, {} KV{}", *a.heads, a.kv_heads.value_or(*a.heads),
                     a.head_dim ? fmt::format(", {} wide", *a.head_dim) : "");
}

std::string rope_text(const Report::Architecture& a) {
  if (!a.rope_base) return "";
  const std::string local = a.local_rope_base ? fmt::format(" ({} within windows)", real_text(*a.local_rope_base)) : "";
  return fmt::format("base {}{}, scaling {}", real_text(*a.rope_base), local,
                     a.rope_scaling.empty() ? "none" : a.rope_scaling);
}

void print_architecture(const Report::Architecture& a, Lines& lines) {
  lines.heading("Architecture");
  lines.row("family", shown(a.family) + (a.known ? "" : " (as the file's keys say)"));
  lines.row("layers", number_text(a.layers));
  lines.row("width",
            a.hidden ? grouped(*a.hidden) + (a.ffn ? fmt::format(", feed-forward {}", grouped(*a.ffn)) : "") : "");
  lines.row("heads", heads_text(a));
  lines.row("context", a.context_tokens ? grouped(*a.context_tokens) + " tokens" : "");
  lines.row("RoPE", shown(rope_text(a)));
  if (a.sliding_window > 0) {
    lines.row(
        "sliding window",
        fmt::format("{} tokens{}", grouped(a.sliding_window),
                    a.known ? fmt::format(" in {} of {} layers; stored in full", a.windowed_layers, *a.layers) : ""));
  }
  if (a.known) lines.row("output", a.tied_output ? "the token embedding (tied)" : "a matrix of its own");
  lines.row("also", joined(a.features));
}

void print_tokenizer(const Report::Tokenizer& t, Lines& lines) {
  lines.heading("Tokenizer");
  lines.row("model",
            shown(t.model) + (t.pre.empty() ? "" : ", pre " + shown(t.pre)) + (t.loads ? "" : "; does not load"));
  lines.row("vocabulary", fmt::format("{} tokens, {} of them control, {} merges", grouped(t.tokens),
                                      grouped(t.control_tokens), grouped(t.merges)));
  lines.row("BOS", token_text(t.bos) + (t.adds_bos.value_or(false) ? ", put before raw prompts" : ""));
  lines.row("EOS", token_text(t.eos));
  if (t.eot) lines.row("EOT", token_text(t.eot));
  std::vector<std::string> ends;
  for (const Report::Token& end : t.ends) ends.push_back(token_text(end));
  lines.row("ends answers", joined(ends));
}

void print_template(const TemplateReport& t, Lines& lines) {
  lines.heading("Chat template");
  for (const auto& [label, text] : t.rows()) lines.row(label, text);
}

void print_memory(const std::vector<Report::Memory>& memory, Lines& lines) {
  if (memory.empty()) return;
  lines.heading("Memory");
  std::vector<std::vector<std::string>> rows = {{"backend", "weights", "KV as", "a token", "a whole context"}};
  for (const Report::Memory& m : memory) {
    rows.push_back({m.backend, shown_bytes(m.weights), m.kv_type, shown_bytes(m.kv_token), shown_bytes(m.kv_context)});
  }
  lines.table(rows);
}

void print_sentences(const std::vector<std::string>& sentences, std::string_view heading, Lines& lines) {
  if (sentences.empty()) return;
  lines.heading(heading);
  for (const std::string& text : sentences) lines.sentence(text);
}

// Members that may be missing are null then.
void member(JsonWriter& json, std::string_view name, const std::optional<std::uint64_t>& number) {
  number ? json.member(name, *number) : json.null_member(name);
}
void member(JsonWriter& json, std::string_view name, const std::optional<double>& number) {
  number&& std::isfinite(*number) ? json.key(name).raw(fmt::format("{}", *number)) : json.null_member(name);
}

void member(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void write(JsonWriter& json, const Report::Token& token) {
  json.begin_object().member("id", token.id).member("text", token.text).end_object();
}

void member(JsonWriter& json, std::string_view name, const std::optional<Report::Token>& token) {
  if (!token) {
    json.null_member(name);
    return;
  }
  json.key(name);
  write(json, *token);
}

void write(JsonWriter& json, const Report::File& file) {
  json.key("file").begin_object().member("name", file.name).member("license", file.license);
  json.member("version", file.version).member("bytes", file.bytes).key("parts").begin_array();
  for (const auto& part : file.parts) {
    json.begin_object().member("path", part.path).member("bytes", part.bytes).end_object();
  }
  json.end_array().member("tensors", file.tensors).member("parameters", file.parameters).key("types").begin_array();
  for (const auto& share : file.types) {
    json.begin_object().member("type", share.type).member("loads", share.loads).member("tensors", share.tensors);
    json.member("elements", share.elements).member("bytes", share.bytes).end_object();
  }
  json.end_array();
  if (!file.weights_digest.empty()) json.member("weights_digest", file.weights_digest);
  json.end_object();
}

void write(JsonWriter& json, const Report::Architecture& a) {
  json.key("architecture").begin_object().member("family", a.family).member("known", a.known);
  member(json, "layers", a.layers);
  member(json, "hidden", a.hidden);
  member(json, "ffn", a.ffn);
  member(json, "heads", a.heads);
  member(json, "kv_heads", a.kv_heads);
  member(json, "head_dim", a.head_dim);
  member(json, "context_tokens", a.context_tokens);
  member(json, "vocabulary", a.vocabulary);
  member(json, "rope_base", a.rope_base);
  member(json, "local_rope_base", a.local_rope_base);
  json.member("rope_scaling", a.rope_scaling).member("sliding_window", a.sliding_window);
  json.member("windowed_layers", a.windowed_layers).member("tied_output", a.tied_output);
  member(json, "features", a.features);
  json.end_object();
}

void write(JsonWriter& json, const std::optional<Report::Tokenizer>& t) {
  if (!t) {
    json.null_member("tokenizer");
    return;
  }
  json.key("tokenizer").begin_object().member("model", t->model).member("pre", t->pre).member("loads", t->loads);
  json.member("tokens", t->tokens).member("control_tokens", t->control_tokens).member("merges", t->merges);
  member(json, "bos", t->bos);
  member(json, "eos", t->eos);
  member(json, "eot", t->eot);
  json.key("ends").begin_array();
  for (const auto& end : t->ends) write(json, end);
  json.end_array();
  t->adds_bos ? json.member("adds_bos", *t->adds_bos) : json.null_member("adds_bos");
  json.end_object();
}

void write(JsonWriter& json, const std::vector<Report::Memory>& memory) {
  json.key("memory").begin_array();
  for (const auto& m : memory) {
    json.begin_object().member("backend", m.backend).member("weights_bytes", m.weights).member("kv_type", m.kv_type);
    json.member("kv_token_bytes", m.kv_token).member("kv_context_bytes", m.kv_context).end_object();
  }
  json.end_array();
}

}  // namespace

std::string to_text(const ModelReport& report) {
  Lines lines;
  lines.heading(shown(report.path, 1000) + (report.served() ? ": kvasir can serve it" : ": kvasir cannot serve it"));
  print_sentences(report.problems, "Problems", lines);
  print_sentences(report.limits, "Limits", lines);
  print_file(report.file, lines);
  print_architecture(report.architecture, lines);
  if (report.tokenizer) print_tokenizer(*report.tokenizer, lines);
  print_template(report.chat_template, lines);
  print_memory(report.memory, lines);
  return lines.take();
}

std::string to_json(const ModelReport& report) {
  JsonWriter json;
  json.begin_object().member("path", report.path).member("served", report.served());
  member(json, "problems", report.problems);
  member(json, "limits", report.limits);
  write(json, report.file);
  write(json, report.architecture);
  write(json, report.tokenizer);
  json.key("chat_template");
  report.chat_template.write(json);
  write(json, report.memory);
  return json.end_object().take();
}

}  // namespace kvasir
