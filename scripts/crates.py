#!/usr/bin/env python3
"""Holds the crates that adit is made of to what it promises of them: their
licences, no crate twice, their number in README.md, no unsafe code of its own.
Known faults of them are looked up in a copy of RustSec's database.

  scripts/crates.py [ADVISORIES]

  ADVISORIES   a clone of https://github.com/rustsec/advisory-db
               (target/advisory-db, if it is there)

Nothing is asked over the network. Needs cargo and Python 3.11.
"""

import json
import operator
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What may become part of a program under MIT or Apache-2.0.
LICENCES = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
}

# Crates that are there in two versions, and who asks for the older one.
TWICE = {"getrandom": "ring", "syn": "enumflags2_derive"}

# Advisories that are about what adit does not do: id to reason.
HARMLESS = {
    "RUSTSEC-2026-0009": "time parses no date here: tests make certificates with it",
}

ORDER = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--offline"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def everything():
    """Name, version and licence of all crates, for tests and other systems too."""
    packages = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    return [(package["name"], package["version"], package["license"]) for package in packages]


def built_in():
    """Name and version of the crates that the program has on this machine, and
    its own first. Metadata would add what only the features of tests ask for."""
    tree = cargo("tree", "--edges", "normal", "--prefix", "none", "--format", "{p}")
    lines = dict.fromkeys(tuple(line.split()[:2]) for line in tree.splitlines())
    return [(name, version.removeprefix("v")) for name, version in lines]


def is_allowed(expression):
    """Whether an SPDX expression can be met with the licences above."""
    tokens = re.findall(r"[()]|[\w.+-]+(?: WITH [\w.-]+)?", expression.replace("/", " OR "))
    words = {"AND": "and", "OR": "or", "(": "(", ")": ")"}
    return eval(" ".join(words.get(token, str(token in LICENCES)) for token in tokens))


def licences(packages):
    for name, version, licence in packages:
        if not is_allowed(licence or "none"):
            yield f"{name} {version}: licence {licence} is not allowed"


def twice(packages):
    names = [name for name, _ in packages]
    for name in sorted(set(names)):
        if (names.count(name) > 1) != (name in TWICE):
            yield f"{name}: {names.count(name)} versions, against what scripts/crates.py says"


def told(packages):
    if f"; {len(packages)} with all that they need in turn" not in (ROOT / "README.md").read_text():
        yield f"README.md does not say that there are {len(packages)} crates in all"


def unsafe():
    lints = tomllib.loads((ROOT / "Cargo.toml").read_text())["lints"]["rust"]
    if lints.get("unsafe_code") != "forbid":
        yield "unsafe code is not forbidden"


def number(version):
    """A version as what compares: a pre-release goes before its release."""
    release = re.split("[-+]", version)[0].split(".")
    parts = [int(part) for part in release]
    return (*parts, *[0] * (3 - len(parts)), "-" not in version)


def is_within(version, requirement):
    """Whether a version is one of `>= 1.2, < 1.4` or of `^1.2`."""
    for part in requirement.split(","):
        sign, bound = re.fullmatch(r"\s*([<>=^]*)\s*([\w.+-]+)\s*", part).groups()
        seen, wanted = number(version), number(bound)
        if sign in ORDER:
            met = ORDER[sign](seen, wanted)
        else:
            # Up to the first number that is not zero they are the same.
            same = next((n + 1 for n in range(3) if wanted[n]), 3)
            met = seen >= wanted and seen[:same] == wanted[:same]
        if not met:
            return False
    return True


def advisories(packages, database):
    for name, version, _ in packages:
        for file in sorted((database / "crates" / name).glob("RUSTSEC-*.md")):
            head = tomllib.loads(file.read_text().split("```toml\n", 1)[1].split("\n```", 1)[0])
            advisory, safe = head["advisory"], head["versions"]
            safe = [*safe.get("patched", ()), *safe.get("unaffected", ())]
            struck = not any(is_within(version, requirement) for requirement in safe)
            if struck and "withdrawn" not in advisory and advisory["id"] not in HARMLESS:
                yield f"{name} {version}: {advisory['id']}"


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        raise SystemExit(__doc__)
    every, (_, *inside) = everything(), built_in()
    mistakes = [*licences(every), *twice(inside), *told(inside), *unsafe()]
    said = f"crates: {len(inside)} in the program, {len(every) - 1} with tests and other systems"
    database = pathlib.Path(sys.argv[1] if sys.argv[1:] else ROOT / "target/advisory-db")
    if (database / "crates").is_dir():
        mistakes += advisories(every, database)
        said += "; licences and advisories looked at"
    elif sys.argv[1:]:
        raise SystemExit(f"crates: {database} is no clone of rustsec/advisory-db")
    else:
        said += f"; licences looked at, no advisories: there is no {database}"
    print(said)
    if mistakes:
        raise SystemExit("\n".join(f"crates: {mistake}" for mistake in mistakes))


main()
