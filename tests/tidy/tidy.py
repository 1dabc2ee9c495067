#!/usr/bin/env python3
"""What people forget: files in no target, layers that are skipped, words that must not stand in the code.

    tidy.py ROOT [CHECK…]     prints FILE:LINE: what is wrong, and exits with 1 if anything is

Looks at text only: it builds nothing and needs nothing built. Each check is a function that yields (path, line, message);
`--self-test` shows that each of them can fail, on a tree of broken files that it makes.
"""
import pathlib
import re
import sys
import tempfile

SOURCE_FOLDERS = ("common", "config", "daemon", "client", "tests")

# What each folder may include of the project: ARCHITECTURE.md, "Folders". The longest matching folder counts.
LAYERS = {
    "common": ["common"],
    "config": ["common", "config"],
    "daemon/core": ["common", "daemon/core"],
    "daemon/db": ["common", "daemon/core", "daemon/db"],
    "daemon/exec": ["common", "daemon/exec"],
    "daemon/feed": ["common", "daemon/core", "daemon/db", "daemon/feed"],
    "daemon/api": ["common", "daemon/core", "daemon/db", "daemon/feed", "daemon/api"],
    "daemon/host": ["common", "daemon/host"],
    "daemon/tasks": ["common", "daemon/tasks"],
    "daemon/worker": ["common", "daemon/worker", "daemon/tasks"],
    "daemon": ["common", "config", "daemon"],
    "client": ["common", "client"],
    "tests": ["common", "config", "daemon", "client", "tests"],
}

# Libraries that belong to some folders only.
LIBRARIES = [
    (re.compile(r"sqlite3\.h|SQLiteCpp"), ["daemon/db", "tests"]),
    (re.compile(r"spdlog/"), ["daemon/host", "daemon/api", "daemon/exec", "daemon", "tests"]),
    (re.compile(r"boost/asio"), ["common/task_api.hpp", "common/task_run.hpp", "common/task_run.cpp", "common/plugin_api.hpp", "daemon", "tests"]),
    (re.compile(r"boost/dll"), ["common/plugin.cpp"]),
    (re.compile(r"CLI/"), ["config", "client", "tests"]),
    (re.compile(r"toml\+\+"), ["config", "client"]),
]

# The core is a value: no clock, no thread, no I/O, no log.
CORE_FORBIDDEN = re.compile(
    r"#include <(thread|mutex|condition_variable|atomic|future|iostream|fstream|boost/asio.*|spdlog.*|sqlite3.*|sys/.*|unistd.*)>"
    r"|\bwall_now\b|\b(system|steady)_clock::now\b")

FORBIDDEN = [
    # (what, where, why)
    (re.compile(r"(?<![\w.>])(?:std::|::)?exit\s*\("), ("common", "config", "daemon", "client"),
     "exit() skips destructors of what still runs: return from main"),
    (re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<!\w)::sleep\s*\("), ("common", "config", "daemon", "client"),
     "wait for the event, with a deadline, instead of sleeping"),
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b"), SOURCE_FOLDERS + ("tools", "docs"), "unfinished work stands in the issues, not in the code"),
]

# What may stand where it does, and why.
EXCEPTIONS = {
    ("common/process_tree.cpp", "nanosleep"): "kill_trees scans until nothing is left: /proc has no event to wait for",
    ("daemon/state_dir.cpp", "sleep_for"): "flock waits for ever or not at all: a lock that somebody may be about to give up is tried again",
    ("daemon/tasks/name_lookup.cpp", ".detach()"): "getaddrinfo cannot be interrupted, and a daemon must not wait for it to end",
}

# Paths of one machine have no place in files that go everywhere.
MACHINE_PATH = re.compile(r"(?<![\w$}./-])/(?:work/[a-z.]+|root/|tmp/bash_jobs|tmp/tasks)")


def relative(root, path):
    return path.relative_to(root).as_posix()


def files(root, *suffixes, folders=SOURCE_FOLDERS):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and (not suffixes or path.suffix in suffixes):
                yield path


