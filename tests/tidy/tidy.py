#!/usr/bin/env python3
"""The tree's own rules, as a test: what is written here is what a review need not look for."""

import os
import re
import shutil
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = ["config", "storage", "engine", "gateway"]  # each may include itself and what stands before it
LINE_LENGTH = 120
FILE_LINES = 600
LONG_FILES = ("engine/cpu/",)  # kernels
CODE = (".cpp", ".h", ".py", ".cmake", ".sh")


def tracked_files():
    """Committed or about to be: not what git ignores."""
    listing = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    names = sorted(set(name for name in listing.decode().split("\0") if name))
    return [name for name in names if os.path.isfile(os.path.join(ROOT, name))]


def text_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


FILES = tracked_files()
CPP = [name for name in FILES if name.endswith((".cpp", ".h"))]
SOURCES = [name for name in FILES if name.endswith(CODE) or name in ("run", "test", "bench/run", ".ci/run")]
PROSE = [name for name in FILES if name.endswith((".md", ".yaml", ".yml", ".json", ".txt")) and "/seeds/" not in name]


def hits(names, pattern, flags=0):
    """file:line of every match."""
    found = []
    for name in names:
        text = text_of(name)
        for match in re.finditer(pattern, text, flags):
            found.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)[:80]!r}")
    return found


class Tidy(unittest.TestCase):
    maxDiff = None

    def none(self, found, rule):
        self.assertEqual([], found, rule)

    def test_includes_go_one_way(self):
        wrong = []
        for name in CPP:
            layer = name.split("/")[0]
            if layer not in LAYERS:
                continue
            for target in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text_of(name), re.M):
                other = target.split("/")[0]
                if other not in LAYERS:
                    wrong.append(f"{name}: {target} is no path from the root")
                elif LAYERS.index(other) > LAYERS.index(layer):
                    wrong.append(f"{name} includes {target}")
        self.none(wrong, "gateway -> engine -> storage -> config")

    def test_engine_and_storage_know_no_http_no_json_and_no_yaml(self):
        names = [n for n in CPP if n.startswith(("engine/", "storage/"))]
        foreign = r"#include <(boost/(json|beast|asio)|yaml-cpp|prometheus)/[^>]*>"
        self.none(hits(names, foreign), "libraries of a layer")

    def test_clang_format(self):
        formatter = shutil.which("clang-format-14")
        self.assertIsNotNone(formatter, "clang-format-14 is not installed; ./test installs it")
        checked = subprocess.run([formatter, "--dry-run", "-Werror", "--ferror-limit=1", *CPP], cwd=ROOT,
                                 capture_output=True, text=True)
        self.none(re.findall(r"^.*error: code should be.*$", checked.stderr, re.M), "clang-format-14 -i FILE")

    def test_headers_are_included_once(self):
        self.none([n for n in CPP if n.endswith(".h") and "#pragma once" not in text_of(n)], "#pragma once")

    def test_lines_are_short_and_clean(self):
        self.none(hits(SOURCES, r"^[^\n]{%d,}$" % (LINE_LENGTH + 1), re.M), f"at most {LINE_LENGTH} characters")
        self.none(hits(SOURCES, r"[ \t]+$", re.M), "no space at the end of a line")
        self.none(hits(CPP, r"\t"), "no tabs")
        unended = [n for n in SOURCES + PROSE if text_of(n) and not text_of(n).endswith("\n")]
        self.none(unended, "a line break at the end")

    def test_files_are_short(self):
        long = [f"{n}: {text_of(n).count(chr(10))}" for n in CPP if not n.startswith(LONG_FILES) and
                text_of(n).count("\n") > FILE_LINES]
        self.none(long, f"at most {FILE_LINES} lines")

    def test_nothing_is_left_to_do(self):
        marks = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"])
        self.none(hits(SOURCES + PROSE, rf"\b({marks})\b"), "no marks of unfinished work")

    def test_no_path_of_one_machine(self):
        self.none(hits(SOURCES + PROSE, r"(?<![\w.$}/])/(work|root|home)/\w+"), "no absolute path of a machine")

    def test_no_capturing_coroutine_lambda(self):
        # The captures die with the closure, which the coroutine outlives.
        pattern = r"\[[^\]\n]+\]\s*\([^()]*\)\s*(?:mutable\s*)?(?:noexcept\s*)?->\s*(?:[\w:]*::)?awaitable\b"
        self.none(hits([n for n in CPP if n.startswith("gateway/")], pattern), "pass state to coroutines as arguments")

    def test_generated_and_large_files_stay_out(self):
        large = [n for n in FILES if os.path.getsize(os.path.join(ROOT, n)) > 1 << 20]
        self.none(large, "at most 1 MiB")
        built = [n for n in FILES if n.endswith((".gguf", ".o", ".pyc", ".so")) and "/seeds/" not in n
                 and "/golden/" not in n]
        self.none(built, "no built files")

    def test_scripts_pass_shellcheck(self):
        checker = shutil.which("shellcheck")
        if checker is None:
            self.skipTest("shellcheck is not installed")
        scripts = [n for n in FILES if n.endswith(".sh") or re.match(r"#!.*\bbash\b", text_of(n).split("\n")[0])]
        checked = subprocess.run([checker, "-x", *scripts], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual("", checked.stdout)

    def test_readme_names_what_exists(self):
        text = text_of("README.md")
        missing = [link for link in re.findall(r"\]\(([^)#:]+)\)", text)
                   if not os.path.exists(os.path.join(ROOT, link))]
        for command in re.findall(r"(?:^|[\s`(])\./([\w.][\w./-]*)", text, re.M):
            if not command.startswith("cache") and not os.path.exists(os.path.join(ROOT, command)):
                missing.append("./" + command)
        commands = " ".join(text_of(n) for n in CPP if n.startswith("gateway/commands/"))
        for command in re.findall(r"`kvasir ([a-z]+)", text):
            if f'"{command}"' not in commands:
                missing.append("kvasir " + command)
        for bench in re.findall(r"bench/run ([a-z_]+)", text):
            if not (os.path.exists(os.path.join(ROOT, "bench", bench + "_bench.cpp")) or
                    os.path.exists(os.path.join(ROOT, "bench", bench + ".py"))):
                missing.append("bench/run " + bench)
        self.none(missing, "what the README tells to run or read")


if __name__ == "__main__":
    unittest.main(verbosity=1)