def lines_of(path):
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def code_of(path):
    """Lines with comments and the text of strings left out, roughly: enough for a search for words."""
    inside = False
    for number, line in enumerate(lines_of(path), 1):
        line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
        if inside:
            if "*/" not in line:
                continue
            line, inside = line.split("*/", 1)[1], False
        line = re.sub(r"/\*.*?\*/", "", line)
        if "/*" in line:
            line, inside = line.split("/*", 1)[0], True
        yield number, line.split("//", 1)[0]


def folder_of(name, table):
    matching = [folder for folder in table if name.startswith(folder + "/")]
    return max(matching, key=len) if matching else None


def named_by_cmake(root, path):
    """True where a CMakeLists.txt beside the file or above it names it, or takes all files like it."""
    folder = path.parent
    while True:
        lists = folder / "CMakeLists.txt"
        if lists.exists():
            text = lists.read_text(encoding="utf-8")
            if re.search(r"(?<![\w/.-])" + re.escape(path.relative_to(folder).as_posix()) + r"(?![\w.-])", text):
                return True
            if re.search(r"(?<![\w/.-])" + re.escape(path.relative_to(folder).with_suffix("").as_posix()) + r"(?![\w.-])", text):
                return True
            for pattern in re.findall(r"GLOB\s+\w+\s+(?:CONFIGURE_DEPENDS\s+)?([^)]+)\)", text):
                if any(path.relative_to(folder).match(word.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")) for word in pattern.split()):
                    return True
        if folder == root:
            return False
        folder = folder.parent


def check_targets(root):
    """Every source file is built by a target."""
    for path in files(root, ".cpp"):
        if not named_by_cmake(root, path):
            yield path, 1, "belongs to no CMake target"


def check_tests(root):
    """Every test is in a list that ctest runs."""
    for path in files(root, ".py", ".bats", ".sh", folders=("tests",)):
        if re.match(r"test_.*|.*_test\.\w+|.*\.bats|tidy\.py", path.name) and not named_by_cmake(root, path):
            yield path, 1, "is a test that no CMakeLists.txt registers"


def check_headers(root):
    """A header opens with what it is; a source file does so where it has no header of the same name."""
    for path in files(root, ".hpp", ".cpp"):
        if path.suffix == ".cpp" and path.with_suffix(".hpp").exists():
            continue
        first = (lines_of(path) or [""])[0]
        if not first.startswith("// "):
            yield path, 1, "does not open with a comment that says what the file is, what it refuses to do and who may call it"
    for path in files(root, ".hpp"):
        if "#pragma once" not in lines_of(path):
            yield path, 1, "has no #pragma once"
        for number, line in code_of(path):
            if line.startswith("using namespace"):
                yield path, number, "takes a whole namespace into whoever includes it"


def check_layers(root):
    """Includes keep to the table of folders."""
    include = re.compile(r'^\s*#include\s+(["<])([^">]+)[">]')
    for path in files(root, ".hpp", ".cpp"):
        name = relative(root, path)
        allowed = LAYERS[folder_of(name, LAYERS)]
        for number, line in enumerate(lines_of(path), 1):
            match = include.match(line)
            if not match:
                continue
            target = match.group(2)
            if match.group(1) == '"':
                if not (root / target).exists():
                    yield path, number, f'includes "{target}", which is not a path from the root of the project'
                elif not any(target.startswith(folder + "/") for folder in allowed):
                    yield path, number, f'includes "{target}", which its folder must not know'
            for library, folders in LIBRARIES:
                if library.match(target) and not any(name == folder or name.startswith(folder + "/") for folder in folders):
                    yield path, number, f"includes <{target}>, which belongs to {', '.join(folders)}"


def check_core(root):
    """The core has no clock, thread, I/O or log."""
    for path in files(root, ".hpp", ".cpp", folders=("daemon/core",)):
        for number, line in code_of(path):
            if CORE_FORBIDDEN.search(line):
                yield path, number, "the core is a value: no clock, no thread, no I/O, no log"


def check_words(root):
    """Words that must not stand in the code."""
    for pattern, folders, why in FORBIDDEN:
        for path in files(root, ".hpp", ".cpp", folders=folders):
            for number, line in code_of(path) if "unfinished" not in why else enumerate(lines_of(path), 1):
                match = pattern.search(line)
                if match and (relative(root, path), match.group(0).lstrip(":")) not in EXCEPTIONS:
                    yield path, number, why


def check_detached(root):
    """Nothing is detached."""
    for path in files(root, ".hpp", ".cpp"):
        for number, line in code_of(path):
            match = re.search(r"\basio::detached\b|\bdetached_t\b|\.detach\(\)", line)
            if match and (relative(root, path), match.group(0)) not in EXCEPTIONS:
                yield path, number, "detached work has no owner who cancels it and waits for it"


def check_paths(root):
    """No path of a developer's machine."""
    folders = SOURCE_FOLDERS + ("tools", "docs", ".ci")
    for path in list(files(root, folders=folders)) + [p for p in sorted(root.glob("*")) if p.is_file()]:
        # `.git` is a file in a worktree.
        if path.suffix in (".png", ".bin") or path.name in ("tidy.py", ".git"):
            continue
        for number, line in enumerate(lines_of(path), 1):
            if MACHINE_PATH.search(line):
                yield path, number, "names a path of one machine"


def check_scripts(root):
    """Scripts say what runs them and can be run."""
    for folder in ("tools", ".ci", "docs/examples"):
        for path in sorted((root / folder).glob("*")):
            if not path.is_file() or path.suffix in (".txt", ".md"):
                continue
            if not (lines_of(path) or [""])[0].startswith("#!"):
                yield path, 1, "is a script without a #! line"
            if not path.stat().st_mode & 0o100:
                yield path, 1, "is a script that cannot be executed"


def check_size(root):
    """A file that has become a second thing."""
    for path in files(root, ".hpp", ".cpp"):
        count = len(lines_of(path))
        if count > 800:
            yield path, count, "has passed 800 lines: what second thing has it become?"


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items()) if name.startswith("check_")}

BROKEN = {
    "targets": ("common/lonely.cpp", "// A file.\n"),
    "tests": ("tests/integration/test_lonely.py", '"""A test."""\n'),
    "headers": ("common/bare.hpp", "#pragma once\n"),
    "layers": ("client/deep.hpp", '// A file.\n#pragma once\n#include "daemon/core/x.hpp"\n'),
    "core": ("daemon/core/clock.hpp", "// A file.\n#pragma once\n#include <mutex>\n"),
    "words": ("daemon/quit.hpp", "// A file.\n#pragma once\ninline void quit() { std::exit(1); }\n"),
    "detached": ("daemon/api/loose.hpp", "// A file.\n#pragma once\nauto how = asio::detached;\n"),
    "paths": ("docs/where.md", "look into /ro" "ot/somewhere\n"),
    "scripts": ("tools/plain", "echo hello\n"),
    "size": ("common/long.hpp", "// A file.\n#pragma once\n" + "\n" * 800),
}


def self_test():
    """Each check finds its broken file, and nothing in an empty tree."""
    failures = 0
    for name, check in CHECKS.items():
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "CMakeLists.txt").touch()
            if list(check(root)):
                print(f"self-test: {name} finds something in an empty tree")
                failures += 1
            path, text = BROKEN[name]
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text(text, encoding="utf-8")
            if not any(relative(root, found) == path for found, _, _ in check(root)):
                print(f"self-test: {name} does not find what is wrong with {path}")
                failures += 1
    return failures


def main():
    words = sys.argv[1:]
    if words == ["--self-test"]:
        return 1 if self_test() else 0
    if not words:
        print(__doc__)
        return 64
    root = pathlib.Path(words[0]).resolve()
    found = 0
    for name in words[1:] or CHECKS:
        for path, line, message in CHECKS[name](root):
            print(f"{relative(root, path)}:{line}: {message}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
